"""The tolerance that an administrator applied, sealed. Each has a random token, by which a process knows it again."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from face_api.store.audit import AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.errors import KeysError, StoreDamagedError
from face_api.store.sealing import Vault, key_id_of
from face_api.store.tables import AppliedDecision, new_token, table_of
from face_engine.calibration import Calibration, parse_calibration

logger = logging.getLogger(__name__)

_DECISION = table_of(AppliedDecision)
_ROW_ID = 1

TOKEN = select(_DECISION.c.token).where(_DECISION.c.id == _ROW_ID).scalar_subquery()
"""Of what is applied; NULL where nothing is."""

_FIND = select(_DECISION.c.token, _DECISION.c.key_id, _DECISION.c.value).where(_DECISION.c.id == _ROW_ID)


@dataclass(frozen=True, slots=True)
class Applied:
    """A tolerance for the templates of one encoder, and what was said of it.

    Args:
        tolerance: 0 to MAX_TOLERANCE.
        calibration: of that encoder; None where the tolerance came without one.
        at: with a time zone.
        by: the caller, as the audit trail names them.
    """

    tolerance: float
    encoder_id: str
    note: str
    calibration: Calibration | None
    at: datetime
    by: str


class DecisionStore:
    """Keeps what is applied. Methods raise StoreError; those that write, AccessError for a key revoked meanwhile."""

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    def find(self) -> tuple[str, Applied] | None:
        """Return what is applied, and its token; None where nothing is."""
        with self._database.reading() as session:
            row = session.connection().execute(_FIND).one_or_none()
        return None if row is None else (row.token, _unpack(self._vault.open(row.value, *_place(row.token))))

    def apply(self, caller: Caller, applied: Applied, default_tolerance: float) -> None:
        """Put it in the place of what was applied before.

        Args:
            default_tolerance: what would hold if nothing were applied.
        """
        self._vault.approve()
        with self._database.writing() as session:
            self._audit.hold(session)  # one at a time, and none beside a rotation
            former = self._former_tolerance(session, applied.encoder_id, default_tolerance)
            token = new_token()
            value = self._vault.seal(_pack(applied), *_place(token))
            session.execute(delete(_DECISION))
            row = {"id": _ROW_ID, "token": token, "key_id": key_id_of(value), "value": value}
            session.execute(insert(_DECISION), row)
            self._note(session, caller, former, applied.tolerance)

    def withdraw(self, caller: Caller, encoder_id: str, default_tolerance: float) -> None:
        """Remove what is applied; where nothing is, nothing happens.

        Args:
            encoder_id: of the templates that are compared now.
            default_tolerance: what holds from then on.
        """
        with self._database.writing() as session:
            self._audit.hold(session)
            former = self._former_tolerance(session, encoder_id, default_tolerance)
            if session.connection().execute(delete(_DECISION)).rowcount:
                self._note(session, caller, former, default_tolerance)

    def _note(self, session: Session, caller: Caller, former: float | None, tolerance: float) -> None:
        self._audit.append(session, caller, "decide", Subject(), {"former": former, "tolerance": tolerance})

    def _former_tolerance(self, session: Session, encoder_id: str, default_tolerance: float) -> float | None:
        """Return the tolerance that held; None where that does not open, which must not keep it from being replaced."""
        row = session.connection().execute(_FIND).one_or_none()
        if row is None:
            return default_tolerance
        try:
            applied = _unpack(self._vault.open(row.value, *_place(row.token)))
        except (StoreDamagedError, KeysError):
            logger.exception("the tolerance that was applied does not open")
            return None
        return applied.tolerance if applied.encoder_id == encoder_id else default_tolerance


def keys_of_decision(session: Session) -> Iterator[str]:
    """Return the id of the key with which what is applied is sealed, where something is."""
    yield from session.scalars(select(_DECISION.c.key_id))


def reseal_decision(session: Session, vault: Vault, current: str) -> None:
    """Seal what is applied with the current key, for who holds the audit trail's head. Raises KeysError."""
    row = session.connection().execute(_FIND).one_or_none()
    if row is None or row.key_id == current:
        return
    try:
        value = vault.open(row.value, *_place(row.token))
    except StoreDamagedError as error:
        logger.error("the applied tolerance is left as it is: %s", error)  # noqa: TRY400 - no bug
        return
    sealed = vault.seal(value, *_place(row.token))
    session.execute(update(_DECISION).values(value=sealed, key_id=key_id_of(sealed)))


def _place(token: str) -> tuple[str, str]:
    return "decision", token


def _pack(applied: Applied) -> bytes:
    document = {
        "tolerance": applied.tolerance,
        "encoder_id": applied.encoder_id,
        "note": applied.note,
        "calibration": applied.calibration and applied.calibration.to_json(),
        "at": applied.at.isoformat(),
        "by": applied.by,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _unpack(value: bytes) -> Applied:
    document: dict[str, Any] = json.loads(value)
    calibration = document.pop("calibration")
    return Applied(
        calibration=calibration and parse_calibration(calibration),
        at=datetime.fromisoformat(document.pop("at")),
        **document,
    )
