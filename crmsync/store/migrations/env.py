"""Alembic's entry: it runs on the connection that `open_store` made."""

from alembic import context

from crmsync.store.schema import metadata

connection = context.config.attributes["connection"]
# As batches: SQLite alters little of a table, so that Alembic makes a new one and copies the rows.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
