"""merope bench latency and bench serve of servers with fixed delays. Every figure must be right within 3 %, so no other test may run
at the same time (tests/CMakeLists.txt)."""

import json

import endpoints
import merope


class BenchTest(merope.Case):
    def serve(self, server):
        self.addCleanup(server.__exit__)
        return server

    def near(self, found, expected):
        self.assertAlmostEqual(found / expected, 1, delta=0.03)

    def test_latency(self):
        compiled, eager = self.serve(endpoints.TimedServer(0.2, 0.02)), self.serve(endpoints.TimedServer(0.3, 0.03))
        done = self.good("bench", "latency", "--endpoint", compiled.url, "--endpoint-eager", eager.url, "--input-len", "16,32",
                         "--output-len", 21, "--warmup", 1, "--repeats", 3, "--json")
        result = json.loads(done.stdout)
        self.assertEqual([(c["mode"], c["input_len"], c["output_len"]) for c in result["cases"]],
                         [("eager", 16, 21), ("compiled", 16, 21), ("eager", 32, 21), ("compiled", 32, 21)])
        for c in result["cases"]:
            ttft, tpot = (0.3, 0.03) if c["mode"] == "eager" else (0.2, 0.02)
            self.near(c["ttft_s"]["p50"], ttft)
            self.near(c["tpot_s"]["p50"], tpot)
            self.near(c["latency_s"]["p50"], ttft + 20 * tpot)
            self.near(c["report_tpot_s"]["p50"], (ttft + 20 * tpot) / 21)
            self.near(c["throughput_tok_s"]["p50"], 21 / (ttft + 20 * tpot))
            if c["mode"] == "compiled":
                self.near(c["speedup"]["mean"], 1.5)
        prompts = [tuple(json.loads(body)["prompt"]) for _, path, _, body in compiled.log if path == "/v1/completions"]
        self.assertEqual(len(set(prompts)), 8)
        table = self.good("bench", "latency", "--endpoint", compiled.url, "--input-len", 16, "--output-len", 3, "--warmup", 0,
                          "--repeats", 1).stdout.decode()
        self.assertIn("TTFT ms", table)

    def test_serve(self):
        server = self.serve(endpoints.TimedServer(0.2, 0.02))
        done = self.good("bench", "serve", "--endpoint", server.url, "--num-prompts", 12, "--max-concurrency", 4, "--input-len", 8,
                         "--output-len", 21, "--goodput", "ttft:1000,tpot:10", "--json")
        result = json.loads(done.stdout)
        self.assertEqual((result["completed"], result["failed"]), (12, 0))
        self.assertEqual((result["input_tokens"], result["output_tokens"]), (96, 252))
        self.near(result["duration_s"], 3 * 0.6)
        self.near(result["ttft_s"]["p50"], 0.2)
        self.near(result["tpot_s"]["p50"], 0.02)
        self.near(result["itl_s"]["p50"], 0.02)
        self.near(result["e2el_s"]["p50"], 0.6)
        self.near(result["output_tokens_per_second"], 252 / 1.8)
        self.assertEqual(result["peak_concurrent_requests"], 4)
        self.assertEqual(result["good_requests_per_second"], 0)  # 20 ms a token, and 10 are allowed

    def test_serve_at_a_rate(self):
        server = self.serve(endpoints.TimedServer(0.01, 0.001))
        arguments = ["bench", "serve", "--endpoint", server.url, "--num-prompts", 200, "--request-rate", 100, "--input-len", 4,
                     "--output-len", 2]
        result = json.loads(self.good(*arguments, "--json").stdout)
        self.assertEqual(result["completed"], 200)
        # The sum of 199 times of 10 ms each, exponentially distributed: 1.99 s, with a standard deviation of 7 %.
        self.assertAlmostEqual(result["duration_s"] / 1.99, 1, delta=0.3)
        table = self.good(*arguments).stdout.decode()
        for line in ("= Serving Benchmark Result =", "Successful requests:                     200", "Median TTFT (ms):", "P99 TPOT (ms):",
                     "Request rate configured (RPS):           100.00"):
            self.assertIn(line, table)

    def test_failures_are_counted(self):
        class Faulty(endpoints.TimedServer):
            def answer(self, method, path, body):
                if path == "/v1/completions" and len(self.log) % 3 == 0:
                    return 503, {"error": {"message": "busy"}}
                return super().answer(method, path, body)
        server = self.serve(Faulty(0.01, 0.001))
        arguments = ["bench", "serve", "--endpoint", server.url, "--num-prompts", 9, "--max-concurrency", 1, "--output-len", 2, "--input-len", 4]
        result = json.loads(self.good(*arguments, "--json").stdout)
        self.assertEqual(result["completed"] + result["failed"], 9)
        self.assertEqual(result["failed"], 3)
        self.assertIn("busy", result["first_failure"])
        erring = self.serve(Erring(0.01, 0.001)).url
        self.refused(3, "found an error: without a message", "bench", "serve", "--endpoint", erring, "--num-prompts", 2, "--input-len", 4)
        self.refused(3, "found an error: without a message", "bench", "latency", "--endpoint", erring, "--input-len", 4, "--output-len", 2)
        self.refused(3, "ignore_eos", "bench", "latency", "--endpoint", self.serve(Short(0.01, 0.001)).url, "--input-len", 4,
                     "--output-len", 9)


class Erring(endpoints.TimedServer):
    """Streams an error without a message in place of the text."""

    def answer(self, method, path, body):
        if path != "/v1/completions":
            return super().answer(method, path, body)

        def write(handler):
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b'data: {"error": {}}\n\n')
        return 200, write


class Short(endpoints.TimedServer):
    """Ends every answer after two tokens."""

    def answer(self, method, path, body):
        if path == "/v1/completions":
            body = json.dumps({**json.loads(body), "max_tokens": 2})
        return super().answer(method, path, body)


if __name__ == "__main__":
    merope.main()
