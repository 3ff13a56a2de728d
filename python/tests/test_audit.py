"""merope.audit gives what `merope verify` prints with --json and --layers, --tokens, --invariance or --self-test, as objects."""

import dataclasses
import json

import pytest

from merope import audit

FUNCTIONS = {"layers": {"quick": True}, "tokens": {"quick": True}, "invariance": {"quick": True}, "self_test": {"mutants": ["eps", "mask-plus-one"]}}


@pytest.fixture(scope="module", params=FUNCTIONS)
def pair(request, model, program):
    """The result of a function, and what the command prints."""
    options = [f"--{request.param.replace('_', '-')}", "--max-model-len", "256"]
    for name, value in FUNCTIONS[request.param].items():
        options += [f"--{name}"] if value is True else [f"--{name}", ",".join(value)]
    result = getattr(audit, request.param)(model, **FUNCTIONS[request.param], max_model_len=256, use_tqdm=False)
    return result, json.loads(program("verify", model, *options, "--json").stdout)


def timeless(value):
    if isinstance(value, dict):
        return {name: timeless(item) for name, item in value.items() if name != "seconds"}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def test_it_is_what_the_command_prints(pair):
    result, printed = pair
    assert timeless(result.to_dict()) == timeless(printed)
    assert result.seconds > 0 and result.verdict == printed["verdict"] if "verdict" in printed else result.passed == printed["passed"]


def held(typed, content):
    """Checks that the objects hold every member of the JSON."""
    if dataclasses.is_dataclass(typed):
        assert set(content) <= {one.name for one in dataclasses.fields(typed)}, type(typed)
        for name, item in content.items():
            held(getattr(typed, name), item)
    elif isinstance(content, list):
        assert len(typed) == len(content)
        for one, item in zip(typed, content):
            held(one, item)
    else:
        assert typed == content


def test_the_objects_hold_every_member(pair):
    result, _ = pair
    held(result, result.to_dict())


def test_the_rows_are_objects(model):
    points = audit.layers(model, quick=True, max_model_len=256, use_tqdm=False).points
    assert len(points) > 10 and all(isinstance(one, audit.LayerPoint) and isinstance(one.target, audit.PointErrors) for one in points)


def test_wrong_arguments_are_named(model):
    with pytest.raises(ValueError, match="mutants: .*nothing"):
        audit.self_test(model, mutants=["nothing"], use_tqdm=False)
    with pytest.raises(ValueError, match="num_threads"):
        audit.layers(model, num_threads=0, use_tqdm=False)
    with pytest.raises(ValueError, match="quick or full"):
        audit.invariance(model, quick=True, full=True, use_tqdm=False)
    with pytest.raises(ValueError, match="endpoint"):
        audit.tokens(model, endpoint="not a URL", use_tqdm=False)
