#include "verify/mutants.h"

#include <algorithm>

namespace merope {
namespace {

// "The middle layer" is layer num_layers / 2, counted from 0.
constexpr Mutant kMutants[] = {
    {"weights-5-bit", "weights",
     "the matrices of all layers are rounded to 5 bits, with one scale per 32 inputs"},
    {"row-of-neighbour", "weights",
     "down_proj of the middle layer computes its last output with the weights of the output "
     "before"},
    {"gate-up-swapped", "weights", "gate_proj and up_proj of the middle layer are exchanged"},
    {"norm-gain-dropped", "weights", "the gain of the middle layer's input norm is 1"},
    {"rope-theta", "RoPE", "theta is 10,000 (or 500,000, if the model's own is 10,000)"},
    {"rope-interleaved", "RoPE", "q and k are rotated in neighbouring pairs, not in halves"},
    {"rope-bf16-frequencies", "RoPE", "the frequencies of the angles are rounded to bf16"},
    {"rope-shifted", "RoPE", "all positions are larger by one"},
    {"eps", "norm", "eps of all norms is 1e-6 instead of 1e-5, or 1e-5 if it is smaller than that"},
    {"norm-centred", "norm", "all norms subtract the mean first, as LayerNorm does"},
    {"kv-head-swapped", "attention", "the first two K/V heads of the middle layer are exchanged"},
    {"attention-scale", "attention",
     "the scores of the middle layer are scaled by 1/d, not 1/sqrt(d)"},
    {"mask-plus-one", "attention", "each token attends to the next token of its step, too"},
    {"mask-minus-one", "attention", "no token but the first attends to itself"},
    {"kv-fp8", "K/V cache", "K and V are rounded to fp8 (E4M3, without a scale)"},
    {"kv-lost-page", "K/V cache",
     "the first page of a sequence that has several pages reads as zeros"},
    {"kv-prefix-of-another", "K/V cache",
     "the first page of a sequence that has several pages is the page of another sequence"},
    {"kv-stale-length", "K/V cache", "a decode step attends up to the length before its own token",
     Feed::kDecode},
    {"kv-slot-early", "K/V cache", "a decode step stores K and V one slot too early",
     Feed::kDecode},
    {"graph-stale-angles", "graph", "a replayed decode step reads RoPE's angles of the step before",
     Feed::kGraphDecode},
    {"graph-stale-pages", "graph",
     "replayed decode steps read the page table of the sequence's first decode step",
     Feed::kGraphDecode},
    {"residual-skipped", "structure", "the middle layer's attention is not added to the residual"},
    {"layer-skipped", "structure", "the middle layer changes nothing"},
    {"prefill-multiple-of-4", "structure",
     "in a prefill whose length is a multiple of 4, the last 4 tokens get no attention of the "
     "middle layer"},
    {"gelu-for-silu", "activation", "the activation of all layers is GELU, not SiLU"},
    {"fp16-sums", "sums", "the sums of all products are rounded to fp16's 11 bits after each term"},
    {"sum-term-dropped", "sums", "the sums of down_proj lose their last term, in all layers"},
    {"head-shard-shifted", "head",
     "in the last eighth of the vocabulary, each token has the logit of the token after it"},
    {"head-temperature", "head", "the logits are divided by 1.05"},
    {"head-softcap", "head", "the logits z become 30 tanh(z / 30)"},
};

}  // namespace

std::span<const Mutant> Mutants() { return kMutants; }

const Mutant* FindMutant(std::string_view key) {
  const auto found = std::ranges::find(kMutants, key, &Mutant::key);
  return found == std::end(kMutants) ? nullptr : found;
}

std::string WhyNotApplicable(const Mutant& mutant, const ModelConfig& config) {
  if (mutant.key == "kv-head-swapped" && config.num_kv_heads < 2)
    return "the model has one K/V head";
  return "";
}

}  // namespace merope
