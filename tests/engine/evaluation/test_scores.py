import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.errors import ReportError
from face_engine.evaluation import scores
from face_engine.evaluation.formed import FormedPairs
from face_engine.evaluation.labels import PAIR, Pairs
from face_engine.evaluation.progress import Advance, silent
from face_engine.evaluation.scores import (
    MAX_STEP,
    NOT_COMPARED,
    ROUNDING,
    ROWS,
    SCORED,
    STEPS,
    ScoreFiles,
    pair_distances,
    scored_blocks,
    to_step,
    to_steps,
)
from face_engine.matching import MAX_TOLERANCE, distances
from support.labelled import rows, seeded

GAP = 2 * ROUNDING / STEPS
"""Distances that are closer to a tolerance than this may count as equal to it."""


def is_match(distance: float, tolerance: float) -> bool:
    return bool(to_steps(np.array([distance]))[0] <= to_step(tolerance))


def templates(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return templates as long as the network's, and as far from one another; every tenth is near to the one before."""
    random = np.random.default_rng(seed)
    vectors = random.normal(0, 0.1, 128) + random.normal(0, 0.06, (count, 128))
    vectors[9::10] = vectors[8::10][: len(vectors[9::10])] + 1e-3
    return vectors.astype(np.float32)


# Distances.


@pytest.mark.parametrize("count", [0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 5])
def test_distances_are_those_of_matching(count: int) -> None:
    vectors = templates(60)
    first, second = np.random.default_rng(1).integers(0, 60, (2, count)).astype(np.int32)
    found = pair_distances(vectors, first, second)
    assert found.shape == (count,)
    assert found.dtype == np.float64
    expected = [float(distances(vectors[one], vectors[[other]])[0]) for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_distances_of_equal_and_of_far_templates() -> None:
    vectors = np.concatenate([templates(2), [np.zeros(128), np.full(128, 0.5), np.full(128, -0.5)]]).astype(np.float32)
    first, second = np.array([0, 2, 3], np.int32), np.array([0, 3, 4], np.int32)
    assert pair_distances(vectors, first, second).tolist() == pytest.approx([0, math.sqrt(32), math.sqrt(128)])
    assert to_steps(pair_distances(vectors, first, second)).tolist() == [0, MAX_STEP, MAX_STEP]


# Steps.


@pytest.mark.parametrize("tenths", range(1, 13))
def test_the_tie_is_a_match_at_every_decimal(tenths: int) -> None:
    tolerance = tenths / 10
    ties = {tolerance, 0.1 * tenths, sum(tenths * [0.1]), 3 * tolerance / 3, math.sqrt(tolerance**2)}
    for tie in ties:
        assert is_match(tie, tolerance)
        assert is_match(tolerance, tie)
    assert is_match(math.nextafter(tolerance, 0), tolerance)
    assert not is_match(tolerance + GAP, tolerance)
    assert not is_match(tolerance + 1 / STEPS, tolerance)
    assert is_match(tolerance, tolerance + 1 / STEPS)
    assert not is_match(tolerance, tolerance - 1 / STEPS)


def test_the_tie_is_a_match_at_every_step() -> None:
    tolerances = np.arange(0, MAX_STEP + 1) / STEPS
    assert to_steps(tolerances).tolist() == list(range(MAX_STEP + 1))
    assert [to_step(tolerance) for tolerance in tolerances[::997].tolist()] == list(range(0, MAX_STEP + 1, 997))


@given(st.floats(0, MAX_TOLERANCE), st.integers(0, MAX_STEP))
def test_a_match_is_a_distance_up_to_the_tolerance(distance: float, step: int) -> None:
    tolerance = step / STEPS
    if distance <= tolerance or distance > tolerance + GAP:
        assert is_match(distance, tolerance) == (distance <= tolerance)


@given(st.floats(0, MAX_TOLERANCE), st.floats(0, MAX_TOLERANCE))
def test_of_a_tolerance_more_than_six_decimals_are_cut_off(distance: float, tolerance: float) -> None:
    cut = to_step(tolerance) / STEPS
    assert tolerance - 1 / STEPS < cut <= tolerance + GAP
    assert is_match(distance, tolerance) == is_match(distance, cut)


@pytest.mark.parametrize(
    ("distance", "steps"), [(0.0, 0), (1e-12, 0), (1e-9, 1), (5.0, MAX_STEP), (math.inf, MAX_STEP)]
)
def test_steps_are_rounded_up_and_end_at_the_largest_tolerance(distance: float, steps: int) -> None:
    assert to_steps(np.array([distance])).tolist() == [steps]


def test_no_tolerance_lets_pass_what_was_not_compared() -> None:
    assert to_step(MAX_TOLERANCE) == to_step(1e9) == MAX_STEP < NOT_COMPARED
    assert to_steps(np.zeros(0)).tolist() == []


# Pairs with their distances.


@dataclass
class Fixed:
    """Pairs in blocks of random sizes."""

    pairs: Pairs
    sizes: list[int]
    mated: int = 0
    non_mated: int = 0

    def blocks(self) -> Iterator[Pairs]:
        start = 0
        for size in self.sizes:
            yield self.pairs[start : start + size]
            start += size


def random_pairs(count: int, photos: int, seed: int = 0) -> Pairs:
    random = np.random.default_rng(seed)
    pairs = np.empty(count, PAIR)
    pairs["reference"], pairs["probe"] = random.integers(0, photos, (2, count))
    pairs["mated"], pairs["fold"] = random.integers(0, 2, count), random.integers(-1, 10, count)
    return pairs


def test_scored_pairs_are_the_pairs_in_their_order_and_their_distances() -> None:
    sizes = [seeded(3).randint(0, 2_000) for _ in range(40)]
    pairs = random_pairs(sum(sizes), 50)
    row_of_photo = np.random.default_rng(4).permutation(50).astype(np.int32)
    row_of_photo[[7, 30]] = -1
    vectors = templates(50)
    blocks = list(scored_blocks(Fixed(pairs, sizes), row_of_photo, vectors))
    assert [len(block) for block in blocks] == sizes
    assert rows(blocks) == rows([pairs])
    first, second = row_of_photo[pairs["reference"]], row_of_photo[pairs["probe"]]
    expected = to_steps(np.linalg.norm(vectors[first].astype(float) - vectors[second].astype(float), axis=1))
    compared = (first >= 0) & (second >= 0)
    steps = np.concatenate(blocks)["steps"]
    assert (steps[~compared] == NOT_COMPARED).all()
    assert (~compared).sum() > 100
    assert np.abs(steps[compared].astype(int) - expected[compared].astype(int)).max() <= 1


def test_pairs_of_which_no_photo_has_a_template_are_not_compared() -> None:
    pairs = FormedPairs(np.arange(4, dtype=np.int32), np.array([0, 0, 1, 1], np.int32), 100, 0)
    (mated, non_mated) = scored_blocks(pairs, np.full(4, -1, np.int32), np.zeros((4, 128), np.float32))
    assert mated["steps"].tolist() == 2 * [NOT_COMPARED]
    assert non_mated["steps"].tolist() == 4 * [NOT_COMPARED]


def test_a_failure_while_pairs_are_read_reaches_the_caller() -> None:
    class Broken(Fixed):
        def blocks(self) -> Iterator[Pairs]:
            yield self.pairs
            raise ReportError("the disk is gone")

    with pytest.raises(ReportError):
        list(scored_blocks(Broken(random_pairs(5, 5), []), np.arange(5, dtype=np.int32), templates(5)))


# On disk.


def random_scores(count: int, seed: int = 0) -> Pairs:
    scored = np.empty(count, SCORED)
    pairs = random_pairs(count, 1_000, seed)
    for name in PAIR.names or ():
        scored[name] = pairs[name]
    scored["steps"] = np.random.default_rng(seed).integers(0, MAX_STEP, count)
    return scored


@pytest.fixture
def score_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScoreFiles:
    monkeypatch.setattr(scores, "SHARD_BLOCKS", 3)
    return ScoreFiles(tmp_path / "report" / "scores")


def written(score_files: ScoreFiles, blocks: list[Pairs]) -> list[Pairs]:
    return list(score_files.write(iter(blocks), sum(map(len, blocks)), silent))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_scores_are_read_as_they_were_written(score_files: ScoreFiles, count: int) -> None:
    blocks = [random_scores(10 * number + 1, number) for number in range(count)]
    handed_on = written(score_files, blocks)
    assert all(one is other for one, other in zip(handed_on, blocks, strict=True))
    kept = list(score_files.blocks())
    assert len(kept) == math.ceil(count / 3)
    assert np.array_equal(np.concatenate([np.empty(0, SCORED), *kept]), np.concatenate([np.empty(0, SCORED), *blocks]))
    assert {path.stat().st_mode & 0o777 for path in score_files.folder.iterdir()} <= {0o600}


def test_scores_of_before_are_removed_and_nothing_else(score_files: ScoreFiles) -> None:
    written(score_files, [random_scores(5, number) for number in range(10)])
    (score_files.folder / "notes.txt").write_text("mine")
    new = random_scores(7, 99)
    written(score_files, [new])
    assert np.array_equal(np.concatenate(list(score_files.blocks())), new)
    assert sorted(path.name for path in score_files.folder.iterdir()) == ["000000.npy", "notes.txt"]
    written(score_files, [])
    assert list(score_files.blocks()) == []


def test_there_are_no_scores_where_none_were_written(tmp_path: Path) -> None:
    assert list(ScoreFiles(tmp_path / "nowhere").blocks()) == []


def test_who_waits_is_told_of_every_block(score_files: ScoreFiles) -> None:
    announced: list[tuple[str, int, str]] = []
    advanced: list[int] = []

    @contextmanager
    def progress(*, title: str, total: int, unit: str) -> Iterator[Advance]:
        announced.append((title, total, unit))
        yield advanced.append

    list(score_files.write(iter([random_scores(5), random_scores(8)]), 13, progress))
    assert (announced, advanced) == ([("comparing", 13, "pair")], [5, 8])


def as_npy(array: npt.NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def as_npz(array: npt.NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, scores=array)
    return stream.getvalue()


SOME = random_scores(20)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is damaged"),
        (b"garbage", "is damaged"),
        (as_npy(SOME)[:-1], "is damaged"),
        (as_npy(SOME)[:100], "is damaged"),
        (as_npy(SOME).replace(b"(20,)", b"(21,)"), "is damaged"),
        (as_npy(SOME).replace(b"(20,)", b"(9" + b"9" * 15 + b",)"), "is damaged"),
        (as_npy(np.array([{"x": 1}], object)), "is damaged"),
        (as_npy(np.zeros(5)), "holds no scored pairs"),
        (as_npy(SOME[["reference", "probe", "mated", "fold"]].astype(PAIR)), "holds no scored pairs"),
        (as_npy(SOME.astype([(name, SCORED[name]) for name in reversed(SCORED.names or ())])), "holds no scored pairs"),
        (as_npy(SOME.reshape(4, 5)), "holds no scored pairs"),
        (as_npy(SOME[0]), "holds no scored pairs"),
        (as_npz(SOME), "holds no scored pairs"),
    ],
    ids=range(13),
)
def test_what_holds_no_scores_is_refused(score_files: ScoreFiles, data: bytes, problem: str) -> None:
    written(score_files, [random_scores(5, number) for number in range(9)])
    (score_files.folder / "000001.npy").write_bytes(data)
    blocks = score_files.blocks()
    assert len(next(blocks)) == 15
    with pytest.raises(ReportError, match=rf"000001\.npy: {problem}"):
        next(blocks)


def test_scores_that_cannot_be_read_are_refused(score_files: ScoreFiles) -> None:
    (score_files.folder / "000000.npy").mkdir(parents=True)
    with pytest.raises(ReportError, match=r"000000\.npy: Is a directory"):
        list(score_files.blocks())


def test_a_damaged_header_never_raises_anything_else(score_files: ScoreFiles) -> None:
    written(score_files, [SOME])
    path = score_files.folder / "000000.npy"
    data = path.read_bytes()
    random = seeded(8)
    for _ in range(1_000):
        damaged = bytearray(data)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(200)] = random.choice(b"(){}[],'0123456789 \n#\"<>|-+xeb\0\xff")
        path.write_bytes(damaged)
        try:
            (block,) = score_files.blocks()
        except ReportError:
            continue
        assert block.dtype == SCORED
