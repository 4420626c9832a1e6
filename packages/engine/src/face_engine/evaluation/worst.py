"""The pairs that are most wrong: the nearest non-mated and the farthest mated ones."""

from dataclasses import dataclass

import numpy as np

from face_engine.evaluation.labels import Pairs
from face_engine.evaluation.scores import NOT_COMPARED, SCORED


@dataclass(slots=True, eq=False)
class WorstPairs:
    """Keeps the `count` worst ones of each kind, worst first; ties by the photos' numbers."""

    count: int
    false_matches: Pairs
    false_non_matches: Pairs

    @classmethod
    def none(cls, count: int) -> "WorstPairs":
        return cls(count, np.empty(0, SCORED), np.empty(0, SCORED))

    def add(self, scored: Pairs) -> None:
        """Look at pairs, (n,) of scores.SCORED."""
        compared = scored["steps"] != NOT_COMPARED
        mated = scored["mated"]
        self.false_matches = self._nearest(self.false_matches, scored[compared & ~mated], 1)
        self.false_non_matches = self._nearest(self.false_non_matches, scored[compared & mated], -1)

    def _nearest(self, kept: Pairs, more: Pairs, sign: int) -> Pairs:
        if len(kept) == self.count and self.count:
            limit = int(kept["steps"][-1])
            more = more[sign * more["steps"].astype(np.int64) <= sign * limit]
        pairs = np.concatenate([kept, more])
        order = np.lexsort((pairs["probe"], pairs["reference"], sign * pairs["steps"].astype(np.int64)))
        return pairs[order[: self.count]]
