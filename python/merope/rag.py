"""Cited answers, with the names of Pleias' own library.

    from merope.rag import RAGWithCitations

    rag = RAGWithCitations("PleIAs/Pleias-RAG-350M")
    answer = rag.generate("How tall is it?", [{"text": "The tower is 330 metres tall."}])
    print(answer["processed"]["clean_answer"])

A citation is shown only if its source has the quote.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from . import _native
from .engine import Engine
from .sampling_params import SamplingParams

Source = str | Mapping[str, Any]

# Arguments of Pleias' library that change no result here.
_WITHOUT_EFFECT = frozenset({"backend", "hf_token", "models_dir", "trust_remote_code"})


class RAGWithCitations(Engine):
    """A model that answers questions from given sources, and quotes them.

    model_path_or_name: as LLM's model. A model without a protocol for sources is asked in its chat
        form, with an instruction.
    max_tokens, temperature, top_p, repetition_penalty: of each answer. Temperature 0 is greedy.
    quotes: "verbatim" (the model can only quote what a source says), "check" (it writes freely, and
        quotes that fail their check are not shown) or "off" (raw text without citations).
    cite: with verbatim quotes, "free" (the model cites where it wants to) or "once" (the first
        sentence ends in a quote). None: "free" for a model with a protocol, "once" for another one.
    fast: answer without an analysis before (Pleias-RAG).
    engine: the arguments of LLM. seed makes sampling repeatable.
    """

    def __init__(
        self,
        model_path_or_name: str | os.PathLike[str],
        max_tokens: int | None = 2048,
        temperature: float = 0.0,
        top_p: float = 0.95,
        repetition_penalty: float = 1.0,
        *,
        quotes: str = "verbatim",
        cite: str | None = None,
        fast: bool = False,
        **engine: Any,
    ) -> None:
        engine = {name: value for name, value in engine.items() if name not in _WITHOUT_EFFECT}
        if quotes not in ("verbatim", "check", "off"):
            raise ValueError(f'quotes: expected "verbatim", "check" or "off", found {quotes!r}')
        if cite not in (None, "free", "once"):
            raise ValueError(f'cite: expected "free", "once" or None, found {cite!r}')
        self._params = SamplingParams(max_tokens=max_tokens, temperature=temperature, top_p=top_p,
                                      repetition_penalty=repetition_penalty)
        super().__init__(model_path_or_name, **engine)
        if max_tokens is not None and max_tokens >= self.max_model_len:
            self._params.max_tokens = None  # half of the context
        self._quotes, self._cite, self._fast = quotes, cite, fast

    def generate(self, query: str, sources: Sequence[Source] | None = None) -> dict[str, Any]:
        """Answers one question. sources: texts, or dicts with "text" and perhaps "metadata".

        Returns {"raw_response", "processed", "backend_used"}. "processed" has the sections of the
        answer, "clean_answer", "citations" (with "citation_number", "source_id", "cited_text",
        "supported_text", "verdict", "pieces", and the source's "metadata"), "unsupported" and
        "state".
        """
        return self.generate_batch([(query, sources or [])])[0]

    def generate_batch(self, questions: Sequence[tuple[str, Sequence[Source]]]) -> list[dict[str, Any]]:
        """Answers several questions together. Each answer is the one that the question has alone."""
        jobs = [self._prepare(query, sources) for query, sources in questions]
        for tag, _ in self._run(jobs):
            del tag
        return [_result(job, sources) for job, (_, sources) in zip(jobs, questions)]

    def stream(self, query: str, sources: Sequence[Source] | None = None) -> Iterator[dict[str, Any]]:
        """Answers one question, piece by piece.

        Yields dicts with "event": "open", "text", "close" (of a "section"), "citation" and
        "unsupported" (after the check of a quote), and at the end "done" with "result", which is
        what generate returns. The texts of a section add up to its text in the result.
        """
        job = self._prepare(query, sources or [])
        for _, news in self._run([job]):
            yield from news
        yield {"event": "done", "result": _result(job, sources or [])}

    def _prepare(self, query: str, sources: Sequence[Source]) -> _native.Question:
        texts = [_text(index, source) for index, source in enumerate(sources)]
        return self._model.prepare_question(query, texts, self._fast, self._quotes, self._cite,
                                            self._params._native(), self._params.seed)

    def _run(self, jobs: list[_native.Question]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        events, poll = _native.Events(), select.poll()
        poll.register(events.fileno(), select.POLLIN)
        ids: list[int] = []
        unfinished = len(jobs)
        try:
            for tag, job in enumerate(jobs):
                ids.append(self._model.submit_question(events, tag, job))
            while unfinished:
                poll.poll()
                for event in events.take():
                    if event.error:
                        raise (ValueError if event.refused else RuntimeError)(event.error)
                    yield event.tag, [json.loads(text) for text in jobs[event.tag].read(event)]
                    unfinished -= event.last
        finally:
            if unfinished:
                for request in ids:
                    self._model.abort(request)


def _text(index: int, source: Source) -> str:
    text = source.get("text") if isinstance(source, Mapping) else source
    if not isinstance(text, str):
        raise TypeError(f'sources[{index}]: expected a text, or a dict with "text", found {source!r:.200}')
    return text


def _result(job: _native.Question, sources: Sequence[Source]) -> dict[str, Any]:
    processed = cast("dict[str, Any]", json.loads(job.result()))
    for citation in processed["citations"]:
        source = sources[citation["source_id"] - 1]
        if isinstance(source, Mapping) and "metadata" in source:
            citation["metadata"] = source["metadata"]
    raw = processed.pop("raw")
    return {"raw_response": raw, "processed": processed, "backend_used": "merope"}
