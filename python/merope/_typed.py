"""Makes dataclasses of the JSON that the program prints."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")
_known: dict[type[Any], dict[str, Any]] = {}


class FromJson:
    """A dataclass whose fields are members of a JSON object."""

    _json: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Returns what the command prints with --json, as json.loads reads it."""
        return copy.deepcopy(self._json)


def load(kind: type[T], text: str) -> T:
    """Reads a whole result; to_dict() gives it back."""
    content = json.loads(text)
    result = build(kind, content)
    result._json = content  # type: ignore[attr-defined]
    return result


def build(kind: type[T], content: dict[str, Any]) -> T:
    """Takes the members that are fields of the dataclass. A field without a member has its default."""
    hints = _hints(kind)
    return kind(**{name: _convert(hint, content[name]) for name, hint in hints.items() if name in content})


def _hints(kind: type[Any]) -> dict[str, Any]:
    """The types of the dataclass's fields, by name."""
    if kind not in _known:
        hints = typing.get_type_hints(kind)
        _known[kind] = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    return _known[kind]


def _convert(hint: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _convert(arguments[0], value)
    if origin is list and isinstance(value, dict):  # an object whose names are the keys of the items
        return [build(arguments[0], {"key": key, **item}) for key, item in value.items()]
    if origin is list:
        return [_convert(arguments[0], item) for item in value]
    if origin is tuple:
        return tuple(_convert(float, item) for item in value)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast("type[Any]", hint), value)
    if hint is float:  # JSON has no NaN
        return math.nan if value is None else float(value)
    return value
