"""Finds and holds the rows of a company and a user inside a transaction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sqlalchemy import Executable, Select, bindparam, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from face_api.store.audit import Subject
from face_api.store.errors import StoreUnavailableError
from face_api.store.sealing import SAMPLES, Sealed
from face_api.store.tables import Company, Reference, User, new_token, table_of, utc_now
from face_engine.types import Template

_ATTEMPTS = 5

Hold = Literal["nothing", "existence", "row"]
"""What nobody else may do with the rows until the transaction ends: all; not remove them; not change them either.

SQLite needs none of it: there nobody else writes meanwhile.
"""


@dataclass(frozen=True, slots=True)
class Person:
    """The rows of a company and, unless that is None, of one of its users."""

    company_id: int
    company_token: str
    user_id: int | None
    user_token: str | None

    @property
    def subject(self) -> Subject:
        return Subject(self.company_token, self.user_token)


@dataclass(frozen=True, slots=True)
class References:
    """A user's templates, the oldest first, and the token that tells this user from a later one of the same id."""

    user: str
    user_token: str
    decision_tokens: Mapping[str, str | None]
    """Of the tolerance that was applied for each of the templates' encoders; None: none was."""

    templates: tuple[Template, ...]
    ids: tuple[int, ...]
    """Of the templates, in their order."""

    def made_by(self, encoder_id: str) -> "References":
        """Return those that one encoder made, which may be none."""
        chosen = [number for number, template in enumerate(self.templates) if template.encoder_id == encoder_id]
        return References(
            self.user,
            self.user_token,
            self.decision_tokens,
            tuple(self.templates[number] for number in chosen),
            tuple(self.ids[number] for number in chosen),
        )


# Built once: that takes longer than to execute them.

_COMPANIES, _USERS = table_of(Company), table_of(User)
_COMPANY = select(_COMPANIES.c.id, _COMPANIES.c.token).where(_COMPANIES.c.name == bindparam("company"))
_USER = (
    select(_COMPANIES.c.id, _COMPANIES.c.token, _USERS.c.id, _USERS.c.token)
    .join_from(_COMPANIES, _USERS, _USERS.c.company_id == _COMPANIES.c.id)
    .where(_COMPANIES.c.name == bindparam("company"), _USERS.c.key == bindparam("user"))
)
_ROW_OF_USER = (
    select(_USERS.c.id, _USERS.c.token)
    .where(_USERS.c.company_id == bindparam("company_id"), _USERS.c.key == bindparam("user"))
    .with_for_update()
)
_NEXT_KEY = select(func.min(col(Reference.key_id))).where(col(Reference.key_id) > bindparam("key_id"))
_SEALED_WITH = (
    select(
        col(Reference.id),
        col(Reference.photo_digest),
        col(Company.name),
        col(User.key),
        col(Reference.encoder_id),
    )
    .join(User, col(User.id) == col(Reference.user_id))
    .join(Company, col(Company.id) == col(User.company_id))
    .where(col(Reference.key_id) == bindparam("key_id"))
    .limit(SAMPLES)
)
_COMPANY_HELD: dict[Hold, Select[Any, Any]] = {
    "nothing": _COMPANY,
    "existence": _COMPANY.with_for_update(read=True, key_share=True),
    "row": _COMPANY.with_for_update(),
}
_USER_HELD: dict[Hold, Select[Any, Any, Any, Any]] = {
    "nothing": _USER,
    "existence": _USER.with_for_update(read=True, key_share=True),
}


def find_user(session: Session, company: str, user: str, hold: Hold = "nothing") -> Person | None:
    """Return both rows, or None where one of them is not there."""
    if hold == "row":
        # The company first, as in an erasure of all of it: what is entered for the user refers to both.
        owner = find_company(session, company, "existence")
        return None if owner is None else _hold_user(session, owner, user)
    row = session.connection().execute(_USER_HELD[hold], {"company": company, "user": user}).one_or_none()
    return None if row is None else Person(*row)


def find_company(session: Session, company: str, hold: Hold = "nothing") -> Person | None:
    """Return the company's row alone."""
    row = session.connection().execute(_COMPANY_HELD[hold], {"company": company}).one_or_none()
    return None if row is None else Person(*row, user_id=None, user_token=None)


def find_or_make_user(session: Session, company: str, user: str) -> Person:
    """Return both rows, made where they are new, held against every change. Raises StoreUnavailableError."""
    for _ in range(_ATTEMPTS):
        owner = find_company(session, company, hold="existence")
        # Somebody else may make the same rows at the same time, or remove them: then the next round sees theirs.
        if owner is None:
            insert_new(session, Company, name=company, **_fresh())
            continue
        if person := _hold_user(session, owner, user):
            return person
        fresh = _fresh()
        user_id = insert_new(session, User, company_id=owner.company_id, key=user, **fresh)
        if user_id is not None:
            return Person(owner.company_id, owner.company_token, user_id, str(fresh["token"]))
    raise StoreUnavailableError("a new user could not be registered: somebody else keeps removing it")


def _hold_user(session: Session, owner: Person, user: str) -> Person | None:
    row = session.connection().execute(_ROW_OF_USER, {"company_id": owner.company_id, "user": user}).one_or_none()
    return None if row is None else Person(owner.company_id, owner.company_token, *row)


def keys_of_references(session: Session) -> Iterator[str]:
    """Return the ids of the keys with which references are sealed; by the index, so a few steps however many those are.

    The caller may go on asking the session meanwhile.
    """
    key_id: str | None = ""
    while key_id := session.execute(_NEXT_KEY, {"key_id": key_id}).scalar_one():
        yield key_id


def references_sealed_with(session: Session, key_id: str) -> Mapping[int, Sealed]:
    """Return a value of some of a key's references, by their ids: of SAMPLES, or of all that there are."""
    rows = session.execute(_SEALED_WITH, {"key_id": key_id}).all()
    return {reference_id: Sealed(value, ("photo_digest", *place)) for reference_id, value, *place in rows}


def insert_new(session: Session, table: type[SQLModel], **values: object) -> int | None:
    """Insert a row unless there is one of the same name, and return its id; None: there is one."""
    connection = session.connection()
    # Not by rowcount: PostgreSQL's driver does not tell it here.
    row = connection.execute(_insert_new(table, connection.dialect.name), values).first()
    return None if row is None else int(row[0])


@cache  # that takes longer than to execute it
def _insert_new(table: type[SQLModel], dialect_name: str) -> Executable:
    insert = (sqlite if dialect_name == "sqlite" else postgresql).insert(table)
    statement: Executable = insert.on_conflict_do_nothing().returning(literal_column("id"))
    return statement


def _fresh() -> dict[str, object]:
    return {"token": new_token(), "created_at": utc_now()}
