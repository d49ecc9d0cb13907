"""What was undone of a record: the values that are not written again before somebody says so."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

UNDONE = sa.text("undone <> ''")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.add_column("record", sa.Column("undone", sa.Text(), server_default="", nullable=False))
    op.create_index("ix_record_undone", "record", ["id"], sqlite_where=UNDONE, postgresql_where=UNDONE)
