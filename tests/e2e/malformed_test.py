"""Tests each kind of malformed input: one error that names the file and the field, exit code 3, no crash."""

import json
import os
import shutil
import struct
import sys

import merope

sys.path.insert(0, str(merope.ROOT / "tests/fuzz"))
import seeds  # noqa: E402


def edit_json(file, change):
    def edit(directory):
        content = json.loads((directory / file).read_text())
        change(content)
        (directory / file).write_text(json.dumps(content))
    return edit


def config(**changes):
    return edit_json("config.json", lambda content: content.update(changes))


def tokenizer(change):
    return edit_json("tokenizer.json", change)


def write(file, content):
    def edit(directory):
        (directory / file).write_bytes(content)
    return edit


def remove(*files):
    def edit(directory):
        for file in files:
            (directory / file).unlink()
    return edit


def replaced_by_directory(file):
    def edit(directory):
        (directory / file).unlink()
        (directory / file).mkdir()
    return edit


def weights(change):
    """Returns an edit that calls change(header, data) of model.safetensors. A value that change returns is the new data."""
    def edit(directory):
        file = directory / "model.safetensors"
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header, data = json.loads(content[8:8 + length]), bytearray(content[8 + length:])
        changed = change(header, data)
        text = json.dumps(header).encode()
        file.write_bytes(struct.pack("<Q", len(text)) + text + (data if changed is None else changed))
    return edit


def truncated(file, size):
    def edit(directory):
        os.truncate(directory / file, size if size >= 0 else (directory / file).stat().st_size + size)
    return edit


NORM = "model.norm.weight"


def set_entry(field, value, name=NORM):
    def change(header, data):
        header[name][field] = value
    return weights(change)


def overlap(header, data):
    names = [n for n in header if n != "__metadata__" and header[n]["shape"] == header[NORM]["shape"] and n != NORM]
    header[NORM]["data_offsets"] = header[names[0]]["data_offsets"]


def poison(bits):
    def change(header, data):
        begin = header[NORM]["data_offsets"][0]
        data[begin + 2:begin + 4] = struct.pack("<H", bits)
    return weights(change)


def sharded(name):
    def edit(directory):
        (directory / "model.safetensors").unlink()
        (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": {NORM: name}}))
    return edit


def cyclic(content):
    content["model"]["merges"] = [["a", "b"], ["ab", "a"], ["zz", "q"]]


# The name of the case, the damage to a valid checkpoint, words in the error of `run`.
DIRECTORIES = [
    ("config.json missing", remove("config.json"), ["config.json"]),
    ("config.json is a directory", replaced_by_directory("config.json"), ["config.json", "directory"]),
    ("config.json empty", write("config.json", b""), ["config.json"]),
    ("config.json cut short", truncated("config.json", 20), ["config.json"]),
    ("config.json is no object", write("config.json", b"[1, 2]"), ["config.json", "object"]),
    ("config.json is not UTF-8", write("config.json", b'{"model_type": "\xff\xfe"}'), ["config.json"]),
    ("config.json nested deeply", write("config.json", b'{"a":' * 100000), ["config.json"]),
    ("another architecture", config(architectures=["GPT2LMHeadModel"], model_type="gpt2"), ["config.json", "GPT2LMHeadModel"]),
    ("a field of another type", config(hidden_size="wide"), ["config.json", "hidden_size", "wide"]),
    ("a field missing", edit_json("config.json", lambda c: c.pop("hidden_size")), ["config.json", "hidden_size"]),
    ("no layers", config(num_hidden_layers=0), ["config.json", "num_hidden_layers"]),
    ("a negative size", config(intermediate_size=-1), ["config.json", "intermediate_size", "-1"]),
    ("a huge count", config(num_hidden_layers=10**18), ["config.json", "num_hidden_layers"]),
    ("a number beyond 64 bits", config(vocab_size=10**30), ["config.json", "vocab_size"]),
    ("heads that do not divide", config(num_key_value_heads=3), ["config.json", "num_key_value_heads"]),
    ("an odd head_dim", config(head_dim=15), ["config.json", "head_dim"]),
    ("another activation", config(hidden_act="gelu"), ["config.json", "hidden_act", "gelu"]),
    ("dynamic RoPE", config(rope_scaling={"rope_type": "dynamic", "factor": 2.0}), ["config.json", "dynamic"]),
    ("an unknown RoPE", config(rope_scaling={"rope_type": "spiral", "factor": 2.0}), ["config.json", "spiral"]),
    ("GPTQ", config(quantization_config={"quant_method": "gptq", "bits": 4}), ["gptq"]),
    ("generation_config.json broken", write("generation_config.json", b"{"), ["generation_config.json"]),
    ("weights missing", remove("model.safetensors"), ["safetensors"]),
    ("weights of .bin files only", lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), [".bin", "safetensors"]),
    ("weights are a directory", replaced_by_directory("model.safetensors"), ["model.safetensors", "directory"]),
    ("weights empty", write("model.safetensors", b""), ["model.safetensors"]),
    ("a header cut short", truncated("model.safetensors", 100), ["model.safetensors", "header"]),
    ("data cut short", truncated("model.safetensors", -10), ["model.safetensors"]),
    ("a huge header", write("model.safetensors", struct.pack("<Q", 2**63) + b"{}"), ["model.safetensors", "header"]),
    ("a header that is no JSON", write("model.safetensors", struct.pack("<Q", 4) + b"oops"), ["model.safetensors"]),
    ("overlapping tensors", weights(overlap), ["model.safetensors", "data_offsets"]),
    ("offsets that go backwards", set_entry("data_offsets", [128, 0]), ["model.safetensors", NORM]),
    ("offsets beyond the file", set_entry("data_offsets", [2**40, 2**40 + 128]), ["model.safetensors", NORM]),
    ("negative offsets", set_entry("data_offsets", [-128, 0]), ["model.safetensors", NORM]),
    ("a shape that overflows", set_entry("shape", [2**62, 2**62]), ["model.safetensors", NORM]),
    ("a negative shape", set_entry("shape", [-64]), ["model.safetensors", NORM]),
    ("another dtype", set_entry("dtype", "F8_E4M3"), ["model.safetensors", NORM]),
    ("a tensor missing", weights(lambda h, d: h.__setitem__("other", h.pop(NORM))), [NORM]),
    ("a tensor of another shape", set_entry("shape", [8, 8]), [NORM, "64"]),
    ("a NaN weight", poison(0x7FC0), [NORM]),
    ("an infinite weight", poison(0xFF80), [NORM]),
    ("a shard missing", sharded("model-00001-of-00002.safetensors"), ["model-00001-of-00002.safetensors"]),
    ("a shard elsewhere", sharded("../../secret.safetensors"), ["../../secret.safetensors"]),
    ("the index broken", lambda d: (sharded("x")(d), (d / "model.safetensors.index.json").write_text("{]")),
     ["model.safetensors.index.json"]),
    ("tokenizer.json missing", remove("tokenizer.json"), ["tokenizer"]),
    ("tokenizer.model only", lambda d: (d / "tokenizer.json").rename(d / "tokenizer.model"), ["tokenizer.model", "tokenizer.json"]),
    ("tokenizer.json broken", truncated("tokenizer.json", 1000), ["tokenizer.json"]),
    ("another tokenizer model", tokenizer(lambda c: c["model"].update(type="WordPiece")), ["tokenizer.json", "WordPiece"]),
    ("another normalizer", tokenizer(lambda c: c.update(normalizer={"type": "Sparkle"})), ["tokenizer.json", "Sparkle"]),
    ("a merge of unknown tokens", tokenizer(cyclic), ["tokenizer.json"]),
    ("a token id of 10^12", tokenizer(lambda c: c["model"]["vocab"].update({"zzz": 10**12})), ["tokenizer.json"]),
    ("a negative token id", tokenizer(lambda c: c["model"]["vocab"].update({"zzz": -1})), ["tokenizer.json"]),
    ("a vocabulary that is a list", tokenizer(lambda c: c["model"].update(vocab=[1, 2])), ["tokenizer.json"]),
    ("a regex that is none", tokenizer(lambda c: c.update(pre_tokenizer={
        "type": "Split", "pattern": {"Regex": "(["}, "behavior": "Isolated", "invert": False})), ["tokenizer.json", "(["]),
]


class Directories(merope.Case):
    def test_each(self):
        for i, (name, damage, words) in enumerate(DIRECTORIES):
            with self.subTest(name):
                damaged = self.scratch / f"damaged{i}"
                shutil.copytree(self.model, damaged)
                damage(damaged)
                self.refused(3, words, "run", damaged, "hello", "--max-tokens", 1)
                inspected = merope.run("inspect", damaged)
                self.assertIn(inspected.returncode, (0, 1, 3), inspected.stderr)
                self.assertNotIn(b"Sanitizer", inspected.stderr)

    def test_a_weight_check_that_fails_is_1(self):
        damaged = self.scratch / "checked"
        shutil.copytree(self.model, damaged)
        weights(lambda h, d: h.__setitem__("other", h.pop(NORM)))(damaged)
        done = merope.run("inspect", damaged)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(NORM.encode(), done.stdout)

    def test_no_model_there(self):
        self.refused(3, "no-such-model", "run", "no-such-model", "x")
        empty = self.scratch / "empty"
        empty.mkdir()
        self.refused(3, "config.json", "run", empty, "x")
        self.refused(3, "/dev/null", "run", "/dev/null", "x")
        (self.scratch / "notes.txt").write_text("no model")
        self.refused(3, "notes.txt", "run", self.scratch / "notes.txt", "x")

    def test_a_broken_chat_template(self):
        for template, word in (("{% for m in messages %}", "endfor"), ("{{ messages | frobnicate }}", "frobnicate"),
                               ("{{ raise_exception('not so') }}", "not so"), ("{% include 'x' %}", "include"),
                               ("{% for i in range(10**9) %}x{% endfor %}", "")):
            with self.subTest(template):
                damaged = self.scratch / "chat"
                shutil.copytree(self.model, damaged, dirs_exist_ok=True)
                (damaged / "chat_template.jinja").write_text(template)
                self.refused(3, ["chat_template", word], "run", damaged, "hello", "--chat")


def u64(value):
    return struct.pack("<Q", value)


GOOD = seeds.gguf_model()
GGUF = [
    ("empty", b"", []),
    ("another magic", b"GGML" + GOOD[4:], []),
    ("version 1", GOOD[:4] + struct.pack("<I", 1) + GOOD[8:], ["version", "1"]),
    ("big endian", GOOD[:4] + struct.pack(">I", 3) + GOOD[8:], []),
    ("a huge count of tensors", GOOD[:8] + u64(2**60) + GOOD[16:], []),
    ("a huge count of keys", GOOD[:16] + u64(2**60) + GOOD[24:], []),
    ("a huge string", GOOD[:24] + u64(2**63) + GOOD[32:], []),
    ("cut in the keys", GOOD[:200], []),
    ("cut in the data", GOOD[:-40], []),
    ("a split file", seeds.gguf({"general.architecture": "llama", "split.count": 2, "split.no": 0}, []), ["split"]),
    ("another architecture", seeds.gguf({"general.architecture": "mamba"}, []), ["mamba"]),
    ("no architecture", seeds.gguf({}, []), ["general.architecture"]),
    ("another quantization", seeds.gguf_model(kind=10, row_bytes=84), []),
    ("an unknown pre-tokenizer", seeds.gguf_model(pre="frobnicate"), ["frobnicate"]),
    ("tensors missing", GOOD, []),
]


class Gguf(merope.Case):
    def test_each(self):
        for i, (name, content, words) in enumerate(GGUF):
            with self.subTest(name):
                file = self.scratch / f"damaged{i}.gguf"
                file.write_bytes(content)
                self.refused(3, [file.name, *words], "run", file, "hello", "--max-tokens", 1)
                inspected = merope.run("inspect", file)
                self.assertIn(inspected.returncode, (1, 3), inspected.stderr)

    def test_every_truncation(self):
        file = self.scratch / "truncated.gguf"
        for size in range(0, len(GOOD), 997):
            file.write_bytes(GOOD[:size])
            self.refused(3, file.name, "inspect", file)


if __name__ == "__main__":
    merope.main()
