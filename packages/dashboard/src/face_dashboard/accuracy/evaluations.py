"""The evaluation that runs: `face-engine evaluate` in a process of its own, one at a time.

It ends with the dashboard: orderly by atexit, else because nobody reads its progress any more. What it had encoded
stays in the report's folder, and starting the same order again goes on there.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

from face_dashboard.accuracy.labelled_sets import find_set
from face_dashboard.accuracy.orders import Order, arguments, forget, keep
from face_dashboard.folders import is_name, remove_leftovers, subfolder
from face_dashboard.settings import environment_of_programs
from face_dashboard.translations import PlainError
from face_engine.evaluation.reports import Report

PROGRAM = Path(sys.executable).with_name("face-engine")

NICENESS = 10
"""Added to the dashboard's: photos that somebody waits for come first."""

MAX_LINES = 45
"""Kept of what the program says besides its progress."""

MAX_LINE = 500
ENDING_S = 5.0

SPEAKER = "face-engine: "
ADVICE = "; correct it, or leave out what is wrong: --on-problem skip"
"""What the program adds to a message for who calls it in a terminal."""

State = Literal["running", "done", "failed", "stopped"]

BUSY = "An evaluation is running already: wait for it, or stop it."
NO_SET = "There is no set `{name}`."
NO_NAME = "A name has 1 to 64 letters (A to Z), digits, dots, dashes or underscores, and begins with no dot."
EXISTS = "There is a report `{name}` already: choose another name."
NOT_STARTED = "The evaluation cannot be started: {reason}."


class EvaluationRefusedError(PlainError):
    """An evaluation cannot be started."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a step of the run is."""

    title: str
    done: int
    total: int
    unit: str
    began: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """An evaluation, as it is now.

    Args:
        name: of the report.
        message: of a run that failed, why, in the engine's words; empty where it said nothing.
        problems: of the set, the first of them, where it failed for those: they can be left out.
        signal: that ended it, where it was not stopped.
    """

    name: str
    order: Order
    began: datetime
    state: State = "running"
    step: Step | None = None
    message: str = ""
    problems: Sequence[str] = ()
    signal: int | None = None


class Evaluations:
    """Safe from several threads.

    Args:
        sets_dir, reports_dir: as in the settings.
    """

    def __init__(self, sets_dir: Path, reports_dir: Path) -> None:
        self._sets_dir, self._reports_dir = sets_dir, reports_dir
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._is_stopped = False

    @property
    def run(self) -> Run | None:
        """The run that there is, or was last; None where there was none."""
        with self._lock:
            return self._run

    def start(self, order: Order, name: str) -> None:
        """Start an evaluation, or go on with an unfinished one of this name. Raises EvaluationRefusedError."""
        with self._lock:
            if self._run is not None and self._run.state == "running":
                raise EvaluationRefusedError(BUSY)
            photos = find_set(self._sets_dir, order.set_name)
            if photos is None or photos.layout is None:
                raise EvaluationRefusedError((photos and photos.problem) or NO_SET, name=order.set_name)
            if not is_name(name):
                raise EvaluationRefusedError(NO_NAME)
            if Report(self._reports_dir / name).results_path.exists():
                raise EvaluationRefusedError(EXISTS, name=name)
            is_new = True
            try:
                self._reports_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                is_new = subfolder(self._reports_dir, name) is None
                keep(self._reports_dir, name, order)
                process = subprocess.Popen(  # noqa: S603 - our own program, and no shell
                    [PROGRAM, *arguments(photos, order, self._reports_dir / name)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=environment_of_programs(),
                    start_new_session=True,  # a Ctrl-C in the terminal is the dashboard's, which then ends it
                )
            except OSError as error:
                if is_new:
                    forget(self._reports_dir, name)
                raise EvaluationRefusedError(NOT_STARTED, reason=error.strerror) from error
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
            self._process, self._is_stopped = process, False
            run = self._run = Run(name, order, datetime.now(UTC))
            self._reader = threading.Thread(target=self._follow, args=(process, run), name="evaluation", daemon=True)
            self._reader.start()

    def stop(self) -> None:
        """End the run, if there is one; what it has encoded stays."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._is_stopped = True
                self._process.terminate()

    def wait(self, timeout_s: float) -> None:
        """Wait until nothing runs, at most so long."""
        if self._reader is not None:
            self._reader.join(timeout_s)

    def close(self) -> None:
        """End the run, and wait until it has ended."""
        self.stop()
        if self._process is not None:
            try:
                self._process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _follow(self, process: subprocess.Popen[bytes], run: Run) -> None:
        """Keep `run` as far as the program says it is, until it has ended."""
        said: deque[str] = deque(maxlen=MAX_LINES)
        with process:
            for line in process.stderr or ():
                text = line.decode("utf-8", "replace").rstrip()
                if (step := _step(text)) is None:
                    said.append(text[:MAX_LINE])
                    continue
                if run.step is not None and run.step.title == step.title:
                    step = replace(step, began=run.step.began)
                run = replace(run, step=step)
                with self._lock:
                    self._run = run
        status = process.returncode
        with self._lock:
            if status == 0 or subfolder(self._reports_dir, run.name) is None:  # nothing to go on with
                forget(self._reports_dir, run.name)
            self._run = _ended(run, status, list(said), is_stopped=self._is_stopped)


@cache
def evaluations(sets_dir: Path, reports_dir: Path) -> Evaluations:
    """Return the evaluations of this process, which end with it. What a former one left half done is removed."""
    for folder in (sets_dir, reports_dir):
        remove_leftovers(folder)
    made = Evaluations(sets_dir, reports_dir)
    atexit.register(made.close)
    return made


def _step(line: str) -> Step | None:
    """Return the step that a line of progress tells; None where it is something else."""
    try:
        told = json.loads(line)
        return Step(str(told["step"]), int(told["done"]), int(told["total"]), str(told["unit"]), datetime.now(UTC))
    except (ValueError, LookupError, TypeError):
        return None


def _ended(run: Run, status: int, said: list[str], *, is_stopped: bool) -> Run:
    if status == 0:
        return replace(run, state="done")
    if is_stopped:
        return replace(run, state="stopped")
    last = said[-1] if said else ""
    return replace(
        run,
        state="failed",
        message=last.removeprefix(SPEAKER).removesuffix(ADVICE),
        problems=tuple(said[:-1]) if last.endswith(ADVICE) else (),
        signal=-status if status < 0 else None,
    )
