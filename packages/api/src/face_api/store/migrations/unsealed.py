"""The references as they were before they were sealed."""

import sqlalchemy as sa
from alembic import op

from face_api.store.tables import BIG_INTEGER, UtcDateTime


def create_unsealed_references() -> None:
    op.create_table(
        "face_references",
        sa.Column("id", BIG_INTEGER, primary_key=True),
        sa.Column("user_id", BIG_INTEGER, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("template", sa.LargeBinary, nullable=False),
        sa.Column("encoder_id", sa.String, nullable=False),
        sa.Column("image_sha256", sa.LargeBinary, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("user_id", "image_sha256", "encoder_id"),
    )
