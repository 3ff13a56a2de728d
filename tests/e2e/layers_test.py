"""Tests `merope verify --layers` on SmolLM2-135M-Instruct (MEROPE_SMOLLM2), and what the command refuses.
tests/oracles/layers_oracle.py tests it on the results of other programs."""

import json
import os
import unittest

import merope

MODEL = os.environ.get("MEROPE_SMOLLM2", "")


class Layers(merope.Case):
    @unittest.skipUnless(MODEL, "MEROPE_SMOLLM2 is not set (scripts/test sets it)")
    def test_a_real_model(self):
        done = merope.run("verify", MODEL, "--layers", "--quick", "--json", timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        result = json.loads(done.stdout)
        self.assertEqual(result["verdict"], "PASS")
        self.assertIsNone(result["culprit"])
        self.assertEqual(result["decode"], {"identical": True})
        points = [point["point"] for point in result["points"]]
        self.assertEqual(len(points), 30 * 14 + 3)
        self.assertEqual(points[:2], ["embed_tokens", "layers.0.input_layernorm"])
        self.assertEqual(points[-1], "lm_head")
        self.assertGreater(result["positions"], 64)
        for point in result["points"]:
            self.assertLess(point["ratio_alone"], 1.5, point["point"])
            self.assertLess(point["ratio"], 1.5, point["point"])
            self.assertLessEqual(point["target"]["mere"], point["target"]["mare"])

    def test_a_table_for_people(self):
        for dtype in ("bf16", "fp32", "int8"):
            done = merope.run("verify", self.model, "--layers", "--dtype", dtype)
            text = done.stdout.decode()
            self.assertEqual(done.returncode, 0, text + done.stderr.decode())
            for words in ("own error", "accumulated error", "layers.0", "lm_head", "bit-identical to a prefill", "PASS"):
                self.assertIn(words, text)

    def test_refused(self):
        for other in (["--endpoint", "http://localhost:1"], ["--against", "x"], ["--baseline", "x"], ["--bundle", "x"], ["--self-test"],
                      ["--dump-logits", "x"], ["--dump-prompts", "x"]):
            self.refused(64, "excludes", "verify", self.model, "--layers", *other)
        self.refused(3, "numerics", "verify", self.model, "--layers", "--numerics", "bf16-ops")
        self.refused(3, "nothing.safetensors", "verify", self.model, "--layers", "--target", "nothing.safetensors")
        empty = os.path.join(self.scratch, "empty.safetensors")
        with open(empty, "wb"):
            pass
        self.refused(3, "empty.safetensors", "verify", self.model, "--layers", "--target", empty)


if __name__ == "__main__":
    merope.main()
