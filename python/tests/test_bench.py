"""merope.bench gives what `merope bench latency --json` and `merope bench serve --json` print, as objects."""

import dataclasses
import json
import math

import pytest

from merope import bench
from merope.bench import EndpointLatencyResult, LatencyResult, latency, serve

SHORT = {"input_len": 4, "output_len": 3, "warmup": 0, "repeats": 1}
SHORT_OPTIONS = ["--input-len", 4, "--output-len", 3, "--warmup", 0, "--repeats", 1]


def shape(value):
    """The value without its numbers."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "number" if isinstance(value, (int, float)) else value


def members(value):
    """The JSON that a typed object holds; JSON has no NaN."""
    if dataclasses.is_dataclass(value):
        return {field.name: members(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list):
        return [members(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


@pytest.fixture(scope="module")
def result(model) -> LatencyResult:
    return latency(model, dtype=["bf16", "fp32"], batch_size=[1, 2], context=[0, 5], **SHORT)


def test_latency_is_what_the_command_prints(model, result, program):
    printed = json.loads(program("bench", "latency", model, "--dtype", "bf16,fp32", "--batch-size", "1,2", "--context", "0,5", *SHORT_OPTIONS,
                                 "--json").stdout)
    assert shape(result.to_dict()) == shape(printed)
    assert members(result) == result.to_dict()
    for one, other in zip(result.to_dict()["results"], printed["results"]):
        for name in ("weight_bytes", "step_weight_bytes", "threads", "warmup", "repeats", "seed"):
            assert one[name] == other[name]
        for case, same in zip(one["cases"], other["cases"]):
            for name in ("batch_size", "context", "input_len", "output_len", "decode_bytes", "prefill_flop"):
                assert case[name] == same[name]


def test_rows_make_a_table(result):
    assert [(row.dtype, row.batch_size, row.context, row.mode) for row in result.rows] == [
        (dtype, batch, context, mode) for dtype in ("bf16", "fp32") for batch in (1, 2) for context in (0, 5) for mode in ("eager", "compiled")]
    for row, case in zip(result.rows, (case for one in result.results for case in one.cases)):
        assert row.latency_s == case.latency_s.p50 > row.ttft_s > 0
        assert row.report_tpot_s == pytest.approx(row.latency_s / 3)
        assert math.isnan(row.speedup) == (row.mode == "eager")
    try:
        import pandas
    except ImportError:
        return  # not a part of the package
    table = pandas.DataFrame(result.rows)
    assert len(table) == 16 and table["latency_s"].dtype == float
    assert list(table.columns) == [field.name for field in dataclasses.fields(bench.LatencyRow)]


def test_one_mode(model):
    result = latency(model, dtype="int8", mode="compiled", num_threads=1, **SHORT)
    assert [(row.dtype, row.mode) for row in result.rows] == [("int8", "compiled")]
    assert result.results[0].threads == 1


def test_two_servers(start_server, model):
    compiled, eager = start_server("TimedServer", 0.02, 0.002), start_server("TimedServer", 0.06, 0.006)
    result = latency(model, endpoint=compiled, endpoint_eager=eager, input_len=4, output_len=[3, 5], warmup=0, repeats=2)
    assert isinstance(result, EndpointLatencyResult)
    assert members(result) == result.to_dict()
    assert (result.endpoint, result.model, result.repeats) == (compiled, "timed", 2)
    assert [(row.mode, row.output_len, row.batch_size, row.dtype) for row in result.rows] == [
        ("eager", 3, 1, ""), ("compiled", 3, 1, ""), ("eager", 5, 1, ""), ("compiled", 5, 1, "")]
    for row in result.rows:  # the servers wait at least so long
        first, each = (0.06, 0.006) if row.mode == "eager" else (0.02, 0.002)
        assert row.ttft_s >= first and row.latency_s >= first + each * (row.output_len - 1)


def test_serve_is_what_the_command_prints(start_server, program):
    url = start_server("TimedServer", 0.02, 0.002)
    found = serve(url, num_prompts=8, input_len=4, output_len=3, max_concurrency=4, goodput={"ttft": 5000, "tpot": 0.001})
    assert (found.completed, found.failed, found.input_tokens, found.output_tokens) == (8, 0, 32, 24)
    assert found.peak_concurrent_requests == 4 and found.good_requests_per_second == 0  # no token comes within a microsecond
    assert found.ttft_s is not None and found.ttft_s.min >= 0.02
    assert members(found) == found.to_dict()
    printed = json.loads(program("bench", "serve", "--endpoint", url, "--num-prompts", 8, "--input-len", 4, "--output-len", 3, "--max-concurrency", 4,
                                 "--goodput", "ttft:5000,tpot:0.001", "--json").stdout)
    assert shape(found.to_dict()) == shape(printed)
    assert serve(url, num_prompts=2, input_len=4, output_len=1, request_rate=100).tpot_s is None


@pytest.mark.parametrize(("arguments", "words"), [
    ({"dtype": "fp8"}, "^dtype: expected auto"), ({"dtype": []}, "^dtype: expected at least one"), ({"mode": "fast"}, "^mode: expected eager"),
    ({"mode": []}, "^mode: expected eager"), ({"weights": "12"}, "^weights: expected auto, plain or packed"),
    ({"kv_cache_dtype": "int4"}, "^kv_cache_dtype: expected"), ({"input_len": 0}, "^input_len: expected 1 to"),
    ({"output_len": []}, "^output_len: expected at least one"), ({"batch_size": 129}, "^batch_size: expected 1 to 128"),
    ({"context": -1}, "^context: expected 0 to"), ({"warmup": -1}, "^warmup: expected 0 or more"), ({"repeats": 0}, "^repeats: expected 1 or more"),
    ({"num_threads": 1025}, "^num_threads: expected 1 to 1024"), ({"max_model_len": 5}, "expected at most 5 tokens together"),
    ({"endpoint_eager": "http://127.0.0.1:9"}, "^endpoint_eager: expected an endpoint"),
    ({"endpoint": "x"}, "^endpoint: expected http"), ({"endpoint": "http://127.0.0.1:9", "endpoint_eager": "x"}, "^endpoint_eager: expected http"),
    ({"endpoint": "http://127.0.0.1:9", "dtype": "bf16"}, "^dtype: expected none with an endpoint, found 'bf16'"),
    ({"endpoint": "http://127.0.0.1:9", "input_len": 0}, "^input_len: expected 1 to")])
def test_wrong_values_of_latency_are_named(model, arguments, words):
    with pytest.raises(ValueError, match=words):
        latency(model, **{**SHORT, **arguments})


@pytest.mark.parametrize(("arguments", "words"), [
    ({"input_len": 1.5}, "^input_len: expected int values"), ({"dtype": 5}, "^dtype: expected str values"),
    ({"seed": -1}, "^seed: expected an int from 0 on"), ({"input_len": "ab"}, "^input_len: expected a list of ints"),
    ({"repeats": "3"}, "^repeats: expected an int")])
def test_wrong_types_of_latency_are_named(model, arguments, words):
    with pytest.raises(TypeError, match=words):
        latency(model, **{**SHORT, **arguments})


def test_latency_needs_a_model_or_an_endpoint():
    with pytest.raises(ValueError, match="^model: expected a model or an endpoint"):
        latency()


@pytest.mark.parametrize(("arguments", "words"), [
    ({"num_prompts": 0}, "^num_prompts: expected 1 to 1000000"), ({"request_rate": 0}, "^request_rate: expected a positive number"),
    ({"request_rate": math.nan}, "^request_rate: expected"), ({"burstiness": 0}, "^burstiness: expected"),
    ({"max_concurrency": 0}, "^max_concurrency: expected 1"), ({"max_concurrency": 2000, "num_prompts": 3000}, "^max_concurrency: expected"),
    ({"num_warmups": -1}, "^num_warmups: expected"), ({"temperature": 3}, "^temperature: expected 0 to 2"),
    ({"goodput": {"ttf": 5}}, '^goodput: expected ttft:MS, .*found "ttf:5"'), ({"goodput": {"ttft": -1}}, "^goodput: "),
    ({"input_len": 0}, "^input_len: "), ({"timeout": 10**6}, "^timeout: expected"),
    ({"model": "/no/such"}, "/no/such")])
def test_wrong_values_of_serve_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        serve("http://127.0.0.1:9", **arguments)


def test_wrong_types_of_serve_are_named():
    with pytest.raises(TypeError, match="^goodput: expected a dict"):
        serve("http://127.0.0.1:9", goodput=["ttft:5"])
    with pytest.raises(TypeError, match="^endpoint: expected a URL"):
        serve(None)
