"""How a reference was enrolled, and how good it is; users by time; the tolerances that were applied.

The way back drops all that the older schema has no place for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_SAMPLED = {
    "face_references": ("quality", "enrolled_by"),
    "applied_decisions": ("value",),
}


def upgrade() -> None:
    op.add_column("face_references", sa.Column("via", sa.String(16)))
    op.add_column("face_references", sa.Column("enrolled_by", sa.String(64)))
    op.add_column("face_references", sa.Column("quality", sa.LargeBinary))
    op.create_index(None, "users", ["company_id", "created_at", "id", "key"])
    op.create_table(
        "applied_decisions",
        sa.Column("encoder_id", sa.String(200), primary_key=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name != "sqlite":
        # The planner's samples would keep what was erased.
        for table, columns in _SAMPLED.items():
            for column in columns:
                op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")


def downgrade() -> None:
    op.drop_table("applied_decisions")
    op.drop_index(op.f("ix_users_company_id_created_at_id_key"), "users")
    for column in ("quality", "enrolled_by", "via"):
        op.drop_column("face_references", column)
