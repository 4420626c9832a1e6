"""What is added up or looked for lies in its order: events by hour, references by encoder, the trail by when, who
and what.

An event's hour is filled in, which takes some seconds for a million of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_HOURS = {
    "sqlite": "CAST(strftime('%s', substr(at, 1, 19)) AS INTEGER) / 3600",
    "postgresql": "CAST(floor(extract(epoch FROM at) / 3600) AS INTEGER)",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.add_column("analysis_events", sa.Column("hour", sa.Integer, nullable=False, server_default="0"))
    op.execute(f"UPDATE analysis_events SET hour = {_HOURS[dialect]}")  # noqa: S608 - nothing from outside
    if dialect != "sqlite":  # there a column that is added must keep its default
        op.alter_column("analysis_events", "hour", server_default=None)
    op.create_index(
        "ix_analysis_events_hour",
        "analysis_events",
        ["hour", "operation", "reason", "company_id", "matches", "dismatches"],
    )
    op.create_index(None, "face_references", ["user_id", "encoder_id"])
    op.drop_index(op.f("ix_face_references_user_id"), "face_references")
    op.create_index(None, "audit_events", ["actor"])
    op.create_index(None, "audit_events", ["action"])
    op.create_index(None, "audit_events", ["at", "sequence"])


def downgrade() -> None:
    op.drop_index(op.f("ix_audit_events_at_sequence"), "audit_events")
    op.drop_index(op.f("ix_audit_events_action"), "audit_events")
    op.drop_index(op.f("ix_audit_events_actor"), "audit_events")
    op.create_index(None, "face_references", ["user_id"])
    op.drop_index(op.f("ix_face_references_user_id_encoder_id"), "face_references")
    op.drop_index("ix_analysis_events_hour", "analysis_events")
    op.drop_column("analysis_events", "hour")
