"""Rotation: everything is sealed again with the current key, in batches, while others read and write."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.store.audit import AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.errors import StoreDamagedError, log_damage
from face_api.store.sealing import Vault, key_id_of
from face_api.store.tables import Company, Reference, Secret, User

_BATCH = 200
"""Rows sealed in one transaction: on SQLite nobody else writes meanwhile, some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is to be done: references and secrets that are not sealed with the current key."""

    key_id: str
    references: int


class Resealer:
    """Seals again. Methods raise StoreError; a reference that does not open is logged, and left as it is."""

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    def begin(self, caller: Caller) -> Rotation:
        """Make a new current key where the source of keys can and no earlier rotation is unfinished; seal the secrets.

        Interrupted at any time, a rotation is finished by beginning again.
        """
        with self._database.writing() as session:
            current = self._vault.keys.current()
            waiting = self._count(session, current)
            secrets = session.scalars(select(Secret).where(col(Secret.key_id) != current).with_for_update()).all()
            if not waiting and not secrets:
                renewed = self._vault.keys.renew()
                if renewed is not None:
                    current = renewed
                    waiting = self._count(session, current)
                    secrets = session.scalars(select(Secret).with_for_update()).all()
            for secret in secrets:
                place = "secret", secret.name
                secret.value = self._vault.seal(self._vault.open(secret.value, *place), *place)
                secret.key_id = current
                session.add(secret)
            session.flush()
            if secrets:
                self._audit.append(session, caller, "rotate", Subject(), {"key": current, "references": waiting})
        return Rotation(current, waiting)

    def run(self, rotation: Rotation) -> Iterator[int]:
        """Seal the references again; yield after each batch how many it had."""
        last = 0
        while True:
            with self._database.writing() as session:
                rows = self._waiting(session, rotation.key_id, last)
                done = sum(self._reseal(session, row) for row in rows)
            if not rows:
                return
            last = rows[-1].id
            yield done

    def keys_in_use(self) -> tuple[str, ...]:
        """Return the ids of the keys with which references are sealed."""
        with self._database.reading() as session:
            return tuple(session.scalars(select(col(Reference.key_id)).distinct()))

    def _count(self, session: Session, key_id: str) -> int:
        return session.execute(select(func.count()).where(col(Reference.key_id) != key_id)).scalar_one()

    def _waiting(self, session: Session, key_id: str, last: int) -> Sequence[Row[*tuple[Any, ...]]]:
        return session.execute(
            select(
                col(Reference.id),
                col(Reference.encoder_id),
                col(Reference.template),
                col(Reference.photo_digest),
                col(Reference.chip),
                col(Company.name),
                col(User.key),
            )
            .join(User, col(User.id) == col(Reference.user_id))
            .join(Company, col(Company.id) == col(User.company_id))
            .where(col(Reference.id) > last, col(Reference.key_id) != key_id)
            .order_by(col(Reference.id))
            .limit(_BATCH)
            # Not waiting: who holds a row may wait for one of ours.
            .with_for_update(of=Reference, skip_locked=True)
        ).all()

    def _reseal(self, session: Session, row: Row[*tuple[Any, ...]]) -> bool:
        place = row.name, row.key, row.encoder_id
        sealed = {"template": row.template, "photo_digest": row.photo_digest}
        if row.chip is not None:
            sealed["chip"] = row.chip
        try:
            values = {column: self._vault.open(value, column, *place) for column, value in sealed.items()}
        except StoreDamagedError as error:
            log_damage(row.id, error)
            return False
        sealed = {column: self._vault.seal(value, column, *place) for column, value in values.items()}
        key_id = key_id_of(sealed["template"])
        session.execute(update(Reference).where(col(Reference.id) == row.id).values(**sealed, key_id=key_id))
        return True
