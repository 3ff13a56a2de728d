"""scripts/run_precision_analysis.py and scripts/run_accuracy_benchmark.py, as the reference report names them."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

PRECISION, BENCHMARK = "run_precision_analysis.py", "run_accuracy_benchmark.py"
BOTH = pytest.mark.parametrize("script", [PRECISION, BENCHMARK])
TIMES = {"seconds", "baseline_tokens_per_second", "target_tokens_per_second"}


def run(script, *arguments, code=0):
    done = subprocess.run([sys.executable, ROOT / "scripts" / script, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def small(model, tmp_path_factory):
    """The model with a context of 64 tokens, for a short grid."""
    folder = tmp_path_factory.mktemp("small")
    for path in model.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    return folder


@pytest.mark.parametrize("dtype", ["bf16", "int4"])
def test_the_exit_code_is_the_commands(small, program, dtype):
    command = program("verify", small, "--quick", "--dtype", dtype, "--json")
    done = run(PRECISION, small, "--quick", "--dtype", dtype, "--json", code=command.returncode)
    printed, expected = json.loads(done.stdout)["target"], json.loads(command.stdout)
    assert {name: value for name, value in printed.items() if name not in TIMES} == {
        name: value for name, value in expected.items() if name not in TIMES}


def test_the_tables_of_precision(small, program, tmp_path):
    code = program("verify", small, "--quick").returncode
    done = run(PRECISION, small, "--quick", "-o", tmp_path / "out.md", code=code)
    assert done.stdout == ""
    text = (tmp_path / "out.md").read_text()
    rows = [line for line in text.splitlines() if "What is RAG in AI?" in line]
    assert len(rows) == 1 and rows[0].startswith("|   1 | What is RAG in AI? ")
    assert len([line for line in text.splitlines() if line.endswith("|") and line.split("|")[1].strip().isdigit()]) == 25
    for words in ("of 25 prompts have the same top-1 token", "| top-1 match rate ", "≥ 0.99", "| KL divergence (nat) ", "| Spearman rank correlation ",
                  "### All positions", f"Verdict: {('PASS', 'FAIL', 'INCONCLUSIVE')[code]}"):
        assert words in text


def test_the_tables_of_speed(small, program):
    code = program("verify", small, "--quick").returncode
    text = run(BENCHMARK, small, "--quick", code=code).stdout
    for words in ("### Prompt by prompt", "### eager", "### compiled", "### Summary", "| input | output | latency s |", "speedup over eager"):
        assert words in text
    assert text.index("## Precision") < text.index("## Speed")


def test_servers(small, start_server, program):
    url = start_server("TimedServer", 0.001, 0.0001)
    # This server gives no logprobs: the error is that of the command.
    error = program("verify", small, "--quick", "--endpoint", url, codes=[3]).stderr
    done = run(PRECISION, small, "--quick", "--endpoint", url, code=3)
    assert done.stderr.startswith(f"{PRECISION}: error: ") and done.stdout == ""
    assert done.stderr.split("error: ", 1)[1] == error.split("error: ", 1)[1]


def test_precision_and_speed_of_two_servers(small, start_server):
    url = start_server("StreamingServer", small, "--dtype", "bf16")
    done = subprocess.run([sys.executable, ROOT / "scripts" / BENCHMARK, small, "--quick", "--json", "--dtype", "bf16", "--endpoint", url,
                           "--endpoint-eager", url], capture_output=True, text=True, timeout=300)
    printed = json.loads(done.stdout)
    assert list(printed["precision"]) == ["compiled", "eager"]
    verdicts = [result["verdict"] for result in printed["precision"].values()]
    assert done.returncode == (1 if "FAIL" in verdicts else 2 if "INCONCLUSIVE" in verdicts else 0)
    assert [(case["mode"], case["input_len"], case["output_len"]) for case in printed["speed"]["cases"]] == [
        (mode, length, 32) for length in (16, 32) for mode in ("eager", "compiled")]


@BOTH
def test_help_has_examples(script):
    text = run(script, "--help").stdout
    assert f"scripts/{script} SmolLM2-135M-Instruct.gguf --quick" in text and "exit codes: 0 PASS; 1 FAIL; 2 INCONCLUSIVE" in text


@BOTH
@pytest.mark.parametrize("arguments", [[], ["model", "--fast"], ["model", "more"], ["model", "--endpoint-eager", "http://127.0.0.1:9"]])
def test_wrong_usage(script, arguments):
    assert f"{script}: error: " in run(script, *arguments, code=64).stderr


@BOTH
def test_what_cannot_be_done(script, small, tmp_path):
    assert "/no/such" in run(script, "/no/such", code=3).stderr
    assert "dtype: expected" in run(script, small, "--dtype", "fp8", code=3).stderr
    assert "endpoint: expected http" in run(script, small, "--endpoint", "x", code=3).stderr
    assert "No such file" in run(script, small, "-o", tmp_path / "no/such/out.md", code=3).stderr
