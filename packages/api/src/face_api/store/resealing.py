"""Rotation: everything is sealed again with the current key, in batches, while others read and write."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import Row, bindparam, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.store.audit import AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.decisions import keys_of_decisions, reseal_decisions
from face_api.store.errors import StoreDamagedError, log_damage
from face_api.store.idempotency import keys_of_answers, place_of
from face_api.store.people import keys_of_references
from face_api.store.qualities import open_quality
from face_api.store.sealing import Vault, key_id_of
from face_api.store.tables import Company, IdempotentRequest, Reference, Secret, User

logger = logging.getLogger(__name__)

_BATCH = 50
"""Rows sealed in one transaction: on SQLite nobody else writes meanwhile, some tens of milliseconds."""

_SEALED_WITH = (
    select(
        col(Reference.id),
        col(Reference.encoder_id),
        col(Reference.template),
        col(Reference.photo_digest),
        col(Reference.chip),
        col(Reference.quality),
        col(Company.name),
        col(User.key),
    )
    .join(User, col(User.id) == col(Reference.user_id))
    .join(Company, col(Company.id) == col(User.company_id))
    .where(col(Reference.key_id) == bindparam("key_id"), col(Reference.id) > bindparam("last"))
    .order_by(col(Reference.id))
    .limit(bindparam("batch"))
    # Not waiting: who holds a row may wait for one of ours.
    .with_for_update(of=Reference, skip_locked=True)
)
_ANSWERS_SEALED_WITH = (
    select(IdempotentRequest)
    .where(col(IdempotentRequest.key_id) == bindparam("key_id"), col(IdempotentRequest.id) > bindparam("last"))
    .order_by(col(IdempotentRequest.id))
    .limit(bindparam("batch"))
    .with_for_update(skip_locked=True)
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is to be done: so many references are not sealed with the current key; and maybe answers."""

    key_id: str
    references: int


class Resealer:
    """Seals again. Methods raise StoreError; what does not open is logged, and left as it is."""

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    def begin(self, caller: Caller) -> Rotation:
        """Make a new current key where the source of keys can and no earlier rotation is unfinished; seal the secrets.

        And the tolerances that were applied.

        Interrupted at any time, a rotation is finished by beginning again.
        """
        with self._database.writing() as session:
            self._audit.hold(session)  # one at a time
            current = self._vault.keys.current()
            secrets = self._secrets(session, current)
            if not secrets and not self._former(session, current):
                current = self._vault.keys.renew() or current
                secrets = self._secrets(session, current)
            for secret in secrets:
                place = "secret", secret.name
                secret.value = self._vault.seal(self._vault.open(secret.value, *place), *place)
                secret.key_id = key_id_of(secret.value)
            session.flush()
            reseal_decisions(session, self._vault, current)
            if secrets:
                self._audit.append(session, caller, "rotate", Subject(), {"key": current})
        # Who asked for the former key before it was renewed may not have written yet.
        self._database.wait_for_writers()
        return Rotation(current, self._count(current))

    def run(self, rotation: Rotation) -> Iterator[int]:
        """Seal references and answers again; yield after each batch of references how many it had."""
        for former in self.former_keys(rotation.key_id):
            self._reseal_answers(former)
            last = 0
            while True:
                with self._database.taking_turns(), self._database.writing() as session:
                    rows = session.execute(_SEALED_WITH, {"key_id": former, "last": last, "batch": _BATCH}).all()
                    done = sum(self._reseal(session, row) for row in rows)
                if not rows:
                    break
                last = rows[-1].id
                yield done

    def former_keys(self, current: str) -> list[str]:
        """Return the ids of the other keys with which references, answers or an applied tolerance are sealed."""
        with self._database.reading() as session:
            return self._former(session, current)

    def _secrets(self, session: Session, current: str) -> Sequence[Secret]:
        return session.scalars(select(Secret).where(col(Secret.key_id) != current)).all()

    def _former(self, session: Session, current: str) -> list[str]:
        keys = keys_of_references(session), keys_of_answers(session), keys_of_decisions(session)
        return sorted(set(chain(*keys)) - {current})

    def _count(self, current: str) -> int:
        with self._database.reading() as session:
            return session.execute(
                select(func.count()).where(col(Reference.key_id).in_(self._former(session, current)))
            ).scalar_one()

    def _reseal_answers(self, former: str) -> None:
        last = 0
        while True:
            with self._database.taking_turns(), self._database.writing() as session:
                answers = session.scalars(_ANSWERS_SEALED_WITH, {"key_id": former, "last": last, "batch": _BATCH}).all()
                for answer in answers:
                    self._reseal_answer(answer)
            if not answers:
                return
            last = answers[-1].id

    def _reseal_answer(self, answer: IdempotentRequest) -> None:
        place = place_of(answer.digest, answer.status or 0)
        try:
            body = self._vault.open(answer.body or b"", *place)
        except StoreDamagedError as error:
            logger.error("answer %d is left as it is, for a day at most: %s", answer.id, error)  # noqa: TRY400 - no bug
            return
        answer.body = self._vault.seal(body, *place)
        answer.key_id = key_id_of(answer.body)

    def _reseal(self, session: Session, row: Row[*tuple[Any, ...]]) -> bool:
        place = row.name, row.key, row.encoder_id
        sealed = {"template": row.template, "photo_digest": row.photo_digest}
        sealed |= {"chip": row.chip} if row.chip is not None else {}
        try:
            values = {column: self._vault.open(value, column, *place) for column, value in sealed.items()}
        except StoreDamagedError as error:
            log_damage(row.id, error)
            return False
        quality = open_quality(self._vault, row.id, row.quality, *place)
        values |= {"quality": quality} if quality is not None else {}
        sealed = {column: self._vault.seal(value, column, *place) for column, value in values.items()}
        # What does not open, nobody will ever see; sealed with the former key it would have that key kept for ever.
        sealed.setdefault("quality", None)
        key_id = key_id_of(sealed["template"])
        session.execute(update(Reference).where(col(Reference.id) == row.id).values(**sealed, key_id=key_id))
        return True
