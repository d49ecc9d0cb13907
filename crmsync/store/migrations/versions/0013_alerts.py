"""Alerts: what was told to be wrong, and what each address that was down has not heard yet."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "alert",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger()),
        sa.Column("quiet", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key", name="pk_alert"),
    )
    op.create_table(
        "unsent_alert",
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("down_since", sa.BigInteger()),
        sa.PrimaryKeyConstraint("sink", name="pk_unsent_alert"),
    )
