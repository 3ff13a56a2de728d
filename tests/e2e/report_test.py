"""Tests merope report: contexts longer than the report's generations, exit codes, and the files that it leaves."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import merope

FILES = ["report.en.md", "report.en.html", "report.zh.md", "report.zh.html", "report.json", "figures/tpot.en.svg", "figures/tpot.zh.svg"]
CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}


class Report(merope.Case):
    def report(self, context, template="", options=()):
        model = self.synth(f"context-{context}", max_position_embeddings=context)
        if template:
            (model / "chat_template.jinja").write_text(template)
        return self.judge(model, context, options)

    def judge(self, model, context, options=()):
        out = self.scratch / f"report-{context}"
        done = merope.run("report", model, "-o", out, "--quick", *options, timeout=1000)
        error = done.stderr.decode(errors="replace")
        self.assertIn(done.returncode, CODES.values(), error)
        self.assertNotIn("internal error", error)
        for name in FILES:
            self.assertTrue((out / name).stat().st_size > 0, name)
        result = json.loads((out / "report.json").read_text())
        verdicts = ["PASS" if result["weights"]["ok"] else "FAIL"]
        verdicts += [result["verify"][suite]["verdict"] for suite in ("first_token", "positions")]
        self.assertEqual(result["verdict"], max(verdicts, key=["PASS", "INCONCLUSIVE", "FAIL"].index))
        self.assertEqual(done.returncode, CODES[result["verdict"]])
        self.assertEqual(result["config"]["max_position_embeddings"], context)
        self.assertGreater(result["load"]["capture"]["ops"], result["load"]["capture"]["steps"])
        modes = [case["mode"] for case in result["eager_beside_compiled"]["cases"]]
        self.assertEqual(modes[:2], ["eager", "compiled"])
        return result

    def test_a_context_above_what_a_report_generates(self):
        # A template that asks for the date gets 2026-01-01 on every day.
        template = "{{ 'xx' if strftime_now('%F') == '2026-01-01' else strftime_now('%F') }}"
        result = self.report(2048, template)
        self.assertEqual({(pair["form"], pair["prompt_tokens"]) for pair in result["generation"]}, {("chat", 2)})

    def test_a_very_long_context_and_prompts_of_ones_own(self):
        own = self.scratch / "own.txt"
        own.write_text("one prompt\nanother\n")
        result = self.report(131072, options=["--prompts", own])
        self.assertEqual(result["prompts"], str(own))
        self.assertIn(f" --quick --prompts {own}\n", (self.scratch / "report-131072/report.en.md").read_text())
        without = json.loads(merope.run("verify", self.scratch / "context-131072", "--quick", "--json", timeout=1000).stdout)
        self.assertEqual(result["verify"]["positions"]["prompts"], without["positions"]["prompts"] + 2)

    def test_logits_that_are_no_numbers_are_a_failure(self):
        model = self.synth("context-320", max_position_embeddings=320)
        weights = bytearray((model / "model.safetensors").read_bytes())
        length = int.from_bytes(weights[:8], "little")
        begin, end = json.loads(weights[8:8 + length])["model.norm.weight"]["data_offsets"]
        weights[8 + length + begin:8 + length + end] = b"\x7f\x7f" * ((end - begin) // 2)  # the largest finite bf16 value
        (model / "model.safetensors").write_bytes(weights)
        result = self.judge(model, 320)
        self.assertEqual(result["verdict"], "FAIL")
        self.assertIn("found NaN or infinity", result["generation"][0]["error"])
        self.assertGreater(result["errors"]["not_finite"], 0)

    def test_bad_prompts_are_refused_before_the_work(self):
        self.refused(3, "own.json: expected .jsonl or .txt", "report", self.model, "-o", self.scratch / "bad", "--prompts",
                     self.scratch / "own.json")

    def test_a_failed_report_leaves_no_folder(self):
        out = self.scratch / "parent" / "missing"
        self.refused(3, "missing.gguf", "report", self.scratch / "missing.gguf", "-o", out)
        self.assertFalse(out.parent.exists())

    def test_an_interrupted_report_leaves_no_folder(self):
        out = self.scratch / "interrupted"
        process = subprocess.Popen([merope.BIN, "report", str(self.model), "-o", str(out)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def catches_it():
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (signal.SIGINT - 1) & 1
        while process.poll() is None and not catches_it():
            time.sleep(0.01)
        time.sleep(0.5)  # the report is then at work
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 130, error.decode(errors="replace"))
        self.assertFalse(out.exists())


if __name__ == "__main__":
    merope.main()
