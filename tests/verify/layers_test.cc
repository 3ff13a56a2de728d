// The op that --layers names, for each fault of the self-test, on a small random model.
#include "verify/layers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/synth.h"
#include "model/llama.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

constexpr int64_t kVocab = 384, kContext = 160, kLayers = 3;

// The first wrong op of each fault. "The middle layer" is layer 1.
const std::map<std::string, std::string> kFirstWrong = {
    {"weights-5-bit", "layers.0.self_attn.q_proj"},
    {"row-of-neighbour", "layers.1.mlp.down_proj"},
    {"gate-up-swapped", "layers.1.mlp.gate_proj"},
    {"norm-gain-dropped", "layers.1.input_layernorm"},
    {"rope-theta", "layers.0.self_attn.q_rotated"},
    {"rope-interleaved", "layers.0.self_attn.q_proj"},  // the fault is in the order of its rows
    {"rope-bf16-frequencies", "layers.0.self_attn.q_rotated"},
    {"rope-shifted", "layers.0.self_attn.q_rotated"},
    {"eps", "layers.0.input_layernorm"},
    {"norm-centred", "layers.0.input_layernorm"},
    {"kv-head-swapped", "layers.1.self_attn.k_proj"},
    {"attention-scale", "layers.1.self_attn.attended"},
    {"mask-plus-one", "layers.0.self_attn.attended"},
    {"mask-minus-one", "layers.0.self_attn.attended"},
    {"kv-fp8", "layers.0.self_attn.attended"},
    {"kv-lost-page", "layers.0.self_attn.attended"},
    {"kv-prefix-of-another", "layers.0.self_attn.attended"},
    {"kv-stale-length", "layers.0.self_attn.attended"},
    {"kv-slot-early", "layers.0.self_attn.attended"},
    {"residual-skipped", "layers.1.post_attention_layernorm"},
    {"layer-skipped", "layers.1.post_attention_layernorm"},
    {"prefill-multiple-of-4", "layers.1.post_attention_layernorm"},
    {"gelu-for-silu", "layers.0.mlp.act_fn"},
    {"fp16-sums", "layers.0.self_attn.q_proj"},
    {"sum-term-dropped", "layers.0.mlp.down_proj"},
    {"head-shard-shifted", "lm_head"},
    {"head-temperature", "lm_head"},
    {"head-softcap", "lm_head"},
};

class LayersTest : public ::testing::Test {
 protected:
  LayersTest() : checkpoint_(Model()) {
    std::mt19937 random(5);
    // 128: several pages; its second half is decoded. 12: a multiple of 4.
    for (const int64_t n : {128, 12, 7}) {
      VerifyPrompt& prompt = prompts_.emplace_back();
      prompt.id = fmt::format("prompt-{}", prompts_.size());
      for (int64_t i = 0; i < n; ++i) prompt.ids.push_back(static_cast<int32_t>(random() % kVocab));
    }
  }

  Checkpoint Model() {
    ModelConfig config = LlamaConfig({.hidden = 64,
                                      .layers = kLayers,
                                      .head_dim = 16,
                                      .vocabulary = kVocab,
                                      .context = kContext});
    config.tie_word_embeddings = true;
    const SynthOptions options{.seed = 8, .dtype = DType::kF32, .std_dev = 0.15};
    const Status made = Synthesize(directory_.File("model"), config, options);
    EXPECT_TRUE(made) << ErrorOf(made);
    Result<Checkpoint> checkpoint = Checkpoint::Open(directory_.File("model"));
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message;
    return std::move(*checkpoint);
  }

  LayersResult Trace(const LayersOptions& options) {
    const auto result = TraceLayers(checkpoint_, prompts_, options);
    EXPECT_TRUE(result) << ErrorOf(result);
    return result ? *result : LayersResult{};
  }

  TempDir directory_;
  Checkpoint checkpoint_;
  std::vector<VerifyPrompt> prompts_;
};

class HonestTest : public LayersTest, public ::testing::WithParamInterface<Precision> {};

TEST_P(HonestTest, StaysInItsBand) {
  const LayersResult result = Trace({.numerics = {.precision = GetParam()}, .threads = 2});
  EXPECT_EQ(result.verdict, Verdict::kPass);
  EXPECT_FALSE(result.culprit);
  EXPECT_TRUE(result.decode && result.decode->identical);
  EXPECT_EQ(result.positions, 128 + 12 + 7);
  // 14 points a layer, and embed_tokens, norm and lm_head.
  EXPECT_EQ(result.points.size(), 14 * kLayers + 3);
  for (const LayerPoint& point : result.points) {
    EXPECT_LT(point.ratio, 1.5) << point.name;
    EXPECT_LT(point.ratio_alone, 1.5) << point.name;
  }
  const LayerPoint& head = result.points.back();
  EXPECT_EQ(head.name, "lm_head");
  if (GetParam() != Precision::kFp32) {
    EXPECT_GT(head.target_alone.relative_l2, 1e-4);
    EXPECT_GT(head.target.relative_l2, head.target_alone.relative_l2);
  }
  EXPECT_GE(head.target.mare, head.target.mere);
}

INSTANTIATE_TEST_SUITE_P(Formats, HonestTest,
                         ::testing::Values(Precision::kFp32, Precision::kBf16, Precision::kInt8,
                                           Precision::kInt4),
                         [](const auto& format) {
                           return std::string(PrecisionName(format.param));
                         });

TEST_F(LayersTest, NamesTheOpOfEachFault) {
  for (const Mutant& mutant : Mutants()) {
    SCOPED_TRACE(mutant.key);
    const auto expected = kFirstWrong.find(std::string(mutant.key));
    // --layers looks at each op, which a plan does not allow.
    if (mutant.feed == Feed::kGraphDecode) {
      EXPECT_EQ(expected, kFirstWrong.end());
      continue;
    }
    ASSERT_NE(expected, kFirstWrong.end());
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      SCOPED_TRACE(PrecisionName(precision));
      const LayersResult result =
          Trace({.numerics = {.precision = precision}, .threads = 2, .mutant = &mutant});
      // bf16's own rounding is coarser than that of fp16's sums. The logits of this model are below
      // 3, and the cap changes those by at most 0.3 %.
      if (precision == Precision::kBf16 &&
          (mutant.key == "fp16-sums" || mutant.key == "head-softcap"))
        continue;
      EXPECT_EQ(result.verdict, Verdict::kFail);
      ASSERT_TRUE(result.culprit);
      EXPECT_EQ(result.culprit->point, expected->second);
      EXPECT_TRUE(result.culprit->alone);
      EXPECT_GT(result.culprit->ratio, result.limit);
      const bool of_decode = mutant.feed == Feed::kDecode;
      EXPECT_EQ(result.culprit->prompt, "prompt-1");
      if (of_decode) {
        EXPECT_EQ(result.culprit->position, 64);
      }
      EXPECT_EQ(result.decode->identical, mutant.key != "prefill-multiple-of-4" && !of_decode &&
                                              mutant.key != "mask-plus-one")
          << result.decode->point;
    }
  }
}

// Files of intermediate results.
class LayerFileTest : public LayersTest {
 protected:
  using Tensors = std::map<std::string, std::pair<std::vector<int64_t>, std::vector<float>>>;

  // What the CPU back end computes in bf16, in one pass, without the points that no module of HF
  // gives.
  Tensors Results() {
    Tensors tensors;
    BackendOptions made;
    made.threads = 2;
    auto backend = MakeBackend(kCpuBackend, made);
    LlamaOptions llama;
    llama.max_model_len = kContext;
    llama.kv_tokens = 2 * kContext;
    llama.eager = true;
    auto model = Llama::Load(checkpoint_, **backend, llama);
    for (const VerifyPrompt& p : prompts_) {
      Sequence sequence((*model)->kv());
      (*model)->set_observer([&](std::string_view name, const Tensor& value) {
        if (name.ends_with("_rotated")) return;
        auto& [shape, values] = tensors[fmt::format("{}.{}", p.id, name)];
        shape = {value.rows, value.cols};
        for (int64_t row = 0; row < value.rows; ++row)
          values.insert(values.end(), value.data + row * value.stride,
                        value.data + row * value.stride + value.cols);
      });
      EXPECT_TRUE((*model)->Extend(&sequence, p.ids, std::ssize(p.ids),
                                   [](int64_t, std::span<const float>) {}));
    }
    return tensors;
  }

  std::string Write(const Tensors& results) {
    const std::string path = directory_.File("layers.safetensors");
    std::vector<SafetensorsTensor> tensors;
    for (const VerifyPrompt& p : prompts_)
      tensors.push_back({p.id + ".ids", "I32", {std::ssize(p.ids)}, std::ssize(p.ids) * 4});
    for (const auto& [name, result] : results)
      tensors.push_back({name, "F32", result.first, std::ssize(result.second) * 4});
    auto file = SafetensorsWriter::Create(path, tensors, {});
    EXPECT_TRUE(file) << ErrorOf(file);
    for (const VerifyPrompt& p : prompts_)
      EXPECT_TRUE(file->Write(p.id + ".ids", 0, std::as_bytes(std::span(p.ids))));
    for (const auto& [name, result] : results)
      EXPECT_TRUE(file->Write(name, 0, std::as_bytes(std::span(result.second))));
    EXPECT_TRUE(file->Finish());
    return path;
  }

  void ExpectError(const Tensors& results, std::string_view text) {
    const auto traced = TraceLayers(checkpoint_, {}, {.target_file = Write(results)});
    ASSERT_FALSE(traced);
    EXPECT_TRUE(traced.error().message.contains(text)) << traced.error().message;
  }
};

TEST_F(LayerFileTest, AnHonestFilePasses) {
  const LayersResult result = Trace({.target_file = Write(Results())});
  EXPECT_EQ(result.verdict, Verdict::kPass);
  EXPECT_FALSE(result.decode);
  EXPECT_EQ(result.prompts, 3);
  EXPECT_EQ(result.points.size(), 12 * kLayers + 3);
  for (const LayerPoint& point : result.points) {
    EXPECT_LT(point.ratio, 1.5) << point.name;
    EXPECT_LT(point.ratio_alone, 1.5) << point.name;
  }
}

TEST_F(LayerFileTest, AWrongResultIsNamed) {
  // One value of one row in the second page: only the op that gave it is wrong, and the results
  // after it are right for their inputs.
  Tensors results = Results();
  results["prompt-1.layers.1.mlp.up_proj"].second.at(100 * 96 + 7) += 3;
  const LayersResult result = Trace({.target_file = Write(results)});
  EXPECT_EQ(result.verdict, Verdict::kFail);
  ASSERT_TRUE(result.culprit);
  EXPECT_EQ(result.culprit->point, "layers.1.mlp.up_proj");
  EXPECT_EQ(result.culprit->prompt, "prompt-1");
  EXPECT_EQ(result.culprit->position, 100);

  results = Results();
  results["prompt-2.layers.2.self_attn.attended"].second[0] = std::nanf("");
  const LayersResult not_a_number = Trace({.target_file = Write(results)});
  ASSERT_TRUE(not_a_number.culprit);
  EXPECT_EQ(not_a_number.culprit->point, "layers.2.self_attn.attended");
}

TEST_F(LayerFileTest, WhatIsNoResultIsAnError) {
  Tensors results = Results();
  results["prompt-1.layers.3.mlp.up_proj"] = results["prompt-1.layers.1.mlp.up_proj"];
  ExpectError(results, "\"prompt-1.layers.3.mlp.up_proj\": expected");
  results = Results();
  results["prompt-9.lm_head"] = results["prompt-1.lm_head"];
  ExpectError(results, "\"prompt-9.lm_head\": expected");
  results = Results();
  results["prompt-1.lm_head"].first = {kVocab, 128};
  ExpectError(results, "of shape (128, 384), found F32 of shape (384, 128)");
  prompts_[1].ids[3] = kVocab;
  ExpectError({}, "\"prompt-2.ids\": expected token ids from 0 to 383");
  prompts_[1].ids.assign(kContext + 1, 1);
  ExpectError({}, "expected at most 160 tokens (the context), found 161");
  prompts_.clear();
  ExpectError({}, "expected a tensor \"<prompt>.ids\"");
}

TEST(LayerPromptsTest, OneLongPromptAndManyShortOnes) {
  std::vector<VerifyPrompt> prompts;
  for (const size_t n : {40u, 900u, 9u, 90u, 12u, 30u})
    prompts.push_back({.id = fmt::format("{}", n), .ids = std::vector<int32_t>(n)});
  std::vector<std::string> ids;
  for (const VerifyPrompt& p : ChooseLayerPrompts(prompts, VerifyMode::kQuick)) ids.push_back(p.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"90", "9", "12"}));
  EXPECT_EQ(ChooseLayerPrompts({prompts[1]}, VerifyMode::kQuick).size(), 1u);
  EXPECT_TRUE(ChooseLayerPrompts({}, VerifyMode::kQuick).empty());
}

}  // namespace
}  // namespace merope
