"""Looks into the audit trail: its entries by pages, the newest first, and whether it is whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, bindparam, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.store.audit import (
    ENTRIES,
    Action,
    AuditEntry,
    AuditTrail,
    AuditTrailBrokenError,
    Caller,
    Checkpoint,
    Subject,
)
from face_api.store.database import Database
from face_api.store.pages import DEFAULT_PAGE, Page
from face_api.store.people import find_company, find_user
from face_api.store.tables import AuditEvent, table_of

MANY = 10_000
"""What has more entries is not asked how many."""

_ENTRY = table_of(AuditEvent)

# Built once: that takes longer than to execute them.
_NEWEST = ENTRIES.order_by(col(AuditEvent.sequence).desc())
_NEXT = (
    select(_ENTRY.c.sequence, _ENTRY.c.at)
    .where(_ENTRY.c.sequence >= bindparam("sequence"))
    .order_by(_ENTRY.c.sequence)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are meant: those of which all that is given here is true.

    Args:
        company: as it is registered now; one that was erased, and came again, is another one.
        user: of that company.
        since: the first moment that is meant; with a time zone.
        until: the first moment that no longer is; with a time zone.

    Raises:
        ValueError: a user without a company, or a moment without a time zone.
    """

    company: str | None = None
    user: str | None = None
    action: Action | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.user is not None and self.company is None:
            raise ValueError("a user is one of a company, which is missing")
        if any(moment is not None and moment.tzinfo is None for moment in (self.since, self.until)):
            raise ValueError("a moment needs a time zone")


@dataclass(frozen=True, slots=True)
class Inspection:
    """How many entries there are, and either the last one, where each is as it was appended, or what is wrong."""

    entries: int
    end: Checkpoint | None
    broken: AuditTrailBrokenError | None


class Inspector:
    """Lists and verifies the audit trail. Methods raise StoreError."""

    def __init__(self, database: Database, audit: AuditTrail) -> None:
        self._database = database
        self._audit = audit

    def page(
        self, caller: Caller, wanted: EntryFilter, before: int | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[AuditEntry]:
        """Return entries, the newest first; none where company or user is not registered. It is an entry itself.

        Args:
            before: from the next older one of that entry on.

        Raises:
            AuditTrailBrokenError: an entry cannot be read.
        """
        with self._database.reading() as session:
            subject = _subject(session, wanted)
            if subject is None:
                return Page([], None)
            statement = _NEWEST.where(*_conditions(session, subject, wanted)).limit(limit + 1)
            if before is not None:
                statement = statement.where(_ENTRY.c.sequence < before)
            rows = session.execute(statement).all()
        entries = [AuditEntry.of(*row) for row in rows[:limit]]
        with self._database.writing() as session:
            self._audit.append(session, caller, "list", subject, {"audit_entries": len(entries)})
        return Page(entries, str(entries[-1].sequence) if len(rows) > limit else None)

    def verify(self) -> Inspection:
        """Check every entry, which takes some seconds for a hundred thousand of them."""
        try:
            end = self._audit.verify()
        except AuditTrailBrokenError as error:
            with self._database.reading() as session:
                entries = session.execute(select(func.count()).select_from(_ENTRY)).scalar_one()
            return Inspection(entries, None, error)
        return Inspection(end.sequence, end, None)


def _subject(session: Session, wanted: EntryFilter) -> Subject | None:
    """Return whom the filter is about; None where company or user is not registered."""
    if wanted.company is None:
        return Subject()
    if wanted.user is None:
        person = find_company(session, wanted.company)
    else:
        person = find_user(session, wanted.company, wanted.user)
    return None if person is None else person.subject


def _conditions(session: Session, subject: Subject, wanted: EntryFilter) -> list[ColumnElement[bool]]:
    given: dict[Column[Any], str | None] = {
        _ENTRY.c.user: subject.user,
        _ENTRY.c.company: subject.company if subject.user is None else None,
        _ENTRY.c.actor: wanted.actor,
        _ENTRY.c.action: wanted.action,
    }
    conditions = _alike(session, {column: value for column, value in given.items() if value is not None})
    # Each entry is later than the one before (unless somebody set the clock back), and there is no index by time.
    if wanted.since is not None:
        conditions += [_ENTRY.c.sequence >= _first(session, wanted.since), _ENTRY.c.at >= _text(wanted.since)]
    if wanted.until is not None:
        conditions += [_ENTRY.c.sequence < _first(session, wanted.until), _ENTRY.c.at < _text(wanted.until)]
    return conditions


def _alike(session: Session, given: Mapping[Column[Any], str]) -> list[ColumnElement[bool]]:
    """Return the conditions that columns have these values, of which the rarest is looked for in its index."""
    if not given:
        return []

    def count(column: Column[Any]) -> int:
        some = select(_ENTRY.c.sequence).where(column == given[column]).limit(MANY).subquery()
        return session.execute(select(func.count()).select_from(some)).scalar_one()

    rarest = min(given, key=count) if len(given) > 1 else next(iter(given))
    # The others not by the column alone: SQLite would take any one's index.
    others = (func.coalesce(column, "") == value for column, value in given.items() if column is not rarest)
    return [rarest == given[rarest], *others]


def _first(session: Session, moment: datetime) -> int:
    """Return the sequence of the first entry from a moment on; where there is none, a greater one than any."""
    at = _text(moment)
    low, high = 0, session.execute(select(func.coalesce(func.max(_ENTRY.c.sequence), 0))).scalar_one() + 1
    while low < high:
        middle = (low + high) // 2
        found = session.execute(_NEXT, {"sequence": middle}).one_or_none()
        if found is None or found.at >= at:
            high = middle
        else:
            low = found.sequence + 1
    return low


def _text(moment: datetime) -> str:
    """Return the moment as an entry has it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
