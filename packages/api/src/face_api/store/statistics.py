"""What the events add up to, by time bucket or company, and operation: how they ended, and how long the stages took.

Outcomes and verdicts are counted whole, by the database, whose index has them in the order of hours.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    bindparam,
    extract,
    func,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from face_api.store.database import Database
from face_api.store.events import EventFilter, FoundEvents, Operation, find_events
from face_api.store.latency import Key, Percentiles, find_latency
from face_api.store.tables import AnalysisEvent, Company, hour_of, table_of

FEW = 20_000
"""Up to so many events of a company, SQLite's sort takes less time than all companies' events in their order."""

MAX_COMPANIES = 1_000

_HOUR_S = 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT = table_of(AnalysisEvent)
_COMPANY = table_of(Company)
_FILL_HOUR = update(_EVENT).where(_EVENT.c.id == bindparam("event")).values(hour=bindparam("its_hour"))
_NOBODY = 0
"""The number of the company that is none."""
_company_number = func.coalesce(_EVENT.c.company_id, _NOBODY)


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


@dataclass(frozen=True, slots=True)
class CompanyTally:
    """The events of one operation of a company; None: of who was not registered. Else as in a bucket."""

    company: str | None
    operation: Operation
    outcomes: Mapping[str, int]
    matches: int
    dismatches: int
    latency: Mapping[str, Percentiles]


@dataclass(frozen=True, slots=True)
class CompanyTallies:
    """Those of the companies with the most events, these first. `more`: other companies have some as well."""

    items: Sequence[CompanyTally]
    more: bool


@dataclass(frozen=True, slots=True)
class _Parts:
    """Into which parts events are added up, each a number.

    Args:
        of_event: which part an event is in.
        of_hour: which one all are in of an hour (and of a company, where there is one); None: an hour may have several.
        company: what else than the hour tells that.
    """

    of_event: ColumnElement[int]
    of_hour: ColumnElement[int] | None
    company: Sequence[ColumnElement[Any]] = ()


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """Reason, events, matches and dismatches of each part and operation."""

    rows: Mapping[Key, Sequence[tuple[str, int, int, int]]]

    def events(self, keys: Iterable[Key]) -> int:
        return sum(count for key in keys for _, count, _, _ in self.rows[key])

    def counts(self, keys: Iterable[Key]) -> dict[Key, int]:
        return {key: self.events([key]) for key in keys}

    def tally(self, key: Key) -> dict[str, Any]:
        rows = self.rows[key]
        return {
            "operation": key[1],
            "outcomes": {reason: events for reason, events, _, _ in rows},
            "matches": sum(matches for _, _, matches, _ in rows),
            "dismatches": sum(dismatches for _, _, _, dismatches in rows),
        }


class Statistics:
    """Adds events up. Methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def summary(self, wanted: EventFilter, bucket_s: int | None) -> list[Bucket]:
        """Return the buckets in which there are events, in the order of time and operation.

        Args:
            bucket_s: the length of a bucket in seconds (>= 1). None: one bucket of all, from `wanted.since` on, or from
                the epoch.
        """
        with self._database.reading() as session:
            found = find_events(session, wanted)
            if found is None:
                return []
            parts = self._whole() if bucket_s is None else self._buckets(bucket_s)
            outcomes = _outcomes(session, found, wanted, parts)
            latency = find_latency(session, found.conditions, parts.of_event, outcomes.counts(outcomes.rows))
        start = wanted.since or _EPOCH
        return [
            Bucket(
                start=start if bucket_s is None else _EPOCH + timedelta(seconds=key[0] * bucket_s),
                **outcomes.tally(key),
                latency=latency.get(key, {}),
            )
            for key in outcomes.rows
        ]

    def companies(self, wanted: EventFilter, limit: int = MAX_COMPANIES) -> CompanyTallies:
        """Return what the events of each company add up to, of the `limit` companies with the most events."""
        with self._database.reading() as session:
            found = find_events(session, wanted)
            if found is None:
                return CompanyTallies([], more=False)
            parts = _Parts(_company_number, _company_number, (_EVENT.c.company_id,))
            outcomes = _outcomes(session, found, wanted, parts)
            by_company = {number: list(keys) for number, keys in groupby(outcomes.rows, key=lambda key: key[0])}
            most = sorted(by_company, key=lambda number: -outcomes.events(by_company[number]))[:limit]
            keys = [key for number in most for key in by_company[number]]
            more = len(most) < len(by_company)
            conditions = [*found.conditions, _company_number.in_(most)] if more else found.conditions
            latency = find_latency(session, conditions, parts.of_event, outcomes.counts(keys))
            names = dict(session.execute(select(_COMPANY.c.id, _COMPANY.c.name).where(_COMPANY.c.id.in_(most))).all())
        items = [
            CompanyTally(company=names.get(key[0]), **outcomes.tally(key), latency=latency.get(key, {})) for key in keys
        ]
        return CompanyTallies(items, more)

    def fill_hours(self) -> int:
        """Give the events their hour that an older version has written since the schema changed; return how many."""
        none = _EVENT.c.hour == 0
        with self._database.reading() as session:
            if session.execute(select(_EVENT.c.id).where(none).limit(1)).first() is None:
                return 0
        with self._database.writing() as session:
            found = session.execute(select(_EVENT.c.id, _EVENT.c.at).where(none)).all()
            hours = [{"event": event, "its_hour": hour_of(at)} for event, at in found]
            if hours:
                session.connection().execute(_FILL_HOUR, hours)
        return len(hours)

    def _whole(self) -> _Parts:
        return _Parts(literal(0), literal(0))

    def _buckets(self, bucket_s: int) -> _Parts:
        if bucket_s % _HOUR_S == 0:
            of_hour = _EVENT.c.hour // (bucket_s // _HOUR_S)
            return _Parts(of_hour, of_hour)
        seconds: ColumnElement[Any]
        # Without the fraction, which SQLite would round to milliseconds, and a cast to a second.
        if self._database.is_sqlite:
            seconds = extract("epoch", func.substr(_EVENT.c.at, 1, len("2026-01-01 00:00:00")))
        else:
            seconds = func.floor(extract("epoch", _EVENT.c.at))
        return _Parts(seconds.cast(BigInteger) // bucket_s, None)


def _outcomes(session: Session, found: FoundEvents, wanted: EventFilter, parts: _Parts) -> _Outcomes:
    is_companys = wanted.company is not None and wanted.user is None
    if parts.of_hour is None or wanted.user is not None or (is_companys and _are_few(session, found.conditions)):
        rows = _events(found.conditions, parts).subquery().c
    else:
        rows = _hours(found, wanted, parts).subquery().c
    sums = (func.sum(column).cast(BigInteger) for column in (rows.events, rows.matches, rows.dismatches))
    key = rows.part, rows.operation, rows.reason
    outcomes: dict[Key, list[Any]] = defaultdict(list)
    for part, operation, *row in session.execute(select(*key, *sums).group_by(*key).order_by(*key)):
        outcomes[part, operation].append(tuple(row))
    return _Outcomes(outcomes)


def _are_few(session: Session, conditions: Sequence[ColumnElement[bool]]) -> bool:
    some = select(_EVENT.c.id).where(*conditions).limit(FEW + 1).subquery()
    return session.execute(select(func.count()).select_from(some)).scalar_one() <= FEW


def _hours(found: FoundEvents, wanted: EventFilter, parts: _Parts) -> CompoundSelect[Any]:
    """Return whole hours, added up in the order of an index, and one by one the events of those that are cut."""
    hour = _EVENT.c.hour
    cut = [hour_of(moment) for moment in (wanted.since, wanted.until) if moment is not None]
    conditions = list(found.kind)
    if found.company_id is not None:
        # Not by the column alone: SQLite would take the companies' index, and then sort.
        conditions.append(_company_number == found.company_id)
    inner = list(conditions)
    if wanted.since is not None:
        inner.append(hour > hour_of(wanted.since))
    if wanted.until is not None:
        inner.append(hour < hour_of(wanted.until))
    hours = (
        select(
            cast(ColumnElement[int], parts.of_hour).label("part"),
            _EVENT.c.operation,
            _EVENT.c.reason,
            func.count().label("events"),
            func.sum(_EVENT.c.matches).label("matches"),
            func.sum(_EVENT.c.dismatches).label("dismatches"),
        )
        .where(*inner)
        .group_by(hour, _EVENT.c.operation, _EVENT.c.reason, *parts.company)
    )
    return union_all(hours, _events([*conditions, *found.time, hour.in_(cut)], parts))


def _events(conditions: Sequence[ColumnElement[bool]], parts: _Parts) -> Select[Any]:
    return select(
        parts.of_event.label("part"),
        _EVENT.c.operation,
        _EVENT.c.reason,
        literal(1).label("events"),
        _EVENT.c.matches,
        _EVENT.c.dismatches,
    ).where(*conditions)
