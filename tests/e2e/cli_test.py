"""The program as a person uses it: help, exit codes, streams, signals."""

import json
import os
import pty
import re
import signal
import subprocess

import merope

COMMANDS = ["run", "batch", "inspect", "verify", "bench latency", "bench roofline", "report", "tokenize", "detokenize", "synth"]


class Help(merope.Case):
    def test_every_command_has_help_with_an_example(self):
        self.assertIn("merope", self.good("--help").stdout.decode())
        for command in COMMANDS:
            with self.subTest(command):
                text = self.good(*command.split(), "--help").stdout.decode()
                self.assertIn("Example", text)
                self.assertIn(f"merope {command}", text)

    def test_version_is_that_of_the_file(self):
        version = (merope.ROOT / "VERSION").read_text().strip()
        self.assertEqual(self.good("--version").stdout.decode(), f"merope {version}\n")

    def test_a_wrong_command_line_is_64(self):
        for arguments in ([], ["frobnicate"], ["run"], ["run", "--frobnicate", "m", "p"], ["bench"],
                          ["run", "m", "p", "--threads", "0"], ["run", "m", "p", "--temperature", "warm"],
                          ["run", "m", "p", "--system", "s"], ["run", "m", "p", "--max-model-len", "-5"],
                          ["run", "m", "p", "--top-k", "many"], ["synth", "d"], ["detokenize", "m", "x"],
                          ["synth", "--like", "pleias-rag-350m", "--dtype", "int3", "d"]):
            with self.subTest(arguments):
                done = merope.run(*arguments)
                self.assertEqual(done.returncode, 64, done.stderr)
                self.assertTrue(done.stderr)
                self.assertEqual(done.stdout, b"")


class Run(merope.Case):
    def run_json(self, *arguments, **options):
        return json.loads(self.good("run", self.model, *arguments, "--json", **options).stdout)

    def test_text_alone_goes_to_standard_output(self):
        done = self.good("run", self.model, "hello", "--max-tokens", 5, "--ignore-eos")
        text = self.run_json("hello", "--max-tokens", 5, "--ignore-eos")["text"]
        self.assertEqual(done.stdout.decode().rstrip("\n"), text.rstrip("\n"))
        self.assertIn(b"TTFT", done.stderr)

    def test_json(self):
        result = self.run_json("hello", "--max-tokens", 7, "--ignore-eos")
        self.assertEqual(len(result["ids"]), 7)
        self.assertEqual(len(result["logprobs"]), 7)
        self.assertTrue(all(value <= 0 for value in result["logprobs"]))
        self.assertEqual(result["finish_reason"], "length")
        self.assertGreater(result["timing"]["total_s"], 0)
        self.assertEqual(self.good("tokenize", self.model, "hello", "--add-special", "--json").stdout.count(b"["), 2)

    def test_the_same_bits_at_any_number_of_threads(self):
        for dtype in ("fp32", "bf16"):
            one, two, three = (self.run_json("one two three", "--max-tokens", 20, "--ignore-eos", "--dtype", dtype,
                                             "--threads", n) for n in (1, 2, 3))
            for other in (two, three):
                self.assertEqual((one["ids"], one["logprobs"]), (other["ids"], other["logprobs"]))

    def test_sampling_repeats_with_its_seed(self):
        sample = lambda seed: self.run_json("a", "--temperature", 1, "--seed", seed, "--max-tokens", 30, "--ignore-eos")["ids"]
        self.assertEqual(sample(1), sample(1))
        self.assertNotEqual(sample(1), sample(2))

    def test_standard_input_is_a_prompt(self):
        options = ["--max-tokens", 4, "--ignore-eos"]
        self.assertEqual(self.run_json("-", *options, stdin="né\n".encode())["ids"], self.run_json("né", *options)["ids"])

    def test_stop(self):
        text = self.run_json("hello", "--max-tokens", 30, "--ignore-eos")["text"]
        stop = next(c for c in text[3:] if c.isprintable() and c != "\ufffd")
        result = self.run_json("hello", "--max-tokens", 30, "--ignore-eos", "--stop", stop)
        self.assertEqual(result["text"], text[:text.index(stop)])
        self.assertEqual((result["finish_reason"], result["stop_reason"]), ("stop", stop))

    def test_what_does_not_fit_is_refused_with_both_lengths(self):
        error = self.refused(3, "64", "run", self.model, "word " * 400, "--max-tokens", 1)
        self.assertTrue(any(int(number) > 400 for number in "".join(c if c.isdigit() else " " for c in error).split()), error)

    def test_max_tokens_ends_where_the_context_ends(self):
        for many in (-1, 10**12, 2**63 - 1):
            result = self.run_json("hello", "--max-tokens", many, "--ignore-eos")
            self.assertEqual(result["prompt_tokens"] + len(result["ids"]), 64)

    def test_bad_values_are_refused(self):
        self.refused(3, ["temperature", "-1"], "run", self.model, "x", "--temperature", -1)
        self.refused(3, ["top_p", "2"], "run", self.model, "x", "--temperature", 1, "--top-p", 2)
        self.refused(3, "int3", "run", self.model, "x", "--dtype", "int3")
        self.refused(3, ["chat", "template"], "run", self.model, "x", "--chat")
        self.refused(3, "UTF-8", "run", self.model, "-", stdin=b"caf\xe9")


class Streams(merope.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.endless = cls.synth("endless", max_position_embeddings=1 << 20)

    def start(self, **options):
        return subprocess.Popen([merope.BIN, "run", self.endless, "hello", "--max-tokens", "-1", "--ignore-eos",
                                 "--max-model-len", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def test_ctrl_c_ends_with_130(self):
        with self.start() as process:
            self.assertTrue(process.stdout.read(1))
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            error = process.stderr.read()
            self.assertEqual(process.wait(60), 130)
            self.assertNotIn(b"error", error)

    def test_a_closed_pipe_ends_quietly(self):
        with self.start() as process:
            self.assertTrue(process.stdout.read(1))
            process.stdout.close()
            error = process.stderr.read()
            self.assertEqual(process.wait(60), 0)
            self.assertNotIn(b"error", error)

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([merope.BIN, "run", self.model, "hello", "--max-tokens", "3"], stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"standard output", done.stderr)

    def colors(self, env):
        """Whether a terminal on standard error gets escape sequences."""
        terminal, side = pty.openpty()
        process = subprocess.Popen([merope.BIN, "run", self.model, "hello", "--max-tokens", "3"], stdout=subprocess.DEVNULL,
                                   stderr=side, env={**os.environ, **env})
        os.close(side)
        seen = b""
        try:
            while block := os.read(terminal, 4096):
                seen += block
        except OSError:  # how a terminal says that the other side has closed
            pass
        os.close(terminal)
        self.assertEqual(process.wait(60), 0)
        self.assertIn(b"TTFT", seen)
        return b"\x1b[2m" in seen

    def test_no_color_is_honoured(self):
        self.assertTrue(self.colors({"TERM": "xterm", "NO_COLOR": ""}))
        self.assertFalse(self.colors({"TERM": "xterm", "NO_COLOR": "1"}))
        self.assertNotIn(b"\x1b", self.good("run", self.model, "hello", "--max-tokens", 3).stderr)


class Others(merope.Case):
    def test_tokenize_and_back(self):
        for text in ("Hello,  world!\n", "né 中文 \U0001F469", ""):
            result = json.loads(self.good("tokenize", self.model, "-", "--json", stdin=text.encode()).stdout)
            self.assertEqual(len(result["ids"]), len(result["pieces"]))
            if result["ids"]:
                back = self.good("detokenize", self.model, *result["ids"]).stdout.decode()
                self.assertEqual(back, text + "\n")
        self.refused(3, "99999", "detokenize", self.model, 99999)

    def test_inspect(self):
        result = json.loads(self.good("inspect", self.model, "--json").stdout)
        self.assertIsInstance(result, dict)
        text = self.good("inspect", self.model).stdout.decode()
        self.assertIn("LlamaForCausalLM", text)

    def test_synth_repeats_and_overwrites_nothing(self):
        other = self.synth("other")
        for file in sorted(p.name for p in self.model.iterdir()):
            self.assertEqual((self.model / file).read_bytes(), (other / file).read_bytes(), file)
        self.refused(3, "other", "synth", "--like", self.scratch / "other.json", other)
        self.refused(3, "no-such", "synth", "--like", "no-such-model", self.scratch / "new")

    def test_bench_latency(self):
        grid = ["--mode", "compiled", "--dtype", "bf16,fp32", "--batch-size", "1,2", "--context", "0,5", "--input-len", 4, "--output-len", "2,3"]
        runs = ["--warmup", 0, "--repeats", 1]
        answer = json.loads(self.good("bench", "latency", self.model, *grid, *runs, "--json").stdout)
        self.assertEqual([r["dtype"] for r in answer["results"]], ["bf16", "fp32"])
        for result in answer["results"]:
            cases = [(c["batch_size"], c["context"], c["input_len"], c["output_len"]) for c in result["cases"]]
            self.assertEqual(cases, [(b, c, 4, o) for b in (1, 2) for c in (0, 5) for o in (2, 3)])
        lines = self.good("bench", "latency", self.model, *grid, *runs).stdout.decode().splitlines()
        # A row of the table a case: those of the percentiles have the figure's name in the seventh column.
        rows = [line.split() for line in lines if re.match(r"  (bf16|fp32) +compiled +\d+ +\d+ +4 +\d+ +\d", line)]
        self.assertEqual(len(rows), 16)
        for row in rows:
            self.assertEqual(row.count("%"), 2, row)  # of peak, of bandwidth
        both = json.loads(self.good("bench", "latency", self.model, "--output-len", 3, "--input-len", 4, *runs, "--json").stdout)
        self.assertEqual([c["mode"] for c in both["results"][0]["cases"]], ["eager", "compiled"])
        self.refused(64, "mode", "bench", "latency", self.model, "--mode", "fast")
        self.refused(3, "weights", "bench", "latency", self.model, "--weights", "thin")
        self.refused(3, "batch-size", "bench", "latency", self.model, "--batch-size", "1,0")
        self.refused(3, "dtype", "bench", "latency", self.model, "--dtype", "bf16,fp31")

    def test_bench_roofline(self):
        answer = json.loads(self.good("bench", "roofline", "--seconds", 0.1, "--threads", 2, "--json").stdout)
        self.assertEqual([row["threads"] for row in answer["rows"]], [1, 2])
        text = self.good("bench", "roofline", "--seconds", 0.1).stdout.decode()
        for figure in ("memory read", "fp32", "bf16", "int8"):
            self.assertIn(figure, text)
        self.refused(3, "seconds", "bench", "roofline", "--seconds", 0)

    def test_verify_says_its_verdict_by_exit_code(self):
        for dtype in ("bf16", "int8", "int4"):
            with self.subTest(dtype):
                done = merope.run("verify", self.model, "--quick", "--json", "--dtype", dtype)
                self.assertIn(done.returncode, (0, 1, 2), done.stderr)
                self.assertIsInstance(json.loads(done.stdout), dict)
        self.refused(3, "no-such", "verify", self.model, "--quick", "--against", "no-such.safetensors")

    def test_verify_judges_a_file_and_adds_prompts(self):
        own, dump = self.scratch / "own.jsonl", self.scratch / "dump.safetensors"
        own.write_text('{"prompt": "one of mine"}\n{"prompt": "and another"}\n')
        arguments = ("verify", self.model, "--quick", "--prompts", own, "--json")
        self.good(*arguments[:-1], "--dtype", "bf16", "--dump-logits", dump)
        live, filed = (json.loads(merope.run(*arguments, *more).stdout) for more in ([], ["--target", dump]))
        self.assertEqual([prompt["id"] for prompt in live["positions"]["by_prompt"]][-2:], ["user-1", "user-2"])
        self.assertEqual(filed["target"], str(dump))
        self.assertEqual(filed["positions"]["gates"], live["positions"]["gates"])
        # The file has no logits of prompts that are not its own, and none at all is no file.
        own.write_text('{"prompt": "another one"}\n{"prompt": "and another"}\n')
        self.refused(3, ["dump.safetensors", "user-1"], *arguments, "--target", dump)
        own.write_text('{"prompt": "one of mine"}\n{"text": 1}\n')
        self.refused(3, ["own.jsonl: line 2", "prompt"], *arguments)
        self.refused(3, "no-such", "verify", self.model, "--quick", "--target", "no-such.safetensors")
        self.refused(64, "--against", "verify", self.model, "--target", dump, "--against", dump)

    def test_verify_of_a_large_vocabulary_stays_small(self):
        model = self.synth("vocabulary", vocab_size=131072, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                           num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=8, tie_word_embeddings=True)
        with subprocess.Popen([merope.BIN, "verify", model, "--quick"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertIn(process.returncode, (0, 1, 2))
        # The reference rows alone, fp32 and emulated, are 2 × 320 positions of 512 KiB: 320 MiB.
        self.assertLess(usage.ru_maxrss, 300 * 1024, "KiB at the peak")


if __name__ == "__main__":
    merope.main()
