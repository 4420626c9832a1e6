"""What `reencode` needs of the store: outdated references whose chip was kept, and a place for their new templates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from face_api.store.audit import AuditTrail, Caller, Subject
from face_api.store.database import Database
from face_api.store.enrollments import pack
from face_api.store.errors import StoreDamagedError, log_damage
from face_api.store.people import find_user
from face_api.store.qualities import open_quality
from face_api.store.sealing import Vault, key_id_of
from face_api.store.tables import Company, Reference, User
from face_engine.types import Template

_BATCH = 32
"""Chips that are in memory at a time, and references that are changed in one transaction."""


@dataclass(frozen=True, slots=True)
class OutdatedChip:
    """A kept chip, as a PNG, whose reference was made by another encoder."""

    reference_id: int
    company: str
    user: str
    chip_png: bytes


@dataclass(frozen=True, slots=True)
class Outdated:
    """References of other encoders: how many have a chip, and how many can only be enrolled again."""

    with_chip: int
    without_chip: int


class Reencoder:
    """Hands out chips, takes templates. Methods raise StoreError; a reference that does not open is logged and left."""

    def __init__(self, database: Database, vault: Vault, audit: AuditTrail) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    def count(self, encoder_id: str) -> Outdated:
        """Count the references that were made by another encoder."""
        statement = select(func.count(col(Reference.chip)), func.count()).where(col(Reference.encoder_id) != encoder_id)
        with self._database.reading() as session:
            with_chip, in_all = session.execute(statement).one()
        return Outdated(with_chip, in_all - with_chip)

    def chips(self, encoder_id: str) -> Iterator[Sequence[OutdatedChip]]:
        """Return the chips of outdated references, in batches; each batch is read when it is asked for."""
        last = 0
        while True:
            statement = (
                select(
                    col(Reference.id), col(Company.name), col(User.key), col(Reference.encoder_id), col(Reference.chip)
                )
                .join(User, col(User.id) == col(Reference.user_id))
                .join(Company, col(Company.id) == col(User.company_id))
                .where(
                    col(Reference.encoder_id) != encoder_id, col(Reference.chip).is_not(None), col(Reference.id) > last
                )
                .order_by(col(Reference.id))
                .limit(_BATCH)
            )
            with self._database.reading() as session:
                rows = session.execute(statement).all()
            if not rows:
                return
            yield [chip for chip in (self._open_chip(*row) for row in rows) if chip is not None]
            last = rows[-1][0]

    def replace(self, caller: Caller, renewed: Sequence[tuple[OutdatedChip, Template]]) -> int:
        """Put new templates in the place of outdated ones, and return how many of those were still there.

        Where a user has enrolled the same photo again meanwhile, the outdated reference is removed.
        """
        self._vault.approve()
        with self._database.writing() as session:
            done = sum(self._replace_sound(session, chip, template) for chip, template in renewed)
            if done:
                details = {"encoder": renewed[0][1].encoder_id, "references": done}
                self._audit.append(session, caller, "reencode", Subject(), details)
        return done

    def _open_chip(
        self, reference_id: int, company: str, user: str, made_by: str, sealed: bytes | None
    ) -> OutdatedChip | None:
        try:
            chip_png = self._vault.open(sealed or b"", "chip", company, user, made_by)
        except StoreDamagedError as error:
            log_damage(reference_id, error)
            return None
        return OutdatedChip(reference_id, company, user, chip_png)

    def _replace_sound(self, session: Session, chip: OutdatedChip, template: Template) -> bool:
        try:
            return self._replace(session, chip, template)
        except StoreDamagedError as error:
            log_damage(chip.reference_id, error)
            return False

    def _replace(self, session: Session, chip: OutdatedChip, template: Template) -> bool:
        person = find_user(session, chip.company, chip.user, "row")
        if person is None:
            return False
        mine = select(Reference).where(col(Reference.user_id) == person.user_id)
        old = session.scalars(mine.where(col(Reference.id) == chip.reference_id)).one_or_none()
        if old is None or old.encoder_id == template.encoder_id or not self._is_of(old, chip):
            return False
        digest = self._open_digest(old, chip)
        newer = session.scalars(mine.where(col(Reference.encoder_id) == template.encoder_id)).all()
        if any(self._open_digest(reference, chip) == digest for reference in newer):
            session.execute(delete(Reference).where(col(Reference.id) == old.id))
            return True
        place = chip.company, chip.user, template.encoder_id
        sealed = self._vault.seal(pack(template), "template", *place)
        was = chip.company, chip.user, old.encoder_id
        quality = open_quality(self._vault, chip.reference_id, old.quality, *was)
        session.execute(
            update(Reference)
            .where(col(Reference.id) == old.id)
            .values(
                encoder_id=template.encoder_id,
                key_id=key_id_of(sealed),
                template=sealed,
                photo_digest=self._vault.seal(digest, "photo_digest", *place),
                chip=self._vault.seal(chip.chip_png, "chip", *place),
                quality=quality and self._vault.seal(quality, "quality", *place),
            )
        )
        return True

    def _is_of(self, reference: Reference, chip: OutdatedChip) -> bool:
        # By its id alone it could be another: SQLite gives ids of erased references to new ones.
        if reference.chip is None:
            return False
        return self._vault.open(reference.chip, "chip", chip.company, chip.user, reference.encoder_id) == chip.chip_png

    def _open_digest(self, reference: Reference, chip: OutdatedChip) -> bytes:
        return self._vault.open(reference.photo_digest, "photo_digest", chip.company, chip.user, reference.encoder_id)
