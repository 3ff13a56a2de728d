"""Starts real servers on a model inside the project, named by its path from the project's root, so that no answer holds a path of a
machine: vLLM for CPUs (benchmarks/peers/run installs it) and llama.cpp's (in the oracles' package xllamacpp)."""

import contextlib
import glob
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
VLLM = ROOT / "build/peers/vllm"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def running(command, url, log, environment=None, seconds=600):
    """Runs the command until the end of the block. The block begins when the server lists its models."""
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True, cwd=ROOT,
                                   env={**os.environ, **(environment or {})})
    try:
        end = time.monotonic() + seconds
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode}; see {log}")
            try:
                with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as answer:
                    answer.read()
                break
            except OSError:
                if time.monotonic() > end:
                    raise RuntimeError(f"{command[0]} did not answer within {seconds} s; see {log}") from None
                time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def vllm(model, log, eager=False, options=()):
    """`vllm serve` on all cores, in bf16."""
    port = free_port()
    preload = [*glob.glob(f"{VLLM}/libraries/usr/lib/*/libtcmalloc_minimal.so.4"), *glob.glob(f"{VLLM}/venv/lib/libiomp5.so")]
    environment = {"LD_PRELOAD": ":".join(preload), "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
                   "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
                   "VLLM_CACHE_ROOT": f"{VLLM}/cache", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    # `vllm serve` does not start: it looks for the package vllm, and this one is called vllm-cpu.
    command = [f"{VLLM}/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", str(port),
               "--dtype", "bfloat16", "--max-model-len", "2048", *(["--enforce-eager"] if eager else []), *options]
    return running(command, f"http://127.0.0.1:{port}", log, environment)


LLAMACPP = """
import sys, time, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port, p.n_ctx, p.n_parallel, p.warmup = sys.argv[1], ["127.0.0.1"], int(sys.argv[2]), 8192, 4, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = int(sys.argv[3])
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
while True:
    time.sleep(60)
"""


def llamacpp(model, log):
    port = free_port()
    python = os.environ.get("MEROPE_ORACLES_PYTHON", sys.executable)
    return running([python, "-c", LLAMACPP, str(model), str(port), str(len(os.sched_getaffinity(0)))], f"http://127.0.0.1:{port}", log)
