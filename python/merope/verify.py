"""Verification: the target against fp32, as `merope verify` does it, with typed results.

    from merope.verify import verify

    result = verify("SmolLM2-135M-Instruct.gguf", quick=True)
    print(result.verdict)                                   # "PASS"
    table = pandas.DataFrame(result.first_token.rows)       # the reference report's table

docs/verification.md defines every figure and gate. The reference report is the public adaptation
report of Pleias-RAG-350M on an Ascend NPU.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

from . import _native
from ._job import check_ranges, run
from ._progress import UseTqdm
from ._typed import FromJson, load

__all__ = [
    "EndpointResult", "FirstTokenRow", "FirstTokenTable", "Flip", "Gate", "Outlier", "PositionFigure",
    "PositionSuite", "ProbeFinding", "PromptSummary", "ReferenceCheck", "VerifyResult", "verify",
]

Verdict = Literal["PASS", "INCONCLUSIVE", "FAIL"]
Interval = tuple[float, float]


@dataclass
class Gate:
    """A figure, its limits and the verdict. PASS: the whole interval lies in [min, max]."""

    key: str
    label: str
    value: float
    interval: Interval | None  # None: the value itself is judged
    confidence: float | None  # of the interval: 0.95
    min: float | None  # None: no limit on this side
    max: float | None
    strict: bool  # a value equal to the limit does not pass
    verdict: Verdict
    positions_needed: int | None  # for INCONCLUSIVE: the number of positions that would decide
    note: str


@dataclass
class FirstTokenRow:
    """The distribution of the first token after one of the 25 prompts, on the 20 tokens that are most
    probable in the baseline."""

    prompt: str
    baseline_top1: str
    target_top1: str
    match: bool
    kl: float  # nat
    js: float  # nat
    cosine: float
    mae: float  # of probabilities
    spearman: float
    mean_relative_error: float  # a share: 0.05 is 5 %


@dataclass
class FirstTokenTable:
    """(a): the reference report's table. The figures are means over the rows."""

    rows: list[FirstTokenRow]
    matches: int
    top1_rate: float  # a share
    kl: float  # nat
    js: float  # nat
    cosine: float
    one_minus_cosine: float
    mae: float
    spearman: float
    mean_relative_error: float  # a share
    gates: list[Gate]
    verdict: Verdict


@dataclass
class PositionFigure:
    """A figure of all positions. p99, p999 and worst are on the bad side of the figure. The intervals
    are 95 % bootstrap intervals over prompts."""

    key: str  # "kl"
    label: str  # "KL divergence (nat)"
    mean: float
    mean_interval: Interval
    median: float
    p99: float
    p99_interval: Interval
    p999: float
    worst: float


@dataclass
class Flip:
    """A position where the target's most probable token is not the baseline's."""

    prompt: str  # the prompt's id
    position: int
    baseline_top1: str
    target_top1: str
    gap: float  # difference of the baseline's two largest logits
    allowed: float  # the largest gap at which the format's noise explains the flip
    explained: bool


@dataclass
class Outlier:
    """A position where the two distributions differ much: a Bhattacharyya coefficient below 0.99."""

    prompt: str  # the prompt's id
    position: int
    bhattacharyya: float
    emulated_bhattacharyya: float | None  # of the emulated format; None: not examined
    explained: bool


@dataclass
class PromptSummary:
    id: str
    kind: str
    language: str
    positions: int
    flips: int
    expected_flips: float
    mean_kl: float  # nat
    max_kl: float  # nat
    mean_relative_l2: float  # a share


@dataclass
class PositionSuite:
    """(b): the figures over the whole vocabulary, at all positions. The last fields are None if a
    server gives no logprobs of the prompt's own tokens."""

    prompts: int
    positions: int
    not_finite: int  # positions with a logit that is NaN or infinite
    generated_texts: int  # the target's own greedy texts
    generated_tokens: int
    figures: list[PositionFigure]
    same_top1: int  # positions
    same_top1_rate: float  # a share
    same_top1_rate_interval: Interval  # Clopper–Pearson, 95 %
    expected_flips: float  # from the noise of the emulated format
    slope: float  # of the target's centred logits over the baseline's; 1 / slope is the temperature
    slope_interval: Interval
    flips: list[Flip]
    outliers: list[Outlier]
    by_prompt: list[PromptSummary]
    gates: list[Gate]
    verdict: Verdict
    rms_delta_p: float | None = None
    rms_delta_p_interval: Interval | None = None
    delta_p_percentiles: list[float] | None = None  # 1, 5, 50, 95, 99 % of q − p at the next token
    delta_ln_ppl: float | None = None
    delta_ln_ppl_interval: Interval | None = None  # 90 %
    token_error: float | None = None
    token_error_interval: Interval | None = None
    baseline_ppl: float | None = None
    target_ppl: float | None = None
    first_divergence: float | None = None  # tokens; None without own texts
    divergent_share: float | None = None

    def figure(self, key: str) -> PositionFigure:
        """Returns the figure of this key, such as "kl". Raises a KeyError."""
        for one in self.figures:
            if one.key == key:
                return one
        raise KeyError(key)


@dataclass
class ReferenceCheck:
    """The check of the fp32 baseline against double precision, and the noise of the target's format,
    which the reference emulates."""

    positions: int
    max_relative_l2: float
    mean_relative_l2: float
    worst_share_of_bound: float  # the largest error / bound; above 1 fails
    bound_at_worst: float
    top1_differences: int
    verdict: Verdict
    emulated_sigma: float
    emulated_relative_l2: float
    emulated_kl: float  # nat
    gap_factor: float
    emulated_flips: int
    emulated_expected_flips: float
    target_sigma: float
    target_kl: float  # nat


@dataclass
class ProbeFinding:
    key: str
    label: str
    found: Literal["yes", "no", "WRONG"]
    detail: str


@dataclass
class StabilityCondition:
    """One condition beside one request at a time."""

    key: Literal["again", "salted", "company"]
    label: str
    different: int  # prompts with another answer
    prefill_delta: float  # the largest |Δ logprob| of the first generated token
    decode_delta: float  # and of the others, after the same tokens


@dataclass
class Stability:
    """The same prompts in several conditions."""

    prompts: int
    tokens: int  # after each prompt
    company: int  # requests at the same time
    lengths: list[int]  # of the prompts that are cut to a length
    conditions: list[StabilityCondition]
    most_distinct: int  # answers to one prompt
    most_distinct_prompt: str


@dataclass
class ServerPair:
    """A second server of the device beside the first, position by position."""

    url: str
    software: str
    prompts: int
    same_texts: int
    positions: int
    flips: int  # positions with another most probable token
    widest_flip: float  # the largest gap of the two tokens, in the first server's logprobs
    sigma: float  # of the difference of logprobs
    max_delta: float  # the largest |Δ logprob|
    worst_prompt: str
    worst_position: int


@dataclass
class EndpointResult:
    """The server that was the target."""

    url: str  # without credentials
    model: str
    software: str
    context: int | None  # tokens
    numerics: str
    numerics_assumed: bool
    generate: int  # tokens after each prompt
    top_k: int
    prompt_logprobs: bool
    requests: int  # without answers from the file of answers, as are the next two
    tokens: int
    repeated_tries: int
    probe: list[ProbeFinding]
    stability: Stability | None  # only if it was asked for
    eager: ServerPair | None  # only with a second server
    verdict: Verdict


@dataclass
class VerifyResult(FromJson):
    """The result of a verification. The verdict is the worst of those of (a), (b) and the endpoint."""

    model: str  # path
    mode: Literal["quick", "default", "full"]
    baseline: str
    target: str
    target_dtype: str
    threads: int
    context: int  # tokens; longer prompts are cut
    seconds: float
    baseline_tokens_per_second: float  # teacher-forced, with logits after every token
    target_tokens_per_second: float
    first_token: FirstTokenTable
    positions: PositionSuite
    reference: ReferenceCheck
    verdict: Verdict
    endpoint: EndpointResult | None = field(default=None)


def verify(
    model: str | os.PathLike[str],
    *,
    quick: bool = False,
    full: bool = False,
    dtype: object = None,
    kv_cache_dtype: str = "auto",
    baseline: str | os.PathLike[str] | None = None,
    against: str | os.PathLike[str] | None = None,
    target: str | os.PathLike[str] | None = None,
    prompts: str | os.PathLike[str] | None = None,
    numerics: str | None = None,
    endpoint: str | None = None,
    endpoint_model: str | None = None,
    endpoint_eager: str | None = None,
    stability: bool = False,
    texts: bool = False,
    api_key_env: str | None = None,
    timeout: int = 600,
    generate: int | None = None,
    top_logprobs: int = 20,
    concurrency: int = 4,
    max_tokens_total: int | None = None,
    answers: str | os.PathLike[str] | None = None,
    max_model_len: int | None = None,
    kv_cache_memory_bytes: int | None = None,
    num_threads: int | None = None,
    use_tqdm: UseTqdm = True,
) -> VerifyResult:
    """Compares a model in a faster arithmetic, or a server, with the model in fp32.

    model: a Hugging Face directory, a .gguf file, or ORG/NAME[@REVISION].
    quick: the reference report's 25 prompts and some more. full: all built-in prompts, up to 4,096
        tokens long. Not both.
    dtype: the dtype to verify: "bf16", "int8", "int4", "native", "fp32" or "auto". None: bf16, or the
        integers of a model that `merope quantize` wrote. Of an endpoint, numerics tells the arithmetic.
    kv_cache_dtype: "auto" (the format that belongs to dtype) or "int8".
    baseline: the model whose fp32 is the baseline: the original of a quantized model.
    against: a file of logits that replaces the baseline. target: a file of logits that another device
        computed, which is judged (tools/dump_hf_logits.py writes such files).
    prompts: a file of your own prompts, to verify in addition (.jsonl, or one prompt per line).
    numerics: the arithmetic of the endpoint, or of the device of target: "bf16", "bf16-ops",
        "fp16-ops", "fp32", "int8", "int4" or "native". None: by the server's software.
    endpoint: the URL of an OpenAI-compatible server whose model is judged (http://host:8000); model is
        then the fp32 reference. The next arguments belong to it.
    endpoint_model: name of the model on the server. None: the first that the server lists.
    endpoint_eager: the URL of a second server of the same device that runs the model without compilation;
        its answers are compared with the first server's, position by position.
    stability: also ask for some prompts one at a time, again, without cached prefix, and all at the same
        time, and count the answers that differ.
    texts: also compare the server's tokenizer and chat template with those of model, on the prompts and on
        random texts.
    api_key_env: the environment variable that holds the server's key.
    timeout: seconds without a byte after which a request has failed.
    generate: tokens that the server generates after each prompt. None: 64, or 16 with quick.
    top_logprobs: tokens with logprobs to ask for at each position.
    concurrency: requests at the same time.
    max_tokens_total: stop before the requests, prompts included, take more tokens. None: no limit.
    answers: a file that keeps the server's answers; answers that it has are not asked for again.
    max_model_len: prompts are cut to so many tokens. None: the checkpoint's number.
    kv_cache_memory_bytes: memory of one sequence's keys and values in fp32; prompts are cut to fit.
    num_threads: None: the cores that this process may use.
    use_tqdm: True draws a bar for each phase on a terminal. A callable (tqdm, or a callable with the
        same arguments) replaces merope's bars.

    A wrong argument raises a ValueError or a TypeError that names the argument. A verdict is no
    exception. Ctrl-C ends the work after its present step. The GIL is free while merope computes.
    """
    needs_endpoint = {"endpoint_model": endpoint_model, "endpoint_eager": endpoint_eager, "stability": stability or None, "texts": texts or None,
                      "api_key_env": api_key_env, "generate": generate, "max_tokens_total": max_tokens_total,
                      "answers": answers}
    for name, value in needs_endpoint.items():
        if value is not None and endpoint is None:
            raise ValueError(f"{name}: expected an endpoint, found none")
    job = _native.verify(fields(
        model, quick=quick, full=full, dtype=dtype, kv_cache_dtype=kv_cache_dtype, baseline=baseline, against=against,
        target=target, prompts=prompts, numerics=numerics, endpoint=endpoint, endpoint_model=endpoint_model,
        endpoint_eager=endpoint_eager, stability=stability, texts=texts, api_key_env=api_key_env, timeout=timeout,
        generate=generate, top_logprobs=top_logprobs, concurrency=concurrency, max_tokens_total=max_tokens_total,
        answers=answers, max_model_len=max_model_len, kv_cache_memory_bytes=kv_cache_memory_bytes,
        num_threads=num_threads))
    return load(VerifyResult, run(job, use_tqdm))


def fields(model: str | os.PathLike[str], **given: Any) -> dict[str, object]:
    """The fields of _native.verify: the defaults, and what is given. For this package's own functions."""
    check_ranges(*((name, given.get(name), 1, most) for name, most in
                   (("max_model_len", 2**31 - 1), ("kv_cache_memory_bytes", 2**63 - 1), ("num_threads", 1024))))
    for name in ("baseline", "against", "target", "prompts", "answers"):
        if given.get(name) is not None:
            given[name] = os.fspath(given[name])
    if given.get("dtype") is not None:
        given["dtype"] = str(given["dtype"]).removeprefix("torch.")
    for name in ("max_model_len", "num_threads"):
        given[name] = given.get(name) or 0
    return {**_DEFAULTS, "model": os.fspath(model), **given}


_DEFAULTS: dict[str, object] = {
    "quick": False, "full": False, "dtype": None, "kv_cache_dtype": "auto", "baseline": None, "against": None, "target": None,
    "prompts": None, "numerics": None, "endpoint": None, "endpoint_model": None, "endpoint_eager": None, "stability": False,
    "texts": False, "api_key_env": None, "timeout": 600, "generate": None, "top_logprobs": 20, "concurrency": 4,
    "max_tokens_total": None, "answers": None, "kv_cache_memory_bytes": None}
