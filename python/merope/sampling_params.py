"""The parameters of a request: vLLM's SamplingParams, with the same fields, defaults, ranges and
rules."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json as _json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from . import _native


T = TypeVar("T")


def _listed(values: Iterable[T] | None) -> list[T]:
    # The type check refuses a value that is not a collection, and names the field.
    if isinstance(values, (tuple, set, frozenset)):
        return list(values)
    return values or []  # type: ignore[return-value]


class RequestOutputKind(enum.Enum):
    """What each output of AsyncLLM holds: all results so far, only new results, or all results
    once, at the end."""

    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2

    def __repr__(self) -> str:
        return str(self)


@dataclasses.dataclass(kw_only=True)
class StructuredOutputsParams:
    """The form that the generated text must have. Exactly one field must be set.

    json: a JSON schema, as a string or a dict.
    regex: a regular expression.
    choice: a list of strings; the text is one of these strings.
    grammar: an EBNF grammar with a rule named root.
    json_object: True; the text is any JSON object.
    structural_tag: a field of vLLM. The engine refuses requests that set this field.
    """

    json: str | dict[str, Any] | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None
    structural_tag: str | dict[str, Any] | None = None


@dataclasses.dataclass(kw_only=True)
class RepetitionDetectionParams:
    """Ends a sequence that repeats itself.

    A sequence repeats itself if it ends with a pattern of min_pattern_size to max_pattern_size
    tokens, min_count times in a row. If max_pattern_size is 0, the detection is off.
    """

    max_pattern_size: int = 0
    min_pattern_size: int = 0
    min_count: int = 0


def _with_native_fields(cls: type[T]) -> type[T]:
    """Adds the fields of the engine's list (src/engine/sampling_params.h) that the class does not declare."""
    for name, default in _native.Params.defaults().items():
        if name not in cls.__annotations__:
            cls.__annotations__[name] = Any
            setattr(cls, name, default)
    return cls


@dataclasses.dataclass(kw_only=True)
@_with_native_fields
class SamplingParams:
    """How the engine chooses the tokens of a request, when the request ends, and what it returns.

    The constructor checks the values. A value out of range raises a ValueError, and a value of the
    wrong type raises a TypeError. Both errors name the field. Limits that depend on the model
    (tokens of the vocabulary, max_logprobs) are checked when a request is submitted.

    n: number of sequences to generate.
    presence_penalty, frequency_penalty: from -2 to 2. The engine subtracts these penalties from the
        logits of tokens that were already generated: presence_penalty once, frequency_penalty once
        for each time that the token was generated.
    repetition_penalty: above 0. Divides the positive logits of tokens in the prompt or the output,
        and multiplies their negative logits.
    temperature: 0 takes the most probable token. A value above 0 and below 0.01 counts as 0.01.
    top_p: sample among the most probable tokens that together have this probability.
    top_k: sample among this number of most probable tokens. 0 or -1: all tokens.
    min_p: sample among the tokens that have at least this share of the probability of the most
        probable token.
    seed: makes the tokens of the request the same every time, whatever else is in the batch.
    stop: strings. The text ends before the first of these strings.
    stop_token_ids: the sequence ends at any of these tokens.
    bad_words: texts that the engine does not generate.
    max_tokens, min_tokens: largest and smallest number of tokens to generate. None for max_tokens:
        as many tokens as fit.
    logprobs, prompt_logprobs: number of most probable tokens whose logprobs are returned at each
        position, in addition to the logprob of the token itself. -1: all tokens.
    flat_logprobs: return logprobs as FlatLogprobs, not as a list of dicts.
    logit_bias: values that the engine adds to the logits of these tokens. A value is limited to the
        range from -100 to 100.
    allowed_token_ids: the engine generates only these tokens.
    structured_outputs: see StructuredOutputsParams.
    repetition_detection: see RepetitionDetectionParams.
    ignore_eos: continue after an end-of-sequence token.
    include_stop_str_in_output: the text ends after the stop string, not before it.
    detokenize: False: return tokens only, no text.
    skip_special_tokens, spaces_between_special_tokens: how tokens become text.
    output_kind: see RequestOutputKind. LLM.generate always returns one output at the end.
    skip_reading_prefix_cache: compute the whole prompt. None: only if prompt_logprobs is set.
    extra_args, skip_clone: accepted for compatibility with vLLM, and not used.
    """

    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16
    min_tokens: int = 0
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    flat_logprobs: bool = False
    detokenize: bool = True
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    include_stop_str_in_output: bool = False
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE
    structured_outputs: StructuredOutputsParams | None = None
    logit_bias: dict[int, float] | None = None
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] | None = None
    repetition_detection: RepetitionDetectionParams | None = None
    skip_reading_prefix_cache: bool | None = None
    extra_args: dict[str, Any] | None = None
    skip_clone: bool = False

    def __post_init__(self) -> None:
        self.stop = _listed([self.stop] if isinstance(self.stop, str) else self.stop)
        self.stop_token_ids = _listed(self.stop_token_ids)
        self.bad_words = _listed(self.bad_words)
        settled = self._native()
        settled.settle()
        self.temperature = settled.temperature
        self.top_p, self.top_k, self.min_p = settled.top_p, settled.top_k, settled.min_p
        self.seed = settled.seed

    def clone(self) -> SamplingParams:
        """Returns a deep copy."""
        return copy.deepcopy(self)

    def _native(self) -> _native.Params:
        if not isinstance(self.output_kind, RequestOutputKind):
            raise TypeError(f"output_kind: expected a RequestOutputKind, found {self.output_kind!r}")
        structured = self.structured_outputs
        if structured is not None and not isinstance(structured, StructuredOutputsParams):
            raise TypeError("structured_outputs: expected StructuredOutputsParams or None, found "
                            f"{structured!r}")
        repetition = self.repetition_detection
        if repetition is not None and not isinstance(repetition, RepetitionDetectionParams):
            raise TypeError("repetition_detection: expected RepetitionDetectionParams or None, found "
                            f"{repetition!r}")
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["stop"] = [self.stop] if isinstance(self.stop, str) else _listed(self.stop)
        fields["stop_token_ids"] = _listed(self.stop_token_ids)
        fields["bad_words"] = _listed(self.bad_words)
        fields["output_kind"] = self.output_kind.value
        fields["skip_reading_prefix_cache"] = bool(self.skip_reading_prefix_cache)
        if structured is not None:
            parts = {field.name: getattr(structured, field.name)
                     for field in dataclasses.fields(structured)}
            for name in ("json", "structural_tag"):
                if isinstance(parts[name], Mapping):
                    parts[name] = _json.dumps(parts[name])
            parts["json_object"] = bool(structured.json_object)
            fields["structured_outputs"] = parts
        if repetition is not None:
            fields["repetition_detection"] = dataclasses.asdict(repetition)
        return _native.Params(fields)


@dataclasses.dataclass(kw_only=True)
class BeamSearchParams:
    """The parameters of vLLM's beam search. Each step keeps the beam_width most probable beams.

    length_penalty: beams are ranked by their logprob divided by length ** length_penalty.
    temperature: accepted for compatibility with vLLM, and not used. Logprobs come from the
        unchanged distribution.
    """

    beam_width: int
    max_tokens: int
    ignore_eos: bool = False
    temperature: float = 0.0
    length_penalty: float = 1.0
    include_stop_str_in_output: bool = False

    def __post_init__(self) -> None:
        for name in ("beam_width", "max_tokens"):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise TypeError(f"{name}: expected an int, found {value!r}")
            if value < 1:
                raise ValueError(f"{name}: expected 1 or more, found {value}")


def one_for_each(params: SamplingParams | Sequence[SamplingParams], count: int) -> list[SamplingParams]:
    """Returns one SamplingParams per prompt, for count prompts."""
    if isinstance(params, SamplingParams):
        return [params] * count
    params = list(params)
    for entry in params:
        if not isinstance(entry, SamplingParams):
            raise TypeError(f"sampling_params: expected SamplingParams, found {entry!r}")
    if len(params) != count:
        raise ValueError(f"sampling_params: expected one, or one for each of {count} prompts, "
                         f"found {len(params)}")
    return params
