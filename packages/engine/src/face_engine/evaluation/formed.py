"""Pairs formed of photos with known persons: every mated one, and non-mated ones, all of them or a sample."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from face_engine.evaluation.labels import BLOCK_PAIRS, NO_FOLD, PAIR, Pairs, PairSource

ROUNDS = 4
"""Of the Feistel network: with random functions, four make a strong pseudo-random permutation (Luby and Rackoff, 1988).
"""

Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class FormedPairs:
    """Every mated pair of some photos, then their non-mated pairs.

    Args:
        photos: (n,) int32, the photos' numbers in the set.
        identities: (n,) int32, whose each of these photos is.
        max_non_mated: of more than so many, a simple random sample without replacement of so many.
        seed: of the sample.
        folds: (n_identities,) int16, in which fold the pairs of a reference of this identity are; None for none.
    """

    photos: Numbers
    identities: Numbers
    max_non_mated: int
    seed: int
    folds: npt.NDArray[np.int16] | None = None

    @property
    def mated(self) -> int:
        counts = np.bincount(self.identities).astype(np.int64)
        return int((counts * (counts - 1) // 2).sum())

    @property
    def all_non_mated(self) -> int:
        count = len(self.photos)
        return count * (count - 1) // 2 - self.mated

    @property
    def non_mated(self) -> int:
        return min(self.all_non_mated, self.max_non_mated)

    def blocks(self) -> Iterator[Pairs]:
        non_mated = self._sampled if self.non_mated < self.all_non_mated else self._every_non_mated
        for mated, pieces in ((True, self._mated_pairs()), (False, non_mated())):
            for first, second in _in_blocks(pieces):
                yield self._block(first, second, mated)

    def _block(self, first: Numbers, second: Numbers, mated: bool) -> Pairs:
        block = np.empty(len(first), PAIR)
        block["reference"], block["probe"] = self.photos[first], self.photos[second]
        block["mated"] = mated
        block["fold"] = NO_FOLD if self.folds is None else self.folds[self.identities[first]]
        return block

    def _mated_pairs(self) -> Iterator[tuple[Numbers, Numbers]]:
        order = np.argsort(self.identities, kind="stable").astype(np.int32)
        ends = np.flatnonzero(np.diff(self.identities[order], append=-1)) + 1
        start = 0
        for end in ends.tolist():
            photos = order[start:end]
            for index in range(len(photos) - 1):
                others = photos[index + 1 :]
                yield np.full(len(others), photos[index]), others
            start = end

    def _every_non_mated(self) -> Iterator[tuple[Numbers, Numbers]]:
        for index in range(len(self.photos) - 1):
            others = np.flatnonzero(self.identities[index + 1 :] != self.identities[index]).astype(np.int32) + index + 1
            yield np.full(len(others), index, np.int32), others.astype(np.int32)

    def _sampled(self) -> Iterator[tuple[Numbers, Numbers]]:
        missing = self.non_mated
        count = len(self.photos)
        for numbers in shuffled(count * (count - 1) // 2, self.seed):
            first, second = pair_of(numbers)
            non_mated = np.flatnonzero(self.identities[first] != self.identities[second])[:missing]
            missing -= len(non_mated)
            yield first[non_mated], second[non_mated]
            if not missing:
                return


@dataclass(frozen=True, slots=True, eq=False)
class ChainedPairs:
    """The pairs of several sources, one after the other."""

    sources: Sequence[PairSource]

    @property
    def mated(self) -> int:
        return sum(source.mated for source in self.sources)

    @property
    def non_mated(self) -> int:
        return sum(source.non_mated for source in self.sources)

    def blocks(self) -> Iterator[Pairs]:
        return chain.from_iterable(source.blocks() for source in self.sources)


def pair_of(numbers: npt.NDArray[np.uint64]) -> tuple[Numbers, Numbers]:
    """Return the pair (first < second) that has each number: 0 is (0, 1), 1 (0, 2), 2 (1, 2), 3 (0, 3), ..."""
    signed = numbers.astype(np.int64)
    second = ((1 + np.sqrt(1 + 8 * signed.astype(np.float64))) / 2).astype(np.int64)
    # A float64's root may be off by one where the numbers are large.
    second -= second * (second - 1) // 2 > signed
    second += (second + 1) * second // 2 <= signed
    first = signed - second * (second - 1) // 2
    return first.astype(np.int32), second.astype(np.int32)


def shuffled(count: int, seed: int) -> Iterator[npt.NDArray[np.uint64]]:
    """Return 0 to count - 1 in a random order, in blocks, without ever holding them all; count < 2^62.

    A generalised Feistel network (Black and Rogaway, 2002) permutes the numbers below the product of two factors that
    is barely `count`; those from `count` on are left out. A few numbers are permuted as a whole instead: not every
    order of them would be as probable as every other.
    """
    if count <= BLOCK_PAIRS:
        yield np.random.default_rng(seed).permutation(count).astype(np.uint64)
        return
    high_size = math.isqrt(count - 1) + 1
    low_size = -(-count // high_size)
    keys = np.random.default_rng(seed).integers(0, 1 << 32, ROUNDS, np.uint32)
    domain = high_size * low_size
    for start in range(0, domain, BLOCK_PAIRS):
        high, low = np.divmod(np.arange(start, min(start + BLOCK_PAIRS, domain), dtype=np.uint64), np.uint64(low_size))
        high, low = high.astype(np.uint32), low.astype(np.uint32)
        for number, key in enumerate(keys):
            if number % 2:
                low = _added(low, _mixed(high ^ key), low_size)
            else:
                high = _added(high, _mixed(low ^ key), high_size)
        permuted = high.astype(np.uint64) * np.uint64(low_size) + low
        yield permuted if domain == count else permuted[permuted < count]


def _added(half: npt.NDArray[np.uint32], hashes: npt.NDArray[np.uint32], size: int) -> npt.NDArray[np.uint32]:
    """Return (half + hash) modulo size, where half < size < 2^31."""
    divisor = np.uint32(size)
    total = half + (hashes - hashes // divisor * divisor)
    return np.where(total >= divisor, total - divisor, total)


def _mixed(numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return each number's hash: the finaliser of MurmurHash3 (Appleby, 2008)."""
    numbers = (numbers ^ (numbers >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    numbers = (numbers ^ (numbers >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return numbers ^ (numbers >> np.uint32(16))


def _in_blocks(pieces: Iterator[tuple[Numbers, Numbers]]) -> Iterator[tuple[Numbers, Numbers]]:
    """Return the same pairs in pieces of BLOCK_PAIRS or somewhat fewer."""
    held: list[tuple[Numbers, Numbers]] = []
    size = 0
    for first, second in pieces:
        for start in range(0, len(first), BLOCK_PAIRS):
            part = first[start : start + BLOCK_PAIRS], second[start : start + BLOCK_PAIRS]
            if size + len(part[0]) > BLOCK_PAIRS:
                yield _joined(held)
                held, size = [], 0
            held.append(part)
            size += len(part[0])
    if size:
        yield _joined(held)


def _joined(pieces: list[tuple[Numbers, Numbers]]) -> tuple[Numbers, Numbers]:
    first, second = zip(*pieces, strict=True)
    return np.concatenate(first), np.concatenate(second)
