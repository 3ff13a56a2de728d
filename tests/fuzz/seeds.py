"""Writes small valid inputs for every fuzz target: python3 seeds.py DIRECTORY."""

import json
import pathlib
import struct
import sys


def safetensors(tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def gguf_string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_value(value):
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, gguf_string(value)
    kinds = [gguf_value(v) for v in value]
    return 9, struct.pack("<IQ", kinds[0][0], len(value)) + b"".join(data for _, data in kinds)


def gguf(keys, tensors, version=3):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    for key, value in keys.items():
        kind, data = gguf_value(value)
        out += gguf_string(key) + struct.pack("<I", kind) + data
    body = b""
    for name, kind, shape, content in tensors:
        out += gguf_string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape)
        out += struct.pack("<IQ", kind, len(body))
        body += content + b"\0" * (-len(content) % 32)
    return out + b"\0" * (-len(out) % 32) + body


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def gguf_model(pre="smollm", kind=0, row_bytes=128, model="gpt2"):
    if model == "gpt2":
        tokens = byte_alphabet() + ["ab", "Ġa", "<|end|>"]
        types = [1] * (len(tokens) - 1) + [3]
        vocabulary = {"tokenizer.ggml.merges": ["a b", "Ġ a"], "tokenizer.ggml.pre": pre}
    else:
        tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["▁", "a", "b", "▁a", "ab"]
        types = [2, 3, 3] + [6] * 256 + [1] * 5
        vocabulary = {"tokenizer.ggml.scores": [0.0] * 259 + [-1.0, -2.0, -3.0, -0.5, -0.7]}
    keys = {
        "general.architecture": "llama", "llama.block_count": 1, "llama.context_length": 64,
        "llama.embedding_length": 32, "llama.feed_forward_length": 32, "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 1, "llama.rope.freq_base": 10000.0,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": model, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.add_bos_token": True,
        **vocabulary}
    block = "blk.0."
    shapes = {block + "attn_q.weight": 32, block + "attn_k.weight": 16, block + "attn_v.weight": 16,
              block + "attn_output.weight": 32}
    tensors = [("output_norm.weight", 0, [32], bytes(128))]
    tensors += [(name, kind, [32, rows], bytes(row_bytes * rows)) for name, rows in shapes.items()]
    return gguf(keys, tensors)


CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "vocab_size": 300, "torch_dtype": "bfloat16",
    "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS = [
    CONFIG,
    {**CONFIG, "rope_theta": 500000.0, "head_dim": 32, "attention_bias": True, "eos_token_id": [2, 3],
     "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                      "original_max_position_embeddings": 64}},
    {**CONFIG, "dtype": "float32", "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32,
        "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 0.5, "truncate": False}},
    {**CONFIG, "rope_scaling": {"type": "linear", "factor": 2.0}, "mlp_bias": True},
    {**CONFIG, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32, "use_sliding_window": True,
     "sliding_window": 128, "layer_types": ["full_attention", "sliding_attention"]},
    {**CONFIG, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64,
     "max_window_layers": 2},
]
GENERATION = {"eos_token_id": [2, 3], "temperature": 0.6, "top_p": 0.9, "top_k": 40, "do_sample": True,
              "max_new_tokens": 10}


def tokenizers():
    alphabet = {character: i for i, character in enumerate(byte_alphabet())}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = [{"id": 258, "content": "<|x|>", "single_word": False, "lstrip": True, "rstrip": True, "normalized": False,
              "special": True}]
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<|x|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [], "special_tokens": {"<|x|>": {"id": "<|x|>", "ids": [258], "tokens": ["<|x|>"]}}}
    split = {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}|\\s+(?!\\S)"}, "behavior": "Isolated", "invert": False}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
             "vocab": {**alphabet, "ab": 256, "Ġa": 257}, "merges": [["a", "b"], ["Ġ", "a"]]}
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": byte_level, "post_processor": template, "decoder": byte_level, "model": model}
    yield base
    yield {**base, "normalizer": {"type": "NFC"}, "post_processor": None, "pre_tokenizer": {
        "type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, split,
                                              {**byte_level, "use_regex": False}]},
           "model": {**model, "merges": ["a b", "Ġ a"]}}
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + ["▁", "a", "b", "▁a", "ab"]
    yield {**base, "added_tokens": [], "pre_tokenizer": None, "post_processor": None,
           "normalizer": {"type": "Sequence", "normalizers": [
               {"type": "Prepend", "prepend": "▁"},
               {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
           "decoder": {"type": "Sequence", "decoders": [
               {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
               {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
           "model": {**model, "byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>", "ignore_merges": False,
                     "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": ["▁ a", "a b"]}}
    yield {**base, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
           "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}}
    for behavior in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield {**base, "pre_tokenizer": {"type": "Punctuation", "behavior": behavior}, "normalizer": {
            "type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"},
                                                {"type": "Strip", "strip_left": True, "strip_right": False},
                                                {"type": "Replace", "pattern": {"Regex": "l+"}, "content": "l"}]}}
    for step in ({"type": "Whitespace"}, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"},
                 {"type": "CharDelimiterSplit", "delimiter": "o"}):
        yield {**base, "pre_tokenizer": step, "decoder": None}


TEMPLATES = [
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m.content | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "{{- bos_token }}{%- if messages[0].role == 'system' %}{%- set s = messages[0]['content'] %}{%- set rest = messages[1:] %}"
    "{%- else %}{% set s = '' %}{% set rest = messages %}{%- endif %}{% for m in rest %}{{ loop.index0 ~ m.content|upper }}"
    "{{ s if loop.first else '' }}{%- endfor -%}{{ eos_token }}",
    "{% macro f(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{% set ns = namespace(n=0) %}{% for m in messages if m.role != 'x' %}"
    "{% set ns.n = ns.n + 1 %}{{ f(ns.n, b=m.content|length) }}{% else %}none{% endfor %}{{ raise_exception('end') }}",
    "{{ 'a,b'.split(',') | join('-') }}{{ messages | tojson(indent=2) }}{{ x is defined and x is not none }}"
    "{{ 7 // 2 * 3 % 4 - -1.5 ** 2 }}{{ {'k': [1, (2, 3)]}['k'][-1][0] }}{# note #}{{ 'x' in 'xyz' }}{{ range(3) | list }}",
    "{% for i in range(30) %}{% for j in range(30) %}{{ i * j }}{% endfor %}{% endfor %}{{ strftime_now('%Y') }}",
]
TEXTS = ["Hello, world! It's 12345 o'clock.\r\n\r\n  def f(x):\n\treturn x", "e\u0301 \u00e9 \u4e2d\u6587 \U0001F469\u200D\U0001F467 <|x|> bb abba",
         "aaaaaaaaaaaaaaaaaaaaaaaaab", " \u00a0\u3000\u2028 \u0661\u0662\u0663 \u216b \ud55c\uad6d\uc5b4"]

REQUESTS = [
    {"prompt": "ab", "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "seed": 7, "n": 2,
     "logprobs": 2, "echo": True, "logit_bias": {"7": -1.5}, "stop": ["x"], "stop_token_ids": [9], "bad_words": ["y"]},
    {"prompt": [[5, 6], "ab"], "truncate_prompt_tokens": 1, "echo": True, "max_tokens": 0, "return_token_ids": True,
     "prompt_logprobs": 1, "return_tokens_as_token_ids": True, "add_special_tokens": False, "allowed_token_ids": [5]},
    {"prompt": [5, 6], "stream": True, "stream_options": {"include_usage": True}, "structured_outputs": {"choice": ["a"]},
     "repetition_detection": {"max_pattern_size": 3, "min_count": 2}, "priority": -1, "cache_salt": "s", "request_id": "r"},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "\u00e9"}]}, {"role": "assistant", "content": "a"}],
     "continue_final_message": True, "echo": True, "logprobs": True, "top_logprobs": 1, "max_completion_tokens": 3,
     "response_format": {"type": "json_schema", "json_schema": {"schema": {"properties": {"b": {}, "a": {}}}}}},
    {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}], "tools": [], "user": "u",
     "response_format": {"type": "json_object"}, "suffix": None, "presence_penalty": -2, "frequency_penalty": 2},
    {"prompt": "a", "structured_outputs": {"regex": "a"}, "response_format": {"type": 7}}]

# The first byte gives the kind: j, a JSON schema; r, a regular expression; g, an EBNF grammar.
GRAMMARS = [
    "j" + json.dumps(schema) for schema in (
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": -5, "maximum": 1200}, "b": {"enum": ["x", 1, None]}},
         "required": ["a"], "additionalProperties": False, "minProperties": 1, "maxProperties": 2},
        {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 1, "maxItems": 3,
         "$defs": {"n": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#/$defs/n"}}]}}},
        {"prefixItems": [{"const": {"k": [1, 2]}}, {"type": ["string", "boolean"]}], "items": False},
        {"type": "string", "pattern": "^a[b-d]{1,3}$", "maxLength": 4}, {"type": "string", "format": "date-time"},
        {"type": "number", "exclusiveMinimum": 0.5, "multipleOf": 2}, {"type": "object", "patternProperties": {"^x": {}}},
        {"allOf": [{"minLength": 2}, {"type": "string"}]}, {"oneOf": [{"type": "integer"}, {"type": "string"}]}, True)
] + [
    "r" + regex for regex in (
        r"a+b*?c{2,3}|[^x-z]\d(?:é|\x41)?", r"^(?:ab){2,}\\.$", r"(a|b)*abb", r"[\w\s]{0,4}(x)\u00e9", r"\p{L}(?=a)")
] + [
    "g" + text for text in (
        'root ::= "a" b | [^x-z]+ # note\nb ::= ("c" root?)* [0-9]{1,2} "\\u00e9"', 'root ::= a*\na ::= "" | b | a a\nb ::= "x" a',
        'root ::= expression\nexpression ::= term (("+" | "-") term)*\nterm ::= [0-9]+ | "(" expression ")"')]


SOURCE = "The tower was completed in 1,889 days. It's 330 metres tall: \ufb01ne. \u5317\u4eac\u662f\u9996\u90fd\u3002 </ref> <|answer_end|> end."
ANSWERS = ['It is.<ref name="1">The tower was completed</ref> So.<ref name="<|source_id|>1">330 metres tall</ref>',
           'A<ref name="1">The tower (\u2026) 330 metres</ref><ref name="3">none</ref>\n<|answer_end|><|draft_start|>x<|draft_end|>',
           "<ref", "</ref><ref name=\"1\">It\u2019s 330 metres", "<|language_start|>English<|language_end|>\u5317\u4eac<ref name=\"1\">\u5317\u4eac\u662f\u9996\u90fd</ref>"]


def main(directory):
    seeds = {
        "safetensors": [
            safetensors([("a", "F32", [2, 3], bytes(24)), ("b", "BF16", [4], b"\x80\x3f" * 4), ("c", "F16", [], b"\0\x3c")]),
            safetensors([("i", "I64", [1], bytes(8)), ("e", "F32", [0, 4], b"")])],
        "gguf": [gguf_model(), gguf_model("llama-bpe", 8, 34), gguf_model(kind=2, row_bytes=18),
                 gguf_model(model="llama"), gguf_model("gemma4"), gguf({"general.architecture": "llama", "x": [1, 2]}, [], 2)],
        "config": [json.dumps(c).encode() + end for c in CONFIGS for end in (b"", b"\0" + json.dumps(GENERATION).encode())],
        "tokenizer_json": [json.dumps(t, ensure_ascii=False).encode() for t in tokenizers()],
        "chat_template": [t.encode() for t in TEMPLATES],
        "encode": [bytes([kind]) + text.encode() for kind in range(48) for text in TEXTS],
        "openai_request": [json.dumps(request, ensure_ascii=False).encode() for request in REQUESTS],
        "grammar": [text.encode() for text in GRAMMARS],
        "cited_answer": [SOURCE.encode() + b"\0" + text.encode() for text in ANSWERS],
    }
    root = pathlib.Path(directory)
    for target, inputs in seeds.items():
        (root / target).mkdir(parents=True, exist_ok=True)
        for i, content in enumerate(inputs):
            (root / target / f"{i:02}").write_bytes(content)
    (root / "made").touch()


if __name__ == "__main__":
    main(sys.argv[1])
