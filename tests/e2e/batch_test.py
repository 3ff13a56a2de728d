"""Tests merope batch: every request gets exactly one result, also after a killed process or a full disk."""

import json
import os
import pty
import random
import resource
import signal
import subprocess
import time

import merope

TEMPLATE = ("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")


def completion(custom_id, **body):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/completions",
            "body": {"ignore_eos": True, "temperature": 0, **body}}


def chat(custom_id, content, **body):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
            "body": {"ignore_eos": True, "messages": [{"role": "user", "content": content}], **body}}


def job(n):
    """Returns n lines of a request file: valid requests of each kind, invalid requests, invalid JSON, repeated custom_ids."""
    lines = []
    for i in range(n):
        kind = i % 6
        if kind == 0:
            lines.append(completion(f"greedy-{i}", prompt=f"once {i}", max_tokens=100 + i))
        elif kind == 1:
            lines.append(completion(f"sampled-{i}", prompt="the same beginning " * 8, max_tokens=150, temperature=1,
                                    seed=i, logprobs=2))
        elif kind == 2:
            lines.append(chat(f"chat-{i}", f"é {i}", max_tokens=120, temperature=0.7, seed=i, n=2, logprobs=True,
                              top_logprobs=1))
        elif kind == 3:
            lines.append(completion(f"prompts-{i}", prompt=["a", "b c"], max_tokens=90, echo=True))
        elif kind == 4:
            lines.append(completion(f"refused-{i}", prompt="x", temperature=-1))
        else:
            lines.append("{not json" if i % 4 == 1 else completion(f"greedy-{i - 5}", prompt="a second one of its name"))
    return lines


class Batch(merope.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = cls.synth("batch-model", max_position_embeddings=512)
        config = cls.model / "tokenizer_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": TEMPLATE}))

    def setUp(self):
        self.requests = self.scratch / f"{self.id()}.in.jsonl"
        self.results = self.scratch / f"{self.id()}.out.jsonl"

    def write(self, lines):
        self.requests.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))

    def command(self, *options, results=None, max_num_seqs=4):
        return ["batch", self.model, self.requests, results or self.results, "--max-num-seqs", max_num_seqs, *options]

    def answers(self, path=None):
        """Returns the results by custom_id, or by line number without one. Removes the fields that differ between runs."""
        found = {}
        for line in (path or self.results).read_text().splitlines():
            result = json.loads(line)
            self.assertEqual(list(result), ["id", "custom_id", "response", "error"])
            key = result["custom_id"] or result["error"]["line"]
            self.assertNotIn(key, found)
            if result["response"]:
                self.assertTrue(result["response"].pop("request_id"))
                body = result["response"]["body"]
                for volatile in {"id", "created"} & set(body):
                    del body[volatile]
            del result["id"]
            found[key] = result
        return found

    def ask(self, *lines):
        self.write(lines)
        self.good(*self.command())
        return self.answers()

    def start(self, *options, **popen):
        return subprocess.Popen([merope.BIN, *map(str, self.command(*options))], stdout=subprocess.PIPE,
                                stderr=popen.pop("stderr", subprocess.PIPE), **popen)

    def wait_for_result(self, process, size=0):
        """Waits until the results file is longer than `size` bytes or the process has ended."""
        while process.poll() is None and (not self.results.exists() or self.results.stat().st_size <= size):
            time.sleep(0.0005)

    def test_bodies_are_the_servers(self):
        found = self.ask(completion("a", prompt="hello", max_tokens=7, logprobs=0, return_token_ids=True),
                         chat("b", "hello", max_tokens=5, temperature=0))
        alone = json.loads(self.good("run", self.model, "hello", "--max-tokens", 7, "--ignore-eos", "--json").stdout)
        body = found["a"]["response"]["body"]
        self.assertEqual(found["a"]["response"]["status_code"], 200)
        self.assertIsNone(found["a"]["error"])
        self.assertEqual((body["object"], body["model"]), ("text_completion", str(self.model)))
        choice = body["choices"][0]
        self.assertEqual((choice["token_ids"], choice["text"]), (alone["ids"], alone["text"]))
        self.assertEqual(choice["logprobs"]["token_logprobs"], alone["logprobs"])
        self.assertEqual(choice["finish_reason"], "length")
        self.assertEqual(body["usage"], {"prompt_tokens": alone["prompt_tokens"], "completion_tokens": 7,
                                         "total_tokens": alone["prompt_tokens"] + 7})
        rendered = self.ask(completion("c", prompt="<user>hello<assistant>", max_tokens=5, add_special_tokens=False))
        self.assertEqual(found["b"]["response"]["body"]["choices"][0]["message"]["content"],
                         rendered["c"]["response"]["body"]["choices"][0]["text"])

    def test_bad_lines_have_errors_and_stop_nothing(self):
        good = lambda name: completion(name, prompt="x", max_tokens=1)
        lines = ["{", good("first"), "", "[]", "   \r", good("first"), {**good("url"), "url": "/v1/embeddings"},
                 {**good("method"), "method": "GET"}, {"method": "POST", "url": "/v1/completions", "body": {}},
                 {"custom_id": "body", "method": "POST", "url": "/v1/completions"}, {**good("x"), "custom_id": 7},
                 {**good("x"), "custom_id": ""}, {**good("x"), "custom_id": "x" * 513},
                 json.dumps(good("long")) + " " * (8 << 20), {**good("stream"), "body": {"prompt": "x", "stream": True}},
                 completion("range", prompt="x", top_p=7), completion("too long", prompt=[5] * 600),
                 completion("second", prompt=["x", [5] * 600]), completion("tools", prompt="x", suffix="y"),
                 completion("format", prompt="x", structured_outputs={"choice": ["a"]}, response_format={}), good("last")]
        found = self.ask(*lines)
        self.assertEqual({1, 4, 6, 9, 11, 12, 13, 14}, {key for key in found if isinstance(key, int)})
        for line, words in ((1, "invalid JSON"), (4, "an object"), (6, "line 2"), (9, "custom_id"), (11, "custom_id: expected a string"),
                            (12, "1 to 512 bytes"), (13, "found 513"), (14, "8388608 bytes")):
            self.assertIsNone(found[line]["response"])
            self.assertIn(words, found[line]["error"]["message"])
        refused = (("url", 7, "url"), ("method", 8, "method"), ("body", 10, "body"), ("stream", 15, "stream"),
                   ("range", 16, "top_p"), ("too long", 17, "prompt"), ("second", 18, "prompt"), ("tools", 19, "suffix"),
                   ("format", 20, "response_format"))
        for name, line, param in refused:
            error = found[name]["error"]
            self.assertEqual((error["line"], error["param"], error["code"], error["type"]), (line, param, 400, "BadRequestError"))
            self.assertEqual(found[name]["response"]["status_code"], 400)
            del error["line"]
            self.assertEqual(found[name]["response"]["body"], {"error": error})
        for name in ("first", "last"):
            self.assertEqual(found[name]["response"]["status_code"], 200)
        before = self.results.read_bytes()
        again = self.good(*self.command())
        self.assertEqual(self.results.read_bytes(), before)
        self.assertIn(f"0 requests answered, 0 of them with an error, {len(found)} had been before", again.stdout.decode())

    def test_lines_behind_a_large_request_run_beside_it(self):
        line = lambda name, n: completion(name, prompt="x", max_tokens=5, temperature=1, seed=1, n=n)
        for together in (1, 4):
            self.results.unlink(missing_ok=True)
            self.write([line("first", 1), line("large", 1024), line("behind", 1)])
            self.good(*self.command(max_num_seqs=together))
            found = self.answers()
            self.assertEqual(list(found), ["first", "behind", "large"])
            self.assertEqual(len(found["large"]["response"]["body"]["choices"]), 1024)

    def test_names(self):
        self.write([completion("a", prompt="x", max_tokens=1, model="tiny"), completion("b", prompt="x", model="other")])
        self.good(*self.command("--served-model-name", "small", "--served-model-name", "tiny"))
        found = self.answers()
        self.assertEqual(found["a"]["response"]["body"]["model"], "small")
        self.assertEqual((found["b"]["response"]["status_code"], found["b"]["error"]["type"]), (404, "NotFoundError"))

    def test_nothing_to_do(self):
        self.write([])
        self.assertIn("0 requests answered", self.good(*self.command()).stdout.decode())
        self.assertEqual(self.results.read_bytes(), b"")

    def test_requests_from_a_pipe(self):
        text = json.dumps(completion("a", prompt="x", max_tokens=1))  # without a line break at the end
        for _ in range(2):
            self.good("batch", self.model, "/dev/stdin", self.results, stdin=text.encode())
        self.assertEqual(list(self.answers()), ["a"])

    def test_the_prefix_cache_is_counted(self):
        self.write([completion(f"{i}", prompt="word " * 80, max_tokens=2) for i in range(20)])
        summary = self.good(*self.command()).stdout.decode()
        self.assertRegex(summary, r"20 requests answered, 0 of them .* [1-9][0-9]\.\d % of them found in the prefix cache")

    def uninterrupted(self, lines):
        self.write(lines)
        whole = self.scratch / "whole.jsonl"
        whole.unlink(missing_ok=True)
        self.good(*self.command(results=whole))
        return self.answers(whole)

    def test_killed_at_any_moment_it_goes_on(self):
        expected = self.uninterrupted(job(300))  # many more than the program answers before the third kill
        self.assertEqual(len(expected), 300)
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        kills = 0
        while True:
            size = self.results.stat().st_size if self.results.exists() else 0
            with self.start() as process:
                if chance.random() < 0.2:
                    time.sleep(chance.random() * 0.1)  # the kill comes while the process starts
                else:
                    self.wait_for_result(process, size + chance.randrange(12000))
                process.kill()
                process.stdout.read(), process.stderr.read()
                if process.wait(60) == 0:
                    break
            kills += 1
            self.assertLess(kills, 500)
            if self.results.exists() and chance.random() < 0.5:  # a power cut: the end was not on the disk
                size = self.results.stat().st_size
                os.truncate(self.results, max(size - chance.randrange(1500), 0))
                if chance.random() < 0.3:
                    with open(self.results, "ab") as file:
                        file.write(bytes(chance.randrange(1, 500)))
        self.assertGreaterEqual(kills, 3, seed)
        self.assertEqual(self.answers(), expected, f"seed {seed}, {kills} kills")
        print(f"killed {kills} times: {len(expected)} results, each once, as of one run")

    def test_a_line_torn_by_a_full_disk_is_made_again(self):
        expected = self.uninterrupted(job(18))
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        with self.start(preexec_fn=limit) as process:
            process.communicate(timeout=120)
            self.assertNotEqual(process.returncode, 0)
        torn = self.results.read_bytes()
        self.assertEqual(len(torn), 5000)
        self.assertFalse(torn.endswith(b"\n"))
        self.assertIn("the last result was not whole", self.good(*self.command()).stderr.decode())
        self.assertTrue(self.results.read_bytes().startswith(torn[:torn.rindex(b"\n") + 1]))
        self.assertEqual(self.answers(), expected)

    def test_ctrl_c_keeps_what_is_done(self):
        expected = self.uninterrupted(job(300))  # many more than are done when this process sees a result
        with self.start() as process:
            self.wait_for_result(process)
            process.send_signal(signal.SIGINT)
            output, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, error)
        self.assertIn(b"interrupted", error)
        self.assertIn(b"requests answered", output)
        some = self.answers()
        self.assertGreater(len(some), 0)
        self.assertLess(len(some), len(expected))
        self.assertIn(f"{len(some)} had been before", self.good(*self.command()).stdout.decode())
        self.assertEqual(self.answers(), expected)

    def test_two_runs_at_once_are_refused(self):
        self.write(job(120))
        with self.start() as process:
            self.wait_for_result(process)
            process.send_signal(signal.SIGSTOP)
            try:
                self.refused(3, [str(self.results), "another run"], *self.command())
            finally:
                process.kill()

    def test_files_that_cannot_be_are_refused_and_left_alone(self):
        self.write([completion("a", prompt="x")])
        before = self.requests.read_bytes()
        self.refused(3, "another file", *self.command(results=self.requests))
        self.results.symlink_to(self.requests)
        self.refused(3, "another file", *self.command())
        self.assertEqual(self.requests.read_bytes(), before)
        self.results.unlink()
        self.refused(3, "No such file", "batch", self.model, self.scratch / "none", self.results)
        self.assertFalse(self.results.exists())
        self.refused(3, "directory", "batch", self.model, self.scratch, self.results)
        self.refused(3, "expected a file", *self.command(results="/dev/null"))
        notes = self.scratch / "notes.txt"
        notes.write_text("my notes\n")
        self.refused(3, [str(notes), "line 1", "expected a result"], *self.command(results=notes))
        self.assertEqual(notes.read_text(), "my notes\n")

    def test_progress_is_shown_on_a_terminal(self):
        self.write(job(4000))  # takes longer than the half second before a bar is drawn
        terminal, side = pty.openpty()
        seen = b""
        with self.start(stderr=side) as process:
            os.close(side)
            while True:
                try:
                    piece = os.read(terminal, 1 << 16)
                except OSError:
                    break
                if not piece:
                    break
                seen += piece
        os.close(terminal)
        self.assertEqual(process.returncode, 0, seen)
        self.assertRegex(seen, rb"\rbatch \[.*\] +\d+%  \d+ requests, \d+ errors, \d+ tokens/s")


if __name__ == "__main__":
    merope.main()
