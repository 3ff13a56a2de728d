"""Runs every subcommand on every kind of model. The table CELLS gives the exit codes and the checks of the output.

A row of CELLS is a command line. The command line runs once on each kind of model that tiny.py makes. Rows with ALL also run on
SmolLM2 (MEROPE_SMOLLM2). {model} is the model, and {here} is a directory that belongs to one cell.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import signal
import unittest

import merope
import tiny

SMOLLM2 = os.environ.get("MEROPE_SMOLLM2", "")
VERDICTS = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2}
SOURCE = merope.ROOT / "VERSION"
REQUESTS = [{"prompt": "hi", "max_tokens": 3, "ignore_eos": True}, {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3},
            {"prompt": "hi", "top_p": 2}]


class Done:
    """The result of a cell. kind is None for SmolLM2 and without a model."""

    def __init__(self, process, here, kind):
        self.code, self.here, self.kind = process.returncode, here, kind
        self.out, self.error = process.stdout.decode(errors="replace"), process.stderr.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.out)


def same(expected, found, what=""):
    assert expected == found, f"{what}: expected {expected!r}, found {found!r}"


def lines(*patterns):
    """Returns a check: each pattern matches a line of standard output."""
    def check(done):
        for pattern in patterns:
            assert re.search(pattern, done.out, re.M), f"no line matches {pattern!r}:\n{done.out}"
    return check


def ran(tokens, threads=None):
    def check(done):
        answer = done.json
        same(tokens, len(answer["ids"]), "ids")
        same(tokens, len(answer["logprobs"]), "logprobs")
        assert all(isinstance(value, float) and value <= 0 for value in answer["logprobs"]), answer["logprobs"]
        same("length", answer["finish_reason"], "finish_reason")
        if threads:
            same(threads, answer["threads"], "threads")
    return check


def cited(done):
    if done.code == 3:
        return lines_of_error(done, "query: expected at most")
    answer = done.json
    assert answer["generated_tokens"] <= 8 and answer["state"] in ("truncated", "no_citation", "answered"), answer["state"]
    same({"given": 1, "seen": 1, "cut": False}, answer["sources"], "sources")


def fills(length):
    """Returns a check: prompt and answer together have this number of tokens."""
    def check(done):
        answer = done.json
        same(length, answer["prompt_tokens"] + len(answer["ids"]), "tokens")
    return check


def chatted(done):
    if done.code == 0:
        same(3, len(done.json["ids"]), "ids")
    else:
        assert "--chat: expected a chat template in the checkpoint, found none" in done.error, done.error


def answered(done):
    results = {r["custom_id"]: r for r in map(json.loads, (done.here / "out.jsonl").read_text().splitlines())}
    chat = 200 if done.kind is None or done.kind.chat else 400
    same([200, chat, 400], [results[str(i)]["response"]["status_code"] for i in range(3)], "status codes")
    same(3, results["0"]["response"]["body"]["usage"]["completion_tokens"], "completion_tokens")
    lines(r"out\.jsonl: 3 requests answered, %d of them with an error" % (1 if chat == 200 else 2))(done)


def inspected(done):
    found, kind = done.json, done.kind
    same(True, found["weights"]["ok"], "weights.ok")
    same(0, found["weights"]["nan"] + found["weights"]["inf"], "NaN and infinities")
    if kind:
        same(kind.context, found["config"]["max_position_embeddings"], "context")
        same(kind.tied, found["config"]["tie_word_embeddings"], "tied")
        same("yes" if kind.chat else "none", found["chat_template"], "chat_template")
        same(1 if kind.eos else 0, len(found["eos_token_ids"]), "eos_token_ids")
        same("gguf" if kind.form == "gguf" else "safetensors", found["format"], "format")


def tokenized(done):
    same(len(done.json["ids"]), len(done.json["pieces"]), "pieces")
    same("hiĠa", "".join(done.json["pieces"]), "pieces")


def verdict(done):
    """Checks that the exit code belongs to the printed verdict."""
    found = done.json["verdict"] if done.out.startswith("{") else re.findall(r"^(PASS|FAIL|INCONCLUSIVE)\b", done.out, re.M)[-1]
    same(VERDICTS[found], done.code, f"exit code of {found}")
    assert done.out.startswith("{") or re.search(r"^  \(9\) ", done.out, re.M), done.out


def reported(done):
    report = json.loads((done.here / "report.json").read_text())
    for name in ("report.en.md", "report.en.html", "report.zh.md", "report.zh.html"):
        assert (done.here / name).stat().st_size > 5000, f"{name} is short"
        assert str(done.here / name) in done.out, done.out
    same(True, report["weights"]["ok"], "weights.ok")
    same({"compiled"}, {c["mode"] for c in report["latency"]["cases"]}, "modes")
    modes = [c["mode"] for c in report["eager_beside_compiled"]["cases"]]
    same(["eager", "compiled"] * max(len(modes) // 2, 1), modes, "modes side by side")
    same(VERDICTS[report["verify"]["verdict"]], done.code, "exit code")


def timed(*cases):
    def check(done):
        found = [(c["mode"], c["batch_size"], c["input_len"], c["output_len"]) for r in done.json["results"] for c in r["cases"]]
        same(list(cases), found, "cases")
    return check


def throughput(done):
    same((24, 12), (done.json["prompt_tokens"], done.json["output_tokens"]), "tokens")
    assert done.json["cases"][0]["elapsed_s"]["p50"] > 0


def quantized(done):
    inspected = merope.run("inspect", done.here / "q", "--json")
    same(0, inspected.returncode, "inspect of what was written")
    same("INT8", json.loads(inspected.stdout)["config"]["dtype"], "dtype")


def fits(done):
    inspected(done)
    cache = done.json["kv_cache"]
    same(8 << 20, cache["budget_bytes"], "budget_bytes")
    for dtype in ("bf16", "fp32"):
        tokens = (8 << 20) // cache[dtype]["bytes_per_token"]
        same((tokens, tokens // 64), (cache[dtype]["tokens"], cache[dtype]["requests_of_64_tokens"]), f"{dtype}: tokens, requests")


def counted(done):
    chat = done.kind is None or done.kind.chat
    same((3, 1 if chat else 2, 0), tuple(done.json[name] for name in ("answered", "failed", "before")), "counts")


def prompts_within(length):
    """Returns a check: the longest prompt of the verification has this number of tokens. Positions whose tokens so far begin an
    earlier prompt are not compared again: the first ones of a prompt."""
    def check(done):
        verdict(done)
        same(length, done.json["context"], "context")
        longest = max(prompt["positions"] for prompt in done.json["positions"]["by_prompt"])
        same(True, length - 4 <= longest <= length, f"positions of the longest prompt, {longest}")
    return check


def named(*fields):
    """Returns a check: standard output is a JSON object with these values."""
    def check(done):
        for field, value in fields:
            same(str(value).format(here=done.here), str(done.json[field]), field)
    return check


def evaluated(done):
    if done.code == 3:
        return lines_of_error(done, "query")
    systems = done.json["systems"]
    same(2, len(systems), "systems")
    same("lexical", systems[0]["name"], "first system")
    for system in systems:
        same(1, system["figures"]["verbatim"]["value"] if system["figures"]["cited"]["value"] else 1, "verbatim citations")
        same((2, 1), (system["figures"]["cited"]["n"], system["figures"]["f1"]["n"]), "questions")


def any_of(*codes):
    return codes


def own_integers(kind):
    return kind is not None and kind.weights in ("int8", "int4")


RUN = ["run", "{model}", "hi a", "--ignore-eos"]
BATCH = ["batch", "{model}", "{here}/in.jsonl", "{here}/out.jsonl"]
LATENCY = ["bench", "latency", "{model}", "--input-len", 4, "--output-len", 3, "--repeats", 1, "--warmup", 0]
THROUGHPUT = ["bench", "throughput", "{model}", "--num-prompts", 3, "--input-len", 8, "--output-len", 4, "--repeats", 1,
              "--warmup", 0]
SMALL = ["--max-model-len", 64, "--threads", 1]
CACHE = ["--kv-cache-memory", "8M"]
VERDICT = any_of(0, 1, 2)  # verdict() checks which
ALL, TINY = "all", "tiny"  # ALL: also on SmolLM2; TINY: only on tiny models (the demo runs report on SmolLM2)

# The command line; the exit code, a tuple of allowed exit codes, or a function from the kind to one of these; the check; the
# models.
CELLS = [
    (["inspect", "{model}"], 0, lines(r"^Weight check +OK$", r"^Chat template (yes|none)$"), ALL),
    (["inspect", "{model}", "--json"], 0, inspected, ALL),
    (["inspect", "{model}", "--json"] + SMALL + CACHE, 0, fits, ALL),
    (["tokenize", "{model}", "hi a"], 0, lines(r'^ +\d+  "\w'), ALL),
    (["tokenize", "{model}", "hi a", "--json"], 0, tokenized, TINY),
    (["detokenize", "{model}", 40, 41], 0, lines(r"^.+$"), ALL),
    (["detokenize", "{model}", 40, 41, "--json"], 0, lambda done: same(["text"], list(done.json), "fields"), TINY),
    (RUN + ["--max-tokens", 5], 0, lines("."), ALL),
    (RUN + ["--max-tokens", 5, "--json"], 0, ran(5), ALL),
    (RUN + ["--max-tokens", 5, "--json", "--threads", 3], 0, ran(5, threads=3), ALL),
    (RUN + ["--max-tokens", -1, "--json", "--max-model-len", 64], 0, fills(64), ALL),
    (RUN + ["--max-tokens", -1, "--json", "--max-model-len", 128], 0, fills(128), TINY),
    (RUN + ["--max-tokens", 5, "--json"] + SMALL + CACHE, 0, ran(5, threads=1), ALL),
    (RUN + ["--kv-cache-memory", 1], 3, lambda done: lines_of_error(done, "kv_cache_memory"), ALL),
    (RUN + ["--max-model-len", 1 << 20], 3, lambda done: lines_of_error(done, "max_model_len"), ALL),
    (RUN + ["--max-tokens", 2, "--dtype", "int8", "--kv-dtype", "int8", "--enforce-eager"],
     lambda kind: 3 if kind and kind.weights == "int4" else 0, lambda done: None, ALL),
    (["run", "{model}", "hi", "--chat", "--max-tokens", 3, "--ignore-eos", "--json"],
     lambda kind: 0 if kind is None or kind.chat else 3, chatted, ALL),
    # A chat model needs an instruction, which does not fit into a short context.
    (["ask", "{model}", "hi", "--source", SOURCE, "--max-tokens", 8, "--json"],
     lambda kind: 3 if kind and kind.form == "gguf" and kind.context == tiny.SHORT else 0, cited, ALL),
    (["ask", "{model}", "hi", "--source", SOURCE, "--max-tokens", 8, "--max-model-len", 64],
     lambda kind: 0 if kind and kind.form == "hf" else 3, lambda done: None, ALL),
    (["rag-eval", "{model}", "{here}/questions.jsonl", "--max-tokens", 8, "--json"],
     lambda kind: 3 if kind and kind.form == "gguf" and kind.context == tiny.SHORT else 0, evaluated, ALL),
    (["rag-eval", "{here}/questions.jsonl"], 0, lines(r"^\| Right sentence \| 100.0 % \|$"), TINY),
    (BATCH, 0, answered, ALL),
    (BATCH + SMALL + CACHE, 0, answered, ALL),
    (BATCH + SMALL + CACHE + ["--json"], 0, counted, TINY),
    (BATCH + ["--kv-cache-memory", 1], 3, lambda done: lines_of_error(done, "kv_cache_memory"), ALL),
    (["verify", "{model}", "--quick"], VERDICT, verdict, ALL),
    (["verify", "{model}", "--quick", "--json", "--threads", 1], VERDICT, verdict, TINY),
    (["verify", "{model}", "--quick", "--json", "--max-model-len", 24] + CACHE, VERDICT, prompts_within(24), TINY),
    (["verify", "{model}", "--quick", "--kv-cache-memory", 1], 3, lambda done: lines_of_error(done, "kv_cache_memory"), TINY),
    (["verify", "{model}", "--quick", "--json", "--bundle", "{here}/evidence"], VERDICT, verdict, TINY),
    (["verify", "{model}", "--quick", "--json", "--dtype", "int4"],
     lambda kind: 3 if kind.weights == "int8" else VERDICT,
     lambda done: lines_of_error(done, "int4") if done.code == 3 else verdict(done), TINY),
    (LATENCY + ["--mode", "compiled"], 0, lines(r"^  \w+ +compiled +1 +0 +4 +3 "), ALL),
    (LATENCY + SMALL + CACHE + ["--json", "--batch-size", "1,2"], 0,
     timed(("eager", 1, 4, 3), ("compiled", 1, 4, 3), ("eager", 2, 4, 3), ("compiled", 2, 4, 3)), TINY),
    (LATENCY + ["--kv-cache-memory", 1], 3, lambda done: lines_of_error(done, "kv_cache_memory"), TINY),
    (THROUGHPUT, 0, lines(r"^Total num prompt tokens: +24$", r"^Total num output tokens: +12$"), ALL),
    (THROUGHPUT + SMALL + CACHE + ["--json"], 0, throughput, ALL),
    (["quantize", "{model}", "{here}/q", "--dtype", "int8"], lambda kind: 3 if own_integers(kind) else 0,
     lambda done: own_integers(done.kind) or quantized(done), ALL),
    (["quantize", "{model}", "{here}/q", "--dtype", "int4", "--threads", 1, "--json"], lambda kind: 3 if own_integers(kind) else 0,
     lambda done: own_integers(done.kind) or named(("directory", "{here}/q"), ("dtype", "int4"))(done), TINY),
    (["report", "{model}", "--quick", "-o", "{here}"], VERDICT, reported, TINY),
    (["report", "{model}", "--quick", "-o", "{here}/r", "--kv-cache-memory", 1], 3,
     lambda done: lines_of_error(done, "kv_cache_memory"), TINY),
    (["report", "{model}", "--quick", "-o", "{here}/r", "--max-model-len", 1 << 20], 3,
     lambda done: lines_of_error(done, "max_model_len"), TINY),
]
# The command lines without a model run once.
ONCE = [
    (["bench", "roofline", "--seconds", 0.1], 0, lines("^  memory read, GB/s", "^  int8 dot product"), TINY),
    (["bench", "roofline", "--seconds", 0.1, "--threads", 1, "--json"], 0, lambda done: same(1, len(done.json["rows"]), "rows"), TINY),
    (["synth", "--like", "{here}/config.json", "{here}/made", "--dtype", "f16"], 0, lines("F16, seed 0$"), TINY),
    (["synth", "--like", "{here}/config.json", "{here}/made", "--json"], 0, named(("directory", "{here}/made"), ("dtype", "BF16"), ("seed", 0)),
     TINY),
    (["replay", "{here}"], 3, lambda done: lines_of_error(done, "manifest.json"), TINY),
    (["pull", "org/name"], 3, lambda done: lines_of_error(done, "HF_HUB_OFFLINE"), TINY),
    (["pull", "org/name", "--file", "*.gguf", "--from", "modelscope", "--json"], 3, lambda done: lines_of_error(done, "HF_HUB_OFFLINE"), TINY),
    (["doctor"], 0, lines("^merope$", "^machine$"), TINY),
    (["doctor", "--json"], 0, lambda done: same({"merope", "machine"}, {"merope", "machine"} & set(done.json), "parts"), TINY),
]


def lines_of_error(done, word):
    same(1, sum(line.startswith("merope: error: ") and word in line for line in done.error.splitlines()), f"errors about {word}")


def run_cell(cell, model, kind, here):
    """Runs a cell. Returns a description of the fault, or None."""
    arguments, expected, check, _ = cell
    here.mkdir()
    (here / "config.json").write_text(json.dumps(merope.CONFIG))
    (here / "questions.jsonl").write_text(
        '{"query": "hi", "sources": [{"text": "Hi all. Go on."}], "answers": ["all"], "source": 1, "quote": "Hi all.", "answerable": true}\n'
        '{"query": "a", "sources": [{"text": "B."}], "answers": [], "answerable": false}\n')
    (here / "in.jsonl").write_text("".join(json.dumps({
        "custom_id": str(i), "method": "POST", "body": body,
        "url": "/v1/chat/completions" if "messages" in body else "/v1/completions"}) + "\n" for i, body in enumerate(REQUESTS)))
    line = [str(a).format(model=model, here=here) for a in arguments]
    shown = "merope " + " ".join(line)
    done = Done(merope.run(*line, timeout=900), here, kind)
    expected = expected(kind) if callable(expected) else expected
    try:
        if done.code < 0:
            raise AssertionError(f"ended by {signal.Signals(-done.code).name}")
        if done.code not in (expected if isinstance(expected, tuple) else (expected,)):
            raise AssertionError(f"expected exit code {expected}, found {done.code}")
        for word in ("internal error", "Sanitizer", "runtime error", "terminate called"):
            assert word not in done.error, f"standard error has {word!r}"
        check(done)
    except (AssertionError, KeyError, IndexError, ValueError, OSError) as wrong:
        return f"{shown}\n  {type(wrong).__name__}: {wrong}\n  {done.error[-500:]}"
    return None


class Matrix(merope.Case):
    def check(self, jobs):
        """Runs jobs (cell, model, kind), as many at a time as there are cores."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            running = [pool.submit(run_cell, cell, model, kind, self.scratch / f"{self.id()}-{i}")
                       for i, (cell, model, kind) in enumerate(jobs)]
        wrong = [message for message in (job.result() for job in running) if message]
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(running)} cells:\n" + "\n".join(wrong))

    def test_tiny_models(self):
        models = [(kind, tiny.make(kind, self.scratch)) for kind in tiny.KINDS]
        # The longest cells come first, so that all cores end at about the same time.
        cells = sorted(CELLS, key=lambda cell: ["report", "verify", "bench"].index(cell[0][0]) if cell[0][0] in
                       ("report", "verify", "bench") else 3)
        self.check([(cell, model, kind) for cell in cells for kind, model in models] + [(cell, "", None) for cell in ONCE])

    @unittest.skipUnless(SMOLLM2, "MEROPE_SMOLLM2 is not set (scripts/test sets it)")
    def test_smollm2(self):
        self.check([(cell, pathlib.Path(SMOLLM2).resolve(), None) for cell in CELLS if cell[3] == ALL])


if __name__ == "__main__":
    merope.main()
