"""How requests for photos ended: an event for statistics, purged after a time, and an entry of the audit trail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, bindparam, delete, insert, select, tuple_
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.store.audit import AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.pages import DEFAULT_PAGE, Page, check_filter
from face_api.store.people import Person, References, find_company, find_user
from face_api.store.tables import AnalysisEvent, Company, User, table_of, utc_now
from face_engine.matching import Comparison

STAGES = ("store", "decode", "detect", "align", "encode", "match", "total")

Operation = Literal["enroll", "analyse"]

_PURGE_BATCH = 10_000
_INSERT = insert(table_of(AnalysisEvent))
_EVENTS = (
    select(AnalysisEvent, col(Company.name), col(User.key))
    .outerjoin(Company, col(Company.id) == col(AnalysisEvent.company_id))
    .outerjoin(User, col(User.id) == col(AnalysisEvent.user_id))
    .order_by(col(AnalysisEvent.at).desc(), col(AnalysisEvent.id).desc())
)
_POSITION = (
    select(col(AnalysisEvent.at), col(AnalysisEvent.id))
    .where(col(AnalysisEvent.id) <= bindparam("id"))
    .order_by(col(AnalysisEvent.id).desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: `reason` as in X-Face-Reason, a comparison for each face that was compared."""

    operation: Operation
    reason: str
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are meant: those of which all that is given here is true.

    Args:
        user: of that company.
        since: the first moment that is meant; with a time zone.
        until: the first moment that no longer is; with a time zone.

    Raises:
        ValueError: a user without a company, or a moment without a time zone.
    """

    company: str | None = None
    user: str | None = None
    operation: Operation | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        check_filter(self.company, self.user, self.since, self.until)


@dataclass(frozen=True, slots=True)
class Event:
    """How a request ended. Company and user by name, where they were registered then."""

    id: int
    at: datetime
    operation: Operation
    company: str | None
    user: str | None
    request_id: str | None
    reason: str
    matches: int
    dismatches: int
    distance: float | None
    timings_ms: Mapping[str, float]


class EventLog:
    """Writes events and their audit entries, in one transaction, and lists them. Methods raise StoreError."""

    def __init__(self, database: Database, audit: AuditTrail) -> None:
        self._database = database
        self._audit = audit

    def record(self, caller: Caller, company: str, user: str, outcome: Outcome) -> None:
        """Record how a request ended. Whom it was about is kept only where that user is registered."""
        with self._database.writing() as session:
            person = find_user(session, company, user, "existence") or find_company(session, company, "existence")
            self.add(session, caller, person, outcome)

    def record_verdict(self, caller: Caller, company: str, references: References, outcome: Outcome) -> bool:
        """Record a verdict, unless the user with whom the photo was compared was erased meanwhile: return whether."""
        with self._database.writing() as session:
            person = find_user(session, company, references.user, "existence")
            if person is None or person.user_token != references.user_token:
                return False
            self.add(session, caller, person, outcome)
            return True

    def add(self, session: Session, caller: Caller, person: Person | None, outcome: Outcome) -> None:
        """Record an outcome as the last act of a session that holds the person's rows."""
        verdicts = [comparison.verdict for comparison in outcome.comparisons]
        event: dict[str, Any] = {
            "at": utc_now(),
            "operation": outcome.operation,
            "company_id": person and person.company_id,
            "user_id": person and person.user_id,
            "request_id": caller.request_id,
            "reason": outcome.reason,
            "matches": verdicts.count("match"),
            "dismatches": verdicts.count("dismatch"),
            "distance": min((comparison.distance for comparison in outcome.comparisons), default=None),
        }
        event |= {f"{stage}_ms": outcome.timings_ms.get(stage) for stage in STAGES}
        session.connection().execute(_INSERT, event)
        details: dict[str, Any] = {
            "reason": outcome.reason,
            "timings_ms": {stage: round(ms, 1) for stage, ms in outcome.timings_ms.items()},
        }
        if outcome.comparisons:
            details["verdicts"] = verdicts
            details["distances"] = [round(comparison.distance, 6) for comparison in outcome.comparisons]
            details["tolerance"] = outcome.comparisons[0].tolerance
        self._audit.append(session, caller, outcome.operation, person.subject if person else Subject(), details)

    def page(
        self, caller: Caller, wanted: EventFilter, before: int | None = None, limit: int = DEFAULT_PAGE
    ) -> Page[Event]:
        """Return events, the newest first; none where company or user is not registered.

        Args:
            before: from the next older one of that event on. Should it be gone, from the next lower id on, which
                differs where events were recorded at once.
        """
        with self._database.reading() as session:
            found = find_events(session, wanted)
            if found is None:
                return Page([], None)
            statement = _EVENTS.where(*found.conditions).limit(limit + 1)
            if before is not None:
                position = session.execute(_POSITION, {"id": before}).one_or_none()
                if position is None:
                    return Page([], None)
                statement = statement.where(
                    tuple_(col(AnalysisEvent.at), col(AnalysisEvent.id)) <= tuple_(*position),
                    col(AnalysisEvent.id) != before,
                )
            rows = session.execute(statement).all()
        events = [_to_event(*row) for row in rows[:limit]]
        with self._database.writing() as session:
            self._audit.append(session, caller, "list", found.subject, {"events": len(events)})
        return Page(events, str(events[-1].id) if len(rows) > limit else None)

    def purge(self, caller: Caller, before: datetime) -> int:
        """Remove the events from before a moment, and return how many they were. The audit trail stays."""
        removed = 0
        while True:
            with self._database.taking_turns(), self._database.writing() as session:
                oldest = select(col(AnalysisEvent.id)).where(col(AnalysisEvent.at) < before).limit(_PURGE_BATCH)
                # Not waiting: an erasure that holds some of them may wait for one of ours.
                oldest = oldest.with_for_update(skip_locked=True)
                statement = delete(AnalysisEvent).where(col(AnalysisEvent.id).in_(oldest))
                batch = session.connection().execute(statement).rowcount
                if batch:
                    self._audit.append(session, caller, "purge", Subject(), {"events": batch})
            removed += batch
            if batch < _PURGE_BATCH:
                return removed


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """Whom a filter is about, and what is true of the events it means: of whose, what and when they are."""

    subject: Subject
    company_id: int | None
    person: Sequence[ColumnElement[bool]]
    kind: Sequence[ColumnElement[bool]]
    time: Sequence[ColumnElement[bool]]

    @property
    def conditions(self) -> Sequence[ColumnElement[bool]]:
        return [*self.person, *self.kind, *self.time]


def find_events(session: Session, wanted: EventFilter) -> FoundEvents | None:
    """Return how to find the events that are meant; None where company or user is not registered."""
    found: Person | None = None
    person: list[ColumnElement[bool]] = []
    kind: list[ColumnElement[bool]] = []
    time: list[ColumnElement[bool]] = []
    if wanted.company is not None:
        if wanted.user is None:
            found = find_company(session, wanted.company)
        else:
            found = find_user(session, wanted.company, wanted.user)
        if found is None:
            return None
        if found.user_id is None:
            person.append(col(AnalysisEvent.company_id) == found.company_id)
        else:
            person.append(col(AnalysisEvent.user_id) == found.user_id)
    if wanted.operation is not None:
        kind.append(col(AnalysisEvent.operation) == wanted.operation)
    if wanted.reason is not None:
        kind.append(col(AnalysisEvent.reason) == wanted.reason)
    if wanted.since is not None:
        time.append(col(AnalysisEvent.at) >= wanted.since)
    if wanted.until is not None:
        time.append(col(AnalysisEvent.at) < wanted.until)
    if found is None:
        return FoundEvents(Subject(), None, person, kind, time)
    return FoundEvents(found.subject, found.company_id, person, kind, time)


def _to_event(event: AnalysisEvent, company: str | None, user: str | None) -> Event:
    timings_ms = {stage: getattr(event, f"{stage}_ms") for stage in STAGES}
    return Event(
        id=event.id,
        at=event.at,
        operation=cast(Operation, event.operation),
        company=company,
        user=user,
        request_id=event.request_id,
        reason=event.reason,
        matches=event.matches,
        dismatches=event.dismatches,
        distance=event.distance,
        timings_ms={stage: ms for stage, ms in timings_ms.items() if ms is not None},
    )
