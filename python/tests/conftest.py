"""Fixtures: a tiny random checkpoint that all tests share, SmolLM2 if MEROPE_SMOLLM2 is set, the program if it is built, and
servers."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from merope import LLM, _native

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ["HF_HUB_OFFLINE"] = "1"  # no test uses the network

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 100_000, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "vocab_size": 512, "tie_word_embeddings": False, "dtype": "float32",
    "bos_token_id": 1, "eos_token_id": 2}
TEMPLATE = ("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
            "{% for d in documents or [] %}<{{ d.title }}>{% endfor %}"
            "{% if add_generation_prompt %}[assistant] {% endif %}")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    _native.synthesize(str(folder / "model"), str(folder / "config.json"), 7)
    tokenizer = folder / "model" / "tokenizer_config.json"
    tokenizer.write_text(json.dumps({**json.loads(tokenizer.read_text()), "chat_template": TEMPLATE}))
    return folder / "model"


@pytest.fixture(scope="session")
def llm(model: pathlib.Path) -> LLM:
    return LLM(model, max_model_len=2048, max_num_seqs=64, max_logprobs=-1)


@pytest.fixture(scope="session")
def smollm2() -> LLM:
    if not os.environ.get("MEROPE_SMOLLM2"):
        pytest.skip("MEROPE_SMOLLM2 is not set (scripts/test sets it)")
    return LLM(os.environ["MEROPE_SMOLLM2"], dtype="bfloat16", max_model_len=1024)


@pytest.fixture(scope="session")
def program():
    """Runs the program, and returns what has ended."""
    path = os.environ.get("MEROPE_BIN", str(ROOT / "build/release/merope"))
    if not os.access(path, os.X_OK):
        pytest.skip(f"{path} is not built, and MEROPE_BIN names no other")

    def run(*arguments, codes=(0, 1, 2)):
        done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=300)
        assert done.returncode in codes, done.stderr
        return done
    return run


@pytest.fixture
def start_server():
    """Starts a server of tests/e2e/endpoints.py, and returns its URL."""
    running = []

    def start(*arguments):
        process = subprocess.Popen([sys.executable, ROOT / "tests/e2e/endpoints.py", *map(str, arguments)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        running.append(process)
        return process.stdout.readline().strip()
    yield start
    for process in running:
        process.communicate()
