"""Who is enrolled: lists by pages, one company, user or reference. Each look is an entry of the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select
from sqlmodel import col

from face_api.store.audit import Action, AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.enrollments import Profile
from face_api.store.pages import DEFAULT_PAGE, Page
from face_api.store.people import find_company, find_user
from face_api.store.sealing import Vault
from face_api.store.tables import Company, Reference, User

_REFERENCES = (
    select(col(Reference.id), col(Reference.encoder_id), col(Reference.chip).is_not(None), col(Reference.created_at))
    .where(col(Reference.user_id) == bindparam("user_id"))
    .order_by(col(Reference.id))
)


@dataclass(frozen=True, slots=True)
class CompanySummary:
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CompanyDetails:
    """A company, and how many users it has."""

    name: str
    created_at: datetime
    users: int


@dataclass(frozen=True, slots=True)
class UserSummary:
    key: str
    profile: Profile
    references: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReferenceSummary:
    id: int
    encoder_id: str
    has_chip: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UserDetails:
    """A user with references, the oldest first."""

    company: str
    key: str
    profile: Profile
    created_at: datetime
    references: Sequence[ReferenceSummary]


class Directory:
    """Lists and shows what is enrolled, never a template. Methods raise StoreError."""

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    def companies(self, caller: Caller, after: str = "", limit: int = DEFAULT_PAGE) -> Page[CompanySummary]:
        """Return companies by name, from the one behind `after` on."""
        statement = (
            select(col(Company.name), col(Company.created_at))
            .where(col(Company.name) > after)
            .order_by(col(Company.name))
            .limit(limit + 1)
        )
        with self._database.reading() as session:
            rows = session.execute(statement).all()
        self._note(caller, "list", Subject(), companies=len(rows[:limit]))
        return Page([CompanySummary(*row) for row in rows[:limit]], rows[limit - 1][0] if len(rows) > limit else None)

    def company(self, caller: Caller, name: str) -> CompanyDetails | None:
        """Return one company; None where it is not registered."""
        users = select(func.count()).where(col(User.company_id) == col(Company.id)).scalar_subquery()
        with self._database.reading() as session:
            owner = find_company(session, name)
            if owner is None:
                return None
            statement = select(col(Company.created_at), users).where(col(Company.id) == owner.company_id)
            details = CompanyDetails(name, *session.execute(statement).one())
        self._note(caller, "view", owner.subject, users=details.users)
        return details

    def users(
        self, caller: Caller, company: str, after: str = "", limit: int = DEFAULT_PAGE, prefix: str = ""
    ) -> Page[UserSummary] | None:
        """Return users of a company by id, from the one behind `after` on; None where it is not registered."""
        references = select(func.count()).where(col(Reference.user_id) == col(User.id)).scalar_subquery()
        with self._database.reading() as session:
            owner = find_company(session, company)
            if owner is None:
                return None
            statement = (
                select(col(User.key), col(User.gender), col(User.age), references, col(User.created_at))
                .where(col(User.company_id) == owner.company_id, col(User.key) > after)
                .order_by(col(User.key))
                .limit(limit + 1)
            )
            if prefix:
                # Not LIKE: SQLite's ignores case and so the index.
                statement = statement.where(col(User.key) >= prefix, col(User.key) < prefix + "\U0010ffff")
            rows = session.execute(statement).all()
        self._note(caller, "list", owner.subject, users=len(rows[:limit]))
        users = [
            UserSummary(key, Profile(gender, age), count, created_at)
            for key, gender, age, count, created_at in rows[:limit]
        ]
        return Page(users, users[-1].key if len(rows) > limit else None)

    def user(self, caller: Caller, company: str, key: str) -> UserDetails | None:
        """Return one user; None where company or user is not registered."""
        with self._database.reading() as session:
            person = find_user(session, company, key)
            if person is None:
                return None
            user = session.execute(select(User).where(col(User.id) == person.user_id)).scalar_one()
            rows = session.execute(_REFERENCES, {"user_id": person.user_id}).all()
            details = UserDetails(
                company,
                key,
                Profile(user.gender, user.age),
                user.created_at,
                [ReferenceSummary(*row) for row in rows],
            )
        self._note(caller, "view", person.subject, references=len(rows))
        return details

    def reference(self, caller: Caller, company: str, key: str, reference_id: int) -> ReferenceSummary | None:
        """Return one of the user's references; None where there is none of that id."""
        with self._database.reading() as session:
            person = find_user(session, company, key)
            if person is None:
                return None
            statement = _REFERENCES.where(col(Reference.id) == reference_id)
            row = session.execute(statement, {"user_id": person.user_id}).one_or_none()
        if row is None:
            return None
        self._note(caller, "view", person.subject, reference=reference_id)
        return ReferenceSummary(*row)

    def chip(self, caller: Caller, company: str, key: str, reference_id: int) -> bytes | None:
        """Return the chip of one of the user's references as a PNG; None where there is none."""
        with self._database.reading() as session:
            person = find_user(session, company, key)
            if person is None:
                return None
            row = session.execute(
                select(col(Reference.encoder_id), col(Reference.chip)).where(
                    col(Reference.id) == reference_id, col(Reference.user_id) == person.user_id
                )
            ).one_or_none()
        if row is None or row[1] is None:
            return None
        chip_png = self._vault.open(row[1], "chip", company, key, row[0])
        self._note(caller, "view", person.subject, reference=reference_id, chip=True)
        return chip_png

    def _note(self, caller: Caller, action: Action, subject: Subject, **details: object) -> None:
        with self._database.writing() as session:
            self._audit.append(session, caller, action, subject, details)
