"""How long the stages of events took: nearest-rank percentiles, by a part that each event is in, and operation.

p95 is the smallest value that at least 95 % of all do not exceed. It would take long to rank the values of a million
events. Of more than RANKED, therefore, about so many are ranked, picked evenly: a percentile p of n values (0 < p < 1)
is then hardly ever further off than the p +- 2 * sqrt(p * (1 - p) / n) of all. A part with so few events that it would
have less than its share of RANKED is picked from more densely, or ranked whole; that is at most as many again. They are
ranked here: SQLite takes several times as long.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, and_, case, or_, select
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
    session: Session, conditions: Sequence[ColumnElement[bool]], part: ColumnElement[int], events: Mapping[Key, int]
) -> Mapping[Key, Mapping[str, Percentiles]]:
    """Return the percentiles by stage of each part and operation.

    Args:
        part: the number of the part that an event is in.
        events: of how many of each the conditions are true.
    """
    key = part * len(_OPERATIONS) + _OPERATION
    statement = select(key, *(_EVENT.c[f"{stage}_ms"] for stage in STAGES)).where(*conditions)
    if sum(events.values()) > RANKED:
        statement = statement.where(_picked(key, events))
    # As tuples: NumPy asks a row of SQLAlchemy's for each of its values. What was not measured is NaN.
    rows = np.array([tuple(row) for row in session.execute(statement)], np.float64).reshape(-1, 1 + len(STAGES))
    order = rows[:, 0].argsort()
    numbers, starts = np.unique(rows[order, 0], return_index=True)
    latency: dict[Key, Mapping[str, Percentiles]] = {}
    for number, values in zip(numbers, np.split(rows[order, 1:], starts[1:]), strict=False):
        of_part, operation = divmod(int(number), len(_OPERATIONS))
        latency[of_part, _OPERATIONS[operation]] = _ranked(values)
    return latency


def _picked(key: ColumnElement[int], events: Mapping[Key, int]) -> ColumnElement[bool]:
    """Return the condition that an event is one of those that are ranked, of more than RANKED."""
    share = _share(events.values())
    # Those with up to their share, with up to twice, four times as many...: each are picked from alike.
    alike: dict[int, list[Key]] = defaultdict(list)
    for of_part, count in events.items():
        alike[(-(-count // share) - 1).bit_length()].append(of_part)
    total = sum(events.values())
    picked = [_EVENT.c.id * _GOLDEN % 2**16 < 2**16 * RANKED // total]
    for size, keys in alike.items():
        count = sum(events[of_part] for of_part in keys)
        if share * len(keys) * total <= RANKED * count:
            continue  # these have their share
        numbers = [number * len(_OPERATIONS) + _OPERATIONS.index(operation) for number, operation in keys]
        sparse = [_EVENT.c.id * _GOLDEN % 2**16 < 2**16 * share * len(keys) // count] if size else []
        picked.append(and_(*sparse, key.in_(numbers)))
    return or_(*picked)


def _share(counts: Collection[int]) -> int:
    """Return how many each may have, at least 1, of more than RANKED: what some have less is the others'."""
    left, parts = RANKED, len(counts)
    for count in sorted(counts):
        if count * parts > left:
            break
        left, parts = left - count, parts - 1
    return max(1, left // parts)


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
