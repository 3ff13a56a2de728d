"""The description of a peer, and the worker that measures a peer.

A peer is one file in this folder, peer_NAME.py. `run` imports the file for its PEER, so the imports
at the top of the file must be of the standard library only. `run` installs the peer into
build/peers/FOLDER/venv, and runs the same file with the Python of that venv:

    peer_NAME.py convert VARIANT CHECKPOINT OUT    writes the checkpoint into OUT as the engine wants it
    peer_NAME.py serve VARIANT MODEL THREADS       a worker: JSON lines on stdin and stdout

A worker loads the model once and prints {"ready": …}. It then answers each request {"batch",
"input", "output", "warmup", "repeats"} with the medians of the requested work: `batch` prompts of
`input` random token ids each, and `output` greedy tokens for each prompt.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Peer:
    name: str
    folder: str  # under build/peers/
    variants: dict  # the peer's name of a format -> merope's dtype to compare with
    requirements: str  # the variable of scripts/versions.sh that pins its packages
    packages: tuple = ()  # packages whose versions are reported
    torch: bool = False  # install the pinned torch first, and keep this version
    system_libraries: str = ""  # versions.sh's variable: Debian packages to unpack beside the venv
    pip_options: tuple = ()
    build_environment: dict = field(default_factory=dict)
    as_is: tuple = ()  # variants that read the checkpoint without conversion
    without_batches: tuple = ()  # variants too slow for batches of more than 8
    environment: object = None  # function(folder, threads) -> the worker's environment variables


@dataclass
class Timing:
    """One run: the seconds until every prompt has its first token, and the seconds of the decode
    steps after that."""

    prefill: float
    decode: float
    decode_tokens: int  # tokens of all sequences in the `decode` seconds
    total: float


def prompts(batch, length, vocabulary, generator):
    """Returns random prompts without special tokens, whose ids are few and low."""
    return [[generator.randrange(16, vocabulary) for _ in range(length)] for _ in range(batch)]


def vocabulary(checkpoint):
    with open(os.path.join(checkpoint, "config.json")) as config:
        return json.load(config)["vocab_size"]


def summary(timings):
    """Returns the reply to one request: medians over the request's runs."""
    median = statistics.median
    decode = [t.decode_tokens / t.decode for t in timings if t.decode_tokens]
    return {
        "prefill_s": median(t.prefill for t in timings),
        "decode_tok_s": median(decode) if decode else None,
        "total_s": median(t.total for t in timings),
        "peak_rss_bytes": peak_rss(),
    }


def peak_rss():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def versions_of(packages):
    from importlib import metadata

    return {package: metadata.version(package) for package in packages}


def export(*arguments):
    """Runs a module of the peer as the exporter and exits with its exit code. The log ends with the
    exporter's output."""
    command = [sys.executable, "-m", *arguments]
    sys.exit(subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}).returncode)


def serve(peer, engine_class, variant, model, threads):
    # Libraries may write to stdout. stdout is therefore redirected to stderr, the log, and only the
    # replies use the pipe.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    start = time.perf_counter()
    engine = engine_class(variant, model, threads)
    load = time.perf_counter() - start
    ready = {"ready": True, "load_s": load, "versions": versions_of(peer.packages), "flags": engine.flags}
    print(json.dumps(ready), file=replies)
    generator = random.Random(0)
    for line in sys.stdin:
        request = json.loads(line)
        shape = request["batch"], request["input"], request["output"]
        run = lambda: engine.run(prompts(shape[0], shape[1], engine.vocabulary, generator), shape[2])
        for _ in range(request["warmup"]):
            run()
        print(json.dumps(summary([run() for _ in range(request["repeats"])])), file=replies)


def main(peer, convert, engine_class):
    command, *arguments = sys.argv[1:]
    if command == "convert":
        convert(*arguments)
    elif command == "serve":
        serve(peer, engine_class, arguments[0], arguments[1], int(arguments[2]))
    else:
        sys.exit(f"expected convert or serve, found {command}")
