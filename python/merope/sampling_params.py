"""What a request asks for: vLLM's SamplingParams, with its fields, defaults, ranges and rules."""

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
    # What is no collection is left for the check of types, which names the field.
    if isinstance(values, (tuple, set, frozenset)):
        return list(values)
    return values or []  # type: ignore[return-value]


class RequestOutputKind(enum.Enum):
    """What AsyncLLM yields: all so far, what is new, or one output at the end."""

    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2

    def __repr__(self) -> str:
        return str(self)


@dataclasses.dataclass(kw_only=True)
class StructuredOutputsParams:
    """What the text that is generated must be. Exactly one field is set.

    json: a JSON schema, as a string or a dict. regex: a regular expression. choice: one of these
    strings. grammar: an EBNF grammar with a rule named root. json_object: any JSON object.
    structural_tag: vLLM's; refused with the request.
    """

    json: str | dict[str, Any] | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None
    structural_tag: str | dict[str, Any] | None = None


@dataclasses.dataclass(kw_only=True)
class RepetitionDetectionParams:
    """Ends a sequence that repeats itself: a pattern of min_pattern_size to max_pattern_size tokens,
    min_count times in a row at its end. 0 for max_pattern_size turns it off."""

    max_pattern_size: int = 0
    min_pattern_size: int = 0
    min_count: int = 0


@dataclasses.dataclass(kw_only=True)
class SamplingParams:
    """How a request's tokens are chosen, when it ends, and what is said about them.

    Checked when made: a value out of range is a ValueError, one of the wrong type a TypeError, both
    naming the field. What depends on the model (tokens of the vocabulary, max_logprobs) is checked
    when a request is made of it.

    n: sequences to generate.
    presence_penalty, frequency_penalty: from -2 to 2; taken from the logits of tokens that were
        generated already, once or once for each time.
    repetition_penalty: above 0; divides the logits of tokens in the prompt or the output (of
        negative ones: multiplies).
    temperature: 0 takes the likeliest token; up to 0.01 counts as 0.01.
    top_p, top_k, min_p: sample among the likeliest tokens of this probability; so many (0 or -1:
        all); those of at least this share of the likeliest one's probability.
    seed: makes the request's tokens the same every time, in any company.
    stop: the text ends before the first of these strings.
    stop_token_ids: the sequence ends with any of these tokens.
    bad_words: texts that are not generated.
    max_tokens, min_tokens: None for max_tokens: as many as fit.
    logprobs, prompt_logprobs: of so many likeliest tokens at each position, besides the token
        itself; -1: of all.
    flat_logprobs: give logprobs as FlatLogprobs, not as a list of dicts.
    logit_bias: added to the logits of these tokens, from -100 to 100.
    allowed_token_ids: nothing but these is generated.
    structured_outputs: see StructuredOutputsParams.
    repetition_detection: see RepetitionDetectionParams.
    ignore_eos: go on after an end-of-sequence token.
    include_stop_str_in_output: the text ends with the stop string, not before it.
    detokenize: False: no text, tokens only.
    skip_special_tokens, spaces_between_special_tokens: how tokens become text.
    output_kind: what AsyncLLM yields; LLM.generate always gives one output at the end.
    skip_reading_prefix_cache: compute the whole prompt; None: only where prompt_logprobs ask for it.
    extra_args, skip_clone: taken for vLLM's sake, and not used.
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
        """A copy that shares nothing with this."""
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
    """vLLM's beam search: at each step the beam_width likeliest continuations are kept.

    length_penalty: beams are ranked by their logprob divided by length ** length_penalty.
    temperature is taken for vLLM's sake; logprobs are of the distribution as it is.
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
    """As many parameters as there are prompts."""
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
