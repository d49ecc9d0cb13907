"""Whose turn it is to write, by number, so that nobody goes on writing after somebody else took over."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    writer = op.create_table(
        "writer",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.Text(), server_default="", nullable=False),
        sa.Column("config", sa.Text(), server_default="", nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_writer"),
    )
    # The one row there is: turns only ever update it.
    op.bulk_insert(writer, [{"id": 1, "epoch": 0}])
    # It is a column of the new table from now on.
    op.execute("DELETE FROM note WHERE crm = '' AND name = 'worker_config'")
