"""Looks into the audit trail: its entries by pages, the newest first, and whether it is whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, func, select
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
from face_api.store.pages import DEFAULT_PAGE, Page, check_filter
from face_api.store.people import find_company, find_user
from face_api.store.tables import AuditEvent, table_of

MANY = 10_000
"""What has more entries is not asked how many."""

_ENTRY = table_of(AuditEvent)

# Built once: that takes longer than to execute them.
_NEWEST = ENTRIES.order_by(col(AuditEvent.sequence).desc())
# Not of the column alone: PostgreSQL would go through the entries by their key until it comes to one of that time.
_ENDS = select(func.coalesce(func.min(_ENTRY.c.sequence + 0), 0), func.coalesce(func.max(_ENTRY.c.sequence + 0), 0))


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
        check_filter(self.company, self.user, self.since, self.until)


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
            rows: Sequence[Any] = []
            if subject is not None:
                conditions = _conditions(session, subject, wanted, before)
                rows = session.execute(_NEWEST.where(*conditions).limit(limit + 1)).all()
        entries = [AuditEntry.of(*row) for row in rows[:limit]]
        with self._database.writing() as session:
            self._audit.append(session, caller, "list", subject or Subject(), {"audit_entries": len(entries)})
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


def _conditions(
    session: Session, subject: Subject, wanted: EntryFilter, before: int | None
) -> list[ColumnElement[bool]]:
    given: dict[Column[Any], str | None] = {
        _ENTRY.c.user: subject.user,
        _ENTRY.c.company: subject.company if subject.user is None else None,
        _ENTRY.c.actor: wanted.actor,
        _ENTRY.c.action: wanted.action,
    }
    conditions = _alike(session, {column: value for column, value in given.items() if value is not None})
    older = [] if before is None else [_ENTRY.c.sequence < before]
    if wanted.since is None and wanted.until is None:
        return conditions + older
    # Between the first and the last of that time, so that few are looked at; one in between may be of another time,
    # where somebody set the clock back.
    first, last = session.execute(_ENDS.where(*_within(wanted, _ENTRY.c.at), *older)).one()
    # Not by the column alone: SQLite would take its index, and sort.
    return [*conditions, _ENTRY.c.sequence.between(first, last), *_within(wanted, func.coalesce(_ENTRY.c.at, ""))]


def _within(wanted: EntryFilter, at: ColumnElement[str]) -> list[ColumnElement[bool]]:
    since = [] if wanted.since is None else [at >= _text(wanted.since)]
    return since if wanted.until is None else [*since, at < _text(wanted.until)]


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


def _text(moment: datetime) -> str:
    """Return the moment as an entry has it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
