"""Tombstones: who was forgotten, as keyed hashes, and the records of them that a CRM still delivers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "tombstone",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_tombstone"),
    )
    op.add_column("record", sa.Column("forgotten", sa.Boolean(), server_default=sa.false(), nullable=False))
