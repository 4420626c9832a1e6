"""Requests that may be sent again: what was answered the first time, by the caller's Idempotency-Key.

As draft-ietf-httpapi-idempotency-key-header has it. A request claims its key before it does anything; a second one of
the same key is answered as the first was, and waits outside as long as that is under way. An answer is kept for a day,
sealed; it goes with whom it is about.

Neither the key nor what was asked is kept, but an HMAC-SHA256 of each by the database's pepper (see api_keys).
"""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Row, bindparam, delete, select, update
from sqlalchemy.orm import Session

from face_api.store.database import Database
from face_api.store.errors import StoreUnavailableError
from face_api.store.people import Person, find_company, find_user, insert_new
from face_api.store.sealing import SAMPLES, Sealed, Vault, key_id_of
from face_api.store.tables import IdempotentRequest, new_token, table_of, utc_now

ABANDONED_S = 120.0
"""A request that is under way for longer has died, or will: its key may be claimed anew."""

KEEP_S = 24 * 3600.0

_ATTEMPTS = 5
_PURGE_BATCH = 10_000

# Built once: that takes longer than to execute them.
_REQUEST = table_of(IdempotentRequest)
_HELD = (
    select(_REQUEST.c.id, _REQUEST.c.fingerprint, _REQUEST.c.created_at, _REQUEST.c.status, _REQUEST.c.body)
    .where(_REQUEST.c.digest == bindparam("digest"))
    .with_for_update()
)
_IS_CLAIMED = (
    (_REQUEST.c.digest == bindparam("digest")) & (_REQUEST.c.token == bindparam("token")) & _REQUEST.c.status.is_(None)
)
_CLAIMED_HELD = select(_REQUEST.c.id).where(_IS_CLAIMED).with_for_update()
_RELEASE = delete(_REQUEST).where(_IS_CLAIMED)
_KEYS = select(_REQUEST.c.key_id).where(_REQUEST.c.key_id.is_not(None)).distinct()
_SEALED_WITH = (
    select(_REQUEST.c.digest, _REQUEST.c.status, _REQUEST.c.body)
    .where(_REQUEST.c.key_id == bindparam("key_id"))
    .limit(SAMPLES)
)
_UPDATE = update(_REQUEST).where(_REQUEST.c.id == bindparam("request"))

Misuse = Literal["idempotency_key_reused", "idempotency_key_in_use"]


class IdempotencyError(Exception):
    """The key was sent before, with another request, or its request is still under way. No fault of the store's.

    `reason` is a stable token for machines.
    """

    def __init__(self, reason: Misuse) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        if self.reason == "idempotency_key_reused":
            return "another request had this Idempotency-Key"
        return "a request of this Idempotency-Key is still under way"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do a request and to say how it ended."""

    digest: bytes
    token: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """How a request of this key was answered: an HTTP status, and a body as it was handed over."""

    status: int
    body: bytes


class IdempotencyStore:
    """Claims keys and keeps answers. Methods block, and raise StoreError; safe from several threads and processes."""

    def __init__(self, database: Database, vault: Vault, pepper: bytes) -> None:
        self._database = database
        self._vault = vault
        self._pepper = pepper

    def claim(self, actor: str, key: str, fingerprint: bytes) -> Claim | StoredAnswer:
        """Claim a caller's key for a request, or return how the same request was answered before.

        Args:
            actor: whose key it is: others may use the same.
            fingerprint: of all that was asked.

        Raises:
            IdempotencyError: another request had this key, or the first one is still under way.
            StoreDamagedError: the answer does not open.
        """
        digest = self._hash("request", actor, key)
        asked = self._hash("asked", digest.hex(), fingerprint.hex())
        claim = Claim(digest, new_token())
        with self._database.writing() as session:
            for _ in range(_ATTEMPTS):
                if self._insert(session, claim, asked):
                    return claim
                # Somebody else may give up the claim, or remove the answer, in between: then the next round claims it.
                if row := session.execute(_HELD, {"digest": digest}).one_or_none():
                    return self._take_over(session, row, claim, asked) or self._open(digest, row)
        raise StoreUnavailableError("an Idempotency-Key could not be claimed: somebody else keeps giving it up")

    def complete(self, claim: Claim, status: int, body: bytes, company: str | None, user: str | None) -> None:
        """Keep how a claimed request was answered, under whom the answer is about: it goes with them.

        Nothing is kept where company or user is not registered (any more), so that the key is free again, or where the
        claim was taken over.
        """
        self._vault.approve()
        with self._database.writing() as session:
            # The person first, as in an erasure.
            person = _find(session, company, user)
            if company is not None and person is None:
                session.connection().execute(_RELEASE, _named(claim))
                return
            request = session.execute(_CLAIMED_HELD, _named(claim)).scalar_one_or_none()
            if request is None:
                return
            # Sealed while the row is held, so that a rotation sees it.
            sealed = self._vault.seal(body, *place_of(claim.digest, status))
            values = {
                "status": status,
                "body": sealed,
                "key_id": key_id_of(sealed),
                "company_id": person and person.company_id,
                "user_id": person and person.user_id,
            }
            session.connection().execute(_UPDATE, {"request": request, **values})

    def release(self, claim: Claim) -> None:
        """Give up a claim: the request was not done, and may be sent again. Nothing where it was taken over."""
        with self._database.writing() as session:
            session.connection().execute(_RELEASE, _named(claim))

    def purge(self) -> int:
        """Remove what is older than a day, and return how many requests that were."""
        removed = 0
        before = utc_now() - timedelta(seconds=KEEP_S)
        while True:
            with self._database.taking_turns(), self._database.writing() as session:
                oldest = select(_REQUEST.c.id).where(_REQUEST.c.created_at < before).limit(_PURGE_BATCH)
                # Not waiting: an erasure that holds some of them may wait for one of ours.
                oldest = oldest.with_for_update(skip_locked=True)
                batch = session.connection().execute(delete(_REQUEST).where(_REQUEST.c.id.in_(oldest))).rowcount
            removed += batch
            if batch < _PURGE_BATCH:
                return removed

    def _insert(self, session: Session, claim: Claim, asked: bytes) -> bool:
        new_id = insert_new(
            session,
            IdempotentRequest,
            digest=claim.digest,
            token=claim.token,
            fingerprint=asked,
            created_at=utc_now(),
        )
        return new_id is not None

    def _take_over(self, session: Session, row: Row[*tuple[Any, ...]], claim: Claim, asked: bytes) -> Claim | None:
        """Claim what is too old; None where there is an answer. Raises IdempotencyError."""
        age_s = (utc_now() - row.created_at).total_seconds()
        if age_s <= KEEP_S:
            if not hmac.compare_digest(row.fingerprint, asked):
                raise IdempotencyError("idempotency_key_reused")
            if row.status is not None:
                return None
            if age_s <= ABANDONED_S:
                raise IdempotencyError("idempotency_key_in_use")
        values: dict[str, object] = {"token": claim.token, "fingerprint": asked, "created_at": utc_now()}
        values |= dict.fromkeys(("status", "body", "key_id", "company_id", "user_id"))
        session.connection().execute(_UPDATE, {"request": row.id, **values})
        return claim

    def _open(self, digest: bytes, row: Row[*tuple[Any, ...]]) -> StoredAnswer:
        return StoredAnswer(row.status, self._vault.open(row.body or b"", *place_of(digest, row.status)))

    def _hash(self, *texts: str) -> bytes:
        return hmac.digest(self._pepper, json.dumps(texts).encode(), "sha256")


def keys_of_answers(session: Session) -> Sequence[str]:
    """Return the ids of the keys with which answers are sealed."""
    return session.scalars(_KEYS).all()


def answers_sealed_with(session: Session, key_id: str) -> list[Sealed]:
    """Return some of the answers that are sealed with a key: SAMPLES, or all that there are."""
    rows = session.execute(_SEALED_WITH, {"key_id": key_id})
    return [Sealed(row.body or b"", place_of(row.digest, row.status)) for row in rows]


def place_of(digest: bytes, status: int) -> tuple[str, ...]:
    """Return the place for which an answer is sealed."""
    return "answer", digest.hex(), str(status)


def _find(session: Session, company: str | None, user: str | None) -> Person | None:
    if company is None:
        return None
    if user is None:
        return find_company(session, company, "existence")
    return find_user(session, company, user, "existence")


def _named(claim: Claim) -> dict[str, object]:
    return {"digest": claim.digest, "token": claim.token}
