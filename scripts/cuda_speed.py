"""What a device does in a second, by how much it is given at a time."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from face_engine.benchmark import Spread
from face_engine.encoding import DEFAULT_VIEWS, views_of
from face_engine.pipeline import FaceEngine
from face_engine.runtimes import Runtime
from face_engine.runtimes.converted import MAX_BATCH
from face_engine.types import Chip

BATCHES = (1, 2, 4, 8, 16, MAX_BATCH)
CALLERS = (1, 2, 4, 8)


def latency(engine: FaceEngine, photos: Sequence[bytes], repeats: int) -> Spread:
    """Return milliseconds from a photo's bytes to its templates, one photo after the other. Raises FaceEngineError."""
    engine.warm_up()
    return Spread.of([1000 * _seconds(lambda: engine.analyse(photo)) for photo in photos for _ in range(repeats)])  # noqa: B023 - called at once


def encodings_per_second(runtime: Runtime, repeats: int) -> dict[int, float]:
    """Return how many chips are encoded in a second, by how many are given at a time. Raises InferenceError."""
    chip = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    views = views_of(chip, DEFAULT_VIEWS)
    rates = {}
    for size in BATCHES:
        batch: list[Chip] = [views[index % len(views)] for index in range(size)]
        runtime.encode(batch)  # the first of a size looks for the fastest way
        rates[size] = repeats * size / _seconds(lambda: [runtime.encode(batch) for _ in range(repeats)])  # noqa: B023
    return rates


def photos_per_second(engine: FaceEngine, photos: Sequence[bytes], repeats: int) -> dict[int, float]:
    """Return how many photos are analysed in a second, by how many callers send one after the other."""
    work = list(photos) * repeats
    rates = {}
    for callers in CALLERS:
        with ThreadPoolExecutor(callers) as pool:
            rates[callers] = len(work) / _seconds(lambda: list(pool.map(engine.analyse, work)))
    return rates


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
