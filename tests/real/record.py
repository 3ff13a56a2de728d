"""Records the answers of real servers to `merope verify --quick`, for tests/e2e/recorded_test.py. Run with any Python 3; it needs
build/real (models.py), build/peers/vllm (benchmarks/peers/run) and MEROPE_ORACLES_PYTHON.

    record.py [llamacpp] [vllm] [vllm-eager]     writes tests/data/endpoints/NAME.jsonl.xz and prints each verdict
"""

import lzma
import os
import pathlib
import subprocess
import sys
import tempfile

import servers

DATA = servers.ROOT / "tests/data/endpoints"
SMOLLM2 = os.environ.get("MEROPE_SMOLLM2", str(servers.ROOT / "build/models/SmolLM2-135M-Instruct.gguf"))
MODELS = {"llamacpp": "build/real/bf16.gguf", "vllm": "build/real/hf", "vllm-eager": "build/real/hf"}


def start(name, log):
    if name == "llamacpp":
        return servers.llamacpp(MODELS[name], log)
    return servers.vllm(MODELS[name], log, eager=name == "vllm-eager")


def main():
    DATA.mkdir(parents=True, exist_ok=True)
    merope = os.environ.get("MEROPE_BIN", str(servers.ROOT / "build/release/merope"))
    for name in sys.argv[1:] or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            answers = pathlib.Path(folder) / "answers.jsonl"
            with start(name, servers.ROOT / f"build/real/{name}.log") as url:
                done = subprocess.run([merope, "verify", SMOLLM2, "--quick", "--endpoint", url, "--answers", answers, "--numerics",
                                       "bf16" if name == "llamacpp" else "bf16-ops"], capture_output=True, text=True)
            print(f"{name}: {(done.stdout.splitlines() or [done.stderr])[-1]}", flush=True)
            (DATA / f"{name}.jsonl.xz").write_bytes(lzma.compress(answers.read_bytes(), preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main()
