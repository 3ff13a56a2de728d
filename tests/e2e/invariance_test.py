"""Tests `merope verify --invariance` and `--tokens` on SmolLM2-135M-Instruct (MEROPE_SMOLLM2) and on a tiny checkpoint."""

import json
import os
import unittest

import merope

MODEL = os.environ.get("MEROPE_SMOLLM2", "")
WHOLE = os.environ.get("MEROPE_WHOLE") == "1"


class Invariance(merope.Case):
    @unittest.skipUnless(MODEL, "MEROPE_SMOLLM2 is not set (scripts/test sets it)")
    def test_a_real_model(self):
        result = json.loads(self.good("verify", MODEL, "--invariance", "--quick", "--json").stdout)
        self.assertEqual(result["verdict"], "PASS")
        self.assertEqual(len(result["conditions"]), 13)
        self.assertEqual({(row["rows"], row["different"]) for row in result["conditions"]}, {(8 * result["prompts"], 0)})

    def test_a_table_for_people(self):
        text = self.good("verify", self.model, "--invariance", "--dtype", "fp32").stdout.decode()
        for words in ("op by op", "3 threads", "the prefix cache", "PASS"):
            self.assertIn(words, text)

    def test_refused(self):
        for other in (["--layers"], ["--tokens"], ["--self-test"], ["--endpoint", "http://localhost:1"], ["--bundle", "x"]):
            self.refused(64, "excludes", "verify", self.model, "--invariance", *other)


class Tokens(merope.Case):
    @unittest.skipUnless(MODEL and WHOLE, "MEROPE_WHOLE is not 1: endpoint_test.py does the same on small models")
    def test_a_real_model(self):
        done = merope.run("verify", MODEL, "--tokens", "--quick", "--json")
        result = json.loads(done.stdout)
        self.assertIn(done.returncode, (0, 2), result)  # few tokens may settle nothing
        self.assertEqual(result["greedy_tokens"], 25 * 32)
        self.assertEqual(result["sampled_tokens"], 25 * 32)
        self.assertNotIn("FAIL", [gate["verdict"] for gate in result["gates"]])
        power = {p["temperature"]: p["tokens"] for p in result["power"]}
        self.assertLess(power[0], 100)
        self.assertLess(power[0.9], 2000)

    def test_a_table_for_people(self):
        done = merope.run("verify", self.model, "--tokens", "--quick")
        self.assertIn(done.returncode, (0, 2), done.stderr)
        for words in ("Greedy: ", "Sampled at temperature 1", "not fp32's choice", "statistic"):
            self.assertIn(words, done.stdout.decode())


if __name__ == "__main__":
    merope.main()
