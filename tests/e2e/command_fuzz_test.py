"""Runs random command lines: options from each command's --help, with valid and invalid values, on valid and invalid models.

Every run must end with an exit code that docs/cli.md names. No run may end by a signal or print an internal error.
MEROPE_FUZZ_SECONDS sets the duration in seconds (default 60; 600 with MEROPE_WHOLE). MEROPE_FUZZ_SEED sets the seed
(default 1). The i-th command line depends only on the seed and on i.
"""

import concurrent.futures
import itertools
import json
import os
import pathlib
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import time

import merope
import tiny

SECONDS = float(os.environ.get("MEROPE_FUZZ_SECONDS", 600 if os.environ.get("MEROPE_WHOLE") else 60))
SEED = int(os.environ.get("MEROPE_FUZZ_SEED", 1))
COMMANDS = ["run", "ask", "rag-eval", "batch", "inspect", "verify", "replay", "report", "bench latency", "bench throughput", "bench serve", "bench roofline", "tokenize",
            "detokenize", "quantize", "synth", "pull"]
VERDICTS = ("inspect", "verify", "replay", "report")  # only these commands end with 1 or 2
LONGEST = 4  # seconds; a command that runs longer gets Ctrl-C

# Values for options of any type. No number here is valid for an option and also makes the command run for hours, because a
# long run is not a fault.
NUMBERS = ["0", "1", "2", "3", "7", "64", "100", "-1", "-0", "1.5", "1e3", "0x10", "010", "+1", " 1", "2147483647", "2147483648", "4294967296",
           "9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1e400", "-1e400",
           "nan", "inf", "1e-400", "1,2", "1,,2", ",", "1K", "1M", "8M", "1G", "99999999999T", "-1K"]
TEXTS = ["", " ", "a", "-", "--", "[", "]", "[]", "[a,b]", "{", "{}", "[INST]", "é", "\U0001F469", "\n", "a" * 5000, "%s%n", "'", '"', "\\", "auto",
         "bf16", "fp32", "int8", "int4", "native", "stored", "float16", "plain", "packed", "eager", "en", "zh", "random", "quoting", "stories",
         "shared-prefix", "pleias-rag-350m", "org/name", "org/name@main", "a/../b", '{"type":"object"}', '{"type":"integer"}', '{"enum":["a","b"]}', "(a|b)*", "a{1,5}", "(", '"root"',
         'root ::= "a"', "root ::= root"]
FILES = ["{model}", "{scratch}", "{scratch}/none", "{scratch}/notes.txt", "{scratch}/empty", "{scratch}/in.jsonl",
         "{scratch}/prompts.json", "/dev/null", "/dev/full", "{out}", "{out}/new"]
REQUESTS = """{"custom_id":"a","method":"POST","url":"/v1/completions","body":{"prompt":"hi","max_tokens":3}}
{"custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"hi"}],"max_tokens":3}}
{"custom_id":"c"}
[]
"""
QUESTIONS = """{"query":"hi","sources":[{"text":"a b. c d."}],"answers":["b"],"source":1,"quote":"a b."}
{"query":"a","sources":[],"answers":[],"answerable":false}
"""
MANY = ["1", "2", "3", "0", "-1", "1.5", "x", "", "1,2", "9223372036854775807", "9223372036854775808"]  # for options that multiply the work
# Values by the name of the option, where the help does not give the valid values or where a random value could run for hours.
VALUES = {
    "--seconds": ["0.1", "0.2", "0", "-1", "nan", "inf", "x"], "--like": ["{scratch}/config.json", "{model}", "x", ""],
    "--dtype": ["bf16", "fp32", "int8", "int4", "native", "stored", "auto", "f16", "f32", "bf16,fp32", "", ",", "BF16", "int3"],
    "--max-tokens": ["1", "5", "0", "16", "-1", "-2", "9223372036854775807", "9223372036854775808", "x"],
    **{name: MANY for name in ("--repeats", "--warmup", "--num-prompts", "--input-len", "--output-len", "--batch-size", "--context",
                               "--num-prefixes", "--prefix-len", "--num-warmups", "--limit", "--max-concurrency", "--concurrency", "--generate")},
    "--threads": ["1", "2", "3", "0", "-1", "1025", "99999999", "18446744073709551616", "x", ""],
    "-o": ["{out}", "{out}/new", "{scratch}/notes.txt", "/dev/null", "/dev/null/x", ""],
    "--output": ["{out}", "/dev/full"], "--dump-prompts": ["{out}/p", "/dev/null", "/dev/full", "{out}/no/p", ""],
    "--dump-logits": ["{out}/l", "/dev/null", "/dev/full", "{out}/no/l", ""],
    **{name: ["http://127.0.0.1:9", "http://", "ftp://127.0.0.1/", "x", "", "http://a b", "http://127.0.0.1:99999"]
       for name in ("--endpoint", "--endpoint-eager")},
    "--bundle": ["{out}/bundle", "{out}/more/bundle", "{scratch}", "{scratch}/notes.txt", "/dev/null", ""],
    "--environment": ["{scratch}/config.json", "{scratch}/notes.txt", "/dev/null", "{scratch}", "{model}", ""],
    "--answers": ["{out}/answers", "{scratch}/notes.txt", "/dev/null", "/dev/full", "{out}/no/answers", ""],
    "--source": ["{scratch}/notes.txt", "{scratch}/in.jsonl", "{scratch}/empty", "{scratch}", "{model}", "/dev/null", "-", ""],
    "--lines": ["{scratch}/lines", "{scratch}/in.jsonl", "{scratch}", "{scratch}/none", "{model}"],
}
POSITIONALS = {
    "run": ["{model}", "TEXT"], "ask": ["{model}", "TEXT"], "rag-eval": ["{model}", "{scratch}/questions.jsonl"], "batch": ["{model}", "{scratch}/in.jsonl", "{out}/results"], "bench roofline": [], "bench serve": [],
    "tokenize": ["{model}", "TEXT"], "detokenize": ["{model}", "NUMBER", "NUMBER"], "quantize": ["{model}", "{out}/quantized"],
    "synth": ["{out}/made"], "pull": ["TEXT"], "replay": ["{out}/bundle"]}
# Options that make a valid command line end soon. These options stand first, so that random options may follow.
BASIS = {
    "run": ["--max-tokens", "5"], "ask": ["--source", "{scratch}/notes.txt", "--max-tokens", "5"], "rag-eval": ["--limit", "2", "--max-tokens", "5"], "verify": ["--quick"], "report": ["-o", "{out}", "--quick", "--lang", "en"], "quantize": ["--dtype", "int8"],
    "synth": ["--like", "{scratch}/config.json"], "bench roofline": ["--seconds", "0.1"],
    "bench latency": ["--input-len", "4", "--output-len", "3", "--repeats", "1", "--warmup", "0"],
    "bench serve": ["--endpoint", "http://127.0.0.1:9", "--num-prompts", "2"],
    "bench throughput": ["--num-prompts", "2", "--input-len", "8", "--output-len", "4", "--repeats", "1", "--warmup", "0"]}


def options(command):
    """Returns (name, type of the value) of each option in the --help of a command. The type is None without a value."""
    found = []
    for line in merope.run(*command.split(), "--help").stdout.decode().splitlines():
        match = re.match(r" {2,4}((?:-\w|--[\w-]+)(?:,--?[\w-]+)*)(?:\{false\})?(?: ((?:TEXT|INT|UINT|FLOAT|SIZE)\S*))?", line)
        if match:
            found += [(name, match[2]) for name in match[1].split(",") if name not in ("-h", "--help")]
    return found


class Fuzz(merope.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.models = [str(tiny.make(kind, cls.scratch)) for kind in tiny.KINDS]
        (cls.scratch / "notes.txt").write_text("no model")
        (cls.scratch / "empty").write_bytes(b"")
        (cls.scratch / "in.jsonl").write_text(REQUESTS)
        (cls.scratch / "questions.jsonl").write_text(QUESTIONS)
        (cls.scratch / "lines").write_text('"hi"\n"a"\n')
        (cls.scratch / "config.json").write_text(json.dumps(merope.CONFIG))
        (cls.scratch / "prompts.json").write_text('[{"id": "a", "ids": [1, 2, 3]}]')
        cut = pathlib.Path(cls.models[-1]).read_bytes()
        (cls.scratch / "cut.gguf").write_bytes(cut[:len(cut) // 2])
        cls.options = {command: options(command) for command in COMMANDS}

    def draw(self, number, out):
        """Returns the command, and the arguments of the command line with this number."""
        chance = random.Random(f"{SEED} {number}")
        # A report takes seconds: one command line in fifty is a report.
        command = chance.choice([c for c in COMMANDS if c != "report"]) if chance.random() > 0.02 else "report"
        places = {"model": chance.choice(self.models), "scratch": self.scratch, "out": out}
        if chance.random() < 0.1:
            places["model"] = chance.choice([self.scratch / name for name in ("cut.gguf", "notes.txt", "none", "empty")] + ["", "/dev/null"])

        def value(name, kind):
            if name in VALUES and chance.random() < 0.9:
                return chance.choice(VALUES[name][:2] if chance.random() < 0.5 else VALUES[name])  # valid ones stand first
            choices = re.search(r"\{([^}]+)\}", kind)
            if choices and chance.random() < 0.8:
                return chance.choice(choices[1].split(","))
            if chance.random() < 0.7:  # a valid value in most cases
                return "2" if re.match("U?INT|SIZE", kind) else "0.5" if kind.startswith("FLOAT") else chance.choice(["auto", "a"])
            pool = chance.choice([NUMBERS, NUMBERS, TEXTS, FILES] if name not in VALUES else [TEXTS])
            return chance.choice(pool)

        line = [*BASIS.get(command, [])]
        for _ in range(chance.choice([0, 1, 1, 2, 3, 5])):
            name, kind = chance.choice(self.options[command])
            if name in line and kind and chance.random() < 0.95:  # most options are refused if they are given twice
                at = line.index(name)
                del line[at:at + 2]
            if chance.random() < 0.03:
                name += chance.choice(["x", "=", "=1"])
            line.append(name)
            if kind and chance.random() < 0.97 or chance.random() < 0.02:
                line.append(value(name, kind or "TEXT"))
        for word in POSITIONALS.get(command, ["{model}"]):
            if chance.random() < 0.97:
                line.append(chance.choice(TEXTS) if word == "TEXT" else chance.choice(NUMBERS) if word == "NUMBER" else word)
        if chance.random() < 0.1:
            chance.shuffle(line)
        filled = [re.sub(r"\{(model|scratch|out)\}", lambda m: str(places[m[1]]), word) for word in line]
        return command, command.split() + filled

    def check(self, number):
        """Runs the command line with this number. Returns a description of the fault, or None."""
        out = self.scratch / f"out{number}"
        out.mkdir()
        command, line = self.draw(number, out)
        shown = f"seed {SEED}, number {number}: merope {shlex.join(line)}"
        process = subprocess.Popen(
            [merope.BIN, *line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=out,
            env={**os.environ, "HF_HUB_OFFLINE": "1"})
        allowed = {0, 3, 64} | ({1, 2} if command in VERDICTS else set())
        try:
            _, error = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            allowed.add(130)
            try:
                _, error = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return f"{shown}\n  does not end on Ctrl-C"
        shutil.rmtree(out, ignore_errors=True)
        error = error.decode(errors="replace")
        wrong = [word for word in ("internal error", "Sanitizer", "runtime error", "terminate called") if word in error]
        if process.returncode not in allowed:
            wrong.append(f"exit code {process.returncode}")
        if process.returncode == 3 and error.count("merope: error: ") != 1:
            wrong.append("no line of error, or more than one")
        if process.returncode == 64 and not error.strip():
            wrong.append("a wrong command line, and not a word")
        self.codes[process.returncode] = self.codes.get(process.returncode, 0) + 1
        return f"{shown}\n  {'; '.join(wrong)}\n  {error[-400:]}" if wrong else None

    def work(self):
        wrong = []
        while time.monotonic() < self.end and len(wrong) < 10:
            if message := self.check(next(self.numbers)):
                wrong.append(message)
        return wrong

    def test_no_command_line_does_harm(self):
        for command, found in self.options.items():
            self.assertGreater(len(found), 1, f"options of {command}")
        self.codes = {}
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.end, self.numbers, wrong = time.monotonic() + SECONDS, itertools.count(), []
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for worker in [pool.submit(self.work) for _ in range(os.cpu_count())]:
                wrong += worker.result()
        print(f"seed {SEED}: {sum(self.codes.values())} command lines, exit codes {dict(sorted(self.codes.items()))}")
        self.assertEqual(wrong, [], "\n".join(wrong))
        for code in (0, 3, 64):
            self.assertIn(code, self.codes)


if __name__ == "__main__":
    merope.main()
