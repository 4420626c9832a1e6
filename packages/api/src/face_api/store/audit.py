"""The audit trail: who did what to whom, and how it ended; appended to, never changed.

Each entry's hash is an HMAC-SHA256 over the hash of the one before and its own content, so a changed, removed, inserted
or moved entry breaks the chain from there on. The key is random, sealed in the database: who can write to the database
but has no sealing key cannot make the chain anew. The head, which has an HMAC of its own, shows that entries are
missing at the end. An earlier head put back with the entries up to it looks whole, and so does a new, empty database:
against both an operator keeps the `sequence:hash` that `verify` returns, and lets a later check look for it.

An entry names company and user by the tokens of their rows, and never holds a template or an image.
"""

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import bindparam, exists, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.errors import AccessError
from face_api.store.database import Database
from face_api.store.errors import StoreDamagedError
from face_api.store.tables import ApiKey, AppliedDecision, AuditEvent, AuditHead, Company, User, table_of, utc_now

Action = Literal[
    "enroll",
    "analyse",
    "list",
    "view",
    "remove",
    "erase",
    "purge",
    "rotate",
    "reencode",
    "create_key",
    "revoke_key",
    "decide",
    "backup",
    "restore",
]

GENESIS = bytes(32)
"""What stands for the hash before the first entry's."""

_BATCH = 1000
_ENTRY = table_of(AuditEvent)
_HEAD = table_of(AuditHead)
_KEY = table_of(ApiKey)
_KEY_ID = re.compile(r"[0-9a-f]{12}")

# Built once: that takes longer than to execute them.
_INSERT = insert(_ENTRY)
_MOVE_HEAD = update(_HEAD)
_MOVE_HEAD_BY_KEY = _MOVE_HEAD.where(exists().where(_KEY.c.key_id == bindparam("actor"), _KEY.c.revoked_at.is_(None)))
_FIND_HEAD = select(_HEAD.c.sequence, _HEAD.c.hash, _HEAD.c.mac)
_HOLD_HEAD = _FIND_HEAD.with_for_update()
ENTRIES = (
    select(AuditEvent, col(Company.name), col(User.key))
    .outerjoin(Company, col(Company.token) == col(AuditEvent.company))
    .outerjoin(User, col(User.token) == col(AuditEvent.user))
)
"""What `AuditEntry.of` takes, in no order."""
_IN_THEIR_ORDER = ENTRIES.order_by(col(AuditEvent.sequence))
_DECISIONS = (
    select(_ENTRY.c.sequence, _ENTRY.c.details).where(_ENTRY.c.action == "decide").order_by(_ENTRY.c.sequence.desc())
)
_APPLIED = select(table_of(AppliedDecision).c.encoder_id, table_of(AppliedDecision).c.token)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the id of an API key, `anonymous` where there is no access control, `cli:` and a system user."""

    actor: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an entry is about, by token; None: nobody who is registered, or all."""

    company: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry as people read it. Company and user by name while they are registered, else by their token."""

    sequence: int
    at: datetime
    actor: str
    action: str
    company: str | None
    user: str | None
    request_id: str | None
    details: Mapping[str, Any]
    hash: bytes

    @classmethod
    def of(cls, entry: AuditEvent, company: str | None, user: str | None) -> "AuditEntry":
        """Return the entry of a row, and of the names of whom it is about. Raises AuditTrailBrokenError."""
        try:
            at, details = datetime.fromisoformat(entry.at), json.loads(entry.details)
        except (TypeError, ValueError):
            at, details = None, None
        if at is None or not isinstance(details, dict) or not isinstance(entry.hash, bytes):
            raise AuditTrailBrokenError(entry.sequence, "it is not what was appended there")
        return cls(
            sequence=entry.sequence,
            at=at,
            actor=entry.actor,
            action=entry.action,
            company=company or entry.company,
            user=user or entry.user,
            request_id=entry.request_id,
            details=details,
            hash=entry.hash,
        )


class AuditTrailBrokenError(StoreDamagedError):
    """An entry was changed, removed or inserted. `sequence` is the first at which that shows."""

    reason = "audit_broken"

    def __init__(self, sequence: int, problem: str) -> None:
        super().__init__(sequence, problem)
        self.sequence, self.problem = sequence, problem

    def __str__(self) -> str:
        return f"the audit trail is broken at entry {self.sequence}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The trail's end at some time: an entry that must still be there, unchanged, later."""

    sequence: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash.hex()}"

    @classmethod
    def parse(cls, value: str) -> "Checkpoint":
        """Raises ValueError."""
        sequence, colon, digest = value.partition(":")
        if not colon or len(bytes.fromhex(digest)) != len(GENESIS):
            raise ValueError("is not sequence:hash, as `face-api audit verify` prints it")
        return cls(int(sequence), bytes.fromhex(digest))


class AuditTrail:
    """Appends to the trail and reads it, with the trail's own key."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    @staticmethod
    def first_head(key: bytes) -> Mapping[str, Any]:
        """Return the row that is the head of a trail without entries."""
        start = Checkpoint(0, GENESIS)
        return {"id": 1, "sequence": start.sequence, "hash": start.hash, "mac": _head_mac(key, start)}

    def append(
        self,
        session: Session,
        caller: Caller,
        action: Action,
        subject: Subject,
        details: Mapping[str, Any],
    ) -> Checkpoint:
        """Append an entry, in the session's transaction and as its last act: until its end nobody else can.

        Raises:
            AccessError: the caller's key was valid when the request came, and was revoked or erased since.
            AuditTrailBrokenError: the trail's head was changed, or an earlier one put back.
        """
        previous = self._head(session, hold=True)
        sequence = previous.sequence + 1
        fields = {
            "sequence": sequence,
            "at": utc_now().isoformat(timespec="microseconds"),
            "actor": caller.actor,
            "action": action,
            "company": subject.company,
            "user": subject.user,
            "request_id": caller.request_id,
            "details": json.dumps(details, separators=(",", ":"), sort_keys=True),
        }
        entry_hash = self._entry_hash(previous.hash, fields)
        connection = session.connection()
        try:
            connection.execute(_INSERT, fields | {"hash": entry_hash})
        except IntegrityError as error:
            raise AuditTrailBrokenError(sequence, "the trail goes on behind its head") from error
        end = Checkpoint(sequence, entry_hash)
        head = {"sequence": sequence, "hash": entry_hash, "mac": _head_mac(self._key, end)}
        if not _KEY_ID.fullmatch(caller.actor):
            connection.execute(_MOVE_HEAD, head)
        # Who revokes or erases a key appends as well, so while the head is held nobody does: no other lock is needed.
        elif not connection.execute(_MOVE_HEAD_BY_KEY, head | {"actor": caller.actor}).rowcount:
            raise AccessError("key_invalid")
        return end

    def verify(self, expected: Checkpoint | None = None) -> Checkpoint:
        """Check every entry, that the `expected` one is among them, and what is applied by them; return the last.

        Raises:
            AuditTrailBrokenError: at the first entry that is not as it was appended.
        """
        previous = GENESIS
        count = 0
        if expected is not None and expected.sequence < 1 and expected != Checkpoint(0, GENESIS):
            raise AuditTrailBrokenError(expected.sequence, "it is not the one that is expected there")
        with self._database.reading() as session:
            statement = select(*_ENTRY.c).order_by(_ENTRY.c.sequence)
            with session.execute(statement.execution_options(yield_per=_BATCH)) as result:
                for entry in result.mappings():
                    fields = dict(entry)
                    entry_hash = fields.pop("hash")
                    count += 1
                    if entry["sequence"] != count:
                        raise AuditTrailBrokenError(count, f"it is missing; the next one is {entry['sequence']}")
                    if not self._is_hash(entry_hash, previous, fields):
                        raise AuditTrailBrokenError(count, "it is not what was appended there")
                    if expected is not None and count == expected.sequence and entry_hash != expected.hash:
                        raise AuditTrailBrokenError(count, "it is not the one that is expected there")
                    previous = entry_hash
            end = self._head(session, hold=False)
            told = [*decisions_told(session)][::-1]  # of an encoder the last one counts
            decided = {encoder_id: (sequence, token) for sequence, encoder_id, token in told}
            applied = {row.encoder_id: row.token for row in session.connection().execute(_APPLIED)}
        if end.sequence > count:
            raise AuditTrailBrokenError(count + 1, f"it is missing, and so are all up to {end.sequence}")
        if (end.sequence, end.hash) != (count, previous):
            raise AuditTrailBrokenError(end.sequence, "the trail goes on behind its head")
        if expected is not None and expected.sequence > count:
            raise AuditTrailBrokenError(count + 1, f"it is missing, and so are all up to {expected.sequence}")
        for encoder_id in sorted(decided.keys() | applied.keys()):
            sequence, token = decided.get(encoder_id, (count, None))
            if token != applied.get(encoder_id):
                raise AuditTrailBrokenError(sequence, f"the tolerance applied for {encoder_id} is not what it tells")
        return end

    def end(self) -> Checkpoint:
        """Return where the trail ends, by its head. Raises AuditTrailBrokenError."""
        with self._database.reading() as session:
            return self._head(session, hold=False)

    def hold(self, session: Session) -> None:
        """Let nobody else append, nor hold, until the session's transaction ends. Raises AuditTrailBrokenError."""
        self._head(session, hold=True)

    def entries(self, after: int = 0, limit: int = _BATCH) -> Iterator[AuditEntry]:
        """Return entries in their order, from the one behind `after` on, at most `limit`.

        Raises:
            AuditTrailBrokenError: an entry cannot be read.
        """
        while limit > 0:
            statement = _IN_THEIR_ORDER.where(col(AuditEvent.sequence) > after).limit(min(limit, _BATCH))
            with self._database.reading() as session:
                rows = session.execute(statement).all()
            for entry, company, user in rows:
                yield AuditEntry.of(entry, company, user)
            if len(rows) < min(limit, _BATCH):
                return
            limit -= len(rows)
            after = rows[-1][0].sequence

    def _head(self, session: Session, *, hold: bool) -> Checkpoint:
        heads = session.connection().execute(_HOLD_HEAD if hold else _FIND_HEAD).all()
        if len(heads) != 1:
            raise AuditTrailBrokenError(0, "it has more than one head" if heads else "its head is missing")
        head = heads[0]
        end = Checkpoint(head.sequence, head.hash)
        if end.sequence < 0 or not hmac.compare_digest(head.mac, _head_mac(self._key, end)):
            raise AuditTrailBrokenError(end.sequence, "its head was changed")
        return end

    def _is_hash(self, value: object, previous: bytes, fields: Mapping[str, Any]) -> bool:
        # SQLite keeps a value of any type in any column: what is no JSON or no bytes was not appended here.
        try:
            return isinstance(value, bytes) and hmac.compare_digest(value, self._entry_hash(previous, fields))
        except TypeError:
            return False

    def _entry_hash(self, previous: bytes, fields: Mapping[str, Any]) -> bytes:
        content = json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()
        return hmac.digest(self._key, b"entry" + previous + content, "sha256")


def decisions_told(session: Session) -> Iterator[tuple[int, str, str | None]]:
    """Return what entries tell of applied tolerances, the newest first: sequence, encoder, token; None: withdrawn.

    Raises:
        AuditTrailBrokenError: an entry cannot be read.
    """
    with session.execute(_DECISIONS.execution_options(yield_per=_BATCH)) as result:
        for sequence, details in result:
            try:
                told = json.loads(details)
                encoder_id, token = told["encoder"], told["token"]
            except (TypeError, ValueError, LookupError) as error:
                raise AuditTrailBrokenError(sequence, "it is not what was appended there") from error
            yield sequence, encoder_id, token


def _head_mac(key: bytes, end: Checkpoint) -> bytes:
    return hmac.digest(key, b"head" + end.sequence.to_bytes(8, "big") + end.hash, "sha256")
