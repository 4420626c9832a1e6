"""References are sealed; chips, events, API keys, the audit trail.

The way back opens the references again, and drops what the older schema has no place for.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from face_api.store.migrations.unsealed import create_unsealed_references
from face_api.store.sealing import Vault, key_id_of
from face_api.store.tables import BIG_INTEGER, NAMING_CONVENTION, UtcDateTime, new_token

revision = "0002"
down_revision = "0001"

_BATCH = 500

_SAMPLED = {
    "companies": ("name",),
    "users": ("key", "gender", "age"),
    "face_references": ("template", "photo_digest", "chip"),
}

_Row = dict[str, Any]


def upgrade() -> None:
    for table in ("companies", "users"):
        _add_tokens(table)
    _replace_references(_create_references, _seal)
    op.create_table(
        "api_keys",
        sa.Column("id", BIG_INTEGER, primary_key=True),
        sa.Column("key_id", sa.String(32), nullable=False, unique=True),
        sa.Column("company_id", BIG_INTEGER, sa.ForeignKey("companies.id"), index=True),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime),
    )
    op.create_table(
        "analysis_events",
        sa.Column("id", BIG_INTEGER, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False, index=True),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("company_id", BIG_INTEGER, sa.ForeignKey("companies.id")),
        sa.Column("user_id", BIG_INTEGER, sa.ForeignKey("users.id"), index=True),
        sa.Column("request_id", sa.String(64)),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("matches", sa.Integer, nullable=False),
        sa.Column("dismatches", sa.Integer, nullable=False),
        sa.Column("distance", sa.Float),
        *(
            sa.Column(f"{stage}_ms", sa.Float)
            for stage in ("store", "decode", "detect", "align", "encode", "match", "total")
        ),
    )
    op.create_index(None, "analysis_events", ["company_id", "id"])
    op.create_table(
        "audit_events",
        sa.Column("sequence", BIG_INTEGER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("company", sa.String(32), index=True),
        sa.Column("user", sa.String(32), index=True),
        sa.Column("request_id", sa.String(64)),
        sa.Column("details", sa.String, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sequence", BIG_INTEGER, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name != "sqlite":
        # The planner's samples would keep what was erased, and it needs none: every search goes by a unique index.
        for table, columns in _SAMPLED.items():
            for column in columns:
                op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")


def downgrade() -> None:
    for table in ("secrets", "audit_head", "audit_events", "analysis_events", "api_keys"):
        op.drop_table(table)
    _replace_references(create_unsealed_references, _open)
    for table in ("users", "companies"):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"uq_{table}_token"), type_="unique")
            batch.drop_column("token")


def _add_tokens(name: str) -> None:
    with op.batch_alter_table(name) as batch:
        batch.add_column(sa.Column("token", sa.String(32)))
    connection = op.get_bind()
    table = sa.table(name, sa.column("id", BIG_INTEGER), sa.column("token"))
    for (row_id,) in connection.execute(sa.select(table.c.id)).all():
        connection.execute(sa.update(table).where(table.c.id == row_id).values(token=new_token()))
    # The convention names what the first versions left without a name.
    with op.batch_alter_table(name, naming_convention=NAMING_CONVENTION) as batch:
        batch.alter_column("token", existing_type=sa.String(32), nullable=False)
        batch.create_unique_constraint(op.f(f"uq_{name}_token"), ["token"])


def _create_references() -> None:
    op.create_table(
        "face_references",
        sa.Column("id", BIG_INTEGER, primary_key=True),
        sa.Column("user_id", BIG_INTEGER, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("encoder_id", sa.String(200), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False, index=True),
        sa.Column("template", sa.LargeBinary, nullable=False),
        sa.Column("photo_digest", sa.LargeBinary, nullable=False),
        sa.Column("chip", sa.LargeBinary),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )


def _replace_references(create: Callable[[], None], convert: Callable[[Vault, _Row], _Row]) -> None:
    """Make the table anew and take every row over, converted."""
    connection = op.get_bind()
    vault: Vault = context.config.attributes["vault"]
    # A copy, since constraints keep their names when a table is renamed.
    present = sa.Table("face_references", sa.MetaData(), autoload_with=connection, resolve_fks=False)
    former = sa.Table(
        "former_references",
        sa.MetaData(),
        # Typed here: SQLite's CREATE TABLE AS forgets that a moment is one.
        *(sa.Column(column.name, UtcDateTime if column.name == "created_at" else column.type) for column in present.c),
        sa.Column("company", sa.String),
        sa.Column("owner", sa.String),
    )
    connection.execute(
        sa.text(
            "CREATE TABLE former_references AS SELECT face_references.*, companies.name AS company, users.key AS owner "
            "FROM face_references JOIN users ON users.id = user_id JOIN companies ON companies.id = company_id"
        )
    )
    op.create_index(None, "former_references", ["id"])
    op.drop_table("face_references")
    create()
    target = sa.Table(
        "face_references",
        sa.MetaData(),
        sa.Column("created_at", UtcDateTime),
        autoload_with=connection,
        resolve_fks=False,
    )
    last = 0
    while True:
        statement = sa.select(former).where(former.c.id > last).order_by(former.c.id).limit(_BATCH)
        rows = [dict(row) for row in connection.execute(statement).mappings()]
        if not rows:
            break
        last = rows[-1]["id"]
        kept = ("id", "user_id", "encoder_id", "created_at")
        connection.execute(
            sa.insert(target), [{name: row[name] for name in kept} | convert(vault, row) for row in rows]
        )
    op.drop_table("former_references")
    if connection.dialect.name != "sqlite":
        # The rows brought their ids along, of which the sequence knows nothing.
        connection.execute(
            sa.text("SELECT setval(pg_get_serial_sequence('face_references', 'id'), :next, false)"), {"next": last + 1}
        )


def _seal(vault: Vault, row: _Row) -> _Row:
    place = row["company"], row["owner"], row["encoder_id"]
    template = vault.seal(row["template"], "template", *place)
    return {
        "key_id": key_id_of(template),
        "template": template,
        "photo_digest": vault.seal(row["image_sha256"], "photo_digest", *place),
    }


def _open(vault: Vault, row: _Row) -> _Row:
    place = row["company"], row["owner"], row["encoder_id"]
    return {
        "template": vault.open(row["template"], "template", *place),
        "image_sha256": vault.open(row["photo_digest"], "photo_digest", *place),
    }
