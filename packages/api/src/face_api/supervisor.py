"""Keeps several processes at work: starts another one for each that dies, and ends them all in order."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

TICK_S = 0.2
STEADY_S = 60.0
"""A process that lived so long is replaced at once; after a shorter life that takes the times below."""

RESTART_S = 1.0
MAX_RESTART_S = 30.0
MAX_FAILURES = 5
"""Starts in a row that fail, with no process at work: then this gives up."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Work = Callable[[Callable[[], None]], None]
"""Runs in a process of its own, calls what it is given once it is ready, and returns on SIGTERM. Picklable."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    """One of the processes, and the one after it."""

    process: SpawnProcess | None = None
    report: Connection | None = None
    ready: bool = False
    started: float = 0.0
    delay_s: float = 0.0
    due: float = 0.0


class Supervisor:
    """Runs `count` processes of `work`.

    Args:
        on_ready: called once, when all of them are ready for the first time.
        on_end: called with the id of each process that ended before its time.
        on_stop: called when no other process will be started, before those that are left end.
    """

    def __init__(
        self,
        work: Work,
        count: int,
        on_ready: Callable[[], None],
        on_end: Callable[[int], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._work = work
        self._on_ready = on_ready
        self._on_end = on_end
        self._on_stop = on_stop
        self._places = [_Place() for _ in range(count)]
        self._was_ready = False
        self._failures = 0
        self.caught: list[int] = []
        """The signals that told it to end. They are the caller's to act on, afterwards."""

    def run(self) -> bool:
        """Return when a signal came and all processes have ended; or False: they could not start, or not go on."""
        with self._catching():
            try:
                return self._supervise()
            finally:
                self._on_stop()
                self._end()

    def _supervise(self) -> bool:
        while not self.caught:
            for place in self._places:
                if place.process is None and time.monotonic() >= place.due:
                    self._start(place)
            self._wait()
            for place in self._places:
                if place.process is not None and not place.process.is_alive():
                    self._note_end(place, place.process)
            if not self._was_ready and all(place.ready for place in self._places):
                self._was_ready = True
                self._on_ready()
            if self._is_hopeless():
                return False
        return self._was_ready

    def _is_hopeless(self) -> bool:
        if not self._was_ready:
            return self._failures > 0
        return self._failures >= MAX_FAILURES and not any(place.ready for place in self._places)

    def _start(self, place: _Place) -> None:
        resource_tracker.ensure_running()  # it would be started with the process, and change the mask that is set here
        report, told = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_run, args=(self._work, told))
        place.started = time.monotonic()
        # Ctrl-C reaches the whole group, and would strike a process that does not yet know what to do about it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
            place.process, place.report = process, report
        except OSError as error:
            logger.error("no server process can be started: %s", error.strerror)  # noqa: TRY400 - no bug
            report.close()
            self._put_off(place, MAX_RESTART_S)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            told.close()

    def _wait(self) -> None:
        """Wait for a moment, and note who got ready."""
        processes = [place.process.sentinel for place in self._places if place.process is not None]
        reports = {place.report: place for place in self._places if place.report is not None}
        for source in wait([*processes, *reports], TICK_S):
            if isinstance(source, Connection):
                place = reports[source]
                with source, suppress(EOFError):  # it ended before
                    place.ready = source.recv()
                    self._failures = 0
                place.report = None

    def _note_end(self, place: _Place, process: SpawnProcess) -> None:
        process.join()
        pid = process.pid or 0
        self._on_end(pid)
        if place.ready and time.monotonic() - place.started >= STEADY_S:
            delay_s = 0.0
        else:
            delay_s = min(max(RESTART_S, 2 * place.delay_s), MAX_RESTART_S)
        logger.error("the server process %d ended: %s", pid, _describe(process.exitcode))
        self._put_off(place, delay_s)

    def _put_off(self, place: _Place, delay_s: float) -> None:
        self._failures += not place.ready
        place.process, place.ready, place.delay_s = None, False, delay_s
        place.due = time.monotonic() + delay_s

    def _end(self) -> None:
        """Let all processes end in order, however long that takes. Each further signal is handed on to them."""
        processes = [place.process for place in self._places if place.process is not None]
        for process in processes:
            process.terminate()
        handed_on = len(self.caught)
        while alive := [process for process in processes if process.is_alive()]:
            for number in self.caught[handed_on:]:
                handed_on += 1
                for process in alive:
                    if process.pid is not None:
                        os.kill(process.pid, number)
            wait([process.sentinel for process in alive], TICK_S)

    @contextmanager
    def _catching(self) -> Iterator[None]:
        def catch(number: int, _frame: FrameType | None) -> None:
            self.caught.append(number)

        before = {number: signal.signal(number, catch) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _describe(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"killed by {signal.Signals(-exitcode).name}"
    return f"status {exitcode}"


# What follows runs in the processes.


def _run(work: Work, report: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell() -> None:
        with suppress(OSError):  # the parent is gone, and this process about to end
            report.send(True)

    work(tell)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
