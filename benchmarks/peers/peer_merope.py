"""A worker for merope itself, like the worker of a peer. Runs `merope bench latency` and
`merope bench throughput`.

The variant is a dtype, or DTYPE-MODE.
"""

import json
import os
import shlex
import subprocess
import sys

import peer as base

# merope's eager mode is compared with the compiled mode in the same way as a peer.
PEER = base.Peer(
    name="merope-eager",
    folder="merope",
    variants={"bf16-eager": "bf16", "int8-eager": "int8", "int4-eager": "int4"},
    requirements="",
    as_is=("bf16-eager", "int8-eager", "int4-eager"),
    without_batches=("bf16-eager", "int8-eager"),
)
MODES = {
    "": ["--mode", "compiled"],
    "plain": ["--mode", "compiled", "--weights", "plain"],
    "eager": ["--mode", "eager"],
}


def run(command, *options):
    command = [*command, *map(str, options), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}: ended with {done.returncode}")
    return json.loads(done.stdout)


def measure(bench, request):
    """bench: the command (merope, "bench"), and the options for both benchmarks, latency and
    throughput."""
    program, options = bench
    lengths = ["--input-len", request["input"], "--output-len", request["output"]]
    runs = ["--warmup", request["warmup"], "--repeats", request["repeats"]]
    answer = run([*program, "latency", *options], *lengths, *runs, "--batch-size", request["batch"])
    (result,) = answer.pop("results")
    (case,) = result["cases"]
    result |= answer
    total = case["latency_s"]["p50"]
    if request["batch"] > 1:  # the throughput benchmark runs a whole job on the engine
        prompts = ["--num-prompts", request["batch"], "--max-num-seqs", request["batch"], "--no-prefix-cache"]
        mode = ["--enforce-eager"] if "eager" in options else []
        shared = [option for option in options if option not in ("--mode", "eager", "compiled")]
        # merope's process is new in each turn, and the peer's process is not. One run before the
        # measurement therefore takes the memory for keys and values.
        runs = ["--warmup", max(1, request["warmup"]), "--repeats", request["repeats"]]
        answer = run([*program, "throughput", *shared, *mode], *lengths, *runs, *prompts)
        total = answer["cases"][0]["elapsed_s"]["p50"]
    steps = request["output"] - 1
    return result, {
        "prefill_s": case["ttft_s"]["p50"],
        "decode_tok_s": request["batch"] / case["tpot_s"]["p50"] if steps else None,
        "total_s": total,
        "peak_rss_bytes": result["peak_rss_bytes"],
        "decode_bytes": case["decode_bytes"],
        "read_bytes_s": case["probed_bandwidth_bytes_s"]["p50"],
    }


def main(variant, model, threads):
    dtype, _, mode = variant.partition("-")
    options = ["--dtype", dtype, "--threads", threads, *MODES[mode]]
    bench = ([os.environ["MEROPE"], "bench"], [model, *options])
    result, _ = measure(bench, {"input": 8, "output": 2, "batch": 1, "warmup": 0, "repeats": 1})
    ready = {
        "ready": True,
        "load_s": result["open_s"] + result["load_s"],
        "versions": {"merope": result["version"]},
        "flags": f"{result['backend']}, {result['dtype']}, {' '.join(options)}",
    }
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(bench, json.loads(line))[1]), flush=True)


if __name__ == "__main__":
    assert sys.argv[1] == "serve"
    main(*sys.argv[2:])
