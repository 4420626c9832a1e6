"""FMR and FNMR at every tolerance, and what follows from the two.

All counts are exact. A tolerance is a number of steps (see scores): a pair is a match if it has at most so many.

- FMR: false matches, of the non-mated pairs that were compared.
- FNMR: false non-matches, of all mated pairs. A mated pair that could not be compared, since no face was found in one
  of its photos, is a false non-match (as in NIST's FRTE; ISO/IEC 19795-1 calls that FRR, of one attempt). A non-mated
  pair that could not be compared is left out: it would make FMR smaller.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.scores import MAX_STEP, NOT_COMPARED, STEPS

Counts = npt.NDArray[np.int64]


def _no_counts() -> Counts:
    return np.zeros(MAX_STEP + 1, np.int64)


@dataclass(slots=True, eq=False)
class Tally:
    """How many pairs have each number of steps: (MAX_STEP + 1,) int64 of mated and of non-mated ones.

    Its size does not depend on the number of pairs.
    """

    mated: Counts = field(default_factory=_no_counts)
    non_mated: Counts = field(default_factory=_no_counts)
    mated_failed: int = 0
    non_mated_failed: int = 0

    @property
    def all_mated(self) -> int:
        """Those that could not be compared included."""
        return int(self.mated.sum()) + self.mated_failed

    @property
    def all_non_mated(self) -> int:
        """Those that could not be compared included."""
        return int(self.non_mated.sum()) + self.non_mated_failed

    def add(self, scored: Pairs) -> None:
        """Count pairs, (n,) of scores.SCORED."""
        compared = scored["steps"] != NOT_COMPARED
        mated = scored["mated"]
        np.add.at(self.mated, scored["steps"][compared & mated], 1)
        np.add.at(self.non_mated, scored["steps"][compared & ~mated], 1)
        self.mated_failed += int((mated & ~compared).sum())
        self.non_mated_failed += int((~mated & ~compared).sum())

    def curve(self) -> "Curve":
        steps = np.flatnonzero(self.mated + self.non_mated)
        return Curve(
            steps=steps,
            matches=np.cumsum(self.mated[steps]),
            false_matches=np.cumsum(self.non_mated[steps]),
            mated_failed=self.mated_failed,
            non_mated_failed=self.non_mated_failed,
        )


@dataclass(frozen=True, slots=True)
class Errors:
    """What one tolerance does.

    Args:
        non_mated: of those that were compared.
        mated: all of them.
        mated_failed: of these, those that could not be compared; they are false non-matches.
    """

    false_matches: int
    non_mated: int
    false_non_matches: int
    mated: int
    mated_failed: int

    @property
    def fmr(self) -> float | None:
        """In 0 to 1; None where no non-mated pair was compared."""
        return self.false_matches / self.non_mated if self.non_mated else None

    @property
    def fnmr(self) -> float | None:
        """In 0 to 1; None where there is no mated pair."""
        return self.false_non_matches / self.mated if self.mated else None

    @property
    def fnmr_compared(self) -> float | None:
        """Of the mated pairs that were compared: ISO/IEC 19795-1's FNMR in its narrow sense."""
        compared = self.mated - self.mated_failed
        return (self.false_non_matches - self.mated_failed) / compared if compared else None


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Both errors at every tolerance that makes a difference.

    Args:
        steps: (n,) ascending, the distances that pairs have.
        matches: (n,) mated pairs up to each; `false_matches`: non-mated ones.
        mated_failed: mated pairs that could not be compared; `non_mated_failed` likewise.
    """

    steps: npt.NDArray[np.int64]
    matches: Counts
    false_matches: Counts
    mated_failed: int
    non_mated_failed: int

    @property
    def mated(self) -> int:
        """All mated pairs, those that could not be compared included."""
        return int(self.matches[-1:].sum()) + self.mated_failed

    @property
    def non_mated(self) -> int:
        """The non-mated pairs that were compared."""
        return int(self.false_matches[-1:].sum())

    def at(self, step: int) -> Errors:
        """Return the errors at a tolerance."""
        index = int(np.searchsorted(self.steps, step, "right"))
        matches = int(self.matches[index - 1]) if index else 0
        false_matches = int(self.false_matches[index - 1]) if index else 0
        return Errors(false_matches, self.non_mated, self.mated - matches, self.mated, self.mated_failed)

    def rates(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return FMR and FNMR below the first of `steps` and at each of them: (n + 1,) each.

        There must be a mated pair, and a non-mated one that was compared.
        """
        fmr = np.concatenate([[0], self.false_matches]) / self.non_mated
        fnmr = (self.mated - np.concatenate([[0], self.matches])) / self.mated
        return fmr, fnmr

    def largest_step(self, fmr: float) -> int | None:
        """Return the largest tolerance whose FMR is at most `fmr` (0 to 1), and so the one of least FNMR.

        None where not even a tolerance of 0 keeps to it, or no non-mated pair was compared.
        """
        if not self.non_mated:
            return None
        # The product is rounded: 0.1 of 30 pairs is three of them.
        too_many = np.flatnonzero(self.false_matches > fmr * self.non_mated * (1 + 1e-12))
        step = int(self.steps[too_many[0]]) - 1 if len(too_many) else MAX_STEP
        return step if step >= 0 else None

    def equal_error(self) -> tuple[float, float] | None:
        """Return the EER and the tolerance (a distance) where FMR and FNMR are equal; None where one has no pairs.

        Both are step functions, which need not meet; the EER lies where the straight lines between the neighbouring
        points of the ROC cross the diagonal.
        """
        if not self.mated or not self.non_mated:
            return None
        fmr, fnmr = self.rates()
        after = int(np.argmax(fmr >= fnmr))  # never the first, where FNMR is 1; the last FMR is 1
        gap_before, gap_after = fnmr[after - 1] - fmr[after - 1], fmr[after] - fnmr[after]
        share = gap_before / (gap_before + gap_after)
        steps = np.concatenate([[self.steps[0] - 1], self.steps])
        step = steps[after - 1] + share * (steps[after] - steps[after - 1])
        return float(fmr[after - 1] + share * (fmr[after] - fmr[after - 1])), max(float(step / STEPS), 0.0)

    def auc(self) -> float | None:
        """Return the probability that a mated pair is nearer than a non-mated one, ties counted half.

        The area under the ROC (Mann-Whitney), of the pairs that were compared; None where one kind has none.
        """
        compared = self.mated - self.mated_failed
        if not compared or not self.non_mated:
            return None
        mated = np.diff(self.matches, prepend=0)
        non_mated = np.diff(self.false_matches, prepend=0)
        farther = self.non_mated - self.false_matches
        return float((mated * (farther + non_mated / 2)).sum() / compared / self.non_mated)
