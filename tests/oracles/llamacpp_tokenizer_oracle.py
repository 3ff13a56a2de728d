#!/usr/bin/env python3
"""Compares merope's token ids with those of llama.cpp's tokenizer, for GGUF vocabularies: every kind of pre-tokenizer, and
SentencePiece's merging.

The script writes small models (random weights, one layer). Each pre-tokenizer has a model that names it (tokenizer.ggml.pre),
with SmolLM2's vocabulary, all pairs of bytes, or a vocabulary like SentencePiece's with merges. One more model has a vocabulary
with scores. llama.cpp loads the models and tokenizes the texts of tokenizer_oracle.py.

Environment: MEROPE_BIN, the program; MEROPE_SMOLLM2, the SmolLM2-135M-Instruct GGUF file; MEROPE_LLAMACPP_PYTHON, a Python that
has xllamacpp (PyPI). Needs gguf and tokenizers.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

for name in "MEROPE_BIN", "MEROPE_SMOLLM2", "MEROPE_LLAMACPP_PYTHON":
    if not os.environ.get(name):
        print(f"SKIP: {name} is not set")
        sys.exit(77)

import gguf  # noqa: E402
import numpy as np  # noqa: E402
from tokenizer_oracle import (SAMPLES, Merope, first_difference, python_sources, random_strings,  # noqa: E402
                              read_gguf, trained)

SPLITS = ["smollm", "llama-bpe", "gpt-2", "qwen2", "default", "falcon", "tekken", "gpt-4o", "chatglm-bpe", "jina-v1-en",
          "jina-v2-code", "roberta-bpe"]
# Pre-tokenizers whose patterns Oniguruma reads.
PATTERNS = ["deepseek-llm", "deepseek-coder", "deepseek-v3", "spark2_5", "youtu", "jais-2", "qwen35", "poro-chat", "viking",
            "chameleon", "granite-embed-multi-97m", "superbpe", "bailingmoe", "seed-coder", "ufakzeka", "laguna", "exaone-moe",
            "glm4", "afmoe", "tiny_aya", "cohere2moe", "kimi-k2"]
# Pre-tokenizers whose vocabularies are like SentencePiece's, with merges.
SPELLED = ["sarvam-moe", "gemma4", "granite-embed-multi-311m"]

PEER = r"""
import json, sys, urllib.request
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup, params.port = 64, 1, False, 0
server = xllamacpp.Server(params)
for line in open(sys.argv[2], encoding="utf-8"):
    body = json.dumps({"content": json.loads(line), "add_special": False, "parse_special": True}).encode()
    request = urllib.request.Request(server.listening_address + "/tokenize", body, {"Content-Type": "application/json"})
    print("ids", json.dumps(json.load(urllib.request.urlopen(request))["tokens"]), flush=True)
"""


def write_model(path, vocabulary, model, pre):
    n, hidden, feed_forward = len(vocabulary["tokens"]), 32, 64
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden)
    writer.add_tokenizer_model(model)
    writer.add_token_list(vocabulary["tokens"])
    writer.add_token_types(vocabulary["token_type"])
    if pre:
        writer.add_tokenizer_pre(pre)
        writer.add_token_merges(vocabulary["merges"])
    else:
        writer.add_token_scores(vocabulary["scores"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    rng = np.random.default_rng(0)
    shapes = {"token_embd": (n, hidden), "output_norm": (hidden,), "blk.0.attn_norm": (hidden,), "blk.0.ffn_norm": (hidden,),
              "blk.0.attn_q": (hidden, hidden), "blk.0.attn_k": (hidden, hidden), "blk.0.attn_v": (hidden, hidden),
              "blk.0.attn_output": (hidden, hidden), "blk.0.ffn_gate": (feed_forward, hidden),
              "blk.0.ffn_up": (feed_forward, hidden), "blk.0.ffn_down": (hidden, feed_forward)}
    for name, shape in shapes.items():
        writer.add_tensor(name + ".weight", rng.standard_normal(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def scored_vocabulary():
    """Returns a vocabulary like Llama 2's: tokens with U+2581, all bytes, scores in the order of merging."""
    model = json.loads(trained(SAMPLES + python_sources(200_000), None, None, None, unk_token="<unk>").to_str())["model"]
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    tokens = [t.replace(" ", "\u2581") for t in tokens]
    tokens = list(dict.fromkeys(tokens))
    types = [2 if t == "<unk>" else 3 if t in ("<s>", "</s>") else 6 if len(t) == 6 and t.startswith("<0x") else 1 for t in tokens]
    return {"tokens": tokens, "token_type": types, "scores": [-float(i) for i in range(len(tokens))]}


def byte_pairs():
    """Returns a vocabulary in which any two bytes merge, so that the token ids show most ends of pieces."""
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    alphabet = [chr(b) if b in keep else chr(next(others)) for b in range(256)]
    merges = [(a, b) for a in alphabet for b in alphabet]
    random.Random(0).shuffle(merges)
    tokens = ["<unk>", "<s>", "</s>"] + alphabet + [a + b for a, b in merges]
    return {"tokens": tokens, "token_type": [3] * 3 + [1] * (len(tokens) - 3), "merges": [f"{a} {b}" for a, b in merges]}


def spelled_vocabulary():
    """Returns the tokens of scored_vocabulary in the order of their scores, with merges, and newline tokens without merges."""
    vocabulary = scored_vocabulary()
    del vocabulary["scores"]
    vocabulary["merges"] = []
    known = {t for t, kind in zip(vocabulary["tokens"], vocabulary["token_type"]) if kind == 1}
    for token in vocabulary["tokens"]:
        if token in known and "\n" not in token:
            cuts = [(token[:at], token[at:]) for at in range(1, len(token))]
            vocabulary["merges"] += [f"{a} {b}" for a, b in cuts if a in known and b in known]
    more = [t for t in ("\n\n", "\n\n\n") if t not in known]
    vocabulary["tokens"] += more
    vocabulary["token_type"] += [1] * len(more)
    return vocabulary


def main():
    failures = 0
    every_text = [t for t in SAMPLES + random_strings(1500, seed=5) if t]
    vocabulary = read_gguf(os.environ["MEROPE_SMOLLM2"])
    # If a vocabulary lacks a byte, HF drops the byte and then merges its neighbours; llama.cpp merges first and then drops the
    # byte. merope does the same as HF.
    known = set(vocabulary["tokens"])
    rare = [bytes([b]) for b in range(0xC2, 0xF5) if (chr(b) not in known)]
    texts = [t for t in every_text if not any(b in t.encode() for b in rare)]
    # llama.cpp's Unicode tables are older: they lack Garay and Kirat Rai (both of Unicode 16).
    texts = [t for t in texts if not any(0x10D40 <= ord(c) < 0x10D90 or 0x16D40 <= ord(c) < 0x16D80 for c in t)]
    with tempfile.TemporaryDirectory() as folder:
        merope, model = Merope(folder), Path(folder) / "model.gguf"
        # Debian 12's Oniguruma implements Unicode 14.
        known_to_14 = [t for t in every_text if all(unicodedata.category(c) != "Cn" for c in t)]
        kinds = [("gpt2", pre, vocabulary) for pre in SPLITS] + [("llama", None, scored_vocabulary())]
        pairs, spelled = byte_pairs(), spelled_vocabulary()
        kinds += [("gpt2", pre, pairs) for pre in PATTERNS]
        kinds += [("gemma4" if pre == "gemma4" else "gpt2", pre, spelled) for pre in SPELLED]
        only = sys.argv[1:]
        all_texts = texts
        for kind, pre, words in kinds:
            texts = known_to_14 if pre in PATTERNS else all_texts
            if only and (pre or kind) not in only:
                continue
            write_model(model, words, kind, pre)
            found = merope.run("tokenize", model, texts)
            peer = subprocess.run([os.environ["MEROPE_LLAMACPP_PYTHON"], "-c", PEER, str(model),
                                   str(Path(folder) / "lines.jsonl")], capture_output=True, text=True)
            expected = [json.loads(line[4:]) for line in peer.stdout.split("\n") if line.startswith("ids ")]
            if len(expected) != len(texts):
                sys.exit(f"llama.cpp, {pre or kind}: {len(expected)} of {len(texts)} texts: {peer.stderr[-2000:]}")
            problem = first_difference("ids", texts, expected, found)
            failures += problem is not None
            print(f"{'FAIL' if problem else 'ok  '}  {pre or kind}", *([problem] if problem else []), sep="\n      ", flush=True)
    print(f"{failures} failures" if failures else "all equal to llama.cpp")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
