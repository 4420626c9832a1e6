"""How requests for photos ended: an event for statistics, purged after a time, and an entry of the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.store.audit import AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.people import Person, References, find_company, find_user
from face_api.store.tables import AnalysisEvent, table_of, utc_now
from face_engine.matching import Comparison

STAGES = ("store", "decode", "detect", "align", "encode", "match", "total")

Operation = Literal["enroll", "analyse"]

_PURGE_BATCH = 10_000
_INSERT = insert(table_of(AnalysisEvent))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: `reason` as in X-Face-Reason, a comparison for each face that was compared."""

    operation: Operation
    reason: str
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()


class EventLog:
    """Writes events and their audit entries, in one transaction. Methods raise StoreError."""

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
