"""The other judgments of `merope verify`, as the command gives them with --layers, --tokens,
--invariance and --self-test, with typed results.

    from merope import audit

    print(audit.layers("SmolLM2-135M-Instruct.gguf", quick=True).culprit)      # None: every op is within its band
    pandas.DataFrame(audit.invariance("SmolLM2-135M-Instruct.gguf").conditions)

docs/verification.md defines every figure. A verdict is no exception. Ctrl-C ends the work after its
present step.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from . import _native
from ._job import run
from ._progress import UseTqdm
from ._typed import FromJson, T, load
from .verify import Gate, Verdict, fields

__all__ = [
    "Condition", "Culprit", "Decode", "InvarianceResult", "LayerPoint", "LayersResult", "Mutant", "PointErrors",
    "SamplingTest", "SelfTestResult", "TemperaturePower", "TokensResult", "invariance", "layers", "self_test", "tokens",
]


@dataclass
class PointErrors:
    """Errors of the results of one op against fp32's, over all compared rows."""

    relative_l2: float  # a share
    mere: float  # mean and largest relative error of a value: MERE and MARE of Huawei's standard
    mare: float


@dataclass
class LayerPoint:
    """The result of an op. Alone: the op worked on fp32's inputs."""

    point: str  # "layers.3.self_attn.q_rotated"
    op: str  # "RoPE"
    target: PointErrors
    emulated: PointErrors
    ratio: float  # relative_l2 of the target over its band
    target_alone: PointErrors
    emulated_alone: PointErrors
    ratio_alone: float


@dataclass
class Culprit:
    """The first op outside its band."""

    point: str
    op: str
    alone: bool  # found by the op's own error
    error: float
    band: float
    ratio: float
    prompt: str  # where the target leaves the band first
    position: int


@dataclass
class Decode:
    """The target token by token, beside the same target in steps of many tokens. The last three fields
    tell the first difference."""

    identical: bool  # the same bits
    point: str | None = None
    prompt: str | None = None
    position: int | None = None


@dataclass
class LayersResult(FromJson):
    model: str  # path
    target: str
    numerics: str
    threads: int
    prompts: int
    positions: int
    limit: float  # of the ratios
    points: list[LayerPoint]  # in the order of the ops
    culprit: Culprit | None
    decode: Decode | None  # None of a file
    verdict: Verdict
    seconds: float


@dataclass
class SamplingTest:
    """A test of the sampled tokens. The p-value is adjusted for the number of tests (Holm)."""

    key: str
    label: str
    statistic: float
    p_value: float


@dataclass
class TemperaturePower:
    """The sampled tokens that show another temperature than 1 with a probability of 95 %."""

    temperature: float
    tokens: int  # 0: not by this test


@dataclass
class TokensResult(FromJson):
    model: str  # path
    target: str
    numerics: str
    threads: int
    unread_texts: int  # whose tokens the server did not tell
    greedy_texts: int
    greedy_tokens: int
    flips: int  # greedy tokens that fp32 would not have chosen
    expected_flips: float
    mean_margin: float  # nat
    emulated_margin: float  # nat; of the emulated format
    tokens_for_power: int
    sampled_texts: int
    sampled_tokens: int
    tests: list[SamplingTest]
    power: list[TemperaturePower]
    gates: list[Gate]
    verdict: Verdict
    seconds: float


@dataclass
class Condition:
    """A way to compute the same tokens, beside one sequence at a time."""

    key: str
    label: str
    rows: int  # of logits that were compared
    different: int  # rows with other bits
    largest: float  # the largest |difference of logits|
    prompt: str | None = None  # of the first difference
    position: int | None = None


@dataclass
class InvarianceResult(FromJson):
    model: str  # path
    target: str
    dtype: str
    threads: int
    prompts: int
    tokens: int  # generated after each prompt
    lengths: list[int]  # of the prompts that are cut to a length
    conditions: list[Condition]
    verdict: Verdict
    seconds: float


@dataclass
class Mutant:
    """A fault that was planted into the target, and what found it."""

    key: str
    area: str
    description: str
    fate: Literal["killed", "killed in fp32", "survived", "equivalent", "not applicable"]
    why: str  # of "not applicable"
    first_token_verdict: Verdict | None
    positions_verdict: Verdict | None
    first_token_gates: list[str]  # keys of the gates whose verdict is FAIL
    positions_gates: list[str]
    kl: float | None  # nat
    sigma_ratio: float | None
    fp32_kl: float | None  # nat; only of mutants that no gate kills
    seconds: float


@dataclass
class SelfTestResult(FromJson):
    model: str  # path
    target: str
    numerics: str
    threads: int
    prompts: int
    positions: int
    control: Mutant  # the target without a fault
    mutants: list[Mutant]
    killed: int
    killed_in_fp32: int
    survived: int
    equivalent: int
    not_applicable: int
    missed_by_first_token: int  # killed mutants that (a), the reference report's table, does not fail
    passed: bool  # no mutant survived, and (b) does not fail the control
    seconds: float


Model = str | os.PathLike[str]


def layers(
    model: Model, *, quick: bool = False, full: bool = False, dtype: object = None, kv_cache_dtype: str = "auto",
    target: Model | None = None, prompts: Model | None = None, numerics: str | None = None, max_model_len: int | None = None,
    kv_cache_memory_bytes: int | None = None, num_threads: int | None = None, use_tqdm: UseTqdm = True,
) -> LayersResult:
    """Compares the results of all ops, layer by layer, and names the first op whose error is larger than
    that of the format.

    target: a file of another program's intermediate results (tools/dump_layers.py writes such files).
    None: merope's own back end. The other arguments are those of merope.verify.verify.
    """
    return _run(LayersResult, "layers", use_tqdm, fields(
        model, quick=quick, full=full, dtype=dtype, kv_cache_dtype=kv_cache_dtype, target=target, prompts=prompts,
        numerics=numerics, max_model_len=max_model_len, kv_cache_memory_bytes=kv_cache_memory_bytes, num_threads=num_threads))


def tokens(
    model: Model, *, quick: bool = False, full: bool = False, dtype: object = None, kv_cache_dtype: str = "auto",
    numerics: str | None = None, endpoint: str | None = None, endpoint_model: str | None = None, api_key_env: str | None = None,
    timeout: int = 600, concurrency: int = 4, max_tokens_total: int | None = None, answers: Model | None = None,
    max_model_len: int | None = None, kv_cache_memory_bytes: int | None = None, num_threads: int | None = None,
    use_tqdm: UseTqdm = True,
) -> TokensResult:
    """Judges a server, or without an endpoint merope's own back end and sampler, by the tokens alone:
    greedy texts by their margins in fp32, samples at temperature 1 by their probabilities in fp32.

    The arguments are those of merope.verify.verify.
    """
    return _run(TokensResult, "tokens", use_tqdm, fields(
        model, quick=quick, full=full, dtype=dtype, kv_cache_dtype=kv_cache_dtype, numerics=numerics, endpoint=endpoint,
        endpoint_model=endpoint_model, api_key_env=api_key_env, timeout=timeout, concurrency=concurrency,
        max_tokens_total=max_tokens_total, answers=answers, max_model_len=max_model_len,
        kv_cache_memory_bytes=kv_cache_memory_bytes, num_threads=num_threads))


def invariance(
    model: Model, *, quick: bool = False, full: bool = False, dtype: object = None, kv_cache_dtype: str = "auto",
    prompts: Model | None = None, max_model_len: int | None = None, kv_cache_memory_bytes: int | None = None,
    num_threads: int | None = None, use_tqdm: UseTqdm = True,
) -> InvarianceResult:
    """Computes the same tokens in other batches, chunks and numbers of threads, from the prefix cache and
    without a captured plan, and compares the bits.

    The arguments are those of merope.verify.verify.
    """
    return _run(InvarianceResult, "invariance", use_tqdm, fields(
        model, quick=quick, full=full, dtype=dtype, kv_cache_dtype=kv_cache_dtype, prompts=prompts,
        max_model_len=max_model_len, kv_cache_memory_bytes=kv_cache_memory_bytes, num_threads=num_threads))


def self_test(
    model: Model, *, mutants: list[str] | None = None, dtype: object = None, kv_cache_dtype: str = "auto",
    numerics: str | None = None, max_model_len: int | None = None, kv_cache_memory_bytes: int | None = None,
    num_threads: int | None = None, use_tqdm: UseTqdm = True,
) -> SelfTestResult:
    """Plants faults into the model, one at a time, and tells which gates find each. It takes minutes.

    mutants: plant only the faults with these keys. None: all faults.
    The other arguments are those of merope.verify.verify.
    """
    return _run(SelfTestResult, "self_test", use_tqdm, fields(
        model, dtype=dtype, kv_cache_dtype=kv_cache_dtype, numerics=numerics, max_model_len=max_model_len,
        kv_cache_memory_bytes=kv_cache_memory_bytes, num_threads=num_threads), mutants)


def _run(kind: type[T], name: str, use_tqdm: UseTqdm, given: dict[str, object], mutants: list[str] | None = None) -> T:
    job = _native.audit({**given, "audit": name, "mutants": None if mutants is None else ",".join(mutants)})
    return load(kind, run(job, use_tqdm))
