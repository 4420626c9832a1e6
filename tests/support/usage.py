"""What a server and its workers use: processor time and memory."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from support.server import Server

SAMPLE_S = 0.002
QUIET_S = 0.05
MAX_SETTLE_S = 20.0


@dataclass(slots=True)
class Usage:
    """Of all processes together, from the beginning to the end of a block."""

    cpu_ms: float = 0.0
    """In steps of 10 for each process: repeat what is to be measured within the block."""
    memory_mb: float = 0.0
    """How far the resident memory rose above what it was, at its peak, in millions of bytes."""


class Meter:
    """Measures a running server that nobody else uses meanwhile."""

    def __init__(self, server: Server) -> None:
        root = psutil.Process(server.process.pid)
        self._processes = [root, *root.children(recursive=True)]

    @contextmanager
    def measuring(self) -> Iterator[Usage]:
        """Measure the block. What it gives is known after its end, when the server has nothing more to do."""
        usage = Usage()
        self._settle()
        cpu_s, memory = self._cpu_s(), self._memory()
        peak = memory
        done = threading.Event()

        def sample() -> None:
            nonlocal peak
            while not done.wait(SAMPLE_S):
                peak = max(peak, self._memory())

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield usage
            self._settle()
        finally:
            done.set()
            sampler.join()
        usage.cpu_ms = (self._cpu_s() - cpu_s) * 1000
        usage.memory_mb = (max(peak, self._memory()) - memory) / 1e6

    def _settle(self) -> None:
        """Wait until the processes have nothing to do."""
        deadline = time.monotonic() + MAX_SETTLE_S
        before = -1.0
        while (now := self._cpu_s()) != before and time.monotonic() < deadline:
            before = now
            time.sleep(QUIET_S)

    def _cpu_s(self) -> float:
        times = [process.cpu_times() for process in self._processes]
        return sum(each.user + each.system for each in times)

    def _memory(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)
