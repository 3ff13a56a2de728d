"""AsyncLLM: generation for asyncio programs, which start and end requests at any time."""

from __future__ import annotations

import asyncio
import functools
import itertools
import weakref
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from . import _native
from .engine import Engine, Prompt
from .outputs import RequestOutput
from .sampling_params import RequestOutputKind, SamplingParams
from .tokenizer import Tokenizer
from .vllm_arguments import take_request_arguments


_numbers = itertools.count()


class _Stream:
    """Passes the events of one request to its generator."""

    def __init__(self) -> None:
        self.events: list[_native.Event] = []
        self.filled = asyncio.Event()

    async def take(self) -> list[_native.Event]:
        await self.filled.wait()
        self.filled.clear()
        events, self.events = self.events, []
        return events


class _Inbox:
    """The requests of one event loop. The loop watches the descriptor only while requests run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self.events = _native.Events()
        self._streams: dict[int, _Stream] = {}
        self._tags = itertools.count()

    def open(self) -> tuple[int, _Stream]:
        loop = self._loop()
        if not self._streams and loop is not None:
            loop.add_reader(self.events.fileno(), self._read)
        tag = next(self._tags)
        self._streams[tag] = stream = _Stream()
        return tag, stream

    def close(self, tag: int) -> None:
        del self._streams[tag]
        loop = self._loop()
        if not self._streams and loop is not None and not loop.is_closed():
            loop.remove_reader(self.events.fileno())

    def _read(self) -> None:
        for event in self.events.take():
            stream = self._streams.get(event.tag)
            if stream is not None:  # None: the stream was closed
                stream.events.append(event)
                stream.filled.set()


class AsyncLLM(Engine):
    """A model for asyncio programs: vLLM's AsyncLLM, on CPUs.

        llm = AsyncLLM(model="SmolLM2-135M-Instruct.gguf")
        async for output in llm.generate("The capital of France is", SamplingParams(), "a"):
            print(output.outputs[0].text)

    Any number of requests may run at once, in any number of event loops.
    """

    __doc__ = f"{__doc__}\n{Engine.__doc__}"

    @functools.cached_property
    def _inboxes(self) -> weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Inbox]:
        return weakref.WeakKeyDictionary()

    @functools.cached_property
    def _running(self) -> dict[str, int]:
        return {}

    async def generate(
        self,
        prompt: Prompt,
        sampling_params: SamplingParams | None = None,
        request_id: str | None = None,
        *,
        priority: int = 0,
        **vllm: Any,
    ) -> AsyncGenerator[RequestOutput, None]:
        """Completes a prompt (see LLM.generate), and yields an output each time new events come.

        sampling_params.output_kind sets whether each output holds all text and tokens so far, or
        only the new ones, or whether there is only one output at the end. If the caller stops
        iterating or is cancelled, the request ends.
        """
        take_request_arguments("generate", vllm)
        params = sampling_params or self.get_default_sampling_params()
        if request_id is None:
            request_id = f"request-{next(_numbers)}"
        if request_id in self._running:
            raise ValueError(f"request_id: expected one that is not running, found {request_id!r}")
        parsed = self._parse(prompt)
        builder = self._builder(request_id, parsed, params)
        loop = asyncio.get_running_loop()
        inbox = self._inboxes.get(loop)
        if inbox is None:
            inbox = self._inboxes[loop] = _Inbox(loop)
        tag, stream = inbox.open()
        number = None
        try:
            number = self._submit(inbox.events, tag, parsed, params._native(), priority)
            self._running[request_id] = number
            while not builder.request.finished:
                events = await stream.take()
                if params.output_kind is RequestOutputKind.CUMULATIVE:
                    yield builder.cumulative(events)
                elif params.output_kind is RequestOutputKind.DELTA:
                    yield builder.delta(events)
                elif (output := builder.final(events)) is not None:
                    yield output
        finally:
            inbox.close(tag)
            if number is not None:
                del self._running[request_id]
                if not builder.request.finished:
                    self._model.abort(number)

    async def abort(self, request_id: str | Iterable[str]) -> None:
        """Ends requests. Their generators yield the results so far, with finish_reason "abort".
        Ignores requests that do not run."""
        for name in [request_id] if isinstance(request_id, str) else request_id:
            number = self._running.get(name)
            if number is not None:
                self._model.abort(number)

    async def get_tokenizer(self) -> Tokenizer:
        return self._tokenizer

    async def reset_prefix_cache(self) -> bool:
        """Removes all prompts from the prefix cache. Returns False and removes nothing while
        requests run."""
        return await asyncio.to_thread(self._model.reset_prefix_cache)

    def shutdown(self) -> None:
        """Ends all requests."""
        for number in list(self._running.values()):
            self._model.abort(number)
