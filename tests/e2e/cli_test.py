"""Tests the command line program: help, exit codes, streams, signals."""

import fcntl
import hashlib
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import termios
import time

import merope

COMMANDS = ["run", "ask", "rag-eval", "batch", "inspect", "verify", "bench latency", "bench throughput", "bench roofline", "report", "replay", "tokenize",
            "detokenize", "quantize", "synth", "pull", "doctor", "completion"]

# Values that are wrong for every model. There is no model "none": the program refuses the value before it opens the model.
GENERATING = {"--dtype": ["int3", "", "BF16", "bf16,fp32"], "--weights": ["thin", ""], "--kv-dtype": ["int9", ""], "--threads": [0, "1e1"],
              "--max-model-len": [0], "--kv-cache-memory": [0, "x"], "--speculative-tokens": [65]}
TOGETHER = {"--max-num-seqs": [0], "--max-num-batched-tokens": [0]}
WRONG_VALUES = [
    ("run none x", GENERATING | {
        "--temperature": [-1, "nan"], "--top-p": [2, 0], "--top-k": [-2], "--min-p": [1.5], "--repetition-penalty": [0],
        "--presence-penalty": [3], "--frequency-penalty": [-3], "--max-tokens": [0, -2], "--min-tokens": [-1], "--seed": ["1.5"],
        "--stop": [""], "--json-schema": ["", " ", "{", '{"type": 3}'], "--regex": ["[", "a**", "("], "--grammar": ["", "root ::= x"],
        "--date": ["today"]}),
    ("batch none in out", GENERATING | TOGETHER | {"--date": ["today"]}),
    ("inspect none", {"--kv-memory": ["x"], "--max-model-len": [0], "--threads": [0]}),
    ("verify none", {"--dtype": ["int3", "", "bf16,fp32"], "--kv-dtype": ["int9"], "--threads": [0], "--max-model-len": [0],
                     "--kv-cache-memory": [0]}),
    ("bench latency none", {"--dtype": ["int3", "bf16,int3"], "--mode": ["fast"], "--weights": ["thin"], "--kv-dtype": ["int9"],
                            "--batch-size": ["1,0"], "--threads": [-1], "--kv-cache-memory": [0]}),
    ("bench throughput none", GENERATING | TOGETHER | {"--temperature": [-1], "--dataset": ["poems"]}),
    ("bench roofline", {"--seconds": [0], "--threads": [-1]}),
    ("report none -o out", {"--dtype": ["int3", "bf16,int3"], "--lang": ["fr"], "--threads": [0], "--kv-cache-memory": [0]}),
    ("quantize none out", {"--dtype": ["int3"]}), ("pull none/none", {"--from": ["x", ""]}), ("synth out --like none", {"--dtype": ["int3"], "--seed": ["x"]})]


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
        line = self.good("--version").stdout.decode()
        self.assertRegex(line, rf"^merope {re.escape(version)} \(commit ([0-9a-f]{{12}}(\+changes)?|unknown), (g\+\+|clang) [^,]+, \w+\)\n$")

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
        timing = result["timing"]
        self.assertGreater(timing["ttft_s"], 0)
        self.assertAlmostEqual(timing["ttft_s"] + 6 * timing["tpot_s"], timing["total_s"], places=9)
        self.assertAlmostEqual(timing["tokens_per_second"] * timing["total_s"], 7)
        for tokens, known in ((1, False), (2, True)):
            timing = self.run_json("hello", "--max-tokens", tokens, "--ignore-eos")["timing"]
            self.assertEqual(timing["tpot_s"] is not None, known)
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

    def test_what_does_not_go_with_the_model_or_the_input_is_refused(self):
        self.refused(3, ["chat", "template"], "run", self.model, "x", "--chat")
        self.refused(3, "UTF-8", "run", self.model, "-", stdin=b"caf\xe9")

    def test_the_instruction_set_can_be_pinned(self):
        pinned = lambda name: {"env": {"MEROPE_TARGET": name}}
        error = self.refused(3, ["MEROPE_TARGET", "ABACUS"], "run", self.model, "x", **pinned("ABACUS"))
        least = re.search(r"\(([^)]*)\)", error)[1].split(", ")[-1]
        self.assertIn(f"({least}, ", self.run_json("x", "--max-tokens", 1, **pinned(least))["backend"])


class CommandLine(merope.Case):
    def run_json(self, *arguments):
        return json.loads(self.good("run", self.model, *arguments, "--json").stdout)

    def test_texts_are_what_was_typed(self):
        for text in ("[a,b]", "[]", "{}", "%%", "[INST]", "a,b", "", " "):
            with self.subTest(text):
                self.assertEqual(self.run_json("x", "--choice", text)["text"], text)
                self.assertIn(self.run_json("--choice", text, "--choice", "other", "x")["text"], (text, "other"))
        for stop in ("[INST]", "[]", "[a,b]", "{}", "%%"):
            with self.subTest(stop):
                result = self.run_json("--choice", f"q{stop}r", "--stop", "zzz", "--stop", stop, "x")
                self.assertEqual((result["text"], result["stop_reason"]), ("q", stop))
        self.assertEqual(self.run_json("--regex", "[ab]", "[INST] x [/INST]")["text"] in "ab", True)
        self.assertEqual(json.loads(self.good("tokenize", self.model, "", "--json").stdout)["ids"], [])
        ids = [json.loads(self.good("tokenize", self.model, text, "--json").stdout)["ids"] for text in ("[a,b]", "a,b")]
        self.assertNotEqual(*ids)

    def test_a_schema_is_a_file_or_itself(self):
        schema = '{"type": "array", "items": {"const": 7}, "minItems": 2, "maxItems": 2}'
        file = self.scratch / "schema.json"
        file.write_text(schema)
        for value in (schema, "  " + schema, file):
            self.assertEqual(json.loads(self.run_json("x", "--json-schema", value)["text"]), [7, 7])
        self.refused(3, ["--json-schema", "no-such.json"], "run", self.model, "x", "--json-schema", "no-such.json")
        for text, why in (("{", "invalid JSON"), ("", "invalid JSON"), ('{"type": 3}', "type: expected")):
            file.write_text(text)
            self.refused(3, ["--json-schema: ", why], "run", "none", "x", "--json-schema", file)

    def test_a_value_that_is_wrong_for_every_model_is_64(self):
        for command, wrong in WRONG_VALUES:
            for option, values in wrong.items():
                for value in values:
                    with self.subTest(command=command, option=option, value=value):
                        done = merope.run(*command.split(), option, value)
                        error = done.stderr.decode()
                        self.assertEqual((done.returncode, done.stdout), (64, b""), error)
                        self.assertTrue(error.startswith(f"merope: error: {option}: "), error)
                        found = str(value).split(",")[-1]  # the last entry of a list is wrong
                        if option not in ("--json-schema", "--regex", "--grammar"):  # their errors give the place in the value
                            self.assertIn(found, error)
        error = self.refused(64, "--min-tokens: expected at most max_tokens, 3, found 4", "run", "none", "x", "--max-tokens", 3,
                             "--min-tokens", 4)
        self.assertIn("Run merope run --help", error)
        self.refused(3, "none", "run", "none", "x", "--min-tokens", 10**6)  # max_new_tokens of a checkpoint may be larger

    def test_numbers_out_of_range_are_refused(self):
        for arguments in (["--seed", 2**64], ["--seed", 2**63], ["--seed", -2**64], ["--seed", "0x10"], ["--seed", ""], ["--seed", "1.5"],
                          ["--max-tokens", 2**63], ["--max-tokens", "1e3"], ["--top-k", 10**30], ["--threads", 2**32 + 1],
                          ["--threads", "-1"], ["--max-model-len", 2**63], ["--max-model-len", "0"],
                          ["--temperature", "1e999"], ["--temperature", "1,5"], ["--temperature", ""],
                          ["--speculative-tokens", 2**32], ["--kv-cache-memory", "99999999999G"],
                          ["--kv-cache-memory", 2**64], ["--kv-cache-memory", "-1"], ["--kv-cache-memory", "G"],
                          ["--kv-cache-memory", "8X"], ["--kv-cache-memory", "8iB1"]):
            with self.subTest(arguments):
                self.refused(64, arguments[0], "run", self.model, "x", *arguments)
        for command, options in (
                (["bench", "throughput", self.model], ["--max-concurrency", "--num-prompts", "--input-len", "--output-len", "--prefix-len",
                                                       "--num-prefixes", "--warmup", "--repeats", "--kv-cache-memory"]),
                (["bench", "latency", self.model], ["--input-len", "--output-len", "--batch-size", "--context", "--warmup", "--repeats"]),
                (["bench", "roofline"], ["--seconds", "--threads"]), (["inspect", self.model], ["--max-model-len", "--kv-memory"]),
                (["batch", self.model, os.devnull, self.scratch / "out.jsonl"],
                 ["--kv-cache-memory", "--max-num-seqs", "--max-num-batched-tokens", "--speculative-tokens", "--max-model-len"])):
            for option in options:
                with self.subTest(command=command, option=option):
                    self.assertIn("-1", self.refused(64, option, *command, option, -1))
        for option in ("--num-prompts", "--input-len", "--output-len", "--prefix-len", "--num-prefixes", "--repeats"):
            for command in ("latency", "throughput")[option not in ("--input-len", "--output-len", "--repeats"):]:
                for value in (0, 2**63 - 1):
                    with self.subTest(command=command, option=option, value=value):
                        self.refused(64, option, "bench", command, self.model, option, value)
        for arguments in (["inspect", self.model, "--kv-memory", "8EB"], ["bench", "latency", self.model, "--batch-size", 2**64],
                          ["bench", "roofline", "--seconds", "1e400"],
                          ["synth", "--like", "pleias-rag-350m", "d", "--seed", 2**64], ["detokenize", self.model, 2**32]):
            with self.subTest(arguments):
                self.refused(64, "expected", *arguments)
        for numbers in (["detokenize", "m", "1,2"], ["run", "m", "x", "--threads", "1e1"], ["run", "m", "x", "--seed", "-"]):
            self.refused(64, f'expected a whole number, found "{numbers[-1]}"', *numbers)
        self.assertEqual(self.good("detokenize", self.model, "010").stdout, self.good("detokenize", self.model, 10).stdout)
        self.run_json("x", "--seed", 2**63 - 1, "--temperature", 1, "--max-tokens", "02")
        self.run_json("x", "--kv-cache-memory", "1 MiB", "--max-tokens", 2)

    def test_what_is_unknown_is_named_with_the_nearest(self):
        for arguments, names in (
                (["run", "m", "p", "--max-token", "3"], ["--max-token", "did you mean --max-tokens?"]),
                (["run", "m", "p", "--max_tokens=3"], ["--max_tokens", "did you mean --max-tokens?"]),
                (["run", "--tempreature", "1", "m", "p"], ["--tempreature", "did you mean --temperature?"]),
                (["run", "m", "--jsn-schema", "f"], ["--jsn-schema", "did you mean --json-schema?"]),
                (["bench", "latency", "m", "--batchsize", "1"], ["--batchsize", "did you mean --batch-size?"]),
                (["bench", "latncy"], ['"latncy"', "did you mean latency?"]),
                (["verfy", "m"], ['"verfy"', "did you mean verify?"]),
                (["--verison"], ["--verison", "did you mean --version?"]),
                (["run", "m", "two", "words"], ['"words"', "quotes"]),
                (["run", "m", "-x y z"], ["-x y z", "comes after --"])):
            with self.subTest(arguments):
                error = self.refused(64, names, *arguments)
                self.assertEqual(error.count("merope: error: "), 1)
                self.assertIn("--help", error)
        self.assertNotIn("did you mean", self.refused(64, "--quux", "run", "m", "p", "--quux"))

    def test_dtype_has_vllm_s_spellings(self):
        for name, dtype in (("auto", "bf16"), ("bfloat16", "bf16"), ("half", "fp32"), ("float16", "fp32"),
                            ("float", "fp32"), ("float32", "fp32")):
            done = self.good("run", self.model, "x", "--max-tokens", 1, "--dtype", name, "--json")
            self.assertEqual(json.loads(done.stdout)["dtype"], dtype)
            self.assertIn(f"BF16 weights run in {dtype},", done.stderr.decode())

    def test_a_chat_model_without_chat_gets_a_hint(self):
        hint = lambda model, *more: "chat template" in self.good("run", model, "x", "--max-tokens", 1, *more).stderr.decode()
        self.assertFalse(hint(self.model))
        instruct = self.synth("Tiny-Instruct")
        self.assertTrue(hint(instruct))
        (instruct / "chat_template.jinja").write_text("{{ messages[0].content }}")
        self.assertTrue(hint(instruct))
        self.assertFalse(hint(instruct, "--chat"))

    def test_defaults_of_the_checkpoint_are_told(self):
        model = self.synth("defaults")
        (model / "generation_config.json").write_text(json.dumps(
            {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1}))

        def said(*options):
            error = self.good("run", model, "x", "--max-tokens", 1, *options).stderr.decode()
            return [line for line in error.splitlines() if "checkpoint" in line]
        kept = "from the checkpoint's generation defaults: "
        self.assertEqual(said(), ["the checkpoint suggests sampling (temperature 0.6); greedy without --temperature",
                                  kept + "repetition_penalty 1.1"])
        self.assertEqual(said("--temperature", 0.5), [kept + "top_p 0.9, top_k 40, repetition_penalty 1.1"])
        self.assertEqual(said("--temperature", 0.5, "--top-k", 3, "--repetition-penalty", 1), [kept + "top_p 0.9"])

    def test_what_the_machine_refuses_is_an_error(self):
        def limited(address_space, *arguments):
            limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
            return subprocess.run([merope.BIN, *map(str, arguments)], capture_output=True, preexec_fn=limit, timeout=120)
        many = ["--threads", 1000]  # 8 MB of stack per thread
        for arguments in (["run", self.model, "x", *many], ["inspect", self.model, *many], ["bench", "roofline", *many],
                          ["verify", self.model, "--quick", *many], ["bench", "latency", self.model, "--input-len", 4, "--output-len", 3, *many],
                          ["quantize", self.model, self.scratch / "q", "--dtype", "int8", *many]):
            with self.subTest(arguments):
                done = limited(1 << 30, *arguments)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertRegex(done.stderr, b"error: (a thread cannot be made|out of memory)")
        done = limited(1 << 29, "batch", self.model, os.devnull, self.scratch / "out.jsonl", "--max-num-batched-tokens", 65536,
                       "--threads", 1, "--max-num-seqs", 4096, "--kv-cache-memory", "1G")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"memory", done.stderr)

    def test_options_that_every_command_has(self):
        own = ["--max-model-len", 48, "--kv-cache-memory", "1M", "--threads", 1, "--json"]
        requests = self.scratch / "requests.jsonl"
        requests.write_text(json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/completions",
                                        "body": {"prompt": "x", "max_tokens": 3}}) + "\n")
        for arguments in (["run", self.model, "x", "--max-tokens", 2, *own], ["batch", self.model, requests, self.scratch / "r.jsonl", *own],
                          ["inspect", self.model, *own],
                          ["bench", "latency", self.model, "--input-len", 4, "--output-len", 3, "--warmup", 0, "--repeats", 1, *own],
                          ["bench", "throughput", self.model, "--num-prompts", 2, "--input-len", 4, "--output-len", 3,
                           "--warmup", 0, "--repeats", 1, *own],
                          ["quantize", self.model, self.scratch / "int8", "--dtype", "int8", "--threads", 1, "--json"],
                          ["synth", self.scratch / "again", "--like", self.model, "--json"], ["detokenize", self.model, 5, "--json"]):
            with self.subTest(arguments):
                self.assertIsInstance(json.loads(self.good(*arguments).stdout), dict)
        verified = merope.run("verify", self.model, "--quick", *own)
        self.assertIn(verified.returncode, (0, 1, 2), verified.stderr)
        json.loads(verified.stdout)
        for command in (["run", self.model, "x"], ["inspect", self.model], ["verify", self.model, "--quick"],
                        ["bench", "latency", self.model, "--input-len", 4, "--output-len", 3], ["report", self.model, "-o", self.scratch / "report"]):
            with self.subTest(command):
                self.refused(3, ["max_model_len", "64", "65"], *command, "--max-model-len", 65)
                if command[0] != "inspect":
                    self.refused(3, "kv_cache_memory", *command, "--kv-cache-memory", 9)


class Tools(merope.Case):
    def options(self, command):
        """Returns the options that the help of the command lists. Options of a group have two more columns of indentation."""
        text = self.good(*command.split(), "--help").stdout.decode()
        return sorted(name for column in re.findall(r"(?m)^(?:  ){1,2}(-\S+)", text) for name in re.findall(r"--[a-z-]+", column))

    def test_completion_knows_every_option(self):
        scripts = {shell: self.good("completion", shell).stdout.decode() for shell in ("bash", "zsh", "fish")}
        for command in COMMANDS:
            options = self.options(command)
            self.assertIn("--help", options)
            *_, last = command.split()
            for option in options:
                self.assertIn(f" '{option}:", scripts["zsh"], command)
                self.assertRegex(scripts["fish"], rf"seen_subcommand_from {last}'[^\n]* -l {option[2:]} ")
            words = ["merope", *command.split(), "--"]
            found = subprocess.run(["bash", "-c", 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _merope; echo "${COMPREPLY[@]}"',
                                    "/dev/stdin", *words], input=scripts["bash"].encode(), capture_output=True, check=True)
            self.assertEqual(sorted(found.stdout.decode().split()), options, command)
        commands = {command.split()[0] for command in COMMANDS}
        found = subprocess.run(["bash", "-c", 'source /dev/stdin; COMP_WORDS=(merope ""); COMP_CWORD=1; _merope; echo "${COMPREPLY[@]}"'],
                               input=scripts["bash"].encode(), capture_output=True, check=True)
        self.assertEqual(set(found.stdout.decode().split()), commands)
        self.assertIn("'--system:System message before the prompt'", scripts["zsh"])
        self.assertIn("-l chat -d 'Render the prompt as a users message with the chat template'", scripts["fish"])  # the apostrophe is removed
        self.refused(64, "tcsh", "completion", "tcsh")

    def test_doctor_says_what_a_bug_report_needs(self):
        found = json.loads(self.good("doctor", "--json").stdout)
        self.assertEqual(found["merope"]["version"], (merope.ROOT / "VERSION").read_text().strip())
        self.assertGreater(found["memory"]["total_bytes"], 0)
        self.assertGreater(found["machine"]["usable_cores"], 0)
        text = self.good("doctor").stdout.decode()
        for part, values in found.items():
            self.assertIn(f"{part}\n", text)
            for name in values:
                self.assertIn(f"  {name} ", text)
        limited = subprocess.run(["bash", "-c", 'ulimit -Sn 77; "$0" doctor --json', merope.BIN], capture_output=True, check=True)
        self.assertEqual(json.loads(limited.stdout)["limits"]["open_files"], 77)


class Terminal(merope.Case):
    def interrupted(self, columns):
        """Returns what a terminal of this width shows of a command that is interrupted after three draws of its bar."""
        terminal, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen([merope.BIN, "bench", "roofline", "--seconds", "60", "--threads", "1"],
                                   stdout=subprocess.DEVNULL, stderr=side, env={**os.environ, "NO_COLOR": "1"})
        os.close(side)
        seen, interrupted = b"", False
        try:
            while block := os.read(terminal, 4096):  # raises OSError when the process has ended
                seen += block
                # The bar shows the remaining time after one second and the first hundredth of the work. A narrow bar has
                # no room for the remaining time.
                if seen.count(b"\r") >= 3 and (columns < 40 or b" left" in seen) and not interrupted:
                    process.send_signal(signal.SIGINT)
                    interrupted = True
        except OSError:
            pass
        os.close(terminal)
        self.assertEqual(process.wait(60), 130)
        return seen.decode()

    def test_a_bar_fits_the_terminal_and_leaves_the_prompt_a_line(self):
        for columns in (100, 44, 12):
            seen = self.interrupted(columns)
            self.assertTrue(seen.endswith("\n"), seen)
            lines = [re.sub(r"\x1b\[K", "", line) for line in re.split(r"[\r\n]+", seen) if line]
            self.assertTrue(lines)
            for line in lines:
                self.assertLess(len(line), columns)
            if columns > 40:
                self.assertRegex(lines[-1], r"^measuring \[#*\.*\] +\d+%  \d+ (s|min) left$")


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

    def test_ctrl_c_ends_a_measurement_with_130(self):
        with subprocess.Popen([merope.BIN, "bench", "throughput", self.model, "--input-len", "4", "--output-len", "4", "--repeats",
                               "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self.assertTrue(process.stderr.readline())  # the line about the loaded model
            process.send_signal(signal.SIGINT)
            process.communicate()
            self.assertEqual(process.returncode, 130)

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
        """Returns whether the program writes color escape sequences to a terminal on standard error."""
        terminal, side = pty.openpty()
        process = subprocess.Popen([merope.BIN, "run", self.model, "hello", "--max-tokens", "3"], stdout=subprocess.DEVNULL,
                                   stderr=side, env={**os.environ, **env})
        os.close(side)
        seen = b""
        try:
            while block := os.read(terminal, 4096):
                seen += block
        except OSError:  # raised when the other side of the terminal has closed
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
        weights = (self.model / "model.safetensors").read_bytes()
        sha = hashlib.sha256(weights).hexdigest()
        options = ("inspect", self.model, "--kv-memory", "1M", "--max-model-len", 50)
        self.assertEqual(self.good(*options).stdout.decode(), f"""\
Model         {self.model} (safetensors)
Architecture  LlamaForCausalLM, 2 layers, hidden 64, feed-forward 96
              4 heads of 16, 2 KV heads, vocabulary 512, 64 positions
              untied head, no biases, RMS norm epsilon 1e-05
RoPE          theta 10000
dtype         BF16, runs in bf16
Tokenizer     512 ids
Prefix (BOS)  2 <|end_of_text|> (tokenizer.json: post_processor)
EOS           2 <|end_of_text|> (generation_config.json: eos_token_id)
Chat template none
Weights       21 tensors found, 21 expected (21 BF16)
              127,296 parameters found, 127,296 expected; 0.2 MiB
              0 NaN, 0 infinite
              model.safetensors: sha256 {sha}, {len(weights):,} bytes
Weight check  OK
KV cache      256 bytes a token in bf16, 512 in fp32
              1.0 MiB (--kv-memory) hold 4,096 tokens in bf16, 2,048 in fp32
              or 64 requests of 50 tokens at once in bf16, 32 in fp32
""")
        result = json.loads(self.good(*options, "--json").stdout)
        self.assertEqual(result["config"], {
            "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 512, "max_position_embeddings": 64,
            "rms_norm_eps": 1e-5, "rope_theta": 10000, "rope_scaling": None, "tie_word_embeddings": False, "attention_bias": False,
            "mlp_bias": False, "bos_token_id": 1, "eos_token_id": 2, "dtype": "BF16", "quantization": None})
        self.assertEqual(result["tokenizer"], {"vocab_size": 512, "prefix_ids": [2], "prefix_tokens": ["<|end_of_text|>"],
                                               "prefix_source": "tokenizer.json: post_processor"})
        found = result["weights"]
        self.assertEqual((found["ok"], found["found_tensors"], found["parameters"], found["bytes"], found["dtypes"], found["nan"]),
                         (True, 21, 127296, 2 * 127296, {"BF16": 21}, 0))
        self.assertEqual(found["files"], [{"file": "model.safetensors", "bytes": len(weights), "sha256": sha}])
        self.assertEqual(result["kv_cache"], {
            "budget_bytes": 1 << 20, "bf16": {"bytes_per_token": 256, "tokens": 4096, "requests_of_50_tokens": 64},
            "fp32": {"bytes_per_token": 512, "tokens": 2048, "requests_of_50_tokens": 32}})

    def test_inspect_says_how_positions_are_scaled(self):
        for name, length, scaling, says in (
                ("yarn", 2048, {"factor": 4.0, "beta_fast": 30.0, "beta_slow": 2.0, "attention_factor": 1.5, "truncate": False,
                                "original_max_position_embeddings": 512},
                 "yarn scaling by 4 (beta 30 to 2, attention factor 1.5) from 512 positions"),
                ("llama3", 64, {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
                 "llama3 scaling by 8 (frequency factors 1 to 4) from 32 positions"),
                ("linear", 64, {"factor": 2.0}, "linear scaling by 2")):
            with self.subTest(name):
                model = self.synth(name, max_position_embeddings=length, rope_scaling={"rope_type": name} | scaling)
                config = json.loads(self.good("inspect", model, "--json").stdout)["config"]
                self.assertEqual((config["rope_theta"], config["rope_scaling"]), (10000, {"rope_type": name} | scaling))
                self.assertIn(f"RoPE          theta 10000, {says}\n", self.good("inspect", model).stdout.decode())

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
        # The table has one row per case, with a number in the seventh column. The rows of the percentiles have the name of a
        # figure there.
        rows = [line.split() for line in lines if re.match(r"  (bf16|fp32) +compiled +\d+ +\d+ +4 +\d+ +\d", line)]
        self.assertEqual(len(rows), 16)
        for row in rows:
            self.assertEqual(row.count("%"), 2, row)  # the shares of the peak and of the bandwidth
        both = json.loads(self.good("bench", "latency", self.model, "--output-len", 3, "--input-len", 4, *runs, "--json").stdout)
        self.assertEqual([c["mode"] for c in both["results"][0]["cases"]], ["eager", "compiled"])
        self.refused(64, "mode", "bench", "latency", self.model, "--mode", "fast")
        self.refused(64, "--batch-size", "bench", "latency", self.model, "--batch-size", "1,0")

    def test_bench_roofline(self):
        answer = json.loads(self.good("bench", "roofline", "--seconds", 0.1, "--threads", 2, "--json").stdout)
        self.assertEqual([row["threads"] for row in answer["rows"]], [1, 2])
        text = self.good("bench", "roofline", "--seconds", 0.1).stdout.decode()
        for figure in ("memory read", "fp32", "bf16", "int8"):
            self.assertIn(figure, text)
        self.refused(64, "--seconds", "bench", "roofline", "--seconds", 0)

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
        # The dump has no logits of this new prompt.
        own.write_text('{"prompt": "another one"}\n{"prompt": "and another"}\n')
        self.refused(3, ["dump.safetensors", "user-1"], *arguments, "--target", dump)
        own.write_text('{"prompt": "one of mine"}\n{"text": 1}\n')
        self.refused(3, ["own.jsonl: line 2", "prompt"], *arguments)
        self.refused(3, "no-such", "verify", self.model, "--quick", "--target", "no-such.safetensors")
        self.refused(64, "--against", "verify", self.model, "--target", dump, "--against", dump)

    def test_verify_writes_its_prompts(self):
        prompts = self.scratch / "prompts.json"
        said = self.good("verify", self.model, "--quick", "--dump-prompts", prompts).stderr.decode()
        found = json.loads(prompts.read_text())["prompts"]
        self.assertEqual(said, f"{prompts}: {len(found)} prompts written\n")
        self.assertEqual(found[0]["text"], "What is RAG in AI?")

    def test_a_vocabulary_of_one_token_is_not_verified(self):
        model = self.synth("one-token", vocab_size=1, bos_token_id=0, eos_token_id=None)
        begin = {"id": "a", "ids": [0], "tokens": ["a"]}  # the prefix of every text, and the only token
        (model / "tokenizer.json").write_text(json.dumps({
            "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "decoder": None,
            "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []},
            "post_processor": {"type": "TemplateProcessing", "special_tokens": {"a": begin},
                               "single": [{"SpecialToken": {"id": "a", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]}}))
        self.good("run", model, "x", "--max-tokens", 2)
        for arguments in (["verify", model, "--quick"], ["report", model, "--quick", "-o", self.scratch / "one-token-report"]):
            self.refused(3, ["vocab_size: expected 2 or more", "found 1"], *arguments)

    def test_verify_of_a_large_vocabulary_stays_small(self):
        model = self.synth("vocabulary", vocab_size=131072, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                           num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=8, tie_word_embeddings=True)
        with subprocess.Popen([merope.BIN, "verify", model, "--quick"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertIn(process.returncode, (0, 1, 2))
        # All rows of reference logits, fp32 and emulated, would take 2 × 320 positions × 512 KiB = 320 MiB.
        self.assertLess(usage.ru_maxrss, 300 * 1024, "KiB at the peak")


if __name__ == "__main__":
    merope.main()
