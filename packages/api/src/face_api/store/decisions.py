"""The tolerances that administrators applied, sealed, one for each encoder.

Each has a random token, by which a process knows it again. The audit trail tells the token as well: what is not what
the newest entry applied, such as an earlier one put back, is never used.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from face_api.store.audit import AuditTrail, Caller, Subject, decisions_told
from face_api.store.database import Database
from face_api.store.errors import KeysError, StoreDamagedError
from face_api.store.sealing import Sealed, Vault, key_id_of
from face_api.store.tables import AppliedDecision, Reference, new_token, table_of
from face_engine.calibration import Calibration, parse_calibration

logger = logging.getLogger(__name__)

_DECISION = table_of(AppliedDecision)

TOKEN = select(_DECISION.c.token).where(_DECISION.c.encoder_id == table_of(Reference).c.encoder_id).scalar_subquery()
"""Of what is applied for a reference's encoder; NULL where nothing is."""

_OF_ENCODER = _DECISION.c.encoder_id == bindparam("encoder")
_FIND = select(*_DECISION.c).where(_OF_ENCODER)
_DELETE = delete(_DECISION).where(_OF_ENCODER)


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

    def find(self, encoder_id: str) -> tuple[str, Applied] | None:
        """Return what is applied for an encoder, and its token; None where nothing is.

        Raises:
            StoreDamagedError: also where that is not what the audit trail tells.
        """
        with self._database.reading() as session:
            return self._find(session, encoder_id)

    def encoders(self) -> set[str]:
        """Return those for which a tolerance is applied; also, where one is not, by the audit trail."""
        with self._database.reading() as session:
            told = {encoder_id: token for _, encoder_id, token in [*decisions_told(session)][::-1]}
            there = session.scalars(select(_DECISION.c.encoder_id)).all()
        return {*there, *(encoder_id for encoder_id, token in told.items() if token is not None)}

    def apply(self, caller: Caller, applied: Applied, default_tolerance: float) -> None:
        """Put it in the place of what was applied for the same encoder before.

        Args:
            default_tolerance: what would hold if nothing were applied.
        """
        self._vault.approve()
        with self._database.writing() as session:
            self._audit.hold(session)  # one at a time, and none beside a rotation
            former = self._former_tolerance(session, applied.encoder_id, default_tolerance)
            token = new_token()
            encoder_id = applied.encoder_id
            value = self._vault.seal(_pack(applied), *_place(encoder_id, token))
            session.execute(_DELETE, {"encoder": encoder_id})
            row = {"encoder_id": encoder_id, "token": token, "key_id": key_id_of(value), "value": value}
            session.execute(insert(_DECISION), row)
            details = {"encoder": encoder_id, "former": former, "tolerance": applied.tolerance, "token": token}
            self._audit.append(session, caller, "decide", Subject(), details)

    def withdraw(self, caller: Caller, encoder_id: str, default_tolerance: float) -> None:
        """Remove what is applied for an encoder; where nothing is, by the audit trail as well, nothing happens.

        Args:
            encoder_id: of the templates that are compared now.
            default_tolerance: what holds from then on.
        """
        with self._database.writing() as session:
            self._audit.hold(session)
            former = self._former_tolerance(session, encoder_id, default_tolerance)
            if session.connection().execute(_DELETE, {"encoder": encoder_id}).rowcount or former is None:
                details = {"encoder": encoder_id, "former": former, "tolerance": default_tolerance, "token": None}
                self._audit.append(session, caller, "decide", Subject(), details)

    def _former_tolerance(self, session: Session, encoder_id: str, default_tolerance: float) -> float | None:
        """Return the tolerance that held; None where that is damaged, which must not keep it from being replaced."""
        try:
            found = self._find(session, encoder_id)
        except (StoreDamagedError, KeysError):
            logger.exception("the tolerance that was applied is damaged")
            return None
        return default_tolerance if found is None else found[1].tolerance

    def _find(self, session: Session, encoder_id: str) -> tuple[str, Applied] | None:
        row = session.connection().execute(_FIND, {"encoder": encoder_id}).one_or_none()
        told = next((token for _, encoder, token in decisions_told(session) if encoder == encoder_id), None)
        if (None if row is None else row.token) != told:
            raise StoreDamagedError(f"what is applied for {encoder_id} is not what the audit trail tells")
        return None if row is None else (row.token, _unpack(_open(self._vault, row)))


def keys_of_decisions(session: Session) -> Iterator[str]:
    """Return the ids of the keys with which what is applied is sealed."""
    yield from session.scalars(select(_DECISION.c.key_id).distinct())


def decisions_sealed_with(session: Session, key_id: str) -> list[Sealed]:
    """Return what is applied and sealed with a key."""
    rows = session.execute(select(*_DECISION.c).where(_DECISION.c.key_id == key_id))
    return [Sealed(row.value, _place(row.encoder_id, row.token)) for row in rows]


def reseal_decisions(session: Session, vault: Vault, current: str) -> None:
    """Seal what is applied with the current key, for who holds the audit trail's head. Raises KeysError."""
    for row in session.connection().execute(select(*_DECISION.c).where(_DECISION.c.key_id != current)).all():
        try:
            value = _open(vault, row)
        except StoreDamagedError as error:
            logger.error("the applied tolerance is left as it is: %s", error)  # noqa: TRY400 - no bug
            continue
        sealed = vault.seal(value, *_place(row.encoder_id, row.token))
        changed = update(_DECISION).where(_DECISION.c.encoder_id == row.encoder_id)
        session.execute(changed.values(value=sealed, key_id=key_id_of(sealed)))


def _open(vault: Vault, row: Row[*tuple[Any, ...]]) -> bytes:
    return vault.open(row.value, *_place(row.encoder_id, row.token))


def _place(encoder_id: str, token: str) -> tuple[str, str, str]:
    return "decision", encoder_id, token


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
