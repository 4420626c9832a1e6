"""Removes users and companies with all that was derived from their photos, and says what was removed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from face_api.store.audit import AuditTrail, Caller, Checkpoint, Subject
from face_api.store.database import Database
from face_api.store.people import Person, find_company, find_user
from face_api.store.tables import AnalysisEvent, ApiKey, Company, IdempotentRequest, Reference, User, utc_now

_USERS = 100
_EVENTS = _ANSWERS = 10_000
"""How many are removed in one transaction: others write in between."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows that were removed. The chips are those of the references, the answers those that were kept for retries."""

    companies: int = 0
    users: int = 0
    references: int = 0
    chips: int = 0
    events: int = 0
    api_keys: int = 0
    answers: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + its for mine, its in zip(asdict(self).values(), asdict(other).values(), strict=True)))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure removed, when, and the audit entry that says so.

    `overwritten`: no byte of it is left in the database's files (see Database.scrub). Otherwise the service, where it
    can, sees to that within the hour, or `face-api compact`.
    """

    company: str
    user: str | None
    removed: Counts
    at: datetime
    audit_entry: Checkpoint
    overwritten: bool


class Eraser:
    """Erases. Methods raise StoreError."""

    def __init__(self, database: Database, audit: AuditTrail) -> None:
        self._database = database
        self._audit = audit

    def erase_user(self, caller: Caller, company: str, user: str) -> Receipt | None:
        """Remove a user; None where company or user is not registered."""
        with self._database.writing() as session:
            person = find_user(session, company, user, "row")
            if person is None or person.user_id is None:
                return None
            removed = _remove_users(session, [person.user_id])
            entry = self._note(session, caller, Subject(person.company_token), {"user": user})
        return self._receipt(company, user, removed, entry)

    def erase_company(self, caller: Caller, company: str) -> Receipt | None:
        """Remove a company and all its users; None where it is not registered.

        Users go in batches, each with an audit entry of its own. Where that is interrupted, the rest goes next time.
        """
        removed = Counts()
        while True:
            with self._database.taking_turns(), self._database.writing() as session:
                # Held until the end of each round, and so of the last one: nobody enrolls under it meanwhile.
                person = find_company(session, company, "row")
                if person is None:
                    return None
                batch = _remove_some(session, person)
                if is_last := batch == Counts():
                    batch = _remove_company(session, person)
                removed += batch
                entry = self._note(session, caller, Subject(), {"company": company, "users": batch.users})
            if is_last:
                return self._receipt(company, None, removed, entry)

    def _note(self, session: Session, caller: Caller, subject: Subject, names: dict[str, object]) -> Checkpoint:
        # Of a company its name or its token, never both, in none of the entries of one request: together they would
        # tell whom the trail's older entries are about. So would how many references and events there were.
        return self._audit.append(session, caller, "erase", subject, names)

    def _receipt(self, company: str, user: str | None, removed: Counts, entry: Checkpoint) -> Receipt:
        return Receipt(company, user, removed, utc_now(), entry, self._database.scrub())


def _remove_users(session: Session, ids: Sequence[int]) -> Counts:
    theirs = col(Reference.user_id).in_(ids)
    chips = session.execute(select(func.count(col(Reference.chip))).where(theirs)).scalar_one()
    return Counts(
        answers=_delete(session, IdempotentRequest, col(IdempotentRequest.user_id).in_(ids)),
        events=_delete(session, AnalysisEvent, col(AnalysisEvent.user_id).in_(ids)),
        references=_delete(session, Reference, theirs),
        chips=chips,
        users=_delete(session, User, col(User.id).in_(ids)),
    )


def _remove_some(session: Session, company: Person) -> Counts:
    """Remove some of a company's users; when there are none, some of what is about nobody who is registered.

    And its keys at once: who goes on enrolling with one would keep an erasure from ever coming to its end.
    """
    keys = Counts(api_keys=_delete(session, ApiKey, col(ApiKey.company_id) == company.company_id))
    theirs = select(col(User.id)).where(col(User.company_id) == company.company_id)
    if users := session.scalars(theirs.limit(_USERS).with_for_update()).all():
        return keys + _remove_users(session, users)
    events = select(col(AnalysisEvent.id)).where(col(AnalysisEvent.company_id) == company.company_id).limit(_EVENTS)
    answers = (
        select(col(IdempotentRequest.id)).where(col(IdempotentRequest.company_id) == company.company_id).limit(_ANSWERS)
    )
    return keys + Counts(
        events=_delete(session, AnalysisEvent, col(AnalysisEvent.id).in_(events)),
        answers=_delete(session, IdempotentRequest, col(IdempotentRequest.id).in_(answers)),
    )


def _remove_company(session: Session, company: Person) -> Counts:
    return Counts(companies=_delete(session, Company, col(Company.id) == company.company_id))


def _delete(session: Session, table: type[SQLModel], where: ColumnElement[bool]) -> int:
    return session.connection().execute(delete(table).where(where)).rowcount
