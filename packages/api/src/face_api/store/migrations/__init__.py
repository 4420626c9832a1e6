"""The schema's revisions, by Alembic: a file each in versions/, applied inside the caller's transaction."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlmodel import SQLModel

import face_api.store.tables  # noqa: F401 - fills the metadata
from face_api.store.errors import SchemaError

if TYPE_CHECKING:
    from face_api.store.sealing import Vault

UNSEALED = "0001"
"""The revision that the first, unpublished versions made without writing its name down."""

_UNSEALED_TABLES = {"companies", "users", "face_references"}

FIRST_SEALED = "0002"
HEAD = "0002"

_FOLDER = Path(__file__).parent

# It tells at every start which kind of database it found.
logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)


def revision_of(connection: Connection) -> str | None:
    """Return the database's revision; None where there is no schema.

    Raises:
        SchemaError: it is not known here, or the database holds tables that are not ours.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        schema = inspect(connection)
        ours = SQLModel.metadata.tables.keys() & set(schema.get_table_names())
        if ours == _UNSEALED_TABLES and "image_sha256" in {c["name"] for c in schema.get_columns("face_references")}:
            return UNSEALED
        if ours:
            raise SchemaError(
                f"the database holds tables of names that are used here, which this service did not make: "
                f"{', '.join(sorted(ours))}"
            )
    if revision is not None and revision not in revisions():
        raise SchemaError(f"the database was made by a newer version of the service: its schema is {revision}")
    return revision


def revisions() -> list[str]:
    """Return the revisions that are known here, the oldest first."""
    return [script.revision for script in ScriptDirectory(str(_FOLDER)).walk_revisions()][::-1]


def upgrade(connection: Connection, vault: "Vault", revision: str) -> None:
    config = _config(connection, vault)
    if MigrationContext.configure(connection).get_current_revision() is None and revision_of(connection) == UNSEALED:
        command.stamp(config, UNSEALED)
    command.upgrade(config, revision)


def downgrade(connection: Connection, vault: "Vault", revision: str) -> None:
    command.downgrade(_config(connection, vault), revision)


def _config(connection: Connection, vault: "Vault") -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["vault"] = vault
    return config
