"""The schema's revisions, by Alembic: a file each in versions/, applied inside the caller's transaction."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel

import face_api.store.tables  # noqa: F401 - fills the metadata
from face_api.store.errors import SchemaError

if TYPE_CHECKING:
    from alembic.config import Config

    from face_api.store.sealing import Vault

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""All that are known here, the oldest first."""

UNSEALED = "0001"
"""The revision that the first, unpublished versions made without writing its name down."""

_UNSEALED_TABLES = {"companies", "users", "face_references"}

FIRST_SEALED = "0002"
HEAD = REVISIONS[-1]

_FOLDER = Path(__file__).parent

# It tells at every start which kind of database it found.
logging.getLogger("alembic").setLevel(logging.WARNING)


def revision_of(connection: Connection) -> str | None:
    """Return the database's revision; None where there is no schema.

    Raises:
        SchemaError: it is not known here, or the database holds tables that are not ours.
    """
    schema = inspect(connection)
    revision = None
    if schema.has_table("alembic_version"):
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if revision is None:
        ours = SQLModel.metadata.tables.keys() & set(schema.get_table_names())
        if ours == _UNSEALED_TABLES and "image_sha256" in {c["name"] for c in schema.get_columns("face_references")}:
            return UNSEALED
        if ours:
            raise SchemaError(
                f"the database holds tables of names that are used here, which this service did not make: "
                f"{', '.join(sorted(ours))}"
            )
    if revision is not None and revision not in REVISIONS:
        raise SchemaError(f"the database was made by a newer version of the service: its schema is {revision}")
    return revision


# Alembic is imported where a schema changes: that is rare, and takes a fifth of a second.


def upgrade(connection: Connection, vault: "Vault", revision: str) -> None:
    from alembic import command  # noqa: PLC0415

    config = _config(connection, vault)
    if revision_of(connection) == UNSEALED and not inspect(connection).has_table("alembic_version"):
        command.stamp(config, UNSEALED)
    command.upgrade(config, revision)


def downgrade(connection: Connection, vault: "Vault", revision: str) -> None:
    from alembic import command  # noqa: PLC0415

    command.downgrade(_config(connection, vault), revision)


def _config(connection: Connection, vault: "Vault") -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["vault"] = vault
    return config
