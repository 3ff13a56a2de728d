import copy
import dataclasses
import math
import pickle

import pytest

from merope import (
    BeamSearchParams,
    RepetitionDetectionParams,
    RequestOutputKind,
    SamplingParams,
    StructuredOutputsParams,
    _native,
    sampling_params,
)


def test_defaults_are_vllms():
    params = SamplingParams()
    assert (params.n, params.temperature, params.top_p, params.top_k, params.min_p) == (1, 1, 1, 0, 0)
    assert (params.presence_penalty, params.frequency_penalty, params.repetition_penalty) == (0, 0, 1)
    assert (params.max_tokens, params.min_tokens, params.logprobs, params.seed) == (16, 0, None, None)
    assert (params.stop, params.stop_token_ids, params.bad_words) == ([], [], [])
    assert params.detokenize and params.skip_special_tokens and not params.ignore_eos
    assert params.output_kind is RequestOutputKind.CUMULATIVE


def test_what_is_settled():
    greedy = SamplingParams(temperature=0, top_p=0.5, top_k=7, min_p=0.1)
    assert (greedy.top_p, greedy.top_k, greedy.min_p) == (1, 0, 0)
    assert SamplingParams(temperature=0.001).temperature == 0.01
    assert SamplingParams(seed=-1).seed is None
    assert SamplingParams(stop="x").stop == ["x"]
    assert SamplingParams(stop=("x", "y"), stop_token_ids={3}).stop == ["x", "y"]


@pytest.mark.parametrize(("fields", "words"), [
    ({"n": 0}, ["n:", "found 0"]),
    ({"n": 2, "temperature": 0}, ["n:", "found 2"]),
    ({"presence_penalty": 2.5}, ["presence_penalty", "2.5"]),
    ({"frequency_penalty": -3}, ["frequency_penalty", "-3"]),
    ({"repetition_penalty": 0}, ["repetition_penalty"]),
    ({"temperature": -1}, ["temperature", "-1"]),
    ({"temperature": math.nan}, ["temperature", "nan"]),
    ({"top_p": 0}, ["top_p"]),
    ({"top_p": 1.5}, ["top_p", "1.5"]),
    ({"min_p": -0.5}, ["min_p"]),
    ({"top_k": -2}, ["top_k", "-2"]),
    ({"max_tokens": 0}, ["max_tokens"]),
    ({"min_tokens": -1}, ["min_tokens"]),
    ({"min_tokens": 20}, ["min_tokens", "16", "20"]),
    ({"logprobs": -2}, ["logprobs", "-2"]),
    ({"prompt_logprobs": -2}, ["prompt_logprobs", "-2"]),
    ({"stop": [""]}, ["stop"]),
    ({"stop": "x", "detokenize": False}, ["stop", "detokenize"]),
    ({"stop_token_ids": [-1]}, ["stop_token_ids", "-1"]),
    ({"bad_words": [""]}, ["bad_words"]),
    ({"allowed_token_ids": []}, ["allowed_token_ids"]),
    ({"logit_bias": {5: math.nan}}, ["logit_bias", "nan"]),
    ({"structured_outputs": StructuredOutputsParams()}, ["structured_outputs", "found 0"]),
    ({"structured_outputs": StructuredOutputsParams(regex="a", choice=["b"])}, ["found 2"]),
    ({"structured_outputs": StructuredOutputsParams(choice=[])}, ["choice"]),
    ({"repetition_detection": RepetitionDetectionParams(max_pattern_size=3, min_count=1)},
     ["min_count", "found 1"]),
])
def test_values_out_of_range(fields, words):
    with pytest.raises(ValueError) as caught:
        SamplingParams(**fields)
    for word in words:
        assert word in str(caught.value).replace("−", "-")


@pytest.mark.parametrize(("fields", "word"), [
    ({"n": 1.5}, "n"), ({"n": "1"}, "n"), ({"temperature": "hot"}, "temperature"), ({"top_p": None}, "top_p"),
    ({"stop": 5}, "stop"), ({"stop": [5]}, "stop"), ({"stop_token_ids": ["a"]}, "stop_token_ids"),
    ({"ignore_eos": 1}, "ignore_eos"), ({"logit_bias": [1]}, "logit_bias"),
    ({"logit_bias": {"a": 1.0}}, "logit_bias"), ({"seed": 1.5}, "seed"),
    ({"structured_outputs": {"regex": "a"}}, "structured_outputs"),
    ({"structured_outputs": StructuredOutputsParams(regex=3)}, "regex"),
    ({"repetition_detection": 3}, "repetition_detection"), ({"output_kind": 1}, "output_kind"),
])
def test_values_of_a_wrong_type(fields, word):
    with pytest.raises(TypeError, match=f"^{word}: expected "):
        SamplingParams(**fields)


def test_unknown_fields():
    with pytest.raises(TypeError, match="best_of"):
        SamplingParams(best_of=2)


def test_a_json_schema_may_be_a_dict():
    params = SamplingParams(structured_outputs=StructuredOutputsParams(json={"type": "object"}))
    assert params.structured_outputs.json == {"type": "object"}


def test_repr_copies_and_pickles():
    params = SamplingParams(n=3, stop=["a"], logit_bias={1: 2.0},
                            structured_outputs=StructuredOutputsParams(choice=["x"]))
    assert eval(repr(params), {**globals()}) == params
    clone = params.clone()
    clone.stop.append("b")
    clone.structured_outputs.choice.append("y")
    assert (params.stop, params.structured_outputs.choice) == (["a"], ["x"])
    assert pickle.loads(pickle.dumps(params)) == params == copy.copy(params)


def test_beam_search_params():
    assert BeamSearchParams(beam_width=2, max_tokens=3).length_penalty == 1
    with pytest.raises(ValueError, match="beam_width: expected 1 or more, found 0"):
        BeamSearchParams(beam_width=0, max_tokens=3)
    with pytest.raises(TypeError, match="max_tokens: expected an int, found None"):
        BeamSearchParams(beam_width=1, max_tokens=None)


def test_fields_that_are_not_declared_come_from_the_engines_list():
    @dataclasses.dataclass(kw_only=True)
    @sampling_params._with_native_fields
    class Some:
        top_p: float = 0.5

    some = Some(min_p=0.25)
    assert (some.top_p, some.min_p, some.n, some.max_tokens, some.stop) == (0.5, 0.25, 1, 16, None)
    declared = {field.name for field in dataclasses.fields(SamplingParams)}
    assert declared >= set(_native.Params.defaults())
