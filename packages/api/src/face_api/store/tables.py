"""The tables: companies have users, users have references; events tell what was asked, the audit trail who did what.

A company and a user have a `token` that is random. The audit trail, which keeps its entries for ever, names them by it
alone: with their rows the trail's link to them is gone.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, Table, TypeDecorator
from sqlmodel import Column, Field, ForeignKey, Index, LargeBinary, SQLModel, UniqueConstraint

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
SQLModel.metadata.naming_convention = NAMING_CONVENTION


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite knows no time zones: what it gives back is told its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BIG_INTEGER = BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER key counts by itself there

NAME = String(128).with_variant(String(128, collation="C"), "postgresql")
"""Sorted by code point everywhere, so that a page begins where the last one ended, and a prefix finds its index."""


def table_of(model: type[SQLModel]) -> Table:
    """Return the table behind a model: statements on it cost less than those on the model."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def utc_now() -> datetime:
    return datetime.now(UTC)


def hour_of(moment: datetime) -> int:
    """Return the number of the hour that a moment is in, counted from the epoch."""
    return (moment - _EPOCH) // timedelta(hours=1)


def new_token() -> str:
    return uuid.uuid4().hex


def _hour_of_row(context: Any) -> int:
    return hour_of(context.get_current_parameters()["at"])


def _id() -> Any:
    return Field(default=None, sa_column=Column(BIG_INTEGER, primary_key=True))


def _owner(table: str, *, nullable: bool = False, index: bool = False) -> Any:
    return Field(default=None, sa_column=Column(BIG_INTEGER, ForeignKey(f"{table}.id"), nullable=nullable, index=index))


def _moment(*, index: bool = False) -> Any:
    return Field(default_factory=utc_now, sa_column=Column(UtcDateTime, nullable=False, index=index))


class Company(SQLModel, table=True):
    """An integrator's company, made by its first enrollment."""

    __tablename__ = "companies"

    id: int = _id()
    name: str = Field(sa_column=Column(NAME, nullable=False, unique=True))
    token: str = Field(default_factory=new_token, max_length=32, unique=True)
    created_at: datetime = _moment()


class User(SQLModel, table=True):
    """A person whom a company enrolls, under the id that the company gave."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("company_id", "key"),
        Index(None, "company_id", "created_at", "id", "key"),  # with the key, by which lists are searched
    )

    id: int = _id()
    company_id: int = _owner("companies")
    key: str = Field(sa_column=Column(NAME, nullable=False))
    token: str = Field(default_factory=new_token, max_length=32, unique=True)
    gender: int | None = None  # male 1, female 0
    age: int | None = None  # years, 0-150
    created_at: datetime = _moment()


class Reference(SQLModel, table=True):
    """An enrolled template. What is of the face or the photo is sealed, each for this user, encoder and column."""

    __tablename__ = "face_references"  # `references` is a word of SQL
    __table_args__ = (
        Index(None, "user_id", "encoder_id"),
        {"sqlite_autoincrement": True},  # an id that was removed never stands for another photo
    )

    id: int = _id()
    user_id: int = _owner("users")
    encoder_id: str = Field(max_length=200)
    key_id: str = Field(max_length=32, index=True)  # with which all that is sealed here is
    template: bytes  # of 128 little-endian float32
    photo_digest: bytes  # of the photo's SHA-256, by which it is known again
    chip: bytes | None = Field(default=None, sa_column=Column(LargeBinary))  # of a PNG of 150 x 150
    created_at: datetime = _moment()
    # None of these three is known of who was enrolled before they were kept.
    via: str | None = Field(default=None, max_length=16)  # contract, v1
    enrolled_by: str | None = Field(default=None, max_length=64)  # the caller, as the audit trail names them
    quality: bytes | None = Field(default=None, sa_column=Column(LargeBinary))  # of JSON: face_engine.types.Quality


class ApiKey(SQLModel, table=True):
    """Who may ask: a company's key, or an administrator's, which belongs to none."""

    __tablename__ = "api_keys"

    id: int = _id()
    key_id: str = Field(max_length=32, unique=True)  # public: names the key in lists and in the audit trail
    company_id: int | None = _owner("companies", nullable=True, index=True)
    label: str = Field(default="", max_length=128)
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))  # HMAC-SHA256 of the secret
    created_at: datetime = _moment()
    revoked_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime))


class IdempotentRequest(SQLModel, table=True):
    """A request with an Idempotency-Key (see face_api.store.idempotency): under way, or answered within a day."""

    __tablename__ = "idempotent_requests"

    id: int = _id()
    digest: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))  # of whose key, and the key
    token: str = Field(max_length=32)  # of who does the request: another's when that one is given up
    fingerprint: bytes  # of what was asked
    created_at: datetime = _moment(index=True)
    status: int | None = None  # of the answer; None: it is under way
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))  # sealed
    key_id: str | None = Field(default=None, max_length=32, index=True)  # with which the body is sealed
    company_id: int | None = _owner("companies", nullable=True, index=True)  # whom the answer is about
    user_id: int | None = _owner("users", nullable=True, index=True)


class AnalysisEvent(SQLModel, table=True):
    """How a request for a photo ended, for statistics: kept for a time, then purged.

    Whom it was about is told by reference alone; where company or user is not registered, not at all.
    """

    __tablename__ = "analysis_events"
    __table_args__ = (
        Index(None, "company_id", "at"),
        Index(None, "user_id", "at"),
        # All that is added up, in the order in which it is grouped: without it SQLite would sort.
        Index("ix_analysis_events_hour", "hour", "operation", "reason", "company_id", "matches", "dismatches"),
    )

    id: int = _id()
    at: datetime = _moment(index=True)
    hour: int = Field(default=None, sa_column=Column(Integer, nullable=False, default=_hour_of_row))  # of `at`
    operation: str = Field(max_length=16)  # enroll, analyse
    company_id: int | None = _owner("companies", nullable=True)
    user_id: int | None = _owner("users", nullable=True)
    request_id: str | None = Field(default=None, max_length=64)
    reason: str = Field(max_length=64)  # as in X-Face-Reason
    matches: int = 0
    dismatches: int = 0
    distance: float | None = None  # the smallest of the photo's faces
    store_ms: float | None = None
    decode_ms: float | None = None
    detect_ms: float | None = None
    align_ms: float | None = None
    encode_ms: float | None = None
    match_ms: float | None = None
    total_ms: float | None = None


class AuditEvent(SQLModel, table=True):
    """One entry of the audit trail (see face_api.store.audit). Never changed, never removed."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "at", "sequence"),)

    sequence: int = Field(sa_column=Column(BIG_INTEGER, primary_key=True, autoincrement=False))
    at: str = Field(max_length=32)  # ISO 8601, UTC: hashed as it stands
    actor: str = Field(max_length=64, index=True)
    action: str = Field(max_length=16, index=True)
    company: str | None = Field(default=None, max_length=32, index=True)  # the token of the row
    user: str | None = Field(default=None, max_length=32, index=True)  # the token of the row
    request_id: str | None = Field(default=None, max_length=64)
    details: str  # JSON
    hash: bytes  # 32 bytes


class AuditHead(SQLModel, table=True):
    """Where the trail ends, so that nobody removes its last entries unseen; whoever appends holds this one row."""

    __tablename__ = "audit_head"

    id: int = Field(default=1, primary_key=True)
    sequence: int = Field(sa_column=Column(BIG_INTEGER, nullable=False))
    hash: bytes  # the last entry's
    mac: bytes  # 32 bytes


class AppliedDecision(SQLModel, table=True):
    """The tolerance that an administrator applied for an encoder's templates (see face_api.store.decisions)."""

    __tablename__ = "applied_decisions"

    encoder_id: str = Field(primary_key=True, max_length=200)
    token: str = Field(max_length=32)  # random: another one for each that is applied, and told by its audit entry
    key_id: str = Field(max_length=32)  # with which the value is sealed
    value: bytes  # sealed: who can write to the table but has no key must not make strangers match


class Secret(SQLModel, table=True):
    """A random key of the database's own, sealed."""

    __tablename__ = "secrets"

    name: str = Field(primary_key=True, max_length=32)
    key_id: str = Field(max_length=32)
    value: bytes
