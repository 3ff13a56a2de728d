"""merope verify, bench latency and bench serve of a server. Here the server gives merope's own answers, so an honest one passes
exactly; each lie of a proxy must be found, and each fault of a server must be an error that names it."""

import json
import time

import endpoints
import merope

QUICK = ["--quick", "--numerics", "bf16", "--generate", 8]


class EndpointCase(merope.Case):
    def serve(self, server):
        self.addCleanup(server.__exit__)
        return server


class VerifyTest(EndpointCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.synth("other", rope_theta=500.0)

    def verify(self, url, *arguments, code=0, **options):
        done = merope.run("verify", self.model, *QUICK, "--endpoint", url, "--json", *arguments, **options)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        return json.loads(done.stdout)

    def gates(self, result):
        return {gate["key"]: gate for gate in result["positions"]["gates"]}

    def findings(self, result):
        return {f["key"]: f["found"] for f in result["endpoint"]["probe"]}

    def test_an_honest_server_passes_exactly(self):
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        answers = self.scratch / "answers.jsonl"
        result = self.verify(server.url, "--answers", answers)
        self.assertEqual(result["verdict"], "PASS")
        self.assertEqual(set(self.findings(result).values()) - {"yes", "no"}, set())
        gates = self.gates(result)
        # The server computes what the emulation computes, but for the order of its sums.
        self.assertAlmostEqual(gates["kl_ratio"]["value"], 1, delta=0.05)
        self.assertAlmostEqual(gates["sigma_ratio"]["value"], 1, delta=0.05)
        self.assertAlmostEqual(gates["temperature_slope"]["value"], 1, delta=0.01)
        self.assertEqual(result["endpoint"]["top_k"], 20)
        self.assertTrue(result["endpoint"]["prompt_logprobs"])
        asked = [json.loads(body) for _, path, _, body in server.log if path == "/v1/completions"]
        self.assertEqual(result["endpoint"]["requests"], len(server.log))
        self.assertGreaterEqual(result["endpoint"]["tokens"], sum(len(r["prompt"]) + r["max_tokens"] for r in asked))
        # The same without the server, from the file.
        server.__exit__()
        again = self.verify(server.url, "--answers", answers)
        self.assertEqual(again["endpoint"]["requests"], 0)
        for name in ("positions", "first_token", "reference", "verdict"):
            self.assertEqual(again[name], result[name])

    def test_the_table_names_what_was_found(self):
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        done = self.good("verify", self.model, *QUICK, "--endpoint", server.url)
        for words in ("temperature is applied", "probe: PASS", "The most probable tokens at", "slope of logits", "(a): PASS", "(b): PASS"):
            self.assertIn(words, done.stdout.decode())
        self.assertIn("requests of", done.stderr.decode())

    def test_a_server_without_logprobs_of_prompts(self):
        def lie(request, ask, _):
            return ask({name: value for name, value in request.items() if name != "prompt_logprobs"})
        upstream = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        result = self.verify(self.serve(endpoints.Proxy(upstream.url, lie)).url)
        self.assertEqual(result["verdict"], "PASS")
        self.assertEqual(self.findings(result)["prompt_logprobs"], "no")
        self.assertNotIn("delta_ln_ppl", result["positions"])
        self.assertNotIn("rms_delta_p", self.gates(result))

    def test_lies_are_found(self):
        upstream = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        other = self.serve(endpoints.MeropeServer(self.other, "--dtype", "bf16"))
        cases = {
            "another model": endpoints.every(1, other),
            "every tenth answer of another model": endpoints.every(10, other),
            "ignored temperature": endpoints.ignored_temperature,
            "logprobs after temperature": endpoints.tempered_logprobs(0.9),
            "a dropped token": endpoints.dropped_token,
            "a stale cache": endpoints.stale_cache(),
        }
        named = {"ignored temperature": "temperature"}
        for name, lie in cases.items():
            with self.subTest(name):
                proxy = self.serve(endpoints.Proxy(upstream.url, lie))
                result = self.verify(proxy.url, code=1)
                self.assertEqual(result["verdict"], "FAIL")
                if name in named:
                    self.assertEqual(self.findings(result)[named[name]], "WRONG")

    def test_broken_exchanges_change_nothing(self):
        upstream = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        result = self.verify(self.serve(endpoints.Proxy(upstream.url, endpoints.broken(9))).url)
        self.assertEqual(result["verdict"], "PASS")
        self.assertGreater(result["endpoint"]["repeated_tries"], 3)

    def test_an_interrupted_run_goes_on(self):
        upstream = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        answers = self.scratch / "interrupted.jsonl"

        def dies(request, ask, n):
            return ask(request) if n <= 30 else (400, {"error": {"message": "enough"}})
        proxy = self.serve(endpoints.Proxy(upstream.url, dies))
        self.refused(3, ["HTTP status 400", "enough"], "verify", self.model, *QUICK, "--endpoint", proxy.url, "--answers", answers)
        kept = [json.loads(line) for line in answers.read_text().splitlines()]
        answers.write_text("".join(json.dumps(line) + "\n" for line in kept if line["status"] == 200))
        good = sum(line["status"] == 200 and line["path"] == "/v1/completions" for line in kept)
        self.assertGreaterEqual(good, 30)
        before = len(upstream.log)
        self.assertEqual(self.verify(upstream.url, "--answers", answers)["verdict"], "PASS")
        asked = [body for _, path, _, body in upstream.log[before:] if path == "/v1/completions"]
        everything = [line for line in answers.read_text().splitlines() if json.loads(line)["path"] == "/v1/completions"]
        self.assertEqual(len(asked), len(everything) - good)

    def test_the_budget_is_kept(self):
        server = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        self.refused(3, "max-tokens-total: expected at most 900 tokens", "verify", self.model, *QUICK, "--endpoint", server.url,
                     "--max-tokens-total", 900)
        asked = [json.loads(body) for _, path, _, body in server.log if path == "/v1/completions"]
        self.assertLessEqual(sum(len(r["prompt"]) + r["max_tokens"] for r in asked), 900)


class FaultsTest(EndpointCase):
    def faulty(self, answer, models=None):
        class Faulty(endpoints.Server):
            def answer(self, method, path, body):
                if path == "/v1/models":
                    return models or (200, {"data": [{"id": "m"}]})
                return answer(json.loads(body) if body else None) if path == "/v1/completions" else (404, {})
        return self.serve(Faulty())

    def error(self, server, words, *arguments, **options):
        url = server if isinstance(server, str) else server.url
        return self.refused(3, words, "verify", self.model, *QUICK, "--endpoint", url, "--timeout", 2, *arguments, **options)

    def test_no_server(self):
        start = time.monotonic()
        self.error("http://127.0.0.1:9", "http://127.0.0.1:9/v1/models: ")
        self.assertLess(time.monotonic() - start, 30)
        self.error("ftp://127.0.0.1", "ftp")
        self.error("nonsense://", "nonsense")

    def test_models(self):
        def unused(_):
            return 500, {}
        for models, words in (
                ((200, b"<html>"), "/v1/models: "),
                ((200, {}), "/v1/models: data: expected a list of models, found nothing"),
                ((200, {"data": []}), "data: expected a list of models"),
                ((200, {"data": [3]}), "no model with an id"),
                ((401, {"error": "Unauthorized"}), "HTTP status 401 Unauthorized: Unauthorized"),
                ((404, b""), "HTTP status 404 Not Found")):
            self.error(self.faulty(unused, models), words)
        self.error(self.faulty(unused), ["expected the model \"x\"", "found m"], "--model", "x")

    def test_answers(self):
        choice = {"text": "a", "token_ids": [5], "finish_reason": "length"}
        for answer, words in (
                ((400, {"error": {"message": "no ids, please"}}), ["HTTP status 400", "no ids, please"]),
                ((200, b"<html>"), "/v1/completions: "),
                ((200, {"choices": []}), "choices: expected a list of one object"),
                ((200, {"choices": [choice]}), "expected generated tokens by id with logprobs"),
                ((200, {"choices": [{**choice, "prompt_token_ids": [1]}]}), "prompt_token_ids: expected the")):
            self.error(self.faulty(lambda _, answer=answer: answer), words)

    def test_keys_and_credentials_are_never_shown(self):
        server = self.faulty(lambda _: (400, {"error": {"message": "no"}}))
        answers = self.scratch / "key.jsonl"
        url = server.url.replace("http://", "http://user:geheim@")
        error = self.error(url, "HTTP status 400", "--api-key-env", "MY_KEY", "--answers", answers, env={"MY_KEY": "sk-geheim"})
        self.assertTrue(all(header == "Bearer sk-geheim" for _, _, header, _ in server.log))
        self.assertNotIn("geheim", error)
        self.assertNotIn("geheim", answers.read_text())
        self.error(server, "the environment variable NO_SUCH_KEY", "--api-key-env", "NO_SUCH_KEY")

    def test_command_lines(self):
        for arguments, words in ((["--numerics", "bf16"], "expected --endpoint or --target"),):
            self.refused(3, words, "verify", self.model, *arguments)
        for arguments in (["--model", "x"], ["--endpoint", "http://x", "--generate", "0"], ["--endpoint", "http://x", "--target", "f"],
                          ["--endpoint", "http://x", "--numerics", "fp8"]):
            self.refused(64, "", "verify", self.model, *arguments)
        self.refused(64, "MODEL or --endpoint", "bench", "latency")
        self.refused(64, "--endpoint", "bench", "serve")
        self.refused(64, "goodput", "bench", "serve", "--endpoint", "http://x", "--goodput", "speed:3")
        self.refused(64, "request-rate", "bench", "serve", "--endpoint", "http://x", "--request-rate", "0")
        for name in ("answers.jsonl", "text"):
            other = self.scratch / name
            other.write_text("not answers")
            self.error("http://127.0.0.1:9", "expected an answer of an endpoint", "--answers", other)
            self.assertEqual(other.read_text(), "not answers")


class BenchTest(EndpointCase):
    """Against servers with fixed delays, every figure is right within 3 %."""

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
        self.refused(3, "ignore_eos", "bench", "latency", "--endpoint", self.serve(Short(0.01, 0.001)).url, "--input-len", 4,
                     "--output-len", 9)


class Short(endpoints.TimedServer):
    """Ends every answer after two tokens."""

    def answer(self, method, path, body):
        if path == "/v1/completions":
            body = json.dumps({**json.loads(body), "max_tokens": 2})
        return super().answer(method, path, body)


if __name__ == "__main__":
    merope.main()
