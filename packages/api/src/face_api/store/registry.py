"""How much is registered: counted by the database, in less time than a page takes. No entry: nobody is named."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select

from face_api.store.database import Database
from face_api.store.people import find_company
from face_api.store.tables import ApiKey, Company, Reference, User, table_of

# Built once: that takes longer than to execute them.
_COMPANIES, _USERS, _REFERENCES, _KEYS = (table_of(model) for model in (Company, User, Reference, ApiKey))


@dataclass(frozen=True, slots=True)
class Registered:
    """How many are registered; `active_keys` are those that were not revoked."""

    companies: int
    users: int
    enrollments: int
    users_without_enrollment: int
    outdated_enrollments: int
    """Of another encoder than the one that runs: their users have to be enrolled, or encoded, again."""
    active_keys: int


class Registry:
    """Counts what is registered. Methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, encoder_id: str, company: str | None = None) -> Registered:
        """Count all, or what is of one company: nothing where that is not registered.

        Args:
            encoder_id: of the encoder that runs.
        """
        values: dict[str, object] = {"encoder_id": encoder_id}
        with self._database.reading() as session:
            if company is not None:
                owner = find_company(session, company)
                if owner is None:
                    return Registered(0, 0, 0, 0, 0, 0)
                values["company_id"] = owner.company_id
            return Registered(*session.execute(_ALL if company is None else _OF_COMPANY, values).one())


def _counts(*, of_company: bool) -> Select[Any]:
    company_id: ColumnElement[int] = bindparam("company_id")
    companies = select(func.count()).select_from(_COMPANIES)
    users = select(func.count()).select_from(_USERS)
    is_outdated = _REFERENCES.c.encoder_id != bindparam("encoder_id")
    references = select(func.count().label("all"), func.count().filter(is_outdated).label("outdated"))
    references = references.select_from(_REFERENCES)
    keys = select(func.count()).select_from(_KEYS).where(_KEYS.c.revoked_at.is_(None))
    if of_company:
        companies = companies.where(_COMPANIES.c.id == company_id)
        users = users.where(_USERS.c.company_id == company_id)
        references = references.where(_REFERENCES.c.user_id == _USERS.c.id, _USERS.c.company_id == company_id)
        keys = keys.where(_KEYS.c.company_id == company_id)
    without = users.where(~exists().where(_REFERENCES.c.user_id == _USERS.c.id))
    counted = references.subquery().c
    return select(
        companies.scalar_subquery(),
        users.scalar_subquery(),
        counted.all,
        without.scalar_subquery(),
        counted.outdated,
        keys.scalar_subquery(),
    )


_ALL, _OF_COMPANY = _counts(of_company=False), _counts(of_company=True)
