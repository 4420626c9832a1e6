import math
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_engine.evaluation import formed as formed_module
from face_engine.evaluation.formed import ChainedPairs, FormedPairs, pair_of, shuffled
from face_engine.evaluation.labels import BLOCK_PAIRS, NO_FOLD
from support.labelled import Row, rows, seeded

ALL = 10**9


def formed(
    identities: Sequence[int], max_non_mated: int = ALL, seed: int = 0, folds: Sequence[int] | None = None
) -> FormedPairs:
    """Return the pairs of photos 100, 101, ..."""
    return FormedPairs(
        np.arange(100, 100 + len(identities), dtype=np.int32),
        np.array(identities, np.int32),
        max_non_mated,
        seed,
        None if folds is None else np.array(folds, np.int16),
    )


def every(identities: Sequence[int], *, mated: bool) -> set[tuple[int, int]]:
    numbered = enumerate(identities, start=100)
    return {(one, other) for (one, p), (other, q) in combinations(numbered, 2) if (p == q) == mated}


def chosen(pairs: Sequence[Row], *, mated: bool) -> list[tuple[int, int]]:
    return [(min(one, other), max(one, other)) for one, other, is_mated, _ in pairs if is_mated == mated]


def chi_square(counts: Sequence[int], expected: float) -> float:
    return sum((count - expected) ** 2 for count in counts) / expected


def is_uniform(counts: Sequence[int], expected: float) -> bool:
    """Whether chi-square is within 6 standard deviations of its mean."""
    freedom = len(counts) - 1
    return chi_square(counts, expected) < freedom + 6 * math.sqrt(2 * freedom)


# All pairs.


@given(st.lists(st.integers(0, 5), max_size=30))
def test_all_pairs_are_formed_once(identities: list[int]) -> None:
    pairs = formed(identities)
    found = rows(pairs)
    for mated in (True, False):
        expected = every(identities, mated=mated)
        of_kind = chosen(found, mated=mated)
        assert len(of_kind) == len(expected)
        assert set(of_kind) == expected
    assert (pairs.mated, pairs.non_mated) == (len(chosen(found, mated=True)), len(chosen(found, mated=False)))
    assert [row[2] for row in found] == sorted((row[2] for row in found), reverse=True)
    assert {row[3] for row in found} <= {NO_FOLD}
    assert rows(pairs) == found


@given(
    st.lists(st.integers(0, 4), max_size=20), st.lists(st.integers(0, 9), min_size=5, max_size=5), st.integers(0, 99)
)
def test_a_pair_is_in_the_fold_of_its_references_person(identities: list[int], folds: list[int], limit: int) -> None:
    for reference, _, _, fold in rows(formed(identities, limit, folds=folds)):
        assert fold == folds[identities[reference - 100]]


def test_blocks_are_full_and_never_larger() -> None:
    identities = [number % 3 if number < 600 else number for number in range(900)]
    for pairs in (formed(identities), formed(identities, 100_000)):
        sizes = [len(block) for block in pairs.blocks()]
        assert max(sizes) <= BLOCK_PAIRS
        assert sum(sizes) == pairs.mated + pairs.non_mated
        assert len(sizes) <= 2 + math.ceil(sum(sizes) / BLOCK_PAIRS * 1.1)


def test_the_pairs_of_a_person_may_be_more_than_a_block() -> None:
    for identities in (np.zeros(BLOCK_PAIRS + 10, np.int32), np.arange(BLOCK_PAIRS + 10, dtype=np.int32)):
        pairs = FormedPairs(np.arange(len(identities), dtype=np.int32), identities, ALL * ALL, 0)
        blocks = list(islice(pairs.blocks(), 4))
        assert all(0 < len(block) <= BLOCK_PAIRS for block in blocks)
        first, *_, last = [pair for block in blocks for pair in block[["reference", "probe"]].tolist()]
        assert (first, last[0]) == ((0, 1), 1)


def test_several_sources_follow_one_another() -> None:
    one, other = formed([0, 0, 1]), formed([0, 1, 1, 1])
    chained = ChainedPairs([one, formed([]), other])
    assert rows(chained) == rows(one) + rows(other)
    assert (chained.mated, chained.non_mated) == (4, 5)


# A sample.


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 500), st.integers(0, 2**63 - 1))
def test_a_sample_has_its_size_and_no_pair_twice(identities: list[int], size: int, seed: int) -> None:
    pairs = formed(identities, size, seed)
    found = rows(pairs)
    population = every(identities, mated=False)
    sample = chosen(found, mated=False)
    assert pairs.non_mated == len(sample) == len(set(sample)) == min(size, len(population))
    assert set(sample) <= population
    assert set(chosen(found, mated=True)) == every(identities, mated=True)
    assert rows(pairs) == found


def test_a_sample_is_the_seeds() -> None:
    identities = [number // 3 for number in range(60)]
    samples = [chosen(rows(formed(identities, 50, seed)), mated=False) for seed in (1, 2, 3)]
    assert samples[0] == chosen(rows(formed(identities, 50, 1)), mated=False)
    assert all(len(set(one) & set(other)) < 15 for one, other in combinations(samples, 2))


@pytest.mark.parametrize("block", [BLOCK_PAIRS, 20])
def test_every_pair_is_sampled_as_often_as_every_other(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(formed_module, "BLOCK_PAIRS", block)
    identities = [0, 0, 0, 1, 1, 2, 3, 4, 5, 6]
    population = every(identities, mated=False)
    size, draws = 8, 4_000
    samples = [sorted(chosen(rows(formed(identities, size, seed)), mated=False)) for seed in range(draws)]
    counts = Counter(pair for sample in samples for pair in sample)
    assert is_uniform([counts[pair] for pair in population], draws * size / len(population))
    # And so is every two of them.
    together = Counter(two for sample in samples for two in combinations(sample, 2))
    twos = math.comb(len(population), 2)
    assert is_uniform([together[two] for two in combinations(sorted(population), 2)], draws * math.comb(size, 2) / twos)


def test_a_large_sample_takes_all_parts_of_the_pairs_alike() -> None:
    """The mean numbers of the photos, and of how far they are apart, within 5 standard errors."""
    count, size = 3_000, 200_000
    pairs = formed(np.arange(count).tolist(), size, seed=7)
    block = np.concatenate(list(pairs.blocks()))
    one, other = block["reference"].astype(float), block["probe"].astype(float)
    assert len({*zip(one.tolist(), other.tolist(), strict=True)}) == size
    error = 5 / math.sqrt(size)
    assert np.mean(one + other) / 2 - 100 == pytest.approx((count - 1) / 2, abs=count * error * math.sqrt(1 / 24))
    assert np.mean(other - one) == pytest.approx((count + 1) / 3, abs=count * error * math.sqrt(1 / 18))
    per_tenth = np.bincount(((other - 100) // (count / 10)).astype(int), minlength=10)
    expected = [size * ((tenth + 1) ** 2 - tenth**2) / 100 for tenth in range(10)]
    assert sum((per_tenth - expected) ** 2 / np.array(expected)) < 9 + 6 * math.sqrt(18)


@pytest.mark.parametrize("size", [ALL, 2_000_000])
def test_millions_of_pairs_are_formed_in_little_memory(size: int) -> None:
    count = 2_200 if size == ALL else 100_000
    pairs = FormedPairs(np.arange(count, dtype=np.int32), np.arange(count, dtype=np.int32) // 2, size, 0)
    tracemalloc.start()
    try:
        formed_pairs = sum(len(block) for block in pairs.blocks())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert formed_pairs == pairs.mated + pairs.non_mated > 2_000_000
    assert peak < 20_000_000


# The random order.


@pytest.mark.parametrize("count", [0, 1, 2, 97, BLOCK_PAIRS, BLOCK_PAIRS + 1, 65_537, 3 * BLOCK_PAIRS])
def test_shuffled_numbers_are_all_of_them(count: int) -> None:
    for seed in (0, 1):
        blocks = list(shuffled(count, seed))
        assert all(len(block) <= BLOCK_PAIRS for block in blocks)
        numbers = [number for block in blocks for number in block.tolist()]
        assert sorted(numbers) == list(range(count))


def test_shuffled_numbers_are_all_of_them_though_there_are_but_a_few_in_a_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(formed_module, "BLOCK_PAIRS", 7)
    for count in [*range(130), 1_009]:
        blocks = list(shuffled(count, count))
        assert all(len(block) <= 7 for block in blocks)
        assert sorted(number for block in blocks for number in block.tolist()) == list(range(count))


def test_the_first_ones_of_a_huge_order_are_in_range_and_distinct() -> None:
    for count in (2**61 - 1, 2**62 - 1, (2**31 - 1) ** 2):
        block = next(shuffled(count, 3))
        assert len(set(block.tolist())) == len(block) > BLOCK_PAIRS / 2
        assert max(block.tolist()) < count
        tenths = np.bincount((block // np.uint64(count // 10 + 1)).astype(int), minlength=10)
        assert is_uniform(tenths.tolist(), len(block) / 10)


@pytest.mark.parametrize(("count", "block"), [(2, 10), (5, 10), (30, 29), (41, 10)])
def test_each_number_may_come_at_each_place(monkeypatch: pytest.MonkeyPatch, count: int, block: int) -> None:
    monkeypatch.setattr(formed_module, "BLOCK_PAIRS", block)
    draws = 2_000
    places = Counter(
        (place, number)
        for seed in range(draws)
        for place, number in enumerate(number for block in shuffled(count, seed) for number in block.tolist())
    )
    for place in range(count):
        assert is_uniform([places[place, number] for number in range(count)], draws / count)


# Numbers of pairs.


def test_pairs_are_numbered_by_their_second_photo() -> None:
    expected = [(first, second) for second in range(1, 200) for first in range(second)]
    first, second = pair_of(np.arange(len(expected), dtype=np.uint64))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected


def test_huge_numbers_are_exact() -> None:
    random_ = seeded(5)
    seconds = [2**31 - 1, 2**31 - 2, 2**30, 94_906_267, 3_037_000_499 // 2]
    seconds += [random_.randrange(2 ** random_.randint(1, 30), 2**31) for _ in range(5_000)]
    expected = [pair for second in seconds for pair in ((0, second), (second - 1, second), (second // 3, second))]
    numbers = [second * (second - 1) // 2 + first for first, second in expected]
    first, second = pair_of(np.array(numbers, np.uint64))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected
    assert first.dtype == second.dtype == np.int32


@given(st.integers(0, 2**61 - 2**32))
def test_a_number_is_its_pairs(number: int) -> None:
    first, second = (int(photos[0]) for photos in pair_of(np.array([number], np.uint64)))
    assert 0 <= first < second
    assert second * (second - 1) // 2 + first == number
