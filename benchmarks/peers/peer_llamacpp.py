"""llama.cpp, built for this processor, timed through its own llama_decode. convert() writes the
GGUF files."""

import os
import time

import peer as base

PEER = base.Peer(
    name="llama.cpp",
    folder="llamacpp",
    variants={"BF16": "bf16", "Q8_0": "int8", "Q4_0": "int4"},
    requirements="PEER_LLAMACPP",
    packages=("llama-cpp-python", "gguf"),
    pip_options=("--no-binary", "llama-cpp-python"),
    without_batches=("Q8_0",),
    build_environment={"CMAKE_ARGS": "-DGGML_NATIVE=ON"},
)

# The checkpoint's tensor names -> GGUF's names: those of a layer, and the others.
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
OTHER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name):
    stem = name.removesuffix(".weight")
    if stem in OTHER:
        return OTHER[stem] + ".weight"
    layer, part = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{LAYER[part]}.weight"


def interleave_rotary(rows, heads):
    """Reorders rows of Q or K. In Hugging Face's order, the two rows of a rotary pair are half a
    head apart; in GGUF's order, they are neighbours."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def convert(variant, checkpoint, out):
    import gguf
    import numpy

    import checkpoint as files

    config = files.read_config(checkpoint)
    writer = gguf.GGUFWriter(os.path.join(out, "model.gguf"), "llama")
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")  # token ids go in and come out
    kind = getattr(gguf.GGMLQuantizationType, variant)
    for name, words in files.read_tensors(checkpoint).items():
        values = files.bf16_to_f32(words)
        if "q_proj" in name or "k_proj" in name:
            values = interleave_rotary(values, heads if "q_proj" in name else kv_heads)
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name), values)
        else:
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(numpy.ascontiguousarray(values), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Engine:
    def __init__(self, variant, model, threads):
        import llama_cpp

        self.lib, self.threads, self.variant = llama_cpp, threads, variant
        llama_cpp.llama_backend_init()
        path = os.path.join(model, "model.gguf").encode()
        self.model = llama_cpp.llama_model_load_from_file(path, llama_cpp.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"{path.decode()}: llama.cpp cannot load it")
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.flags = f"{variant}, {llama_cpp.llama_print_system_info().decode()}; flash attention: bf16 on, else off"

    def context(self, sequences, length):
        lib = self.lib
        params = lib.llama_context_default_params()
        params.n_seq_max = sequences
        params.n_ctx = sequences * (-(-length // 256) * 256)
        params.n_batch = 2048
        params.n_ubatch = 512
        params.n_threads = params.n_threads_batch = self.threads
        # Without flash attention, quantized weights are faster with a long context and no slower
        # with none.
        params.flash_attn_type = 1 if self.variant == "BF16" else 0
        context = lib.llama_init_from_model(self.model, params)
        if not context:
            raise RuntimeError("llama.cpp cannot make a context")
        return context

    def decode(self, context, batch, entries):
        """entries: (token, position, sequence, whether the token's logits are wanted)."""
        batch.n_tokens = len(entries)
        for i, (token, position, sequence, wanted) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
            batch.seq_id[i][0] = sequence
        result = self.lib.llama_decode(context, batch)
        if result != 0:
            raise RuntimeError(f"llama_decode returned {result}")

    def argmax(self, context, row):
        import numpy

        logits = self.lib.llama_get_logits_ith(context, row)
        return int(numpy.ctypeslib.as_array(logits, (self.vocabulary,)).argmax())

    def run(self, prompts, output):
        lib, count, length = self.lib, len(prompts), len(prompts[0])
        context = self.context(count, length + output)
        batch = lib.llama_batch_init(max(length, count), 0, 1)
        start = time.perf_counter()
        tokens = []
        for sequence, prompt in enumerate(prompts):
            self.decode(context, batch, [(t, i, sequence, i == length - 1) for i, t in enumerate(prompt)])
            tokens.append(self.argmax(context, -1))
        first = time.perf_counter()
        for step in range(output - 1):
            self.decode(context, batch, [(t, length + step, sequence, 1) for sequence, t in enumerate(tokens)])
            tokens = [self.argmax(context, i) for i in range(count)]
        end = time.perf_counter()
        lib.llama_batch_free(batch)
        lib.llama_free(context)
        return base.Timing(first - start, end - first, count * (output - 1), end - start)


if __name__ == "__main__":
    base.main(PEER, convert, Engine)
