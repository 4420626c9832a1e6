"""Companies, users, and references that lay open."""

import sqlalchemy as sa
from alembic import op

from face_api.store.migrations.unsealed import create_unsealed_references
from face_api.store.tables import BIG_INTEGER, NAME, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "companies",
        sa.Column("id", BIG_INTEGER, primary_key=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("id", BIG_INTEGER, primary_key=True),
        sa.Column("company_id", BIG_INTEGER, sa.ForeignKey("companies.id"), nullable=False),
        sa.Column("key", NAME, nullable=False),
        sa.Column("gender", sa.Integer),
        sa.Column("age", sa.Integer),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("company_id", "key"),
    )
    create_unsealed_references()


def downgrade() -> None:
    for table in ("face_references", "users", "companies"):
        op.drop_table(table)
