"""Who is enrolled: lists by pages, one company, user or reference. Each look is an entry of the audit trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, bindparam, exists, func, select, tuple_
from sqlmodel import col

from face_api.store.audit import Action, AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.enrollments import Profile, Via
from face_api.store.pages import DEFAULT_PAGE, Page
from face_api.store.people import find_company, find_user
from face_api.store.qualities import open_quality, unpack_quality
from face_api.store.sealing import Vault
from face_api.store.tables import Company, Reference, User, table_of
from face_engine.types import Quality

Sort = Literal["id", "newest", "oldest"]
"""The order of users: by id, or by when they were first enrolled."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_USERS = table_of(User)
_USERS_OF = select(func.count()).where(col(User.company_id) == col(Company.id)).scalar_subquery()
_REFERENCES_OF = select(func.count()).where(col(Reference.user_id) == col(User.id)).scalar_subquery()
_IS_ENROLLED = exists().where(col(Reference.user_id) == col(User.id))
_REFERENCES = (
    select(
        col(Reference.id),
        col(Reference.encoder_id),
        col(Reference.chip).is_not(None).label("has_chip"),
        col(Reference.created_at),
        col(Reference.via),
        col(Reference.enrolled_by),
        col(Reference.quality),
    )
    .where(col(Reference.user_id) == bindparam("user_id"))
    .order_by(col(Reference.id))
)


@dataclass(frozen=True, slots=True)
class CompanySummary:
    """A company, and how many users it has."""

    name: str
    created_at: datetime
    users: int


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users are meant: those of whom all that is given here is true.

    Args:
        prefix: how the id begins.
        contains: what the id contains.
        is_enrolled: whether the user has a reference.
    """

    prefix: str = ""
    contains: str = ""
    is_enrolled: bool | None = None

    def conditions(self, sort: Sort) -> list[ColumnElement[bool]]:
        key = _USERS.c.key
        conditions: list[ColumnElement[bool]] = []
        if self.prefix:
            if sort == "id":
                # Not LIKE: SQLite's ignores case and so the index.
                conditions += [key >= self.prefix, key < self.prefix + "\U0010ffff"]
            else:
                # LIKE: by that index SQLite would find all of them, and sort them by time.
                conditions.append(key.startswith(self.prefix, autoescape=True))
        if self.contains:
            conditions.append(key.contains(self.contains, autoescape=True))
        if self.is_enrolled is not None:
            conditions.append(_IS_ENROLLED if self.is_enrolled else ~_IS_ENROLLED)
        return conditions


@dataclass(frozen=True, slots=True)
class UserSummary:
    key: str
    profile: Profile
    references: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReferenceSummary:
    """A reference. Of one that was enrolled before they were kept, the last three are None."""

    id: int
    encoder_id: str
    has_chip: bool
    created_at: datetime
    via: Via | None
    enrolled_by: str | None
    quality: Quality | None


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
            select(col(Company.name), col(Company.created_at), _USERS_OF)
            .where(col(Company.name) > after)
            .order_by(col(Company.name))
            .limit(limit + 1)
        )
        with self._database.reading() as session:
            rows = session.execute(statement).all()
        self._note(caller, "list", Subject(), companies=len(rows[:limit]))
        return Page([CompanySummary(*row) for row in rows[:limit]], rows[limit - 1][0] if len(rows) > limit else None)

    def company(self, caller: Caller, name: str) -> CompanySummary | None:
        """Return one company; None where it is not registered."""
        with self._database.reading() as session:
            owner = find_company(session, name)
            if owner is None:
                return None
            statement = select(col(Company.created_at), _USERS_OF).where(col(Company.id) == owner.company_id)
            company = CompanySummary(name, *session.execute(statement).one())
        self._note(caller, "view", owner.subject, users=company.users)
        return company

    def users(
        self,
        caller: Caller,
        company: str,
        after: str = "",
        limit: int = DEFAULT_PAGE,
        wanted: UserFilter = UserFilter(),
        sort: Sort = "id",
    ) -> Page[UserSummary] | None:
        """Return users of a company; None where it is not registered.

        Args:
            after: from the one behind that user on: an id, or for another sort the `next_after` of the page before.

        Raises:
            ValueError: `after` is no position of this sort.
        """
        conditions, order = _order(sort, after)
        with self._database.reading() as session:
            owner = find_company(session, company)
            if owner is None:
                return None
            statement = (
                select(
                    col(User.key), col(User.gender), col(User.age), _REFERENCES_OF, col(User.created_at), col(User.id)
                )
                .where(col(User.company_id) == owner.company_id, *wanted.conditions(sort), *conditions)
                .order_by(*order)
                .limit(limit + 1)
            )
            rows = session.execute(statement).all()
        self._note(caller, "list", owner.subject, users=len(rows[:limit]))
        users = [
            UserSummary(key, Profile(gender, age), count, created_at)
            for key, gender, age, count, created_at, _ in rows[:limit]
        ]
        if len(rows) <= limit:
            return Page(users, None)
        last = rows[limit - 1]
        return Page(users, last.key if sort == "id" else f"{(last.created_at - _EPOCH) // _MICROSECOND}x{last.id}")

    def user(self, caller: Caller, company: str, key: str) -> UserDetails | None:
        """Return one user; None where company or user is not registered."""
        with self._database.reading() as session:
            person = find_user(session, company, key)
            if person is None:
                return None
            user = session.execute(select(User).where(col(User.id) == person.user_id)).scalar_one()
            rows = session.execute(_REFERENCES, {"user_id": person.user_id}).all()
            profile = Profile(user.gender, user.age)
            details = UserDetails(
                company, key, profile, user.created_at, [self._summary(company, key, row) for row in rows]
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
        reference = self._summary(company, key, row)
        self._note(caller, "view", person.subject, reference=reference_id)
        return reference

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

    def _summary(self, company: str, key: str, row: Row[*tuple[Any, ...]]) -> ReferenceSummary:
        quality = open_quality(self._vault, row.id, row.quality, company, key, row.encoder_id)
        return ReferenceSummary(
            id=row.id,
            encoder_id=row.encoder_id,
            has_chip=row.has_chip,
            created_at=row.created_at,
            via=row.via,
            enrolled_by=row.enrolled_by,
            quality=None if quality is None else unpack_quality(quality),
        )

    def _note(self, caller: Caller, action: Action, subject: Subject, **details: object) -> None:
        with self._database.writing() as session:
            self._audit.append(session, caller, action, subject, details)


def _order(sort: Sort, after: str) -> tuple[list[ColumnElement[bool]], list[ColumnElement[Any]]]:
    """Return what is true of the users behind a position, and their order. Raises ValueError."""
    if sort == "id":
        return [_USERS.c.key > after], [_USERS.c.key]
    order: list[ColumnElement[Any]] = [_USERS.c.created_at, _USERS.c.id]
    time = tuple_(*order)
    if sort == "newest":
        order = [column.desc() for column in order]
    if not after:
        return [], order
    microseconds, _, user_id = after.partition("x")
    try:
        position = tuple_(_EPOCH + timedelta(microseconds=int(microseconds)), int(user_id))
    except OverflowError as error:
        raise ValueError("no such moment") from error
    return [time > position if sort == "oldest" else time < position], order
