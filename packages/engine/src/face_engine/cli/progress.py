"""How far a command is, on standard error: a bar for people, lines of JSON for the program that started it."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import click
from tqdm import tqdm

from face_engine.evaluation.progress import Advance, Progress

ProgressForm = Literal["bar", "json"]

LINE_INTERVAL_S = 0.2
"""Between two lines of a step, but for its first and its last one."""


def progress_in(form: ProgressForm) -> Progress:
    """Return what shows progress in this form."""
    return bar if form == "bar" else json_lines


@contextmanager
def bar(*, title: str, total: int, unit: str) -> Iterator[Advance]:
    """Show a bar, where standard error is a terminal."""
    with tqdm(total=total, desc=title, unit=unit, unit_scale=unit == "pair", file=sys.stderr, disable=None) as shown:
        yield shown.update


@contextmanager
def json_lines(*, title: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """Write a line when the step begins, when it ends, and at most one each LINE_INTERVAL_S between.

    Raises:
        BrokenPipeError: nobody reads them any more. It ends the command: who started it is gone.
    """
    done, told, told_at = 0, 0, clock()

    def tell() -> None:
        nonlocal told, told_at
        told, told_at = done, clock()
        click.echo(json.dumps({"step": title, "done": done, "total": total, "unit": unit}), err=True)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if clock() - told_at >= LINE_INTERVAL_S:
            tell()

    tell()
    yield advance
    if done != told:
        tell()
