"""Errors of the service as a whole: enrollment, and then the comparison."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from face_engine.evaluation.estimates import proportion
from face_engine.evaluation.intervals import REPLICATES, IdentityBootstrap, percentiles
from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.scores import NOT_COMPARED


class ServiceCount:
    """Counts pairs as the whole service would answer them: a reference that is not enrolled matches nobody.

    Args:
        enrolled: (n_photos,), whether the service would take the photo as a reference.
        step: the tolerance.
    """

    def __init__(self, enrolled: npt.NDArray[np.bool_], step: int, bootstrap: IdentityBootstrap) -> None:
        self._enrolled = enrolled
        self._step = step
        self._bootstrap = bootstrap
        # By whether a pair is mated, was compared, matches, and whether its reference is enrolled.
        self._counts = np.zeros((2, 2, 2, 2))
        self._replicates = np.zeros((16, REPLICATES))

    def add(self, scored: Pairs) -> None:
        """Count pairs, (n,) of scores.SCORED."""
        compared = scored["steps"] != NOT_COMPARED
        matches = scored["steps"] <= self._step
        bits = (scored["mated"], compared, matches, self._enrolled[scored["reference"]])
        keys = np.ravel_multi_index(tuple(bit.astype(np.int64) for bit in bits), self._counts.shape)
        self._counts += np.bincount(keys, minlength=self._counts.size).reshape(self._counts.shape)
        self._bootstrap.add(scored, keys, self._replicates)

    def rates(self) -> dict[str, Any]:
        """Return ISO/IEC 19795-1's generalized false accept and reject rates, and the FNMR of compared pairs alone."""
        replicates = self._replicates.reshape(*self._counts.shape, REPLICATES)

        def of_kind(mated: int, part: Callable[[Any], Any], whole: Callable[[Any], Any]) -> dict[str, Any]:
            counts, drawn = self._counts[mated], replicates[mated]
            with np.errstate(invalid="ignore"):
                rates = part(drawn) / whole(drawn)
            return proportion(int(part(counts)), int(whole(counts)), percentiles(rates))

        def every(counts: Any) -> Any:
            return counts.sum(axis=(0, 1, 2))

        return {
            "fnmr_compared": of_kind(1, lambda counts: counts[1, 0].sum(axis=0), lambda counts: counts[1].sum((0, 1))),
            "gfar": of_kind(0, lambda counts: counts[1, 1, 1], every),
            "gfrr": of_kind(1, lambda counts: every(counts) - counts[1, 1, 1], every),
        }
