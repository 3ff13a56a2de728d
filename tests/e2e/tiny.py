"""Makes tiny models of every kind that merope loads, in about a second: both formats, each type of weights, with and without a
chat template and an EOS token, with a short and a long context."""

import json
import pathlib
import random
import struct
import sys

import merope

sys.path.insert(0, str(merope.ROOT / "tests/fuzz"))
import seeds  # noqa: E402

CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
SHORT, LONG = 128, 131072


class Kind:
    """A kind of model: format ("hf" or "gguf"), type of weights, context length, tied head, chat template, EOS token,
    architecture ("llama", "qwen2" or "qwen3")."""

    def __init__(self, name, form, weights, context=SHORT, tied=False, chat=True, eos=True, model="llama"):
        self.name, self.form, self.weights, self.context, self.model = name, form, weights, context, model
        self.tied, self.chat, self.eos = tied, chat, eos
        self.quantized = weights not in ("bf16", "f16", "F16")


KINDS = [
    Kind("hf-f16", "hf", "f16"),
    Kind("hf-bf16-tied-long", "hf", "bf16", context=LONG, tied=True),
    Kind("hf-f16-without-chat-qwen2", "hf", "f16", context=LONG, chat=False, model="qwen2"),
    Kind("hf-bf16-without-eos", "hf", "bf16", tied=True, eos=False),
    Kind("hf-int8-qwen3", "hf", "int8", model="qwen3"),
    Kind("hf-int4-tied-long", "hf", "int4", context=LONG, tied=True),
    Kind("gguf-f16-long", "gguf", "F16", context=LONG),
    Kind("gguf-f16-without-eos", "gguf", "F16", tied=True, eos=False, chat=False),
    Kind("gguf-q8_0-tied-qwen3", "gguf", "Q8_0", tied=True, model="qwen3"),
    Kind("gguf-q4_0-long-qwen2", "gguf", "Q4_0", context=LONG, model="qwen2"),
    Kind("gguf-legacy-mixed", "gguf", "Q4_1 Q5_0 Q5_1", tied=True, chat=False),
    Kind("gguf-k-mixed-long", "gguf", "Q4_K Q5_K Q6_K", context=LONG, eos=False),
]


def half(value):
    return struct.pack("<e", value)


# For each type: ggml's number of the type, elements per block, bytes per block, and the offsets of the block's fp16 scales (a
# scale, and for some types a minimum).
TYPES = {"Q4_0": (2, 32, 18, [0]), "Q4_1": (3, 32, 20, [0, 2]), "Q5_0": (6, 32, 22, [0]), "Q5_1": (7, 32, 24, [0, 2]),
         "Q8_0": (8, 32, 34, [0]), "Q4_K": (12, 256, 144, [0, 2]), "Q5_K": (13, 256, 176, [0, 2]), "Q6_K": (14, 256, 210, [208])}
# The values of these scales. The weights then have a size of about 0.05.
SCALES = {"Q4_0": [0.006], "Q4_1": [0.006, -0.045], "Q5_0": [0.003], "Q5_1": [0.003, -0.045], "Q8_0": [0.0004],
          "Q4_K": [0.0001, 0.0012], "Q5_K": [0.00006, 0.0012], "Q6_K": [0.00003]}


def matrix(kind, columns, rows, chance):
    """Returns random weights: ggml's number of their type, and their bytes."""
    if kind == "F16":
        return 1, b"".join(half(chance.gauss(0, 0.05)) for _ in range(columns * rows))
    number, elements, size, places = TYPES[kind]
    out = bytearray(chance.randbytes(columns * rows // elements * size))
    for block in range(0, len(out), size):
        for place, scale in zip(places, SCALES[kind]):
            out[block + place:block + place + 2] = half(scale)
    return number, bytes(out)


def gguf(kind):
    """Returns the bytes of a GGUF file. Tensor i has type i of kind.weights, modulo their number; norms are fp32."""
    chance, types = random.Random(kind.name), kind.weights.split()
    hidden, wide = (256, 512) if "K" in kind.weights else (64, 96)
    kv, tokens = hidden // 2, [*seeds.byte_alphabet(), "ab", "Ġa", "<|begin|>", "<|end|>"]
    own = {
        "block_count": 2, "context_length": kind.context, "embedding_length": hidden, "feed_forward_length": wide,
        "attention.head_count": 4, "attention.head_count_kv": 2, "rope.freq_base": 10000.0, "vocab_size": len(tokens),
        "attention.layer_norm_rms_epsilon": 1e-5}
    keys = {
        "general.architecture": kind.model, **{f"{kind.model}.{name}": value for name, value in own.items()},
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [1] * (len(tokens) - 2) + [3, 3],
        "tokenizer.ggml.merges": ["a b", "Ġ a"], "tokenizer.ggml.add_bos_token": False}
    if kind.eos:
        keys |= {"tokenizer.ggml.bos_token_id": len(tokens) - 2, "tokenizer.ggml.eos_token_id": len(tokens) - 1}
    if kind.chat:
        keys["tokenizer.chat_template"] = CHAT
    tensors = []

    def add(name, columns, rows):
        number, content = matrix(types[len(tensors) % len(types)], columns, rows, chance)
        tensors.append((name, number, [columns, rows], content))

    def vector(name, value=1, size=hidden):
        tensors.append((name, 0, [size], struct.pack("<f", value) * size))

    add("token_embd.weight", hidden, len(tokens))
    for layer in range(2):
        block = f"blk.{layer}."
        vector(block + "attn_norm.weight")
        vector(block + "ffn_norm.weight")
        if kind.model == "qwen3":
            vector(block + "attn_q_norm.weight", size=hidden // 4)
            vector(block + "attn_k_norm.weight", size=hidden // 4)
        if kind.model == "qwen2":
            for name, rows in (("attn_q", hidden), ("attn_k", kv), ("attn_v", kv)):
                vector(f"{block}{name}.bias", value=0.125, size=rows)
        for name, columns, rows in (("attn_q", hidden, hidden), ("attn_k", hidden, kv), ("attn_v", hidden, kv),
                                    ("attn_output", hidden, hidden), ("ffn_gate", hidden, wide), ("ffn_up", hidden, wide),
                                    ("ffn_down", wide, hidden)):
            add(f"{block}{name}.weight", columns, rows)
    vector("output_norm.weight")
    if not kind.tied:
        add("output.weight", hidden, len(tokens))
    return seeds.gguf(keys, tensors)


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def command(*arguments):
    done = merope.run(*arguments)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.stderr.decode()}")


def hugging_face(kind, directory):
    own = kind.weights in ("int8", "int4")
    plain = directory.with_name(directory.name + "-plain") if own else directory
    like = directory.with_name(directory.name + ".json")
    name = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}[kind.model]
    like.write_text(json.dumps({
        **merope.CONFIG, "architectures": [name], "model_type": kind.model, "head_dim": 16,
        "max_position_embeddings": kind.context, "tie_word_embeddings": kind.tied}))
    command("synth", "--like", like, plain, "--dtype", "bf16" if own else kind.weights)
    if kind.chat:
        (plain / "chat_template.jinja").write_text(CHAT)
    if not kind.eos:
        for name in ("config.json", "generation_config.json"):
            edit(plain / name, lambda content: content.update(eos_token_id=None))
        edit(plain / "tokenizer_config.json", lambda content: content.pop("eos_token", None))
    if own:
        command("quantize", plain, directory, "--dtype", kind.weights)


def make(kind, scratch):
    """Makes a model of this kind in the directory scratch. Returns the path of the model."""
    path = pathlib.Path(scratch) / (kind.name + (".gguf" if kind.form == "gguf" else ""))
    if kind.form == "gguf":
        path.write_bytes(gguf(kind))
    else:
        hugging_face(kind, path)
    return path
