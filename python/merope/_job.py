"""Waits for the engine's long work, shows its progress, and ends it on Ctrl-C."""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Sequence
from typing import TypeVar

from . import _native
from ._progress import Progress, UseTqdm, make_bar

logger = logging.getLogger("merope")

T = TypeVar("T")


def run(job: _native.Job, use_tqdm: UseTqdm = True) -> str:
    """Returns the result of the job. An exception in this thread, such as Ctrl-C, stops the job, and
    is raised when the job has ended. Lines for people are logged as warnings."""
    poll = select.poll()
    poll.register(job.fileno(), select.POLLIN)
    bars = _Bars(use_tqdm)
    try:
        while not _take(job, bars):
            poll.poll()
        return job.result()
    except BaseException:
        job.stop()
        while not _take(job, bars):
            poll.poll()
        raise
    finally:
        bars.close()


def local_model(model: str | os.PathLike[str]) -> str:
    """Returns the path of a model that is given as a path, or as ORG/NAME[@REVISION], a model on
    Hugging Face, which is fetched if the cache does not have it."""
    return run(_native.find_model(os.fspath(model)))


def listed(name: str, value: T | Sequence[T], one: type[T]) -> list[T]:
    """A list of the values of an argument, of which the caller may have given only one."""
    if isinstance(value, one):
        return [value]
    if not isinstance(value, Sequence):
        raise TypeError(f"{name}: expected {one.__name__} values, found {value!r:.200}")
    return list(value)


def check_ranges(*ranges: tuple[str, object, int, int]) -> None:
    """Checks numbers: the name of the argument, its value (None: not given), the least and the most."""
    for name, value, least, most in ranges:
        if value is None:
            continue
        if not isinstance(value, int):
            raise TypeError(f"{name}: expected an int, found {value!r}")
        if not least <= value <= most:
            raise ValueError(f"{name}: expected {least} to {most}, found {value}")


def _take(job: _native.Job, bars: _Bars) -> bool:
    """Shows what the job has said. Returns whether the job has finished."""
    finished = job.finished  # first, so that nothing that was said before the end is left
    lines, steps = job.take()
    for line in lines:
        bars.close()
        logger.warning("%s", line)
    for phase, done, total in steps:
        bars.update(phase, done, total)
    return finished


class _Bars:
    """One bar for each phase of the work."""

    def __init__(self, use_tqdm: UseTqdm) -> None:
        self._use_tqdm, self._phase, self._done = use_tqdm, "", 0
        self._bar: Progress | None = None

    def update(self, phase: str, done: int, total: int) -> None:
        if self._bar is None or phase != self._phase or done < self._done:
            self.close()
            self._phase, self._done = phase, 0
            self._bar = make_bar(self._use_tqdm, total, phase)
        self._bar.update(done - self._done)
        self._done = done

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
