"""merope itself, through `merope bench latency`: a worker like a peer's. The variant is a dtype, or DTYPE-MODE."""

import json
import os
import shlex
import subprocess
import sys

import peer as base

# The eager mode is compared with ours like a peer.
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


def measure(command, request):
    options = ["--input-len", request["input"], "--output-len", request["output"], "--batch-size", request["batch"]]
    options += ["--warmup", request["warmup"], "--repeats", request["repeats"], "--json"]
    command = [*command, *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}: ended with {done.returncode}")
    answer = json.loads(done.stdout)
    (result,) = answer.pop("results")
    (case,) = result["cases"]
    result |= answer
    steps = request["output"] - 1
    return result, {
        "prefill_s": case["ttft_s"]["p50"],
        "decode_tok_s": request["batch"] / case["tpot_s"]["p50"] if steps else None,
        "total_s": case["latency_s"]["p50"],
        "peak_rss_bytes": result["peak_rss_bytes"],
        "decode_bytes": case["decode_bytes"],
        "read_bytes_s": case["probed_bandwidth_bytes_s"]["p50"],
    }


def main(variant, model, threads):
    dtype, _, mode = variant.partition("-")
    options = ["--dtype", dtype, "--threads", threads, *MODES[mode]]
    command = [os.environ["MEROPE"], "bench", "latency", model, *options]
    result, _ = measure(command, {"input": 8, "output": 2, "batch": 1, "warmup": 0, "repeats": 1})
    ready = {
        "ready": True,
        "load_s": result["open_s"] + result["load_s"],
        "versions": {"merope": result["version"]},
        "flags": f"{result['backend']}, {result['dtype']}, {' '.join(options)}",
    }
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(command, json.loads(line))[1]), flush=True)


if __name__ == "__main__":
    assert sys.argv[1] == "serve"
    main(*sys.argv[2:])
