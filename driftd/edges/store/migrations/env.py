"""What Alembic runs: the steps, on the connection and inside the transaction that the store's opening holds."""

from alembic import context
from sqlmodel import SQLModel

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,  # SQLite alters a table by building it anew
)
context.run_migrations()
