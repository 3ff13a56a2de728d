import json
import re

import pytest

from merope import SamplingParams, StructuredOutputsParams

SCHEMA = {
    "type": "object", "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"], "additionalProperties": False}


def texts(llm, count=6, **fields):
    params = SamplingParams(structured_outputs=StructuredOutputsParams(**fields), n=count, seed=1, max_tokens=400)
    (output,) = llm.generate("Hello", params)
    assert [completion.finish_reason for completion in output.outputs] == ["stop"] * count
    return [completion.text for completion in output.outputs]


def test_choice(llm):
    assert set(texts(llm, 20, choice=["yes", "no", "été"])) == {"yes", "no", "été"}


def test_regex(llm):
    found = texts(llm, regex=r"20[0-9]{2}-(0[1-9]|1[0-2])")
    assert len(set(found)) > 1
    for text in found:
        assert re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", text)


@pytest.mark.parametrize("schema", [SCHEMA, json.dumps(SCHEMA)])
def test_json(llm, schema):
    for text in texts(llm, json=schema):
        found = json.loads(text)
        assert list(found) == ["name", "age"]
        assert len(found["name"]) <= 5 and found["age"] in range(100)


def test_json_object(llm):
    params = SamplingParams(structured_outputs=StructuredOutputsParams(json_object=True), temperature=0.5,
                            max_tokens=30, n=4, seed=1)
    for completion in llm.generate("Hello", params)[0].outputs:
        assert completion.text.startswith("{")
        if completion.finish_reason == "stop":
            assert isinstance(json.loads(completion.text), dict)


def test_grammar(llm):
    for text in texts(llm, grammar='root ::= sum\nsum ::= digit ("+" digit){1,3}\ndigit ::= [0-9]'):
        assert re.fullmatch(r"[0-9](\+[0-9]){1,3}", text)


def test_each_prompt_has_its_own(llm):
    params = [SamplingParams(structured_outputs=StructuredOutputsParams(choice=[word])) for word in ("one", "two")]
    outputs = llm.generate(["a", "b", "c"], [*params, SamplingParams(max_tokens=3, ignore_eos=True)])
    assert [output.outputs[0].text for output in outputs[:2]] == ["one", "two"]
    assert len(outputs[2].outputs[0].token_ids) == 3


@pytest.mark.parametrize(("fields", "word"), [
    ({"regex": r"(a)\1"}, "regex"), ({"regex": "("}, "regex"), ({"json": '{"not": {}}'}, "not"), ({"json": "{"}, "json"),
    ({"grammar": "start ::= 'a'"}, "grammar"), ({"structural_tag": "{}"}, "structural_tag"),
])
def test_what_cannot_be_is_refused_by_name(llm, fields, word):
    with pytest.raises(ValueError, match=word):
        llm.generate("Hello", SamplingParams(structured_outputs=StructuredOutputsParams(**fields)))
