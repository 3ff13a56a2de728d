"""The common parts of the end-to-end tests: the program under test, and a tiny checkpoint that the program makes."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("MEROPE_BIN", str(ROOT / "build/release/merope"))

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": 512,
    "tie_word_embeddings": False, "dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}


def run(*arguments, stdin=b"", env=None, timeout=300):
    """Runs merope, without a network. Standard output and standard error are bytes."""
    return subprocess.run([BIN, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                          env={**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})})


class Case(unittest.TestCase):
    """The base of test cases. All tests of a class share a scratch directory with a tiny checkpoint."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = pathlib.Path(tempfile.mkdtemp(prefix="merope-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch)
        cls.model = cls.synth("model")

    @classmethod
    def synth(cls, name, **changes):
        like = cls.scratch / f"{name}.json"
        like.write_text(json.dumps({**CONFIG, **changes}))
        made = run("synth", "--like", like, cls.scratch / name)
        if made.returncode != 0:
            raise RuntimeError(made.stderr.decode())
        return cls.scratch / name

    def good(self, *arguments, **options):
        done = run(*arguments, **options)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done

    def refused(self, code, words, *arguments, **options):
        """Checks that a command fails with this exit code, and returns its standard error.

        Standard error must have all the words and no report of a sanitizer or CHECK. With exit code 3, standard error must
        have exactly one line of error.
        """
        done = run(*arguments, **options)
        error = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, error)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, error)
        if code == 3:
            self.assertEqual([line.startswith("merope: error: ") for line in error.splitlines()].count(True), 1, error)
        for trace in ("Sanitizer", "runtime error", "CHECK"):
            self.assertNotIn(trace, error)
        return error


def main():
    if not os.access(BIN, os.X_OK):
        print(f"skipped: {BIN} is not built, and MEROPE_BIN names no other")
        sys.exit(77)
    unittest.main(verbosity=1, argv=sys.argv)
