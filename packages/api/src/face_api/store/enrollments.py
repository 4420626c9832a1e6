"""Who is enrolled under which company and id, with which references."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlmodel import Session, col, select

from face_api.store.database import open_database, reading, writing
from face_api.store.tables import Company, Reference, User
from face_engine.types import Template

TEMPLATE_DTYPE = np.dtype("<f4")


class StoreUnavailableError(Exception):
    """The database cannot be read or written now: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a company may tell of a user; None leaves what is known."""

    gender: int | None = None
    age: int | None = None


@dataclass(frozen=True, slots=True)
class Enrollment:
    """Whom a photo is to be registered for. Of the photo itself only its SHA-256 is kept, to know it again."""

    company: str
    user: str
    profile: Profile
    image_sha256: bytes


class EnrollmentStore:
    """The one door to the enrollments. Methods block; each is one transaction; safe from several threads.

    Every method raises StoreUnavailableError when the database fails.
    """

    def __init__(self, data_dir: Path) -> None:
        try:
            with _store_errors():
                self._engine: Engine = open_database(data_dir)
        except StoreUnavailableError as error:
            raise StoreUnavailableError(f"the database in {data_dir} cannot be used: {error}") from error

    def close(self) -> None:
        self._engine.dispose()

    def references(self, company: str, user: str) -> list[Template]:
        """Return the user's templates, the oldest first; none where company or user is not registered."""
        statement = (
            select(Reference)
            .join(User, col(User.id) == col(Reference.user_id))
            .join(Company, col(Company.id) == col(User.company_id))
            .where(Company.name == company, User.key == user)
            .order_by(col(Reference.id))
        )
        with _store_errors(), reading(self._engine) as session:
            return [_to_template(reference) for reference in session.exec(statement)]

    def note_repetition(self, enrollment: Enrollment, encoder_id: str) -> bool:
        """Tell whether this very photo is one of the user's references already; if so, update the profile."""
        # Most photos are new: that is found out without the lock on writing.
        with _store_errors(), reading(self._engine) as session:
            if _find_repetition(session, enrollment, encoder_id) is None:
                return False
        with _store_errors(), writing(self._engine) as session:
            found = _find_repetition(session, enrollment, encoder_id)
            if found is None:
                return False
            _apply(enrollment.profile, found)
            session.add(found)
            return True

    def add_reference(self, enrollment: Enrollment, template: Template, limit: int) -> bool:
        """Register a template, its user and company where they are new; beyond `limit` (>= 1) the oldest retire.

        Returns:
            Whether a reference was added; the same photo by the same encoder again adds nothing.
        """
        with _store_errors(), writing(self._engine) as session:
            found = _find_user(session, enrollment) or _new_user(session, enrollment)
            _apply(enrollment.profile, found)
            session.add(found)
            session.flush()
            if found.id is None:
                raise StoreUnavailableError("the database gave a new user no id")
            if _has_reference(session, found, enrollment.image_sha256, template.encoder_id):
                return False
            session.add(
                Reference(
                    user_id=found.id,
                    template=template.vector.astype(TEMPLATE_DTYPE).tobytes(),
                    encoder_id=template.encoder_id,
                    image_sha256=enrollment.image_sha256,
                )
            )
            session.flush()
            newest_first = select(Reference).where(Reference.user_id == found.id).order_by(col(Reference.id).desc())
            for retired in session.exec(newest_first.offset(limit)):
                session.delete(retired)
            return True


def _find_user(session: Session, enrollment: Enrollment) -> User | None:
    statement = (
        select(User)
        .join(Company, col(Company.id) == col(User.company_id))
        .where(Company.name == enrollment.company, User.key == enrollment.user)
    )
    return session.exec(statement).first()


def _find_repetition(session: Session, enrollment: Enrollment, encoder_id: str) -> User | None:
    found = _find_user(session, enrollment)
    if found is None or not _has_reference(session, found, enrollment.image_sha256, encoder_id):
        return None
    return found


def _new_user(session: Session, enrollment: Enrollment) -> User:
    found = session.exec(select(Company).where(Company.name == enrollment.company)).first()
    if found is None:
        found = Company(name=enrollment.company)
        session.add(found)
        session.flush()
    return User.model_validate({"company_id": found.id, "key": enrollment.user})


def _has_reference(session: Session, user: User, image_sha256: bytes, encoder_id: str) -> bool:
    statement = select(Reference.id).where(
        Reference.user_id == user.id, Reference.image_sha256 == image_sha256, Reference.encoder_id == encoder_id
    )
    return session.exec(statement).first() is not None


def _apply(profile: Profile, user: User) -> None:
    if profile.gender is not None:
        user.gender = profile.gender
    if profile.age is not None:
        user.age = profile.age


def _to_template(reference: Reference) -> Template:
    vector = np.frombuffer(reference.template, TEMPLATE_DTYPE).astype(np.float32)
    return Template(vector, reference.encoder_id)


@contextmanager
def _store_errors() -> Iterator[None]:
    """Translate the database's errors at this one edge."""
    try:
        yield
    except DBAPIError as error:
        raise StoreUnavailableError(str(error.orig)) from error
    except (SQLAlchemyError, OSError) as error:
        raise StoreUnavailableError(str(error)) from error
