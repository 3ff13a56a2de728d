"""The results of requests: vLLM's RequestOutput, CompletionOutput and Logprob."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from . import _native
    from .tokenizer import Tokenizer


@dataclasses.dataclass
class Logprob:
    """The logprob of a token at one position.

    logprob: natural logarithm, from the distribution before sampling parameters change it.
    rank: 1 is the most probable token of the vocabulary.
    """

    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclasses.dataclass
class FlatLogprobs(Sequence[dict[int, Logprob] | None]):
    """Logprobs of many positions, stored in a few flat lists and read like a list of dicts."""

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

    finish_reason: "stop" (an EOS token, a token of stop_token_ids or a stop string), "length",
        "repetition", "abort", "error", or None while the sequence runs.
    stop_reason: the stop string or the token of stop_token_ids that ended the sequence; the EOS
        token of the model, if this token is not the tokenizer's EOS token; "repetition_detected";
        the error message, if finish_reason is "error"; otherwise None.
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
class RequestStateStats:
    """The times when a request reached its stages, with vLLM's names.

    arrival_time: in seconds, from time.time().
    queued_ts, scheduled_ts, first_token_ts, last_token_ts: in seconds, from time.monotonic(). 0.0
        if the stage was not reached.
    first_token_latency: seconds from arrival to the first token.
    num_generation_tokens: number of generated tokens of all sequences of the request.
    """

    num_generation_tokens: int = 0
    arrival_time: float = 0.0
    queued_ts: float = 0.0
    scheduled_ts: float = 0.0
    first_token_ts: float = 0.0
    last_token_ts: float = 0.0
    first_token_latency: float = 0.0


@dataclasses.dataclass
class RequestOutput:
    """The results of a request.

    prompt: the text of the prompt. None if the prompt was given as token ids.
    prompt_logprobs: one entry per token of the prompt. The first entry is None.
    outputs: the n sequences of the request.
    metrics: the times of the request. Comparisons ignore metrics.
    num_cached_tokens: number of prompt tokens found in the prefix cache.
    """

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    prompt_logprobs: PromptLogprobs | None
    outputs: list[CompletionOutput]
    finished: bool
    metrics: RequestStateStats | None = dataclasses.field(default=None, compare=False)
    lora_request: None = None
    num_cached_tokens: int | None = None
    kv_transfer_params: dict[str, Any] | None = None


@dataclasses.dataclass
class BeamSearchSequence:
    """A beam.

    tokens: the tokens of prompt and output.
    text: the text of these tokens.
    cum_logprob: the sum of the logprobs of the output tokens.
    """

    tokens: list[int]
    logprobs: list[dict[int, Logprob]]
    cum_logprob: float = 0.0
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclasses.dataclass
class BeamSearchOutput:
    """The best beams of a prompt. The best beam comes first."""

    sequences: list[BeamSearchSequence]


class OutputBuilder:
    """Builds the outputs of one request from the engine's events. Used by one thread."""

    def __init__(self, tokenizer: Tokenizer, request_id: str, prompt: str | None,
                 prompt_token_ids: list[int], *, n: int, logprobs: bool, prompt_logprobs: bool,
                 flat: bool) -> None:
        self._tokenizer = tokenizer
        self._flat, self._wants_logprobs, self._wants_prompt_logprobs = flat, logprobs, prompt_logprobs
        self._so_far = [self._empty(index) for index in range(n)]
        self._stats = RequestStateStats(arrival_time=time.time())
        self._arrival = time.monotonic()
        self.request = RequestOutput(request_id, prompt, prompt_token_ids, None, [], False,
                                     metrics=self._stats, num_cached_tokens=0)

    def cumulative(self, events: Iterable[_native.Event]) -> RequestOutput:
        """Adds events. Returns all results so far of the sequences that have events here, or of all
        sequences if the request has finished."""
        changed = self._add(events, self._so_far)
        if self.request.finished:
            changed = range(len(self._so_far))
        copies = [dataclasses.replace(
            output, token_ids=list(output.token_ids),
            logprobs=None if output.logprobs is None else output.logprobs[:])
            for output in map(self._so_far.__getitem__, changed)]
        return self._output(copies)

    def final(self, events: Iterable[_native.Event]) -> RequestOutput | None:
        """Adds events. Returns all results if the request has finished, otherwise None."""
        self._add(events, self._so_far)
        if not self.request.finished:
            return None
        return self._output(self._so_far)

    def delta(self, events: Iterable[_native.Event]) -> RequestOutput:
        """Returns only the new results in these events."""
        new = [self._empty(output.index) for output in self._so_far]
        changed = self._add(events, new)
        return self._output([new[index] for index in changed])

    def _output(self, outputs: list[CompletionOutput]) -> RequestOutput:
        return dataclasses.replace(self.request, outputs=outputs,
                                   metrics=dataclasses.replace(self._stats))

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
            stats = self._stats
            stats.num_generation_tokens += len(event.ids)
            (stats.queued_ts, stats.scheduled_ts, stats.first_token_ts,
             stats.last_token_ts) = event.times
            if stats.first_token_ts:
                stats.first_token_latency = stats.first_token_ts - self._arrival
            self.request.finished = self.request.finished or event.last
        return list(changed)

    def _position(self, tokens: list[tuple[int, float, int]]) -> dict[int, Logprob]:
        text = self._tokenizer.decoded_token
        return {id: Logprob(logprob, rank, text(id)) for id, logprob, rank in tokens}
