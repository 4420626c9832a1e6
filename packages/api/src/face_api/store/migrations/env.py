"""What Alembic runs: the migrations, in the transaction of the connection that it was handed."""

from alembic import context
from sqlmodel import SQLModel

import face_api.store.tables  # noqa: F401 - fills the metadata, whose names for constraints are taken

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
context.run_migrations()
