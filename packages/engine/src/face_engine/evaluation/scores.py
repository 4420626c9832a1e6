"""Distances of pairs, in blocks and on all cores, kept on disk in shards.

A distance is counted in steps of a millionth, rounded up: it is at most a tolerance of so many steps exactly if its own
number of steps is. It is not worth counting finer: templates of one face made by two runtimes differ by as much.
"""

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from face_engine.cores import usable_cores
from face_engine.errors import ReportError
from face_engine.evaluation.labels import PAIR, Pairs, PairSource
from face_engine.evaluation.progress import Progress
from face_engine.files import replace_file
from face_engine.matching import MAX_TOLERANCE

STEPS = 1_000_000
"""In a distance of 1."""

MAX_STEP = round(MAX_TOLERANCE * STEPS)
"""Larger distances, which this network does not make, count as this one."""

NOT_COMPARED = np.uint32(2**32 - 1)
"""In place of the steps, where one of the two photos has no template."""

ROUNDING = 1e-4
"""Of a step: what is so little above a step is on it, since 0.1 + 0.2 is not 0.3 either."""

SCORED = np.dtype([*((name, PAIR[name]) for name in PAIR.names or ()), ("steps", "<u4")])
"""A pair and its distance in steps, or NOT_COMPARED."""

ROWS = 1_024
"""Pairs whose templates are in a core's cache at a time."""

SHARD_BLOCKS = 16
"""Blocks of pairs in a file: a million pairs, 15 MB."""

Steps = npt.NDArray[np.uint32]


def to_steps(distances: npt.NDArray[np.float64]) -> Steps:
    """Return the number of steps of each distance, rounded up."""
    return np.clip(np.ceil(distances * STEPS - ROUNDING), 0, MAX_STEP).astype(np.uint32)


def to_step(tolerance: float) -> int:
    """Return the last step that a tolerance lets pass: `distance <= tolerance` if `to_steps(distance) <= to_step(...)`.

    Of a tolerance with more than six decimals the rest is cut off.
    """
    return min(int(np.floor(tolerance * STEPS + ROUNDING)), MAX_STEP)


def pair_distances(
    vectors: npt.NDArray[np.float32], first: npt.NDArray[np.int32], second: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Return the Euclidean distance of each pair of rows, (n,) float64.

    Computed in float32, twice as fast: within a tenth of a step of what `matching.distances` tells.

    Args:
        vectors: (m, 128).
        first: (n,), rows of `vectors`; `second` likewise.
    """
    result = np.empty(len(first))
    one, other = np.empty((ROWS, vectors.shape[1]), np.float32), np.empty((ROWS, vectors.shape[1]), np.float32)
    for start in range(0, len(first), ROWS):
        part = slice(start, min(start + ROWS, len(first)))
        size = part.stop - part.start
        # "clip" spares numpy a buffer; the rows exist.
        np.take(vectors, first[part], axis=0, out=one[:size], mode="clip")
        np.take(vectors, second[part], axis=0, out=other[:size], mode="clip")
        np.subtract(one[:size], other[:size], out=one[:size])
        np.vecdot(one[:size], one[:size], out=result[part])
    return np.sqrt(result, out=result)


def scored_blocks(pairs: PairSource, rows: npt.NDArray[np.int32], vectors: npt.NDArray[np.float32]) -> Iterator[Pairs]:
    """Return the pairs of a source with their distances, block by block in its order: (n,) of SCORED.

    Args:
        rows: (n_photos,), each photo's row of `vectors`, or -1.
        vectors: (m, 128).
    """
    cores = usable_cores()

    def score(block: Pairs) -> Pairs:
        first, second = rows[block["reference"]], rows[block["probe"]]
        steps = to_steps(pair_distances(vectors, first, second))
        steps[(first < 0) | (second < 0)] = NOT_COMPARED
        scored = np.empty(len(block), SCORED)
        for name in PAIR.names or ():
            scored[name] = block[name]
        scored["steps"] = steps
        return scored

    ahead: deque[Future[Pairs]] = deque()
    with ThreadPoolExecutor(cores) as threads:
        for block in pairs.blocks():
            ahead.append(threads.submit(score, block))
            if len(ahead) > 2 * cores:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@dataclass(frozen=True, slots=True)
class ScoreFiles:
    """Scored pairs on disk, in order: numbered .npy files in a folder of their own."""

    folder: Path

    def write(self, blocks: Iterator[Pairs], total: int, progress: Progress) -> Iterator[Pairs]:
        """Keep the blocks, and hand each one on. What was in the folder is removed first."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._paths():
            path.unlink()
        held: list[Pairs] = []
        number = 0
        with progress(title="comparing", total=total, unit="pair") as advance:
            for block in blocks:
                held.append(block)
                if len(held) == SHARD_BLOCKS:
                    self._put(number, held)
                    held, number = [], number + 1
                yield block
                advance(len(block))
        if held:
            self._put(number, held)

    def blocks(self) -> Iterator[Pairs]:
        """Return what was kept. Raises ReportError where it is not readable."""
        for path in self._paths():
            try:
                shard = np.load(path, allow_pickle=False)
            except OSError as error:
                raise ReportError(f"{path}: {error.strerror}") from error
            except Exception as error:  # numpy's parser of the header raises whatever it may
                raise ReportError(f"{path}: is damaged") from error
            if not isinstance(shard, np.ndarray) or shard.dtype != SCORED or shard.ndim != 1:
                raise ReportError(f"{path}: holds no scored pairs")
            yield shard

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.npy"))

    def _put(self, number: int, blocks: list[Pairs]) -> None:
        stream = io.BytesIO()
        np.save(stream, np.concatenate(blocks), allow_pickle=False)
        replace_file(self.folder / f"{number:06d}.npy", stream.getvalue())
