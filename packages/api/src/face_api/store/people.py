"""Finds and holds the rows of a company and a user inside a transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Select, bindparam, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlmodel import SQLModel, col

from face_api.store.audit import Subject
from face_api.store.errors import StoreUnavailableError
from face_api.store.tables import Company, Reference, User, new_token, utc_now
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
    templates: tuple[Template, ...]
    ids: tuple[int, ...]
    """Of the templates, in their order."""

    def made_by(self, encoder_id: str) -> "References":
        """Return those that one encoder made, which may be none."""
        chosen = [number for number, template in enumerate(self.templates) if template.encoder_id == encoder_id]
        return References(
            self.user,
            self.user_token,
            tuple(self.templates[number] for number in chosen),
            tuple(self.ids[number] for number in chosen),
        )


# Built once: that takes longer than to execute them.

_COMPANY = select(col(Company.id), col(Company.token)).where(col(Company.name) == bindparam("company"))
_USER = (
    select(col(Company.id), col(Company.token), col(User.id), col(User.token))
    .join(User, col(User.company_id) == col(Company.id))
    .where(col(Company.name) == bindparam("company"), col(User.key) == bindparam("user"))
)
_NEXT_KEY = select(func.min(col(Reference.key_id))).where(col(Reference.key_id) > bindparam("key_id"))
_COMPANY_HELD: dict[Hold, Select[int, str]] = {
    "nothing": _COMPANY,
    "existence": _COMPANY.with_for_update(read=True, key_share=True),
    "row": _COMPANY.with_for_update(),
}
_USER_HELD: dict[Hold, Select[int, str, int, str]] = {
    "nothing": _USER,
    "existence": _USER.with_for_update(read=True, key_share=True),
    "row": _USER.with_for_update(of=User),
}


def find_user(session: Session, company: str, user: str, hold: Hold = "nothing") -> Person | None:
    """Return both rows, or None where one of them is not there."""
    if hold == "row":
        # The company first, as in an erasure of all of it: what is entered for the user refers to both.
        find_company(session, company, "existence")
    row = session.execute(_USER_HELD[hold], {"company": company, "user": user}).one_or_none()
    return None if row is None else Person(*row)


def find_company(session: Session, company: str, hold: Hold = "nothing") -> Person | None:
    """Return the company's row alone."""
    row = session.execute(_COMPANY_HELD[hold], {"company": company}).one_or_none()
    return None if row is None else Person(*row, user_id=None, user_token=None)


def find_or_make_user(session: Session, company: str, user: str) -> Person:
    """Return both rows, made where they are new, held against every change. Raises StoreUnavailableError."""
    for _ in range(_ATTEMPTS):
        if person := find_user(session, company, user, hold="row"):
            return person
        owner = find_company(session, company, hold="existence")
        # Somebody else may make the same rows at the same time, or remove them: then the next round sees theirs.
        if owner is None:
            insert_new(session, Company, name=company, **_fresh())
        else:
            insert_new(session, User, company_id=owner.company_id, key=user, **_fresh())
    raise StoreUnavailableError("a new user could not be registered: somebody else keeps removing it")


def keys_of_references(session: Session) -> Iterator[str]:
    """Return the ids of the keys with which references are sealed; by the index, so a few steps however many those are.

    The caller may go on asking the session meanwhile.
    """
    key_id: str | None = ""
    while key_id := session.execute(_NEXT_KEY, {"key_id": key_id}).scalar_one():
        yield key_id


def insert_new(session: Session, table: type[SQLModel], **values: object) -> bool:
    """Insert a row unless there is one of the same name, and tell whether it was inserted."""
    connection = session.connection()
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    # Not by rowcount: PostgreSQL's driver does not tell it here.
    insert = dialect.insert(table).values(**values).on_conflict_do_nothing().returning(literal_column("1"))
    return connection.execute(insert).first() is not None


def _fresh() -> dict[str, object]:
    return {"token": new_token(), "created_at": utc_now()}
