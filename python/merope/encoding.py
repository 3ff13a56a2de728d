"""The result of calling a tokenizer: Hugging Face's BatchEncoding, with truncation and padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal


class BatchEncoding(dict[str, Any]):
    """A dict whose entries are also attributes: input_ids, attention_mask."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


Padding = bool | Literal["longest", "max_length", "do_not_pad"]
Truncation = bool | Literal["longest_first", "only_first", "do_not_truncate"]
Side = Literal["left", "right"]


def wants_truncation(truncation: Truncation | None, max_length: int | None) -> bool:
    """Returns whether a text is cut to max_length. If truncation is None, max_length alone decides."""
    if truncation not in (None, False, True, "longest_first", "only_first", "do_not_truncate"):
        raise ValueError(f"truncation: expected a bool, \"longest_first\", \"only_first\" or "
                         f"\"do_not_truncate\", found {truncation!r}")
    if max_length is not None and (not isinstance(max_length, int) or max_length < 0):
        raise ValueError(f"max_length: expected 0 or more, found {max_length!r}")
    if truncation in (False, "do_not_truncate"):
        return False
    if truncation is not None and max_length is None:
        raise ValueError("truncation: expected max_length with it, found none")
    return max_length is not None


def truncate(body: list[int], whole: list[int], max_length: int, side: Side) -> list[int]:
    """Cuts body so that whole has at most max_length tokens.

    whole: body with the tokenizer's own tokens around body. Own tokens that fit are kept.
    """
    extra = len(whole) - len(body)
    prefix = next((n for n in range(extra + 1) if whole[n:n + len(body)] == body), extra)
    around = whole[:prefix], whole[prefix + len(body):]
    room = max(max_length - extra, 0)
    kept = body[:room] if side == "right" else body[len(body) - min(room, len(body)):]
    return (around[0] + kept + around[1])[:max_length]


def pad(rows: Sequence[list[int]], padding: Padding, max_length: int | None, side: Side,
        pad_token_id: int | None) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the rows and their attention masks. With padding, all rows have the same length."""
    if padding not in (False, True, "longest", "max_length", "do_not_pad"):
        raise ValueError("padding: expected a bool, \"longest\", \"max_length\" or \"do_not_pad\", found "
                         f"{padding!r}")
    if padding in (False, "do_not_pad"):
        return list(rows), [[1] * len(row) for row in rows]
    if pad_token_id is None:
        raise ValueError("padding: expected a tokenizer with a pad token, found none")
    length = max(map(len, rows), default=0)
    if padding == "max_length":
        if max_length is None:
            raise ValueError("padding: expected max_length with \"max_length\", found none")
        length = max(length, max_length)
    filled, masks = [], []
    for row in rows:
        missing = length - len(row)
        padding_ids, zeros, ones = [pad_token_id] * missing, [0] * missing, [1] * len(row)
        filled.append(padding_ids + row if side == "left" else row + padding_ids)
        masks.append(zeros + ones if side == "left" else ones + zeros)
    return filled, masks


def refuse_tensors(return_tensors: object) -> None:
    if return_tensors is not None:
        raise ValueError(f"return_tensors: expected None, found {return_tensors!r}: token ids are lists")
