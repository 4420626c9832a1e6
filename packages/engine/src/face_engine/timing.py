"""Wall-clock milliseconds by stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

StageTimings = dict[str, float]


@contextmanager
def timed(timings_ms: StageTimings, stage: str) -> Iterator[None]:
    """Add the block's wall-clock time, in milliseconds, to the stage, also where the block fails."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_ms[stage] = timings_ms.get(stage, 0.0) + (time.perf_counter() - start) * 1000
