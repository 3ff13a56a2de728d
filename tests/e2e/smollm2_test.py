"""Tests SmolLM2-135M-Instruct as GGUF (MEROPE_SMOLLM2): answers, repeated results, and the error for a truncated file."""

import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

import merope

MODEL = os.environ.get("MEROPE_SMOLLM2", "")


class SmolLm2(unittest.TestCase):
    def run_json(self, *arguments):
        done = merope.run("run", MODEL, *arguments, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_it_knows_the_capital_of_france(self):
        # Here "The" leads by 0.15 to 0.14. The 8-bit activations of --dtype native may reverse this near tie. bf16, the
        # default, keeps the order.
        result = self.run_json("--chat", "What is the capital of France?", "--max-tokens", 32)
        self.assertEqual(result["dtype"], "bf16")
        self.assertIn("Paris", result["text"])
        self.assertEqual(result["finish_reason"], "stop")

    def test_it_runs_on_its_own_integers(self):
        result = self.run_json("The capital of France is", "--max-tokens", 4, "--dtype", "native")
        self.assertEqual(result["dtype"], "native")
        self.assertIn("Paris", result["text"])

    def test_the_same_bits_at_any_number_of_threads(self):
        arguments = ("Once upon a time", "--max-tokens", 16)
        one = self.run_json(*arguments, "--threads", 1)
        for threads in (2, 3):
            other = self.run_json(*arguments, "--threads", threads)
            self.assertEqual((one["ids"], one["logprobs"]), (other["ids"], other["logprobs"]))

    def test_tokenize_and_back(self):
        text = "Hello,  world! é 你好 👩‍💻\n\tx = 12345"
        ids = json.loads(merope.run("tokenize", MODEL, text, "--json").stdout)["ids"]
        self.assertEqual(merope.run("detokenize", MODEL, *ids).stdout.decode(), text + "\n")

    def test_inspect_passes_its_weights(self):
        done = merope.run("inspect", MODEL, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        weights = json.loads(done.stdout)["weights"]
        self.assertEqual((weights["found_tensors"], weights["parameters"]), (272, 134515008))

    def test_cut_short_it_is_refused(self):
        with tempfile.TemporaryDirectory(prefix="merope-e2e-") as scratch:
            cut = pathlib.Path(scratch) / "cut.gguf"
            shutil.copy(MODEL, cut)
            os.truncate(cut, cut.stat().st_size - 100)
            done = merope.run("run", cut, "hello")
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(b"cut.gguf", done.stderr)
            self.assertEqual(done.stderr.count(b"merope: error: "), 1)


if __name__ == "__main__":
    if not MODEL:
        print("skipped: MEROPE_SMOLLM2 is not set (scripts/test sets it)")
        sys.exit(77)
    merope.main()
