"""Measurements of speed, as `merope bench latency` and `merope bench serve` do them, with typed results.

    from merope.bench import latency, serve

    result = latency("SmolLM2-135M-Instruct.gguf", dtype=["bf16", "int8"])
    table = pandas.DataFrame(result.rows)
    under_load = serve("http://localhost:8000", max_concurrency=8)

Names end in the unit: _s seconds, _tok_s tokens per second, _bytes_s bytes per second, _flop_s operations
per second. The reference report is the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from . import _native
from ._job import check_ranges, listed, run
from ._progress import UseTqdm
from ._typed import FromJson, load

__all__ = [
    "Distribution", "DtypeLatency", "EndpointLatencyCase", "EndpointLatencyResult", "LatencyCase",
    "LatencyResult", "LatencyRow", "MeanRatio", "ServeResult", "latency", "serve",
]


@dataclass
class Distribution:
    """Of the values of repeated runs. Percentiles interpolate between the two nearest values."""

    mean: float
    min: float
    p10: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass
class MeanRatio:
    """A geometric mean of ratios, and its 95 % interval (NaN for a single ratio)."""

    mean: float
    low: float
    high: float


@dataclass
class LatencyRow:
    """One point of the grid in numbers alone, for a table: medians of the runs."""

    dtype: str  # empty for a server
    mode: str  # "compiled" or "eager"
    batch_size: int
    context: int
    input_len: int
    output_len: int
    latency_s: float
    throughput_tok_s: float
    report_tpot_s: float  # latency / output_len: the reference report's TPOT
    ttft_s: float
    tpot_s: float  # (latency - TTFT) / (output_len - 1)
    speedup: float  # eager / compiled, on the compiled row of a pair; else NaN


@dataclass
class EndpointLatencyCase:
    """One point of the grid, of a server."""

    mode: str  # "compiled" or "eager"
    speedup: MeanRatio | None  # eager / compiled; only for a compiled case with an eager counterpart
    input_len: int  # tokens
    output_len: int
    latency_s: Distribution  # from sending the request to the end of the answer
    throughput_tok_s: Distribution
    ttft_s: Distribution  # until the first chunk of text
    tpot_s: Distribution
    report_tpot_s: Distribution  # latency / output_len: the reference report's definition


@dataclass
class LatencyCase:
    """One point of the grid, of a model in this process. Tokens are those of the whole batch."""

    mode: str  # "compiled" or "eager"
    speedup: MeanRatio | None  # eager / compiled; only for a compiled case with an eager counterpart
    batch_size: int
    context: int  # tokens in the KV cache before the prompt
    input_len: int
    output_len: int
    latency_s: Distribution  # from the first prompt token to the last output token
    throughput_tok_s: Distribution
    ttft_s: Distribution
    tpot_s: Distribution
    report_tpot_s: Distribution  # latency / output_len: the reference report's definition
    inter_token_s: Distribution  # over the single decode steps
    prefill_tok_s: Distribution
    probed_bandwidth_bytes_s: Distribution
    decode_bytes: int  # that a decode step must read
    bandwidth_share: Distribution
    probed_peak_flop_s: Distribution
    prefill_flop: int
    peak_share: Distribution


@dataclass
class DtypeLatency:
    """The figures of one dtype."""

    dtype: str
    backend: str
    threads: int
    warmup: int
    repeats: int
    seed: int
    load_s: float
    weight_bytes: int
    step_weight_bytes: int  # the part of weight_bytes that a decode step reads
    peak_rss_bytes: int
    cases: list[LatencyCase]


@dataclass
class LatencyResult(FromJson):
    """A model in this process, in each dtype."""

    model: str  # path
    version: str
    open_s: float
    results: list[DtypeLatency]

    @property
    def rows(self) -> list[LatencyRow]:
        """All points of the grid, for a table."""
        return [_row(case, one.dtype, case.batch_size, case.context) for one in self.results for case in one.cases]


@dataclass
class EndpointLatencyResult(FromJson):
    """A server, one request at a time."""

    endpoint: str  # without credentials
    software: str
    model: str
    version: str
    warmup: int
    repeats: int
    seed: int
    cases: list[EndpointLatencyCase]

    @property
    def rows(self) -> list[LatencyRow]:
        """All points of the grid, for a table."""
        return [_row(case, "", 1, 0) for case in self.cases]


@dataclass
class ServeResult(FromJson):
    """A server under load. The distributions are over the requests, that of itl_s over the times between
    two chunks; None: no request has such a time."""

    endpoint: str  # without credentials
    software: str
    model: str
    version: str
    completed: int
    failed: int
    first_failure: str
    duration_s: float
    input_tokens: int
    output_tokens: int
    requests_per_second: float
    good_requests_per_second: float | None  # None: no goodput was given
    output_tokens_per_second: float
    tokens_per_second: float
    peak_output_tokens_per_second: float
    peak_concurrent_requests: int
    ttft_s: Distribution | None
    tpot_s: Distribution | None
    itl_s: Distribution | None
    e2el_s: Distribution | None


def _row(case: LatencyCase | EndpointLatencyCase, dtype: str, batch_size: int, context: int) -> LatencyRow:
    return LatencyRow(
        dtype, case.mode, batch_size, context, case.input_len, case.output_len, case.latency_s.p50,
        case.throughput_tok_s.p50, case.report_tpot_s.p50, case.ttft_s.p50, case.tpot_s.p50,
        math.nan if case.speedup is None else case.speedup.mean)


Lengths = int | Sequence[int]


@overload
def latency(
    model: str | os.PathLike[str], *, dtype: str | Sequence[str] = ..., mode: str | Sequence[str] = ...,
    weights: str = ..., kv_cache_dtype: str = ..., input_len: Lengths = ..., output_len: Lengths = ...,
    batch_size: Lengths = ..., context: Lengths = ..., warmup: int = ..., repeats: int = ..., seed: int = ...,
    max_model_len: int | None = ..., kv_cache_memory_bytes: int | None = ..., num_threads: int | None = ...,
    use_tqdm: UseTqdm = ...,
) -> LatencyResult: ...
@overload
def latency(
    model: str | os.PathLike[str] | None = ..., *, endpoint: str, endpoint_eager: str | None = ...,
    endpoint_model: str | None = ..., api_key_env: str | None = ..., timeout: int = ...,
    input_len: Lengths = ..., output_len: Lengths = ..., warmup: int = ..., repeats: int = ...,
    seed: int = ..., use_tqdm: UseTqdm = ...,
) -> EndpointLatencyResult: ...
def latency(
    model: str | os.PathLike[str] | None = None,
    *,
    dtype: str | Sequence[str] | None = None,
    mode: str | Sequence[str] | None = None,
    weights: str | None = None,
    kv_cache_dtype: str | None = None,
    input_len: Lengths = (16, 32, 64, 128),
    output_len: Lengths = (50, 100),
    batch_size: Lengths | None = None,
    context: Lengths | None = None,
    warmup: int = 3,
    repeats: int = 5,
    seed: int = 0,
    max_model_len: int | None = None,
    kv_cache_memory_bytes: int | None = None,
    num_threads: int | None = None,
    endpoint: str | None = None,
    endpoint_eager: str | None = None,
    endpoint_model: str | None = None,
    api_key_env: str | None = None,
    timeout: int = 600,
    use_tqdm: UseTqdm = True,
) -> LatencyResult | EndpointLatencyResult:
    """Measures the latency of one batch over a grid of lengths: of a model in this process, or of servers.

    model: a Hugging Face directory, a .gguf file, or ORG/NAME[@REVISION]. With an endpoint, only its
        vocabulary is used, for the random prompts (None: the ids below 1000).
    input_len, output_len: tokens; a number or a list. The defaults are the reference report's grid.
    warmup, repeats: runs of each point that do not count, and that count. seed: of the random prompts.
    use_tqdm: True draws a bar on a terminal. A callable (tqdm, or a callable with the same arguments)
        replaces merope's bar.

    Only for a model in this process:
    dtype: one or several of "auto" (the default), "native", "fp32", "bf16", "int8", "int4".
    mode: "eager", "compiled", or both, which then alternate (the default).
    weights: storage of bf16 weights: "plain", "packed" or "auto". kv_cache_dtype: "auto" or "int8".
    batch_size: sequences; context: tokens in the KV cache before the prompt. Numbers or lists.
    max_model_len, kv_cache_memory_bytes (bytes): the whole grid must fit. num_threads: None: the cores that
        this process may use.

    Only for servers:
    endpoint: the URL of an OpenAI-compatible server, measured one request at a time.
    endpoint_eager: a second server that runs the same model without compilation; the runs alternate.
    endpoint_model, api_key_env, timeout: as in merope.verify.verify.

    A wrong argument raises a ValueError or a TypeError that names the argument. Ctrl-C ends the
    measurement after its present step. The GIL is free while merope measures.
    """
    check_ranges(("max_model_len", max_model_len, 1, 2**31 - 1),
                 ("kv_cache_memory_bytes", kv_cache_memory_bytes, 1, 2**63 - 1),
                 ("num_threads", num_threads, 1, 1024))
    grid: dict[str, object] = {
        "input_len": listed("input_len", input_len, int), "output_len": listed("output_len", output_len, int), "warmup": warmup,
        "repeats": repeats, "seed": seed}
    of_model: dict[str, object] = {
        "dtype": dtype, "mode": mode, "weights": weights, "kv_cache_dtype": kv_cache_dtype,
        "batch_size": batch_size, "context": context, "max_model_len": max_model_len,
        "kv_cache_memory_bytes": kv_cache_memory_bytes, "num_threads": num_threads}
    of_endpoint: dict[str, object] = {
        "endpoint_eager": endpoint_eager, "endpoint_model": endpoint_model, "api_key_env": api_key_env}
    if endpoint is not None:
        for name, value in of_model.items():
            if value is not None:
                raise ValueError(f"{name}: expected none with an endpoint, found {value!r:.200}")
        job = _native.endpoint_latency({
            **grid, **of_endpoint, "model": None if model is None else os.fspath(model),
            "endpoint": endpoint, "timeout": timeout})
        return load(EndpointLatencyResult, run(job, use_tqdm))
    if model is None:
        raise ValueError("model: expected a model or an endpoint, found neither")
    for name, value in of_endpoint.items():
        if value is not None:
            raise ValueError(f"{name}: expected an endpoint, found none")
    job = _native.latency({
        **grid, "model": os.fspath(model),
        "dtype": ["auto"] if dtype is None else listed("dtype", dtype, str),
        "mode": ["eager", "compiled"] if mode is None else listed("mode", mode, str),
        "weights": weights or "auto", "kv_cache_dtype": kv_cache_dtype or "auto",
        "batch_size": [1] if batch_size is None else listed("batch_size", batch_size, int),
        "context": [0] if context is None else listed("context", context, int),
        "max_model_len": max_model_len or 0, "kv_cache_memory_bytes": kv_cache_memory_bytes,
        "num_threads": num_threads or 0})
    return load(LatencyResult, run(job, use_tqdm))


def serve(
    endpoint: str,
    *,
    model: str | os.PathLike[str] | None = None,
    num_prompts: int = 100,
    input_len: int = 512,
    output_len: int = 128,
    request_rate: float = math.inf,
    burstiness: float = 1.0,
    max_concurrency: int | None = None,
    num_warmups: int = 0,
    temperature: float = 0.0,
    seed: int = 0,
    goodput: Mapping[str, float] | None = None,
    endpoint_model: str | None = None,
    api_key_env: str | None = None,
    timeout: int = 600,
    use_tqdm: UseTqdm = True,
) -> ServeResult:
    """Measures an OpenAI-compatible server under load, with the definitions of `vllm bench serve`.

    endpoint: the server's URL.
    model: a model whose vocabulary the random prompts use. None: the ids below 1000.
    num_prompts: requests. input_len, output_len: tokens of each; EOS ends no answer.
    request_rate: requests per second, at random times; inf sends all at once. burstiness: the shape of
        the gamma distribution of the times between requests; 1 is a Poisson process.
    max_concurrency: the most requests at the same time. None: no limit.
    num_warmups: requests before the measurement.
    goodput: limits of a good request in milliseconds, such as {"ttft": 500, "tpot": 50, "e2el": 4000}.
    endpoint_model, api_key_env, timeout: as in merope.verify.verify.
    use_tqdm: as in latency.

    A failed request is counted; if all fail, the first failure is a ValueError. A wrong argument raises
    a ValueError or a TypeError that names the argument. Ctrl-C ends the measurement within about a second.
    """
    check_ranges(("max_concurrency", max_concurrency, 1, 2**31 - 1))
    if not isinstance(goodput, Mapping | None):
        raise TypeError(f"goodput: expected a dict of milliseconds, found {goodput!r:.200}")
    limits = [f"{name}:{limit}" for name, limit in (goodput or {}).items()]
    job = _native.serve({
        "endpoint": endpoint, "model": None if model is None else os.fspath(model),
        "num_prompts": num_prompts, "input_len": input_len, "output_len": output_len,
        "request_rate": request_rate, "burstiness": burstiness, "max_concurrency": max_concurrency or 0,
        "num_warmups": num_warmups, "temperature": temperature, "seed": seed, "goodput": limits,
        "endpoint_model": endpoint_model, "api_key_env": api_key_env, "timeout": timeout})
    return load(ServeResult, run(job, use_tqdm))
