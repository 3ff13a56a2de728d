"""Runs `merope verify --endpoint` against honest servers with ten sets of prompts, and prints how many verdicts were a false FAIL, and
the rate of false FAILs that so many runs exclude. Run with any Python 3; it needs build/real (models.py), build/peers/vllm
(benchmarks/peers/run) and MEROPE_ORACLES_PYTHON. The answers stay in build/real/honest, so an interrupted run goes on.

    honest.py [llamacpp] [vllm] [vllm-eager]

A set is 40 prompts of one kind, cut from files of this project."""

import json
import os
import pathlib
import random
import subprocess
import sys

import record
import servers

FOLDER = servers.ROOT / "build/real/honest"
MEROPE = os.environ.get("MEROPE_BIN", str(servers.ROOT / "build/release/merope"))
PROMPTS, LONGEST = 40, 200  # prompts of a set; characters of a prompt
SETS = {"documentation": "docs/*.md", "architecture": "*.md", "C++ headers": "src/*/*.h", "C++ sources": "src/*/*.cc",
        "kernels": "src/backend/cpu/kernels/*", "report texts (Chinese)": "src/report/section_*.cc", "Python": "python/merope/*.py",
        "tests": "tests/e2e/*.py", "build files": "cmake/*.cmake", "shell": "scripts/*"}


def prompts_of(name):
    """Lines of the files, cut at random places, the same in every run."""
    draws = random.Random(name)
    lines = []
    for path in sorted(servers.ROOT.glob(SETS[name])):
        if path.is_file():
            text = path.read_text()
            if "Chinese" in name:  # only the Chinese strings
                text = "\n".join(part for part in text.split('"') if any("\u4e00" <= c <= "\u9fff" for c in part))
            lines += [line.strip() for line in text.splitlines() if len(line.strip()) > 20]
    chosen = draws.sample(lines, min(PROMPTS, len(lines)))
    return [line[:draws.randint(20, LONGEST)].strip() for line in chosen]


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    runs = failed = 0
    print("| server | prompts | verdict | positions | tokens |\n|---|---|---|---|---|", flush=True)
    for server in sys.argv[1:] or record.MODELS:
        with record.start(server, FOLDER / f"{server}.log") as url:
            for name in SETS:
                file = FOLDER / f"{name}.jsonl"
                file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts_of(name)))
                answers = FOLDER / f"{server}, {name}.answers.jsonl"
                done = subprocess.run([MEROPE, "verify", record.SMOLLM2, "--quick", "--prompts", file, "--endpoint", url, "--answers", answers,
                                       "--numerics", "bf16" if server == "llamacpp" else "bf16-ops", "--json"], capture_output=True, text=True)
                if not done.stdout:
                    sys.exit(f"{server}, {name}: {done.stderr}")
                result = json.loads(done.stdout)
                runs, failed = runs + 1, failed + (result["verdict"] == "FAIL")
                by = [g["key"] for g in [*result["first_token"]["gates"], *result["positions"]["gates"]] if g["verdict"] != "PASS"]
                tokens = sum(len(r["prompt"]) + r["max_tokens"] for r in requests_in(answers))
                print(f"| {server} | {name} | {result['verdict']}{' (' + ', '.join(by) + ')' if by else ''} | "
                      f"{result['positions']['positions']:,} | {tokens:,} |", flush=True)
    # With no FAIL in n runs, a rate r above 1 − 0.05^(1/n) would have shown one with 95 %.
    bound = f"below {1 - 0.05 ** (1 / runs):.1%} with 95 % confidence" if failed == 0 else "see above"
    print(f"\n{failed} false FAIL in {runs} runs: the rate of false FAILs is {bound}")
    sys.exit(bool(failed))


def requests_in(answers):
    for line in answers.read_text().splitlines():
        kept = json.loads(line)
        if kept["path"] == "/v1/completions" and kept["request"]:
            request = json.loads(kept["request"])
            if isinstance(request["prompt"], list):
                yield request


if __name__ == "__main__":
    main()
