"""The tables: companies have users, users have references."""

from datetime import UTC, datetime

from sqlmodel import Field, SQLModel, UniqueConstraint


def utc_now() -> datetime:
    return datetime.now(UTC)


class Company(SQLModel, table=True):
    """An integrator's company, made by its first enrollment."""

    __tablename__ = "companies"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    created_at: datetime = Field(default_factory=utc_now)


class User(SQLModel, table=True):
    """A person whom a company enrolls, under the id that the company gave."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("company_id", "key"),)

    id: int | None = Field(default=None, primary_key=True)
    company_id: int = Field(foreign_key="companies.id")
    key: str
    gender: int | None = None  # male 1, female 0
    age: int | None = None  # years, 0-150
    created_at: datetime = Field(default_factory=utc_now)


class Reference(SQLModel, table=True):
    """An enrolled template. The photo itself is not kept, only the hash by which it is known again."""

    __tablename__ = "face_references"  # `references` is a word of SQL
    __table_args__ = (UniqueConstraint("user_id", "image_sha256", "encoder_id"),)

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="users.id")
    template: bytes  # 128 little-endian float32
    encoder_id: str
    image_sha256: bytes  # 32 bytes
    created_at: datetime = Field(default_factory=utc_now)
