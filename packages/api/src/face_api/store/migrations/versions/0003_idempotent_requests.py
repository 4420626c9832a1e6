"""Requests with an Idempotency-Key, and the pepper of their digests and the API keys'; events by time.

The way back keeps the pepper: the older schema has API keys, too, and they are worth nothing without it.
"""

import secrets

import sqlalchemy as sa
from alembic import context, op

from face_api.store.sealing import Vault, key_id_of
from face_api.store.tables import BIG_INTEGER, UtcDateTime

revision = "0003"
down_revision = "0002"

_PEPPER = "api_keys"
_PEPPER_BYTES = 32

_SAMPLED = {
    "api_keys": ("key_id", "label", "digest"),
    "idempotent_requests": ("digest", "token", "fingerprint", "body"),
}


def upgrade() -> None:
    op.create_table(
        "idempotent_requests",
        sa.Column("id", BIG_INTEGER, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False, index=True),
        sa.Column("status", sa.Integer),
        sa.Column("body", sa.LargeBinary),
        sa.Column("key_id", sa.String(32), index=True),
        sa.Column("company_id", BIG_INTEGER, sa.ForeignKey("companies.id"), index=True),
        sa.Column("user_id", BIG_INTEGER, sa.ForeignKey("users.id"), index=True),
    )
    _make_pepper()
    op.create_index(None, "analysis_events", ["company_id", "at"])
    op.create_index(None, "analysis_events", ["user_id", "at"])
    op.drop_index(op.f("ix_analysis_events_company_id_id"), "analysis_events")
    op.drop_index(op.f("ix_analysis_events_user_id"), "analysis_events")
    if op.get_bind().dialect.name == "sqlite":
        # An id that was removed must never stand for another photo.
        with op.batch_alter_table("face_references", recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
    if op.get_bind().dialect.name != "sqlite":
        # The planner's samples would keep what was erased.
        for table, columns in _SAMPLED.items():
            for column in columns:
                op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")


def downgrade() -> None:
    op.create_index(None, "analysis_events", ["company_id", "id"])
    op.create_index(None, "analysis_events", ["user_id"])
    op.drop_index(op.f("ix_analysis_events_company_id_at"), "analysis_events")
    op.drop_index(op.f("ix_analysis_events_user_id_at"), "analysis_events")
    op.drop_table("idempotent_requests")


def _make_pepper() -> None:
    connection = op.get_bind()
    vault: Vault = context.config.attributes["vault"]
    table = sa.table("secrets", sa.column("name"), sa.column("key_id"), sa.column("value", sa.LargeBinary))
    if connection.execute(sa.select(table.c.name).where(table.c.name == _PEPPER)).first():
        return
    sealed = vault.seal(secrets.token_bytes(_PEPPER_BYTES), "secret", _PEPPER)
    connection.execute(sa.insert(table).values(name=_PEPPER, key_id=key_id_of(sealed), value=sealed))
