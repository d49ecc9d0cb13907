"""Whom a run gave to somebody, until it is known whether a CRM took that: a turn that gave nobody is given back."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "open_turn",
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("person", ID, nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("worth", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.Text(), nullable=False),
    )
