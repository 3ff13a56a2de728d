"""A progress bar on standard error, if standard error is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """The part of tqdm's interface that merope uses."""

    def update(self, n: int) -> object: ...
    def close(self) -> object: ...


UseTqdm = bool | Callable[..., Progress]


def make_bar(use_tqdm: UseTqdm, total: int, desc: str) -> Progress:
    """merope's own bar; or what a callable such as tqdm makes."""
    if callable(use_tqdm):
        return use_tqdm(total=total, desc=desc)
    return Bar(total, desc, hidden=not use_tqdm)


class Bar:
    """Draws nothing if standard error is not a terminal."""

    def __init__(self, total: int, desc: str, hidden: bool) -> None:
        self._total, self._desc, self._done = total, desc, 0
        self._begin = time.monotonic()
        self._drawn = 0.0
        self._terminal = not hidden and sys.stderr is not None and sys.stderr.isatty()

    def update(self, n: int) -> None:
        self._done += n
        now = time.monotonic()
        if not self._terminal or (now - self._drawn < 0.1 and self._done < self._total):
            return
        self._drawn = now
        seconds = now - self._begin
        filled = 30 * self._done // max(self._total, 1)
        print(f"\r{self._desc} [{'#' * filled}{'.' * (30 - filled)}] {self._done}/{self._total}, "
              f"{self._done / max(seconds, 1e-9):.1f}/s", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._terminal and self._drawn:
            print(file=sys.stderr)
