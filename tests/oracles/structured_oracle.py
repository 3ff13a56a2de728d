"""Checks with jsonschema and re what structured output lets a model write.

A seeded generator makes 100 JSON schemas (nested, enums, Unicode, bounded repeats, $ref) and 50 regular expressions. A random
model writes one text for each, at temperature 1.5 (constrain_texts.cc). The model's vocabulary has 65,536 tokens: SmolLM2's
tokens and pairs of them. Of each kind, at least 80 % of the texts must end within 512 tokens. Every text that ends must be
valid. The script prints the p99 of the masks' times, which may be at most 0.2 ms.
"""

import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import numpy as np

MODEL = os.environ.get("MEROPE_SMOLLM2")
DRIVER = os.path.join(os.environ["MEROPE_BUILD"], "constrain_texts")
VOCABULARY = 65_536
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 32,
          "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": VOCABULARY,
          "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "bos_token_id": 1, "eos_token_id": 2,
          "tie_word_embeddings": True, "torch_dtype": "bfloat16", "hidden_act": "silu"}
WORDS = ["name", "größe", "価格", "naïve", "🙂", "a b", "x_1", "item-list", "Ünïcode", "имя", "n", "quote\"d", "back\\slash", "tab\t"]


class Schemas:
    def __init__(self, rng):
        self.rng = rng

    def document(self):
        """Returns a schema of an object, with definitions. One definition may contain itself."""
        rng = self.rng
        definitions = {"leaf": self.leaf(), "pair": self.object(1, ["leaf"])}
        definitions["tree"] = {"type": "object", "properties": {"label": self.string(), "next": {"anyOf": [
            {"type": "null"}, {"$ref": "#/$defs/tree"}]}}, "required": ["label"], "additionalProperties": False}
        schema = self.object(rng.randrange(1, 4), list(definitions))
        return schema | {"$defs": definitions}

    def object(self, depth, names):
        rng = self.rng
        properties = {word: self.any(depth - 1, names) for word in rng.sample(WORDS, rng.randrange(1, 6))}
        required = [word for word in properties if rng.random() < 0.5]
        schema = {"type": "object", "properties": properties, "required": required}
        if rng.random() < 0.5:
            schema["additionalProperties"] = False
        return schema

    def any(self, depth, names):
        rng = self.rng
        kind = rng.random()
        if depth > 0 and kind < 0.35:
            return self.object(depth, names)
        if depth > 0 and kind < 0.5:
            low = rng.randrange(0, 3)
            return {"type": "array", "items": self.any(depth - 1, names), "minItems": low, "maxItems": low + rng.randrange(0, 4)}
        if kind < 0.65:
            return {"$ref": f"#/$defs/{rng.choice(names)}"}
        if kind < 0.7:
            return {"anyOf": [self.leaf(), self.leaf()]}
        if kind < 0.73:
            return {"type": "array", "prefixItems": [self.leaf(), self.leaf()], "items": False}
        return self.leaf()

    def leaf(self):
        rng = self.rng
        kind = rng.randrange(8)
        if kind == 0:
            return {"enum": rng.sample([*WORDS, 1, 2.5, None, True, {"a": [1]}, [], ""], rng.randrange(1, 6))}
        if kind == 1:
            low = rng.randrange(-1000, 1000)
            return {"type": "integer", "minimum": low, "maximum": low + rng.randrange(0, 5000)}
        if kind == 2:
            return {"type": "number", "exclusiveMinimum": -1.5, "maximum": rng.choice([0.25, 3, 1e6])}
        if kind == 3:
            return {"type": ["boolean", "null", "integer"], "multipleOf": rng.choice([1, 5, 7])}
        if kind == 4:
            return {"const": rng.choice(WORDS)}
        if kind == 5:
            return {"type": "string", "format": rng.choice(["date", "ipv4", "uuid", "email"])}
        return self.string()

    def string(self):
        rng = self.rng
        kind = rng.randrange(10)
        if kind == 0:
            return {"type": "string"}
        if kind < 4:
            return {"type": "string", "pattern": rng.choice(
                ["^[A-Z]{2}-[0-9]{3,5}$", "^(ja|nein|vielleicht)$", "^[α-ω]{1,8}$", "^[^a-z\"]{0,6}$", "^.{2,5}[!?]$"])}
        low = rng.randrange(0, 6)
        return {"type": "string", "minLength": low, "maxLength": low + rng.randrange(0, 20)}


def regex(rng, depth=3):
    """Returns a regular expression, mostly with bounded repetitions, that has the same meaning in re and in merope."""
    kind = rng.random()
    if depth == 0 or kind < 0.35:
        return rng.choice(["a", "bc", "é", "日本", "🙂", "\\.", "\\n", "[a-z]", "[^a-z]", "[α-ωあ-ん]", "\\d", "\\w", "\\s", ".",
                           "[0-9A-F]", "\\x41", "\\u00e9", "[\\]\\-x]"])
    if kind < 0.6:
        return "".join(regex(rng, depth - 1) for _ in range(rng.randrange(2, 5)))
    if kind < 0.75:
        return "(" + "|".join(regex(rng, depth - 1) for _ in range(rng.randrange(2, 4))) + ")"
    low = rng.randrange(0, 4)
    count = rng.choice(["?", f"{{{low}}}", f"{{{low},{low + rng.randrange(0, 9)}}}", "{1,9}"] * 2 + ["*", "+"])
    return f"(?:{regex(rng, depth - 1)}){count}"


def write_model(folder):
    """Writes a model with a byte-level vocabulary: SmolLM2's tokens, and pairs of them up to 65,536. Returns its path."""
    import gguf
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    fields = gguf.GGUFReader(MODEL).fields
    tokens, merges, kinds = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "merges", "token_type"))
    special = [t for t, kind in zip(tokens, kinds) if kind == 3]
    ids = {token: i for i, token in enumerate(tokens)}
    plain = [t for t, kind in zip(tokens, kinds) if kind == 1]
    rng = random.Random(1)
    merges = [tuple(m.split(" ")) for m in merges]
    while len(ids) < VOCABULARY:
        left, right = rng.choice(plain), rng.choice(plain)
        if left + right not in ids:
            ids[left + right] = len(ids)
            merges.append((left, right))
    tokenizer = Tokenizer(models.BPE(ids, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    config = folder / "config.json"
    config.write_text(json.dumps(CONFIG))
    model = folder / "model"
    subprocess.run([os.environ["MEROPE_BIN"], "synth", "--like", config, model], check=True, capture_output=True)
    tokenizer.save(str(model / "tokenizer.json"))
    return model


def problem(request, text):
    """Returns why the text is not valid for the request, or None."""
    if "regex" in request:
        return None if re.fullmatch(request["regex"], text) else "re.fullmatch finds nothing"
    schema = json.loads(request["json"])
    try:
        found = json.loads(text)
    except ValueError as error:
        return f"no JSON: {error}"
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    return next((error.message for error in checker.iter_errors(found)), None)


def main():
    if not MODEL:
        print("skipped: MEROPE_SMOLLM2, whose vocabulary is needed, is not set")
        return 77
    rng = random.Random(8)
    schemas = [Schemas(rng).document() for _ in range(100)]
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)
    requests = [{"json": json.dumps(schema, ensure_ascii=i % 2 == 0)} for i, schema in enumerate(schemas)]
    requests += [{"regex": regex(rng, 4)} for _ in range(50)]
    for seed, request in enumerate(requests):
        request["seed"] = seed
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([DRIVER, write_model(Path(folder))], input="".join(json.dumps(r) + "\n" for r in requests),
                             capture_output=True, text=True)
    if run.returncode != 0:
        print(run.stderr)
        return 1
    answers = [json.loads(line) for line in run.stdout.split("\n")[:-1]]
    failures = 0
    for kind in ("json", "regex"):
        own = [(r, a) for r, a in zip(requests, answers, strict=True) if kind in r]
        ended = [(r, a) for r, a in own if a.get("finish_reason") == "stop"]
        for request, answer in own:
            why = answer.get("error") or (problem(request, answer["text"]) if answer["finish_reason"] == "stop" else None)
            if why:
                failures += 1
                print(f"WRONG {request[kind]}\n  text {answer.get('text')!r}\n  {why}")
        # The checks must be able to fail: few texts may be valid for the next request.
        strangers = [(r, a["text"]) for (r, _), (_, a) in zip(ended, ended[1:])]
        refuted = sum(problem(r, text) is not None for r, text in strangers)
        if refuted < 0.8 * len(strangers):
            failures += 1
            print(f"NOT TOLD APART: {len(strangers) - refuted} texts of {len(strangers)} are valid for another request, too")
        tokens = [a["tokens"] for _, a in ended]
        print(f"{kind}: {len(own)} made, {len(ended)} ended within 512 tokens (in {np.mean(tokens):.0f} in the mean, {max(tokens)} at "
              f"most), {len({a['text'] for _, a in ended})} different texts; all that ended checked; "
              f"{refuted} of {len(strangers)} refuted by another's")
        failures += len(ended) < 0.8 * len(own)
    masks = list(itertools.chain.from_iterable(a.get("mask_us", []) for a in answers))
    compiled = [a["compile_ms"] for a in answers if "compile_ms" in a]
    p50, p99, most = np.percentile(masks, [50, 99, 100])
    print(f"masks: {len(masks):,} steps at {VOCABULARY:,} tokens: p50 {p50:.1f} µs, p99 {p99:.1f} µs, most {most:.1f} µs; prepared "
          f"in {np.median(compiled):.0f} ms in the median, {max(compiled):.0f} ms at most")
    if p99 > 200:
        failures += 1
        print("too slow: expected a p99 of at most 200 µs")
    print(f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
