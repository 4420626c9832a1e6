"""Who is enrolled under which company and id, with which references."""

import hmac
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.store.audit import AuditTrail, Caller
from face_api.store.database import Database
from face_api.store.decisions import TOKEN
from face_api.store.errors import StoreDamagedError
from face_api.store.events import EventLog, Outcome
from face_api.store.people import Person, References, find_or_make_user, find_user
from face_api.store.qualities import pack_quality
from face_api.store.sealing import Vault, key_id_of
from face_api.store.tables import Company, Reference, User, table_of, utc_now
from face_engine.timing import StageTimings
from face_engine.types import TEMPLATE_SIZE, Quality, Template, Vector

TEMPLATE_DTYPE = np.dtype("<f4")

# Built once: that takes longer than to execute them.
_COMPANIES, _USERS, _REFERENCES = table_of(Company), table_of(User), table_of(Reference)
_TEMPLATES = (
    select(
        _USERS.c.token,
        TOKEN.label("decision_token"),
        _REFERENCES.c.id,
        _REFERENCES.c.encoder_id,
        _REFERENCES.c.template,
    )
    .join_from(_REFERENCES, _USERS, _USERS.c.id == _REFERENCES.c.user_id)
    .join(_COMPANIES, _COMPANIES.c.id == _USERS.c.company_id)
    .where(_COMPANIES.c.name == bindparam("company"), _USERS.c.key == bindparam("user"))
    .order_by(_REFERENCES.c.id)
)
_PHOTOS = (
    select(_REFERENCES.c.id, _REFERENCES.c.encoder_id, _REFERENCES.c.photo_digest)
    .where(_REFERENCES.c.user_id == bindparam("user_id"))
    .order_by(_REFERENCES.c.id)
)
_INSERT = insert(table_of(Reference)).returning(table_of(Reference).c.id)

Enrolled = Literal["enrolled", "already_enrolled"]

Via = Literal["contract", "v1"]
"""Through which of the two faces somebody was enrolled."""


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
    photo_sha256: bytes
    via: Via


@dataclass(frozen=True, slots=True)
class Added:
    """How an enrollment ended, and the reference that the photo is now."""

    outcome: Enrolled
    reference_id: int


@dataclass(frozen=True, slots=True)
class _Known:
    id: int
    encoder_id: str
    is_of_this_photo: bool


class EnrollmentStore:
    """The references of users. Methods block; each is one transaction; safe from several threads.

    Every method raises StoreUnavailableError when the database fails, and StoreDamagedError or KeysError when a sealed
    value cannot be opened. Those that write raise AccessError where the caller's key was revoked meanwhile.
    """

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail, events: EventLog) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._events = events

    def references(self, company: str, user: str) -> References | None:
        """Return what a photo is compared with; None where there is no such user, or no reference."""
        with self._database.reading() as session:
            rows = session.connection().execute(_TEMPLATES, {"company": company, "user": user}).all()
        if not rows:
            return None
        templates = tuple(
            Template(unpack(self._vault.open(sealed, "template", company, user, encoder_id)), encoder_id)
            for *_, encoder_id, sealed in rows
        )
        decision_tokens = {row.encoder_id: row.decision_token for row in rows}
        return References(user, rows[0].token, decision_tokens, templates, tuple(row.id for row in rows))

    def note_repetition(self, caller: Caller, enrollment: Enrollment, encoder_id: str) -> int | None:
        """Return the id of the reference that this very photo is already, and update the profile; None: it is new."""
        # Most photos are new: that is found out without the lock on writing.
        with self._database.reading() as session:
            person = find_user(session, enrollment.company, enrollment.user)
            if person is None or self._known_id(session, person, enrollment, encoder_id) is None:
                return None
        with self._database.writing() as session:
            person = find_user(session, enrollment.company, enrollment.user, "row")
            if person is None:
                return None
            known_id = self._known_id(session, person, enrollment, encoder_id)
            if known_id is None:
                return None
            self._note(session, caller, person, enrollment, "already_enrolled", {})
            return known_id

    def add(
        self,
        caller: Caller,
        enrollment: Enrollment,
        template: Template,
        chip_png: bytes | None,
        quality: Quality,
        limit: int,
        timings_ms: StageTimings,
    ) -> Added:
        """Register a template, its user and company where they are new; beyond `limit` (>= 1) the oldest retire.

        The same photo by the same encoder again adds nothing; by another encoder it takes the place of the old one.

        Args:
            chip_png: the chip, where it is to be kept.
        """
        self._vault.approve()
        with self._database.writing() as session:
            person = find_or_make_user(session, enrollment.company, enrollment.user)
            references = self._references(session, person, enrollment)
            same_photo = [reference for reference in references if reference.is_of_this_photo]
            known = next((reference for reference in same_photo if reference.encoder_id == template.encoder_id), None)
            if known is not None:
                added = Added("already_enrolled", known.id)
            else:
                added = Added(
                    "enrolled", self._insert(session, caller, person, enrollment, template, chip_png, quality)
                )
                others = [reference.id for reference in references if reference not in same_photo]
                retired = [reference.id for reference in same_photo] + others[: max(0, len(others) + 1 - limit)]
                if retired:
                    session.execute(delete(Reference).where(col(Reference.id).in_(retired)))
            self._note(session, caller, person, enrollment, added.outcome, timings_ms)
            return added

    def remove(self, caller: Caller, company: str, user: str, reference_id: int) -> bool:
        """Remove one of the user's references, and tell whether there was one of that id. The user stays in any case.

        Its bytes in the database are zeroed on SQLite; copies may stay for a while in the files, as those of a
        reference that retires do (see Database.scrub).
        """
        with self._database.writing() as session:
            person = find_user(session, company, user, "row")
            if person is None:
                return False
            this = col(Reference.id) == reference_id, col(Reference.user_id) == person.user_id
            if not session.connection().execute(delete(Reference).where(*this)).rowcount:
                return False
            self._audit.append(session, caller, "remove", person.subject, {"reference": reference_id})
            return True

    def _references(self, session: Session, person: Person, enrollment: Enrollment) -> list[_Known]:
        """Return the user's references, the oldest first."""
        known = []
        for reference_id, encoder_id, sealed in session.connection().execute(_PHOTOS, {"user_id": person.user_id}):
            digest = self._vault.open(sealed, "photo_digest", enrollment.company, enrollment.user, encoder_id)
            known.append(_Known(reference_id, encoder_id, hmac.compare_digest(digest, enrollment.photo_sha256)))
        return known

    def _known_id(self, session: Session, person: Person, enrollment: Enrollment, encoder_id: str) -> int | None:
        for reference in self._references(session, person, enrollment):
            if reference.is_of_this_photo and reference.encoder_id == encoder_id:
                return reference.id
        return None

    def _insert(
        self,
        session: Session,
        caller: Caller,
        person: Person,
        enrollment: Enrollment,
        template: Template,
        chip_png: bytes | None,
        quality: Quality,
    ) -> int:
        """Insert the reference, and return its id."""
        place = enrollment.company, enrollment.user, template.encoder_id
        sealed = self._vault.seal(pack(template), "template", *place)
        reference = {
            "user_id": person.user_id,
            "encoder_id": template.encoder_id,
            "key_id": key_id_of(sealed),
            "template": sealed,
            "photo_digest": self._vault.seal(enrollment.photo_sha256, "photo_digest", *place),
            "chip": None if chip_png is None else self._vault.seal(chip_png, "chip", *place),
            "created_at": utc_now(),
            "via": enrollment.via,
            "enrolled_by": caller.actor,
            "quality": self._vault.seal(pack_quality(quality), "quality", *place),
        }
        return int(session.connection().execute(_INSERT, reference).scalar_one())

    def _note(
        self,
        session: Session,
        caller: Caller,
        person: Person,
        enrollment: Enrollment,
        outcome: Enrolled,
        timings_ms: StageTimings,
    ) -> None:
        profile = enrollment.profile
        told = {name: value for name, value in (("gender", profile.gender), ("age", profile.age)) if value is not None}
        if told:
            session.execute(update(User).where(col(User.id) == person.user_id).values(**told))
        self._events.add(session, caller, person, Outcome("enroll", outcome, timings_ms))


def pack(template: Template) -> bytes:
    """Return a template's vector as bytes: 128 little-endian float32."""
    return template.vector.astype(TEMPLATE_DTYPE).tobytes()


def unpack(value: bytes) -> Vector:
    """Return the vector (128,) float32 of `pack`'s bytes. Raises StoreDamagedError."""
    if len(value) != TEMPLATE_SIZE * TEMPLATE_DTYPE.itemsize:
        raise StoreDamagedError(f"a template of {len(value)} bytes")
    return np.frombuffer(value, TEMPLATE_DTYPE).astype(np.float32)
