#!/usr/bin/env python3
"""Compares merope's token ids and texts with those of transformers' AutoTokenizer, for the files beside tokenizer.json.

The cases are tokens that only tokenizer_config.json, special_tokens_map.json or added_tokens.json has, and the fields
split_special_tokens and add_prefix_space.

Environment: MEROPE_BIN, the program. Needs transformers and tokenizers.
"""
import json
import os
import random
import sys
import tempfile
from pathlib import Path

if not os.environ.get("MEROPE_BIN"):
    print("SKIP: MEROPE_BIN is not set")
    sys.exit(77)
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

from tokenizer_oracle import Merope, first_difference, pairs, trained  # noqa: E402
from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

A = {"content": "<|a|>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
B = A | {"content": "<|b|>", "lstrip": True, "rstrip": True, "special": False, "normalized": True}
C = A | {"content": "ab", "special": False, "single_word": True}  # already in the vocabulary
S = A | {"content": "<s>", "rstrip": True}  # an added token of tokenizer.json, where the token has no rstrip
NEW = 256 + 65536 + 2  # the first free id

# Name: tokenizer_config.json, special_tokens_map.json, added_tokens.json
CASES = {
    "nothing": ({}, None, None),
    "added_tokens_decoder": ({"added_tokens_decoder": {str(NEW): A, str(NEW + 1): B, "300": C}}, None, None),
    "added_tokens_decoder in its own order": ({"added_tokens_decoder": {str(NEW + 9): A, str(NEW + 7): B}}, None, None),
    "added_tokens_decoder that changes a token": ({"added_tokens_decoder": {str(NEW - 2): S}}, None, None),
    "added_tokens_decoder rules out the old files": ({"added_tokens_decoder": {str(NEW): B}, "eos_token": "<|b|>"},
                                                     {"bos_token": "<|a|>"}, {"<|c|>": NEW + 1}),
    "added_tokens.json": ({}, None, {"<|b|>": NEW + 1, "<|a|>": NEW, "<s>": 5}),
    "added_tokens.json, named": ({"eos_token": "<|b|>", "extra_special_tokens": ["<|a|>"]}, None,
                                 {"<|b|>": NEW + 1, "<|a|>": NEW}),
    "named": ({"bos_token": "<s>", "pad_token": "<|a|>", "eos_token": {"__type": "AddedToken"} | B, "unk_token": None}, None, None),
    "named, of the model alone": ({"image_token": "<|a|>", "add_bos_token": True}, None, None),
    "extra_special_tokens": ({"extra_special_tokens": ["<|a|>", "<s>", "<|b|>", "ab"]}, None, None),
    "extra_special_tokens by name": ({"extra_special_tokens": {"image_token": "<|a|>", "audio_token": "<|b|>"}}, None, None),
    "additional_special_tokens": ({"additional_special_tokens": ["<|a|>", "<|b|>"]}, None, None),
    "special_tokens_map.json": ({"bos_token": "<s>"}, {"bos_token": B, "eos_token": "<|a|>",
                                                      "additional_special_tokens": ["<|c|>"]}, None),
    "special_tokens_map.json, both lists": ({"extra_special_tokens": ["<|b|>"]}, {"extra_special_tokens": [
        "<|a|>", {"content": "<|c|>", "lstrip": True}]}, None),
    "model_specific_special_tokens": ({"model_specific_special_tokens": {"a_token": "<|a|>", "b": "<|b|>"}}, None, None),
    "model_specific_special_tokens and others": ({"model_specific_special_tokens": {"a_token": "<|a|>"}, "c_token": "<|c|>"}, None, None),
    "added_tokens_decoder of a special token": ({"added_tokens_decoder": {str(NEW - 2): S | {"special": False}}}, None, None),
    "split_special_tokens": ({"split_special_tokens": True, "extra_special_tokens": ["<|a|>"]}, None, {"<|b|>": NEW}),
}
# Tokenizer classes, each with add_prefix_space true, false and absent; Llama's class also with legacy.
PREFIX = [{"tokenizer_class": name} | prefix | legacy
          for name in ("PreTrainedTokenizerFast", "GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2TokenizerFast", "LlamaTokenizerFast")
          for prefix in ({"add_prefix_space": True}, {"add_prefix_space": False}, {})
          for legacy in ({}, {"legacy": True}) if not legacy or name.startswith("Llama")]
TEXTS = ["", "<s>", "<s> x", "a<|a|>b", "a <|b|> b", "a<|b|>  b", "ab", "ab ab", "cab abc ab", "<|c|> <|a|><|b|>", "<s>ab<|a|> <s>"]


def random_texts(count):
    rng = random.Random(11)
    parts = ["<|a|>", "<|b|>", "<|c|>", "<s>", "</s>", "ab", "a", " ", "  ", "x", "\n", "<|", "|>", "\u00e9"]
    return ["".join(rng.choice(parts) for _ in range(rng.randrange(1, 12))) for _ in range(count)]


def byte_level(name, texts):
    del texts
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if name.startswith("Qwen2"):  # transformers builds this class with its own pattern
        from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
        cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return pairs(cut, normalizers.NFC() if name.startswith("Qwen2") else None, byte_level=False)


def sentence_piece(name, texts):
    del name
    decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return trained(texts, None, normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]), decoder,
                   vocab_size=600, unk_token="<unk>", byte_fallback=True, fuse_unk=True)


def cases(texts):
    """Yields name, tokenizer, and the contents of the three files beside tokenizer.json."""
    tokenizer = pairs(pre_tokenizers.ByteLevel(add_prefix_space=False), byte_level=False)
    tokenizer.add_tokens([AddedToken("<s>", special=True, normalized=False), AddedToken("</s>", special=True, normalized=False)])
    for name, files in CASES.items():
        yield name, tokenizer, files
    for config in PREFIX:
        name = config["tokenizer_class"]
        for make in byte_level, sentence_piece:
            if make is sentence_piece and name.startswith(("GPT2", "Qwen2")):
                continue  # transformers would read this vocabulary as bytes
            yield f"{config} of {make.__name__}", make(name, texts), (config, None, None)


def main():
    failures = 0
    texts = TEXTS + random_texts(300)
    for name, tokenizer, (config, special, added) in cases(texts):
        with tempfile.TemporaryDirectory() as folder:
            merope = Merope(folder)
            merope.save(tokenizer)
            config = {"tokenizer_class": "PreTrainedTokenizerFast"} | config
            for file, content in ("tokenizer_config", config), ("special_tokens_map", special), ("added_tokens", added):
                if content is not None:
                    (Path(folder) / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
            peer = AutoTokenizer.from_pretrained(folder)
            ids = [peer.encode(text, add_special_tokens=False) for text in texts]
            problems = [first_difference("ids", texts, ids, merope.run("tokenize", folder, texts))]
            for skip in False, True:
                expected = [peer.decode(row, skip_special_tokens=skip, clean_up_tokenization_spaces=False) for row in ids]
                found = merope.run("detokenize", folder, ids, *(["--skip-special"] if skip else []))
                problems.append(first_difference(f"decode, skip {skip}", [str(row) for row in ids], expected, found))
        problems = [p for p in problems if p]
        failures += bool(problems)
        print(f"{'FAIL' if problems else 'ok  '}  {name}", *problems, sep="\n      ", flush=True)
    print(f"{failures} failures" if failures else "all equal to AutoTokenizer")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
