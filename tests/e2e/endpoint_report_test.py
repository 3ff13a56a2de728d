"""merope report of a server: the files of both layouts, the figures beside the server's own counts, what the device states, and
verdicts. The server gives merope's own answers."""

import json
import re

import endpoint_test
import endpoints
import merope

ENVIRONMENT = """\
device: Ascend910_9362
cann: 8.5.1
rack: seven
"""


class ReportTest(endpoint_test.ServedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model, cls.other = endpoint_test.sharpen(cls.model), endpoint_test.sharpen(cls.synth("other", rope_theta=500.0))
        cls.environment = cls.scratch / "npu.yaml"
        cls.environment.write_text(ENVIRONMENT)

    def report(self, url, name, *arguments, code=0, **options):
        out = self.scratch / name
        done = merope.run("report", self.model, "-o", out, *endpoint_test.QUICK, "--endpoint", url, *arguments, timeout=600, **options)
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        return out, done

    def test_a_report_of_two_servers(self):
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        eager = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        answers = self.scratch / "answers.jsonl"
        out, done = self.report(server.url.replace("http://", "http://user:geheim@"), "both", "--endpoint-eager", eager.url,
                                "--environment", self.environment, "--answers", answers, "--api-key-env", "MY_KEY",
                                env={"MY_KEY": "sk-geheim"})
        self.assertIn("probe of the server: PASS", done.stdout.decode())
        report = json.loads((out / "report.json").read_text())
        self.assertEqual(report["verdict"], "PASS")
        self.assertEqual(report["server"]["name"], "Ascend910_9362")
        self.assertEqual(report["server"]["environment"], {"device": "Ascend910_9362", "cann": "8.5.1", "rack": "seven"})
        endpoint = report["verify"]["endpoint"]
        asked = [json.loads(body) for _, path, _, body in server.log if path == "/v1/completions"]
        self.assertEqual(endpoint["requests"], len(server.log))
        self.assertEqual(endpoint["stability"]["most_distinct"], 1)
        self.assertEqual({row["different"] for row in endpoint["stability"]["conditions"]}, {0})
        salts = [r for r in asked if "cache_salt" in r]
        self.assertEqual(len(salts), endpoint["stability"]["prompts"])
        self.assertEqual(len({r["cache_salt"] for r in salts}), len(salts))
        self.assertEqual(endpoint["eager"]["same_texts"], endpoint["eager"]["prompts"])
        self.assertEqual((endpoint["eager"]["flips"], endpoint["eager"]["sigma"]), (0, 0))
        # A stream for each run of the grid, and for each request under load.
        grid, levels = report["server"]["latency"], report["server"]["serving"]["levels"]
        runs = (grid["warmup"] + grid["repeats"]) * len(grid["cases"]) // 2 + sum(level["completed"] for level in levels)
        self.assertEqual(sum(r.get("stream", False) for r in asked), runs)
        self.assertTrue(all(level["failed"] == 0 and level["peak_concurrent_requests"] <= level["concurrency"] for level in levels))
        self.assertTrue(any(case["speedup"] for case in grid["cases"]))
        for language, words in (("en", ["not stated", "The device under test", "Compiled beside eager", "Many requests at the same time"]),
                                ("zh", ["未提供", "被测设备", "编译模式与 eager 逐位置对比", "并发请求"])):
            for kind in ("md", "html"):
                text = (out / f"report.{language}.{kind}").read_text()
                for word in [*words, "Ascend910" if kind == "html" else r"Ascend910\_9362", "8.5.1", "seven"]:
                    self.assertIn(word, text)
                for figure in re.findall(r"\((figures/[^)]+)\)", text):
                    self.assertTrue((out / figure).exists(), figure)
                self.assertNotIn("✅ PASS" if "FAIL" in report["verdict"] else "❌", text)
        for file in [*out.rglob("*"), answers]:
            if file.is_file():
                self.assertNotIn("geheim", file.read_text(), file)
        self.assertNotIn("geheim", done.stderr.decode())

    def test_the_layout_of_a_repository(self):
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        answers = self.scratch / "repository.jsonl"
        out, _ = self.report(server.url, "repository", "--layout", "gitcode", "--answers", answers)
        for name in ("README.md", "README.en.md", "verification_report.md", "verification_report.en.md", "verification_report.json",
                     "prompts.jsonl", "logs/verify.txt", "logs/answers.jsonl", "scripts/run_precision_analysis.py",
                     "scripts/run_accuracy_benchmark.py"):
            self.assertGreater((out / name).stat().st_size, 100, name)
        self.assertIn("适配验证报告", (out / "README.md").read_text())
        self.assertIn("--environment", (out / "README.md").read_text())  # no file: the report says so
        self.assertEqual((out / "logs/answers.jsonl").read_bytes(), answers.read_bytes())
        prompts = [json.loads(line) for line in (out / "prompts.jsonl").read_text().splitlines()]
        self.assertEqual(prompts[0]["prompt"], "What is RAG in AI?")
        asked = [json.loads(body)["prompt"] for _, path, _, body in server.log if path == "/v1/completions"]
        for prompt in prompts:  # as they were asked, cut to leave room for the generated tokens
            self.assertTrue(any(ids == prompt["ids"][:len(ids)] for ids in asked if isinstance(ids, list)), prompt["id"])
        for script in (out / "scripts").iterdir():
            self.assertEqual(script.read_bytes(), (merope.ROOT / "scripts" / script.name).read_bytes())
        self.assertIn("(b): PASS", (out / "logs/verify.txt").read_text())

    def test_the_layout_of_a_repository_for_a_model_in_this_process(self):
        out = self.scratch / "own"
        done = merope.run("report", self.model, "-o", out, "--quick", "--lang", "en", "--layout", "gitcode", timeout=600)
        self.assertIn(done.returncode, (0, 2), done.stderr.decode())
        self.assertIn("adaptation and verification report", (out / "README.md").read_text())
        self.assertFalse((out / "README.en.md").exists())
        self.assertFalse((out / "logs/answers.jsonl").exists())

    def test_a_lie_is_in_the_report(self):
        upstream = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        other = self.serve(endpoints.MeropeServer(self.other, "--dtype", "bf16"))
        out, done = self.report(upstream.url, "lie", "--endpoint-eager", other.url, "--lang", "en")
        pair = json.loads((out / "report.json").read_text())["verify"]["endpoint"]["eager"]
        sigma = json.loads((out / "report.json").read_text())["verify"]["reference"]["emulated_sigma"]
        self.assertGreater(pair["sigma"], 3 * sigma)  # the second server runs another model
        self.assertGreater(pair["flips"], 0)
        proxy = self.serve(endpoints.Proxy(upstream.url, endpoints.every(3, other)))
        out, done = self.report(proxy.url, "liar", "--lang", "en", code=1)
        self.assertIn("❌ FAIL", (out / "report.en.md").read_text())
        # The table shows an unstable server, too.
        stability = json.loads((out / "report.json").read_text())["verify"]["endpoint"]["stability"]
        self.assertGreater(stability["most_distinct"], 1)

    def test_errors_come_before_the_work_and_leave_no_folder(self):
        out = self.scratch / "none"
        bad = self.scratch / "bad.yaml"
        bad.write_text("device: [1, 2]\n")
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        self.refused(3, "bad.yaml:1: device: expected one value", "report", self.model, "-o", out, "--endpoint", server.url, "--environment", bad)
        self.assertEqual([path for _, path, _, _ in server.log if path == "/v1/completions"], [])
        self.refused(3, "http://127.0.0.1:9/v1/models", "report", self.model, "-o", out, "--endpoint", "http://127.0.0.1:9", "--timeout", 2)
        for arguments in (["--environment", bad], ["--endpoint-eager", "http://x"], ["--numerics", "bf16"], ["--layout", "github"],
                          ["--endpoint", "http://x", "--dtype", "int8"]):
            self.refused(64, "", "report", self.model, "-o", out, *arguments)
        self.assertFalse(out.exists())


if __name__ == "__main__":
    merope.main()
