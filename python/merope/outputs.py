"""What comes back: vLLM's RequestOutput, CompletionOutput and Logprob."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from . import _native
    from .tokenizer import Tokenizer


@dataclasses.dataclass
class Logprob:
    """A token's logprob at one position: natural log, of the distribution before sampling changes it.

    rank: 1 is the likeliest token of the vocabulary.
    """

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclasses.dataclass
class FlatLogprobs(Sequence[dict[int, Logprob] | None]):
    """Logprobs of many positions in a few flat lists, read like a list of dicts."""

    start_indices: list[int] = dataclasses.field(default_factory=list)
    end_indices: list[int] = dataclasses.field(default_factory=list)
    token_ids: list[int] = dataclasses.field(default_factory=list)
    logprobs: list[float] = dataclasses.field(default_factory=list)
    ranks: list[int | None] = dataclasses.field(default_factory=list)
    decoded_tokens: list[str | None] = dataclasses.field(default_factory=list)

    def append(self, position: dict[int, Logprob] | None) -> None:
        self.start_indices.append(len(self.token_ids))
        for token_id, logprob in (position or {}).items():
            self.token_ids.append(token_id)
            self.logprobs.append(logprob.logprob)
            self.ranks.append(logprob.rank)
            self.decoded_tokens.append(logprob.decoded_token)
        self.end_indices.append(len(self.token_ids))

    def extend(self, positions: Iterable[dict[int, Logprob] | None]) -> None:
        for position in positions:
            self.append(position)

    def __len__(self) -> int:
        return len(self.start_indices)

    @overload
    def __getitem__(self, index: int) -> dict[int, Logprob]: ...
    @overload
    def __getitem__(self, index: slice) -> FlatLogprobs: ...
    def __getitem__(self, index: int | slice) -> dict[int, Logprob] | FlatLogprobs:
        if isinstance(index, slice):
            part = FlatLogprobs()
            part.extend(self[i] for i in range(*index.indices(len(self))))
            return part
        return {self.token_ids[i]: Logprob(self.logprobs[i], self.ranks[i], self.decoded_tokens[i])
                for i in range(self.start_indices[index], self.end_indices[index])}

    def __iter__(self) -> Iterator[dict[int, Logprob]]:
        return (self[i] for i in range(len(self)))


SampleLogprobs = list[dict[int, Logprob]] | FlatLogprobs
PromptLogprobs = list[dict[int, Logprob] | None] | FlatLogprobs


@dataclasses.dataclass
class CompletionOutput:
    """One generated sequence.

    finish_reason: "stop" (an EOS token, stop_token_ids, a stop string), "length", "repetition",
        "abort", "error", or None while it goes on.
    stop_reason: the stop string or the token of stop_token_ids that ended it; with "error", what
        went wrong; otherwise None.
    """

    index: int
    text: str
    token_ids: list[int]
    cumulative_logprob: float | None
    logprobs: SampleLogprobs | None
    finish_reason: str | None = None
    stop_reason: int | str | None = None

    def finished(self) -> bool:
        return self.finish_reason is not None


@dataclasses.dataclass
class RequestOutput:
    """What a request has given.

    prompt: its text; None for one of token ids. prompt_logprobs: one entry a token of the prompt,
    the first None. outputs: its n sequences. num_cached_tokens: tokens of the prompt that were found
    in the prefix cache.
    """

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    prompt_logprobs: PromptLogprobs | None
    outputs: list[CompletionOutput]
    finished: bool
    metrics: None = None
    lora_request: None = None
    num_cached_tokens: int | None = None
    kv_transfer_params: dict[str, Any] | None = None


@dataclasses.dataclass
class BeamSearchSequence:
    """A beam: tokens of prompt and output, and their text. cum_logprob is that of the output."""

    tokens: list[int]
    logprobs: list[dict[int, Logprob]]
    cum_logprob: float = 0.0
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclasses.dataclass
class BeamSearchOutput:
    """The best beams of a prompt, the best first."""

    sequences: list[BeamSearchSequence]


class OutputBuilder:
    """Makes a request's outputs from the engine's events. One thread."""

    def __init__(self, tokenizer: Tokenizer, request_id: str, prompt: str | None,
                 prompt_token_ids: list[int], *, n: int, logprobs: bool, prompt_logprobs: bool,
                 flat: bool) -> None:
        self._tokenizer = tokenizer
        self._flat, self._wants_logprobs, self._wants_prompt_logprobs = flat, logprobs, prompt_logprobs
        self._so_far = [self._empty(index) for index in range(n)]
        self.request = RequestOutput(request_id, prompt, prompt_token_ids, None, [], False,
                                     num_cached_tokens=0)

    def cumulative(self, events: Iterable[_native.Event]) -> RequestOutput:
        """All that came up to these events, of the sequences that they are about; of all once the
        request has finished."""
        changed = self._add(events, self._so_far)
        if self.request.finished:
            changed = range(len(self._so_far))
        copies = [dataclasses.replace(
            output, token_ids=list(output.token_ids),
            logprobs=None if output.logprobs is None else output.logprobs[:])
            for output in map(self._so_far.__getitem__, changed)]
        return dataclasses.replace(self.request, outputs=copies)

    def final(self, events: Iterable[_native.Event]) -> RequestOutput | None:
        """All, once the request has finished."""
        self._add(events, self._so_far)
        if not self.request.finished:
            return None
        return dataclasses.replace(self.request, outputs=self._so_far)

    def delta(self, events: Iterable[_native.Event]) -> RequestOutput:
        """What is new in these events."""
        new = [self._empty(output.index) for output in self._so_far]
        changed = self._add(events, new)
        return dataclasses.replace(self.request, outputs=[new[index] for index in changed])

    def _empty(self, index: int) -> CompletionOutput:
        logprobs: SampleLogprobs | None = None
        if self._wants_logprobs:
            logprobs = FlatLogprobs() if self._flat else []
        return CompletionOutput(index, "", [], 0.0 if self._wants_logprobs else None, logprobs)

    def _add(self, events: Iterable[_native.Event], outputs: list[CompletionOutput]) -> Sequence[int]:
        changed = dict[int, None]()
        for event in events:
            if event.refused:
                raise ValueError(event.error)
            output = outputs[event.index]
            changed[event.index] = None
            output.text += event.text
            output.token_ids += event.ids
            if output.logprobs is not None:
                output.logprobs.extend(map(self._position, event.logprobs))
                output.cumulative_logprob = event.cumulative_logprob
            output.finish_reason = event.finish_reason
            output.stop_reason = event.error or event.stop_reason
            if event.cached_tokens:
                self.request.num_cached_tokens = event.cached_tokens
            if self._wants_prompt_logprobs and self.request.prompt_logprobs is None:
                self.request.prompt_logprobs = FlatLogprobs() if self._flat else []
                self.request.prompt_logprobs.extend(
                    itertools.chain([None], map(self._position, event.prompt_logprobs)))
            self.request.finished = self.request.finished or event.last
        return list(changed)

    def _position(self, tokens: list[tuple[int, float, int]]) -> dict[int, Logprob]:
        text = self._tokenizer.decoded_token
        return {id: Logprob(logprob, rank, text(id)) for id, logprob, rank in tokens}
