"""Enrollments made for tests of the store, and a look behind it."""

from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import URL, Engine, NullPool, create_engine, text

from face_api.store import Caller, Enrolled, Enrollment, Profile, Store
from face_engine.images import encode_png
from face_engine.types import Quality, Template

CALLER = Caller("test", "request-1")
PROFILE = Profile(gender=1, age=30)
LIMIT = 5
QUALITY = Quality(size=150.0, sharpness=0.25, brightness=0.5, turn=0.125, inside=1.0, reasons=("face_turned",))


def template(seed: int, encoder_id: str = "e1") -> Template:
    return Template(np.random.default_rng(seed).normal(size=128).astype(np.float32), encoder_id)


def photo(number: int, user: str = "tamy", company: str = "withmind", profile: Profile = PROFILE) -> Enrollment:
    return Enrollment(company, user, profile, number.to_bytes(32, "big"), "v1")


def chip_png(number: int) -> bytes:
    return encode_png(np.random.default_rng(number).integers(0, 256, (150, 150, 3), dtype=np.uint8))


def enroll(
    store: Store,
    number: int,
    *,
    user: str = "tamy",
    company: str = "withmind",
    encoder_id: str = "e1",
    profile: Profile = PROFILE,
    chip: bytes | None = None,
    limit: int = LIMIT,
    quality: Quality = QUALITY,
) -> Enrolled:
    """Enroll photo `number` with template `number`."""
    enrollment, made = photo(number, user, company, profile), template(number, encoder_id)
    return store.enrollments.add(CALLER, enrollment, made, chip, quality, limit, {"total": 1.5}).outcome


def references_of(store: Store, company: str, user: str) -> tuple[Template, ...]:
    """Return the user's templates, the oldest first; none where the user is not registered."""
    references = store.enrollments.references(company, user)
    return () if references is None else references.templates


def rows(store: Store, sql: str, **parameters: object) -> list[tuple[Any, ...]]:
    """Run one statement, past the store, in a transaction on a connection of its own; return the rows, if any."""
    with _engine(store.database._engine.url).begin() as connection:
        result = connection.execute(text(sql), parameters)
        return [tuple(row) for row in result] if result.returns_rows else []


@cache
def _engine(url: URL) -> Engine:
    return create_engine(url, poolclass=NullPool)
