"""merope.verify gives what `merope verify --json` prints, as objects."""

import dataclasses
import json
import subprocess
import sys
import threading
import time
import typing

import pytest

from merope import verify as module
from merope.verify import VerifyResult, verify

TIMES = {"seconds", "baseline_tokens_per_second", "target_tokens_per_second"}


@pytest.fixture(scope="module")
def result(model):
    return verify(model, quick=True, use_tqdm=False)


def without(content, names):
    return {name: value for name, value in content.items() if name not in names}


def test_it_is_what_the_command_prints(model, result, program):
    printed = json.loads(program("verify", model, "--quick", "--json").stdout)
    assert without(result.to_dict(), TIMES) == without(printed, TIMES)
    assert TIMES < result.to_dict().keys()


def members(value):
    """The JSON that a typed object holds."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: members(item) for name, item in fields.items() if item is not None or name not in OPTIONAL}
    if isinstance(value, list) and value and isinstance(value[0], module.PositionFigure):
        return {one.key: without(members(one), {"key"}) for one in value}
    if isinstance(value, (list, tuple)):
        return [members(item) for item in value]
    return value


OPTIONAL = {"endpoint", *(field.name for field in dataclasses.fields(module.PositionSuite) if field.default is None)}


def test_the_objects_hold_every_member(result):
    assert members(result) == result.to_dict()


def test_the_objects_have_their_types(result):
    assert isinstance(result.first_token.rows[0], module.FirstTokenRow)
    assert isinstance(result.first_token.rows[0].kl, float) and isinstance(result.first_token.rows[0].match, bool)
    assert len(result.first_token.rows) == 25
    assert result.verdict in typing.get_args(module.Verdict)
    assert result.positions.figure("kl").mean == result.to_dict()["positions"]["figures"]["kl"]["mean"]
    assert isinstance(result.positions.figure("kl").mean_interval, tuple)
    with pytest.raises(KeyError):
        result.positions.figure("kll")
    assert {gate.key for gate in result.first_token.gates} == {"top1_rate", "cosine", "one_minus_cosine", "kl", "spearman"}
    assert result.endpoint is None and result.mode == "quick"


def test_rows_make_a_table(result):
    for rows in (result.first_token.rows, result.first_token.gates, result.positions.figures, result.positions.gates, result.positions.by_prompt):
        assert all(list(dataclasses.asdict(row)) == [field.name for field in dataclasses.fields(rows[0])] for row in rows)
    try:
        import pandas
    except ImportError:
        return  # not a part of the package
    table = pandas.DataFrame(result.first_token.rows)
    assert list(table.columns)[:4] == ["prompt", "baseline_top1", "target_top1", "match"]
    assert len(table) == 25 and table["kl"].dtype == float and table["match"].dtype == bool
    assert table["kl"].mean() == pytest.approx(result.first_token.kl)


def test_to_dict_is_a_copy(result):
    result.to_dict()["first_token"]["rows"].clear()
    assert len(result.to_dict()["first_token"]["rows"]) == 25


def test_another_dtype_and_own_prompts(model, tmp_path, program):
    (tmp_path / "own.txt").write_text("One.\nTwo three.\n")
    options = ["--dtype", "int8", "--kv-dtype", "int8", "--prompts", tmp_path / "own.txt", "--threads", 1, "--max-model-len", 64]
    printed = json.loads(program("verify", model, "--quick", "--json", *options).stdout)
    found = verify(model, quick=True, dtype="int8", kv_cache_dtype="int8", prompts=tmp_path / "own.txt", num_threads=1, max_model_len=64)
    assert without(found.to_dict(), TIMES) == without(printed, TIMES)
    assert (found.target_dtype, found.threads, found.context) == ("int8", 1, 64)
    assert [row.id for row in found.positions.by_prompt if row.kind == "user"] == ["user-1", "user-2"]


def test_an_endpoint(model, start_server, program, tmp_path, caplog):
    url = start_server("StreamingServer", model, "--dtype", "bf16")
    answers = tmp_path / "answers.jsonl"
    found = verify(model, quick=True, endpoint=url, numerics="bf16", generate=4, answers=answers, concurrency=2)
    assert found.endpoint is not None and found.endpoint.url == url
    assert (found.endpoint.generate, found.endpoint.top_k, found.endpoint.numerics) == (4, 20, "bf16")
    assert found.endpoint.requests > 25 and "requests of" in caplog.text
    assert {one.key: one.found for one in found.endpoint.probe}["temperature"] == "yes"
    # The command, with the same answers.
    printed = json.loads(program("verify", model, "--quick", "--endpoint", url, "--numerics", "bf16", "--generate", 4, "--answers",
                                 answers, "--json").stdout)
    assert without(found.to_dict(), {"endpoint", *TIMES}) == without(printed, {"endpoint", *TIMES})
    spent = {"requests", "tokens", "repeated_tries"}
    assert without(found.to_dict()["endpoint"], spent) == without(printed["endpoint"], spent)
    assert members(found) == found.to_dict()


@pytest.mark.parametrize(("arguments", "words"), [
    ({"dtype": "fp8"}, "^dtype: expected auto, native, fp32"), ({"dtype": 5}, "^dtype: expected"),
    ({"kv_cache_dtype": "int4"}, "^kv_cache_dtype: expected auto or int8"),
    ({"quick": True, "full": True}, "^full: expected quick or full, found both"),
    ({"numerics": "bf16"}, "^numerics: expected an endpoint, a file"),
    ({"endpoint": "localhost:8000"}, "^endpoint: expected http://HOST:PORT"), ({"endpoint": ""}, "^endpoint: expected http"),
    ({"endpoint": "http://127.0.0.1:9", "timeout": 0}, "^timeout: expected 1 to 86400"),
    ({"endpoint": "http://127.0.0.1:9", "generate": 0}, "^generate: expected 1 to 4096, found 0"),
    ({"endpoint": "http://127.0.0.1:9", "top_logprobs": 1}, "^top_logprobs: expected 2 to"),
    ({"endpoint": "http://127.0.0.1:9", "concurrency": 257}, "^concurrency: expected 1 to 256"),
    ({"endpoint": "http://127.0.0.1:9", "max_tokens_total": 0}, "^max_tokens_total: expected 1 or more"),
    ({"endpoint": "http://127.0.0.1:9", "api_key_env": "MEROPE_NO_SUCH_KEY"}, "^api_key_env: expected the environment variable"),
    ({"endpoint": "http://127.0.0.1:9", "numerics": "fp8"}, "^numerics: expected bf16"),
    ({"endpoint": "http://127.0.0.1:9", "target": "x"}, "^target: expected a file of logits or an endpoint, found both"),
    ({"against": "x", "baseline": "y"}, "^against: "), ({"generate": 3}, "^generate: expected an endpoint, found none"),
    ({"answers": "x"}, "^answers: expected an endpoint, found none"), ({"num_threads": 0}, "^num_threads: expected 1 to 1024"),
    ({"max_model_len": 0}, "^max_model_len: expected 1 to"), ({"prompts": "no/such.txt"}, "no/such.txt"), ({"target": "no/such"}, "no/such"),
])
def test_wrong_values_are_named(model, arguments, words):
    with pytest.raises(ValueError, match=words):
        verify(model, **{"quick": "full" not in arguments, **arguments})


@pytest.mark.parametrize(("arguments", "words"), [
    ({"quick": 1}, "^quick: expected a bool"), ({"endpoint": 5}, "^endpoint: expected a URL or None"),
    ({"num_threads": "two"}, "^num_threads: expected an int"), ({"prompts": 5}, "PathLike"),
    ({"concurrency": "4"}, "^concurrency: expected an int"), ({"numerics": 16}, "^numerics: expected a string or None")])
def test_wrong_types_are_named(model, arguments, words):
    with pytest.raises(TypeError, match=words):
        verify(model, **arguments)


def test_a_model_that_is_not_there():
    with pytest.raises(ValueError, match="/no/such/model"):
        verify("/no/such/model", quick=True)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set, so fetch the model elsewhere with `merope pull org/nothing`"):
        verify("org/nothing", quick=True)


def test_progress_is_told(model):
    told = []

    class Bar:
        def __init__(self, total, desc):
            self.total, self.done = total, 0
            told.append((desc, self))

        def update(self, n):
            self.done += n

        def close(self):
            pass
    verify(model, quick=True, use_tqdm=Bar)
    assert {"bf16 emulation", "fp32 reference", "comparing"} <= {desc for desc, _ in told}
    assert all(0 < bar.done <= bar.total for _, bar in told)
    assert {desc: bar.done == bar.total for desc, bar in told}["comparing"]


def test_the_gil_is_free(model):
    found = []
    thread = threading.Thread(target=lambda: found.append(verify(model, quick=True, use_tqdm=False)))
    beats = 0
    thread.start()
    while thread.is_alive():
        time.sleep(0.01)
        beats += 1
    assert isinstance(found[0], VerifyResult)
    assert beats > 20 * min(found[0].seconds, 3)  # of 100 a second


INTERRUPTED = """
import os, signal, sys, threading, time
from merope.verify import verify
from merope.bench import latency
threading.Thread(target=lambda: (time.sleep(1.5), os.kill(os.getpid(), signal.SIGINT)), daemon=True).start()
started = time.time()
try:
    {call}
except KeyboardInterrupt:
    print("stopped after", time.time() - started)
"""


@pytest.mark.parametrize("call", [
    "verify(sys.argv[1], full=True, dtype='fp32')",  # all in double precision
    "latency(endpoint=sys.argv[2])"])
def test_ctrl_c_ends_it(model, start_server, call):
    url = start_server("TimedServer", 60, 60)  # sends nothing for a minute
    done = subprocess.run([sys.executable, "-c", INTERRUPTED.format(call=call), str(model), url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stopped after "), done.stdout
    assert 1.4 < float(done.stdout.split()[-1]) < 6
