"""Cited answers: the shapes of Pleias' library, and its defects that must not occur here."""

import pathlib

import pytest

from merope.rag import RAGWithCitations

SOURCES = [
    {"text": "The Eiffel Tower was completed in 1889 for the World's Fair. It is 330 metres tall.", "metadata": {"page": 3}},
    {"text": "Mount Fuji is the highest mountain in Japan. It last erupted from 1707 to 1708."}]


@pytest.fixture(scope="module")
def rag(model: pathlib.Path) -> RAGWithCitations:
    return RAGWithCitations(model, max_tokens=200, temperature=1.5, top_p=1.0, max_model_len=2048, seed=3, fast=True,
                            cite="once", hf_token="not used")


def questions(n):
    return [(f"Question {i}?", SOURCES[i % 2:] + SOURCES[:i % 2]) for i in range(n)]


def test_shapes(rag):
    answer = rag.generate("How tall is it?", SOURCES)
    assert answer.keys() == {"raw_response", "processed", "backend_used"}
    assert answer["backend_used"] == "merope"
    assert answer["processed"].keys() >= {
        "language", "query_analysis", "query_report", "source_analysis", "source_report", "draft", "answer", "clean_answer",
        "citations", "unsupported", "state"}


def test_citations_are_verbatim_and_have_their_metadata(rag):
    shown = 0
    for (_, sources), answer in zip(questions(24), rag.generate_batch(questions(24))):
        for citation in answer["processed"]["citations"]:
            shown += 1
            source = sources[citation["source_id"] - 1]
            begin, end = citation["pieces"][0]
            assert source["text"].encode()[begin:end].decode() == citation["cited_text"]
            assert citation.get("metadata") == source.get("metadata")
            assert f"[{citation['citation_number']}]" in answer["processed"]["clean_answer"]
    assert shown > 0


def test_a_stream_adds_up_to_the_answer(rag, model):
    again = RAGWithCitations(model, max_tokens=200, temperature=0, max_model_len=2048, fast=True)
    *events, done = again.stream("How tall is it?", SOURCES)
    assert done["event"] == "done" and done["result"] == again.generate("How tall is it?", SOURCES)
    processed = done["result"]["processed"]
    streamed = "".join(e["text"] for e in events if e["event"] == "text" and e["section"] == "answer")
    assert processed["clean_answer"].startswith(streamed)
    assert sum(e["event"] == "citation" for e in events) == len(processed["citations"])


def test_a_reader_that_leaves_ends_the_request(rag):
    stream = rag.stream("How tall is it?", SOURCES)
    next(stream)
    stream.close()
    assert rag.generate("How tall is it?", SOURCES)["processed"]["state"]


def test_wrong_arguments_are_named(rag, model):
    with pytest.raises(TypeError, match=r"sources\[1\]"):
        rag.generate("q", ["text", {"content": "x"}])
    with pytest.raises(ValueError, match="query"):
        rag.generate("  ", SOURCES)
    with pytest.raises(ValueError, match="quotes"):
        RAGWithCitations(model, quotes="maybe")
    with pytest.raises(ValueError, match="query: expected at most"):
        rag.generate("word " * 5000, SOURCES)
