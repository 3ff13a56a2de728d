"""Runs `merope verify --endpoint` against servers that lie, and prints a table: what found each lie, and with how many tokens. Run with
the Python of the oracles.

    lies.py [--upstream URL] [NAME ...]

Lies about answers are told by a proxy in front of the upstream server (tests/e2e/endpoints.py). Lies about weights are told by
transformers with changed weights (tests/oracles/hf_server.py). Without --upstream, transformers with the true weights is the upstream."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "tests/oracles")]
import endpoints  # noqa: E402
import hf_server  # noqa: E402

SMOLLM2 = os.environ.get("MEROPE_SMOLLM2", str(ROOT / "build/models/SmolLM2-135M-Instruct.gguf"))
MEROPE = os.environ.get("MEROPE_BIN", str(ROOT / "build/release/merope"))
QUICK, DEFAULT = ["--quick"], ["--generate", "32"]
WEIGHTS = {"5-bit weights": hf_server.five_bit, "RoPE theta 10,000 for 100,000": hf_server.other_theta(0.1),
           "RoPE theta 5 % larger": hf_server.other_theta(1.05),
           "a merged LoRA of relative size 1 %": hf_server.merged_lora(0.01)}
ANSWERS = {"temperature ignored": endpoints.ignored_temperature, "logprobs after temperature 0.7": endpoints.tempered_logprobs(0.7),
           "a dropped token": endpoints.dropped_token, "a stale cache": endpoints.stale_cache(),
           "slow and broken answers (honest)": endpoints.broken(9)}


def verify(url, mode):
    done = subprocess.run([MEROPE, "verify", SMOLLM2, *mode, "--endpoint", url, "--numerics", "bf16-ops", "--json"],
                          capture_output=True, text=True)
    if not done.stdout:
        return {"verdict": f"exit code {done.returncode}", "by": done.stderr.splitlines()[-1], "tokens": 0}
    result = json.loads(done.stdout)
    gates = [*result["first_token"]["gates"], *result["positions"]["gates"]]
    by = [f["key"] for f in result["endpoint"]["probe"] if f["found"] == "WRONG"] + [g["key"] for g in gates if g["verdict"] == "FAIL"]
    return {"verdict": result["verdict"], "by": ", ".join(f"`{key}`" for key in by), "tokens": result["endpoint"]["tokens"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    model, tokenizer = hf_server.load(SMOLLM2)
    upstream = arguments.upstream or hf_server.HfServer(model, tokenizer).url
    cases = {"none (honest)": lambda: (upstream, QUICK)}
    for name, change in WEIGHTS.items():
        cases[name] = lambda change=change: (hf_server.HfServer(hf_server.changed(model, change), tokenizer).url, QUICK)
    for name, lie in ANSWERS.items():
        cases[name] = lambda lie=lie: (endpoints.Proxy(upstream, lie).url, QUICK)
    cases["every 100th answer of a model without its last ten layers"] = lambda: (endpoints.Proxy(upstream, endpoints.every(
        100, hf_server.HfServer(hf_server.changed(model, hf_server.without_last_layers(10)), tokenizer))).url, DEFAULT)
    print("| lie | verdict | found by | tokens |\n|---|---|---|---|", flush=True)
    for name in arguments.names or cases:
        found = verify(*cases[name]())
        print(f"| {name} | {found['verdict']} | {found['by']} | {found['tokens']:,} |", flush=True)


if __name__ == "__main__":
    main()
