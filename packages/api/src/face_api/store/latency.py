"""How long the stages of events took: nearest-rank percentiles, by a part that each event is in, and operation.

p95 is the smallest value that at least 95 % of all do not exceed. It would take long to rank the values of a million
events. Of more than RANKED, therefore, about so many are ranked, picked evenly: a percentile p of n values (0 < p < 1)
is then hardly ever further off than the p +- 2 * sqrt(p * (1 - p) / n) of all. They are ranked here: SQLite takes
several times as long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import Session

from face_api.store.events import STAGES, Operation
from face_api.store.tables import AnalysisEvent, table_of

RANKED = 50_000
"""Up to so many events, percentiles are exact."""

PERCENTS = (50, 95, 99)

Key = tuple[int, Operation]
"""A part's number, and the operation."""

_EVENT = table_of(AnalysisEvent)
_OPERATIONS: Sequence[Operation] = get_args(Operation)
_OPERATION = case({name: number for number, name in enumerate(_OPERATIONS)}, value=_EVENT.c.operation)

_GOLDEN = 40_503
"""2^16 by the golden ratio: multiples of it lie evenly modulo 2^16 (Knuth, The Art of Computer Programming, 6.4)."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles of the `count` values that were ranked, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float


def find_latency(
    session: Session, conditions: Sequence[ColumnElement[bool]], part: ColumnElement[int], events: int
) -> Mapping[Key, Mapping[str, Percentiles]]:
    """Return the percentiles by stage of each part and operation.

    Args:
        part: the number of the part that an event is in.
        events: of how many the conditions are true.
    """
    statement = select(part, _OPERATION, *(_EVENT.c[f"{stage}_ms"] for stage in STAGES)).where(*conditions)
    if events > RANKED:
        statement = statement.where(_EVENT.c.id * _GOLDEN % 2**16 < 2**16 * RANKED // events)
    # As tuples: NumPy asks a row of SQLAlchemy's for each of its values. What was not measured is NaN.
    rows = np.array([tuple(row) for row in session.execute(statement)], np.float64).reshape(-1, 2 + len(STAGES))
    keys = rows[:, 0] * len(_OPERATIONS) + rows[:, 1]
    order = keys.argsort()
    numbers, starts = np.unique(keys[order], return_index=True)
    latency: dict[Key, Mapping[str, Percentiles]] = {}
    for number, values in zip(numbers, np.split(rows[order, 2:], starts[1:]), strict=False):
        of_part, operation = divmod(int(number), len(_OPERATIONS))
        latency[of_part, _OPERATIONS[operation]] = _ranked(values)
    return latency


def _ranked(values_ms: NDArray[np.float64]) -> Mapping[str, Percentiles]:
    """Return the percentiles by stage of (n, stages) values; NaN is none."""
    ordered = np.sort(values_ms, axis=0)  # NaN last
    counts = len(ordered) - np.isnan(ordered).sum(axis=0)
    percentiles: dict[str, Percentiles] = {}
    for stage, count, column in zip(STAGES, counts.tolist(), ordered.T, strict=True):
        if count:
            ranks = (-(-count * percent // 100) for percent in PERCENTS)
            percentiles[stage] = Percentiles(count, *(float(column[rank - 1]) for rank in ranks))
    return percentiles
