"""API keys: who may ask. Of a key's secret only a keyed hash is kept.

    secret = fk_ | key id (12 hexadecimal digits, public) | _ | 32 random bytes in base64url (43 characters)

The hash is an HMAC-SHA256 over the secret and whose it is, by a random key (the pepper) that is sealed in the database.
Who can write to the database but has no sealing key can thus neither make a secret of their own valid nor give one to
another company, or to an administrator; who reads it cannot even try secrets.
"""

import base64
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, exists, insert, select, update
from sqlalchemy.orm import Session

from face_api.store.audit import Action, AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.errors import StoreUnavailableError
from face_api.store.pages import DEFAULT_PAGE, Page
from face_api.store.people import find_company, insert_new
from face_api.store.tables import ApiKey, Company, new_token, table_of, utc_now

SECRET_BYTES = 32
KEY_ID_BYTES = 6
MAX_LABEL = 128

_ATTEMPTS = 5
_KEY_ID = re.compile(r"[0-9a-f]{12}")
_SECRET = re.compile(r"fk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NO_DIGEST = bytes(32)

# Built once: that takes longer than to execute them.
_KEY = table_of(ApiKey)
_COMPANY = table_of(Company)
_WITH_COMPANY = _KEY.outerjoin(_COMPANY, _COMPANY.c.id == _KEY.c.company_id)
_AUTHENTICATE = (
    select(_KEY.c.digest, _KEY.c.revoked_at, _KEY.c.company_id, _COMPANY.c.name)
    .select_from(_WITH_COMPANY)
    .where(_KEY.c.key_id == bindparam("key_id"))
)
_SUMMARIES = select(
    _KEY.c.key_id, _COMPANY.c.name, _KEY.c.label, _KEY.c.created_at, _KEY.c.revoked_at, _COMPANY.c.token
).select_from(_WITH_COMPANY)
_SUMMARY = _SUMMARIES.where(_KEY.c.key_id == bindparam("key_id"))
_SUMMARY_HELD = _SUMMARY.with_for_update(of=_KEY)
_INSERT = insert(_KEY)
_REVOKE = update(_KEY).where(_KEY.c.key_id == bindparam("revoked"))
_ANY_ACTIVE = select(exists().where(_KEY.c.revoked_at.is_(None)))


@dataclass(frozen=True, slots=True)
class KeySummary:
    """A key as lists show it. Company None: an administrator's; `revoked_at` None: it is valid."""

    key_id: str
    company: str | None
    label: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was made just now. `secret`, the text that its owner sends, is known here and now alone."""

    summary: KeySummary
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.summary!r})"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose secret it is. Company None: an administrator's."""

    key_id: str
    company: str | None


def is_label(text: str) -> bool:
    """Tell whether a text can be a key's label: up to 128 printable characters, in one line."""
    return len(text) <= MAX_LABEL and text.isprintable()


class ApiKeys:
    """Makes, shows, revokes and knows API keys. Methods raise StoreError.

    Args:
        pepper: 32 random bytes, the database's own.
    """

    def __init__(self, database: Database, audit: AuditTrail, pepper: bytes) -> None:
        self._database = database
        self._audit = audit
        self._pepper = pepper

    def create(self, caller: Caller, company: str | None, label: str = "") -> NewKey:
        """Make a key for a company, which is made where it is new, or for an administrator.

        Raises:
            ValueError: the label is none (see is_label).
        """
        if not is_label(label):
            raise ValueError(f"a label has up to {MAX_LABEL} printable characters")
        key_id = secrets.token_hex(KEY_ID_BYTES)
        secret = f"fk_{key_id}_{_encode(secrets.token_bytes(SECRET_BYTES))}"
        summary = KeySummary(key_id, company, label, utc_now(), None)
        with self._database.writing() as session:
            company_id, subject = (None, Subject()) if company is None else _find_or_make_company(session, company)
            values = {
                "key_id": key_id,
                "company_id": company_id,
                "label": label,
                "digest": self._digest(secret, company),
                "created_at": summary.created_at,
            }
            session.connection().execute(_INSERT, values)
            self._audit.append(session, caller, "create_key", subject, {"key": key_id})
        return NewKey(summary, secret)

    def authenticate(self, secret: str) -> Identity | None:
        """Return whose secret it is; None where it is nobody's, or revoked. Any text may be asked for."""
        form = _SECRET.fullmatch(secret)
        if form is None:
            return None
        with self._database.reading() as session:
            row = session.connection().execute(_AUTHENTICATE, {"key_id": form[1]}).one_or_none()
        digest, revoked_at, company_id, company = row or (_NO_DIGEST, None, None, None)
        is_right = hmac.compare_digest(digest, self._digest(secret, company))
        # Without a company it must be an administrator's, never one whose company cannot be found.
        if not is_right or row is None or revoked_at is not None or (company is None and company_id is not None):
            return None
        return Identity(form[1], company)

    def any_active(self) -> bool:
        """Tell whether there is a key that is not revoked."""
        with self._database.reading() as session:
            return bool(session.execute(_ANY_ACTIVE).scalar_one())

    def page(
        self, caller: Caller, after: str = "", limit: int = DEFAULT_PAGE, company: str | None = None
    ) -> Page[KeySummary]:
        """Return keys by id, from the one behind `after` on: all, or those of one company; none where it is nobody."""
        statement = _SUMMARIES.where(_KEY.c.key_id > after).order_by(_KEY.c.key_id).limit(limit + 1)
        subject = Subject()
        with self._database.reading() as session:
            if company is not None:
                owner = find_company(session, company)
                if owner is None:
                    return Page([], None)
                subject = owner.subject
                statement = statement.where(_KEY.c.company_id == owner.company_id)
            keys = [_to_summary(row) for row in session.execute(statement)]
        shown = keys[:limit]
        self._note(caller, "list", subject, {"keys": len(shown)})
        return Page(shown, shown[-1].key_id if len(keys) > limit else None)

    def get(self, caller: Caller, key_id: str) -> KeySummary | None:
        """Return one key; None where there is none of that id."""
        if not _KEY_ID.fullmatch(key_id):
            return None
        with self._database.reading() as session:
            row = session.execute(_SUMMARY, {"key_id": key_id}).one_or_none()
        if row is None:
            return None
        self._note(caller, "view", Subject(row.token), {"key": key_id})
        return _to_summary(row)

    def revoke(self, caller: Caller, key_id: str) -> KeySummary | None:
        """Let a key be valid no more, unless it is revoked already; None where there is none of that id."""
        if not _KEY_ID.fullmatch(key_id):
            return None
        with self._database.writing() as session:
            row = session.execute(_SUMMARY_HELD, {"key_id": key_id}).one_or_none()
            if row is None or row.revoked_at is not None:
                return None if row is None else _to_summary(row)
            now = utc_now()
            # The entry first: it may be the caller's own key.
            self._audit.append(session, caller, "revoke_key", Subject(row.token), {"key": key_id})
            session.connection().execute(_REVOKE, {"revoked": key_id, "revoked_at": now})
        return KeySummary(row.key_id, row.name, row.label, row.created_at, now)

    def _digest(self, secret: str, company: str | None) -> bytes:
        return hmac.digest(self._pepper, b"key" + json.dumps([secret, company]).encode(), "sha256")

    def _note(self, caller: Caller, action: Action, subject: Subject, details: dict[str, object]) -> None:
        with self._database.writing() as session:
            self._audit.append(session, caller, action, subject, details)


def _find_or_make_company(session: Session, company: str) -> tuple[int, Subject]:
    for _ in range(_ATTEMPTS):
        if owner := find_company(session, company, "existence"):
            return owner.company_id, owner.subject
        # Somebody else may make the same row at the same time, or remove it: then the next round sees theirs.
        insert_new(session, Company, name=company, token=new_token(), created_at=utc_now())
    raise StoreUnavailableError("a new company could not be registered: somebody else keeps removing it")


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _to_summary(row: Row[*tuple[Any, ...]]) -> KeySummary:
    return KeySummary(row.key_id, row.name, row.label, row.created_at, row.revoked_at)
