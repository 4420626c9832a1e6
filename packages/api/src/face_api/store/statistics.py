"""What the events add up to, by time bucket and operation: how they ended, and how long the stages took.

Percentiles are nearest-rank: p95 is the smallest value that at least 95 % of all do not exceed. SQLite would take half
a minute to rank those of a million events. Of more than RANKED, therefore, about so many are ranked, picked evenly:
a percentile p of n values (0 < p < 1) is then hardly ever further off than the p +- 2 * sqrt(p * (1 - p) / n) of all.
Outcomes and verdicts are counted whole in any case.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CTE, BigInteger, ColumnElement, Select, case, extract, func, literal, select, union_all
from sqlalchemy.orm import Session

from face_api.store.database import Database
from face_api.store.events import STAGES, EventFilter, FoundEvents, Operation, find_events
from face_api.store.tables import AnalysisEvent, table_of

RANKED = 50_000
"""Up to so many events, percentiles are exact."""

PERCENTS = (50, 95, 99)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT = table_of(AnalysisEvent)

_GOLDEN = 40_503
"""2^16 by the golden ratio: multiples of it lie evenly modulo 2^16 (Knuth, The Art of Computer Programming, 6.4)."""

_Key = tuple[int, str]
"""A bucket's number, counted from the epoch, and the operation."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles of the `count` values that were ranked, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """The events of one operation in the stretch of time from `start` on, which is a multiple of its length in UTC."""

    start: datetime
    operation: Operation
    outcomes: Mapping[str, int]
    """Events by reason."""
    matches: int
    dismatches: int
    latency: Mapping[str, Percentiles]
    """By stage; without those that no event has."""


class Statistics:
    """Adds events up. Methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def summary(self, wanted: EventFilter, bucket_s: int) -> list[Bucket]:
        """Return the buckets in which there are events, in the order of time and operation.

        Args:
            bucket_s: the length of a bucket in seconds (>= 1).
        """
        with self._database.reading() as session:
            found = find_events(session, wanted)
            if found is None:
                return []
            bucket = self._bucket_number(bucket_s)
            outcomes = _outcomes(session, found, bucket)
            events = sum(count for rows in outcomes.values() for _, count, *_ in rows)
            latency = _latency(session, found, bucket, events)
        return [_to_bucket(key, bucket_s, rows, latency[key]) for key, rows in outcomes.items()]

    def _bucket_number(self, bucket_s: int) -> ColumnElement[int]:
        seconds: ColumnElement[Any]
        # Without the fraction, which SQLite would round to milliseconds, and a cast to a second.
        if self._database.is_sqlite:
            seconds = extract("epoch", func.substr(_EVENT.c.at, 1, len("2026-01-01 00:00:00")))
        else:
            seconds = func.floor(extract("epoch", _EVENT.c.at))
        return (seconds.cast(BigInteger) // bucket_s).label("bucket")


def _outcomes(session: Session, found: FoundEvents, bucket: ColumnElement[int]) -> Mapping[_Key, list[Any]]:
    """Return reason, events, matches and dismatches of each bucket and operation."""
    parts = bucket, _EVENT.c.operation, _EVENT.c.reason
    sums = func.count(), func.sum(_EVENT.c.matches), func.sum(_EVENT.c.dismatches)
    statement = select(*parts, *sums).where(*found.conditions).group_by(*parts).order_by(*parts)
    outcomes: dict[_Key, list[Any]] = defaultdict(list)
    for number, operation, *row in session.execute(statement):
        outcomes[number, operation].append(row)
    return outcomes


def _latency(
    session: Session, found: FoundEvents, bucket: ColumnElement[int], events: int
) -> Mapping[_Key, Mapping[str, Percentiles]]:
    """Return the percentiles by stage of each bucket and operation."""
    stages = [_EVENT.c[f"{stage}_ms"].label(stage) for stage in STAGES]
    timings = select(bucket, _EVENT.c.operation, *stages).where(*found.conditions)
    if events > RANKED:
        timings = timings.where(_EVENT.c.id * _GOLDEN % 2**16 < 2**16 * RANKED // events)
    table = timings.cte("timings")  # used by all stages, and so read once
    latency: dict[_Key, dict[str, Percentiles]] = defaultdict(dict)
    for number, operation, stage, *percentiles in session.execute(union_all(*(_ranked(table, s) for s in STAGES))):
        latency[number, operation][stage] = Percentiles(*percentiles)
    return latency


def _ranked(timings: CTE, stage: str) -> Select[Any]:
    value = timings.c[stage]
    parts = timings.c.bucket, timings.c.operation
    ranked = (
        select(
            *parts,
            value.label("value"),
            func.row_number().over(partition_by=parts, order_by=value).label("rank"),
            func.count().over(partition_by=parts).label("count"),
        )
        .where(value.is_not(None))
        .subquery()
    ).c
    percentiles = (func.min(case((ranked.rank * 100 >= ranked.count * percent, ranked.value))) for percent in PERCENTS)
    group = ranked.bucket, ranked.operation
    return select(*group, literal(stage), func.max(ranked.count), *percentiles).group_by(*group)


def _to_bucket(key: _Key, bucket_s: int, outcomes: list[Any], latency: Mapping[str, Percentiles]) -> Bucket:
    number, operation = key
    return Bucket(
        start=_EPOCH + timedelta(seconds=number * bucket_s),
        operation=cast(Operation, operation),
        outcomes={reason: events for reason, events, *_ in outcomes},
        matches=sum(matches for *_, matches, _ in outcomes),
        dismatches=sum(dismatches for *_, dismatches in outcomes),
        latency=latency,
    )
