"""merope verify of a server. Here the server gives merope's own answers, so an honest one passes
exactly; each lie of a proxy must be found, and each fault of a server must be an error that names it."""

import array
import json
import os
import time
import unittest

import endpoints
import merope

MODEL, WHOLE = os.environ.get("MEROPE_SMOLLM2"), os.environ.get("MEROPE_WHOLE") == "1"
QUICK = ["--quick", "--numerics", "bf16"]


def sharpen(model):
    """Multiplies the bf16 matrices of a synthetic model by 4: as made, the model knows nothing, and near ties decide everything."""
    path = model / "model.safetensors"
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    for name, tensor in header.items():
        if name == "__metadata__" or len(tensor["shape"]) != 2:
            continue
        begin, end = (8 + size + offset for offset in tensor["data_offsets"])
        words = array.array("H", data[begin:end])
        data[begin:end] = array.array("H", (word + (2 << 7) if word & 0x7f80 else word for word in words)).tobytes()
    path.write_bytes(data)
    return model


class ServedCase(merope.Case):
    def serve(self, server):
        self.addCleanup(server.__exit__)
        return server


class VerifyTest(ServedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model, cls.other = sharpen(cls.model), sharpen(cls.synth("other", rope_theta=500.0))

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
        self.assertAlmostEqual(gates["temperature_slope"]["value"], 0, delta=0.01)
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
        for words in ("temperature is applied", "probe: PASS", "The most probable tokens at", "slope of logits, minus 1", "(a): PASS", "(b): PASS"):
            self.assertIn(words, done.stdout.decode())
        self.assertIn("requests of", done.stderr.decode())

    def test_a_server_without_logprobs_of_prompts(self):
        def lie(request, ask, _):
            return ask({name: value for name, value in request.items() if name != "prompt_logprobs"})
        upstream = self.serve(endpoints.MeropeServer(self.model, "--dtype", "bf16"))
        result = self.verify(self.serve(endpoints.Proxy(upstream.url, lie)).url, "--generate", 30)
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


class TextsTest(ServedCase):
    """merope verify --texts: the server's tokenizer and chat template."""

    def check(self, change=lambda path, ids: ids, chat_ids=True, has=("/tokenize", "/v1/chat/completions"), code=0):
        """A server whose tokenizer is that of SmolLM2, but for `change`."""
        case = self

        class Texts(endpoints.MeropeServer):
            def answer(self, method, path, body):
                request = json.loads(body) if body else {}
                if path not in has:
                    return super().answer(method, path, body)
                if path == "/tokenize":
                    return 200, {"tokens": change(path, case.ids(request["prompt"]))}
                text = request["messages"][0]["content"]
                rendered = f"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n" \
                           f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
                ids = change(path, case.ids(rendered))
                return 200, {"usage": {"prompt_tokens": len(ids)}, **({"prompt_token_ids": ids} if chat_ids else {})}

        server = self.serve(Texts(MODEL, "--dtype", "bf16", context=256))
        answers = self.scratch / "texts.jsonl"  # so that only the first check asks for the suite's answers
        if answers.exists():
            kept = [line for line in answers.read_text().split("\n") if line and json.loads(line)["path"] not in ("/tokenize", "/v1/chat/completions")]
            answers.write_text("".join(line + "\n" for line in kept))
        done = merope.run("verify", MODEL, "--quick", "--generate", "2", "--numerics", "bf16", "--texts", "--endpoint", server.url, "--answers",
                          answers, "--json", timeout=900)
        self.assertIn(done.returncode, (code, 2) if code == 0 else (code,), done.stderr.decode())
        return {f["key"]: (f["found"], f["detail"]) for f in json.loads(done.stdout)["endpoint"]["probe"]}

    def ids(self, text):
        self.known = getattr(self, "known", {})
        if text not in self.known:
            done = merope.run("tokenize", MODEL, text, "--json")
            self.known[text] = json.loads(done.stdout)["ids"]
        return self.known[text]

    @unittest.skipUnless(MODEL and WHOLE, "MEROPE_WHOLE is not 1: it takes some minutes")
    def test_tokenizer_and_template(self):
        found = self.check()
        self.assertEqual(found["tokenizer_texts"], ("yes", "97 of 97"))
        self.assertEqual(found["chat_template"], ("yes", "4 of 4"))
        found = self.check(lambda path, ids: ids[:-1] if path == "/tokenize" and len(ids) > 30 else ids, code=1)
        self.assertEqual(found["tokenizer_texts"][0], "WRONG")
        self.assertIn("the first that differs", found["tokenizer_texts"][1])
        found = self.check(lambda path, ids: [1, *ids] if "chat" in path else ids, chat_ids=False, code=1)
        self.assertEqual(found["chat_template"][0], "WRONG")
        self.assertIn("only their number was seen", found["chat_template"][1])
        found = self.check(has=())
        self.assertEqual(found["tokenizer_texts"], ("no", "the server does not say"))
        self.assertEqual(found["chat_template"], ("no", "the server does not say"))


class TokensTest(ServedCase):
    """merope verify --tokens."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model, cls.other = sharpen(cls.model), sharpen(cls.synth("other", rope_theta=500.0))

    def audit(self, lie, codes=(0, 2), model=None):
        model = model or self.model
        server = self.serve(endpoints.MeropeServer(model, "--dtype", "bf16", context=256))
        proxy = self.serve(endpoints.Proxy(server.url, lie))
        done = merope.run("verify", model, "--tokens", *QUICK, "--endpoint", proxy.url, "--concurrency", "2", "--json", timeout=900)
        self.assertIn(done.returncode, codes, done.stderr.decode())
        if done.returncode == 3:
            return done.stderr.decode()
        self.requests = [json.loads(body) for method, path, _, body in proxy.log if path == "/v1/completions"]
        return json.loads(done.stdout)

    def gates(self, result):
        return {gate["key"]: gate["verdict"] for gate in result["gates"]}

    def test_an_honest_server(self):
        result = self.audit(lambda request, ask, _: ask(request))
        self.assertEqual(result["unread_texts"], 0)
        self.assertGreater(result["greedy_tokens"], 300)
        self.assertEqual(result["greedy_tokens"], result["sampled_tokens"])
        self.assertNotIn("FAIL", self.gates(result).values())
        self.assertFalse([r for r in self.requests if "logprobs" in r])
        sampled = [r for r in self.requests if r["temperature"] == 1]
        self.assertEqual(len(sampled), result["sampled_texts"])
        self.assertEqual(len({r["seed"] for r in sampled}), len(sampled))
        for request in sampled:
            self.assertEqual((request["top_p"], request["top_k"], request["min_p"]), (1, 0, 0))

    def test_lies_are_found(self):
        other = self.serve(endpoints.MeropeServer(self.other, "--dtype", "bf16"))
        for name, lie, failed in (
                ("temperature ignored", endpoints.ignored_temperature, {"pit_uniform", "pit_mean", "ranks"}),
                ("temperature 0.7", lambda r, ask, _: ask({**r, "temperature": 0.7 * r["temperature"]}), {"pit_mean"}),
                ("top_k 3", lambda r, ask, _: ask({**r, "top_k": 3}), {"ranks"}),
                ("another model", lambda r, ask, _: ask(r, other.url), {"unexplained_flips", "flips"})):
            with self.subTest(name):
                gates = self.gates(self.audit(lie, codes=(1,)))
                for key in failed:
                    self.assertEqual(gates[key], "FAIL", (name, gates))

    def test_tokens_without_ids(self):
        """A server that gives only text: greedy texts count if the tokenizer gives as many tokens, samples do not."""
        def text_only(request, ask, _):
            if "logprobs" in request:
                return 400, {"error": {"message": "logprobs are not supported"}}
            status, answer = ask(request)
            answer["choices"][0].pop("token_ids", None)
            return status, answer

        # The tiny model writes bytes that are no text.
        self.assertIn("expected answers whose tokens can be told", self.audit(text_only, codes=(3,)))
        if not (MODEL and WHOLE):
            return
        result = self.audit(text_only, model=MODEL)
        self.assertEqual((result["sampled_tokens"], result["unread_texts"] >= 25), (0, True))
        self.assertGreater(result["greedy_texts"], 3)  # the answers to the other prompts are empty
        self.assertEqual(result["greedy_texts"] + result["unread_texts"], 50)
        self.assertNotIn("FAIL", self.gates(result).values())

    def test_refused(self):
        for other in (["--layers"], ["--self-test"], ["--bundle", "x"], ["--target", "x"], ["--against", "x"], ["--prompts", "x"]):
            self.refused(64, "excludes", "verify", self.model, "--tokens", *other)


class FaultsTest(ServedCase):
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
        for url in ("ftp://127.0.0.1", "http://", "127.0.0.1:8000", ""):
            self.refused(64, "expected http://HOST:PORT", "verify", self.model, *QUICK, "--endpoint", url)
        self.refused(64, "expected http://HOST:PORT", "bench", "latency", "--endpoint", "http://x", "--endpoint-eager", "")

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
        for arguments, words in ((["--numerics", "bf16"], "expected an endpoint, a file"),):
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


if __name__ == "__main__":
    merope.main()
