"""When a user overrode a hand-off, or a stage that a change wrote; why and since when people are in their stage."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    for table in ("hand_off", "change"):
        op.add_column(table, sa.Column("overridden_at", sa.BigInteger()))
    op.add_column("person", sa.Column("stage_reason", sa.Text(), server_default="", nullable=False))
    op.add_column("person", sa.Column("stage_entered", sa.BigInteger()))
