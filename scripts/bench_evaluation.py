"""`make bench`: how many pairs the evaluation compares, and what memory ten million of them take.

Made-up templates of as many photos as LFW has; each number of pairs in a process of its own. What is measured is all of
`face-engine evaluate` but for reading and encoding photos: forming the pairs, distances, their files, and every figure
with its bootstrap over persons.
"""

import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_engine.evaluation.data_set import DataSetOptions
from face_engine.evaluation.encodings import ENCODED, ENROLLED, STAGES, Encodings
from face_engine.evaluation.evaluate import EvaluationOptions, measure
from face_engine.evaluation.formed import FormedPairs
from face_engine.evaluation.labels import LabelledSet, Photo, Problems
from face_engine.evaluation.progress import silent
from face_engine.evaluation.reports import Report
from face_engine.evaluation.results import results_of
from face_engine.evaluation.scores import pair_distances, scored_blocks
from face_engine.matching import DEFAULT_TOLERANCE
from face_engine.runtimes import usable_cores

PHOTOS, PERSONS = 13_233, 5_749  # LFW's
SIZES = (1_000_000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one number of pairs: pairs a second in each part, seconds for all of it, and megabytes."""

    pairs: int
    distances: float
    formed_and_compared: float
    seconds: float
    memory_before: float
    memory_peak: float


def main() -> None:
    print(f"{PHOTOS:,} made-up templates of {PERSONS:,} persons, {usable_cores()} cores")
    print(f"{'pairs':>12}{'distances/s':>14}{'with forming/s':>16}{'all figures':>13}{'memory before, peak':>22}")
    figures = []
    for size in SIZES:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            one = process.submit(measured, size).result()
        figures.append(one)
        print(
            f"{one.pairs:>12,}{one.distances:>14,.0f}{one.formed_and_compared:>16,.0f}{one.seconds:>11.1f} s"
            f"{f'{one.memory_before:.0f}, {one.memory_peak:.0f} MB':>22}"
        )
    few, many = figures
    print(
        f"{many.pairs / few.pairs:.0f} times the pairs take {many.memory_peak / few.memory_peak:.2f} times the memory"
    )


def measured(size: int) -> Figures:
    """Measure in this process."""
    rng = np.random.default_rng(0)
    identities = np.sort(np.concatenate([np.arange(PERSONS), rng.integers(0, PERSONS, PHOTOS - PERSONS)]))
    centres = rng.normal(0, 0.06, (PERSONS, 128))
    vectors = (centres[identities] + rng.normal(0, 0.03, (PHOTOS, 128))).astype(np.float32)
    rows = np.arange(PHOTOS, dtype=np.int32)
    pairs = FormedPairs(rows, identities.astype(np.int32), size, 0, (np.arange(PERSONS) % 10).astype(np.int16))
    photos = [Photo(f"{number}.jpg", "", str(person), "") for number, person in enumerate(identities.tolist())]
    labelled = LabelledSet(photos, pairs.identities, {}, pairs, 10, Problems(), "made up")
    encodings = Encodings(
        [ENCODED] * PHOTOS,
        [ENROLLED] * PHOTOS,
        rows,
        vectors,
        np.zeros((PHOTOS, 4), np.int32),
        np.ones((PHOTOS, len(STAGES))),
        1.0,
        PHOTOS,
    )
    before = peak_mb()
    total = pairs.mated + pairs.non_mated
    distances = rate_of_distances(vectors, total)
    start = time.perf_counter()
    for _ in scored_blocks(pairs, rows, vectors):
        pass
    formed = total / (time.perf_counter() - start)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        options = EvaluationOptions(DataSetOptions(Path(folder)), DEFAULT_TOLERANCE)
        results_of(measure(labelled, "", encodings, options, Report(Path(folder)), {}, silent))
        seconds = time.perf_counter() - start
    return Figures(total, distances, formed, seconds, before, peak_mb())


def rate_of_distances(vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]], count: int) -> float:
    """Return distances a second, of pairs at random, on all cores."""
    rng = np.random.default_rng(1)
    first, second = (rng.integers(0, len(vectors), 65_536).astype(np.int32) for _ in range(2))
    calls = max(1, count // len(first))
    start = time.perf_counter()
    with ThreadPoolExecutor(usable_cores()) as threads:
        for _ in threads.map(lambda _: pair_distances(vectors, first, second), range(calls)):
            pass
    return calls * len(first) / (time.perf_counter() - start)


def peak_mb() -> float:
    """Return the largest resident memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
