"""Tests a checkpoint in the shape of Pleias-RAG-350M with random weights, which `synth` writes (700 MB during the test)."""

import json
import os
import pathlib
import shutil
import unittest

import merope


class Pleias(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = pathlib.Path(os.environ.get("MEROPE_BUILD", merope.ROOT / "build")) / "pleias-e2e"
        cls.addClassCleanup(shutil.rmtree, cls.model, ignore_errors=True)
        made = merope.run("synth", "--force", "--like", "pleias-rag-350m", cls.model)
        if made.returncode != 0:
            raise RuntimeError(made.stderr.decode())

    def test_inspect_finds_the_shape(self):
        done = merope.run("inspect", self.model, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout)
        weights = found["weights"]
        self.assertEqual((weights["found_tensors"], weights["expected_tensors"]), (236, 236))
        self.assertEqual((weights["parameters"], weights["expected_parameters"]), (353424384, 353424384))
        self.assertEqual(found["kv_cache"]["bf16"]["bytes_per_token"], 53248)
        self.assertEqual(found["tokenizer"]["vocab_size"], 65536)
        text = merope.run("inspect", self.model).stdout.decode()
        for figure in ("236 tensors", "353,424,384 parameters", "53,248 bytes a token"):
            self.assertIn(figure, text)

    def test_protocol_tokens_are_one_id_each(self):
        text = "<|query_start|>Who?<|query_end|><|answer_start|>"
        result = json.loads(merope.run("tokenize", self.model, text, "--json").stdout)
        for token in ("<|query_start|>", "<|query_end|>", "<|answer_start|>"):
            self.assertIn(token, result["pieces"])
        plain = json.loads(merope.run("tokenize", self.model, text, "--no-special", "--json").stdout)
        self.assertNotIn("<|query_start|>", plain["pieces"])

    def test_run_generates(self):
        done = merope.run("run", self.model, "hello", "--max-tokens", 3, "--ignore-eos", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((len(result["ids"]), result["dtype"]), (3, "bf16"))


if __name__ == "__main__":
    merope.main()
