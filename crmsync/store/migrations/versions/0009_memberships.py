"""Who is on the lists whose members are left out."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "member_list",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("list_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "asked", name="pk_member_list"),
    )
    op.create_table(
        "membership",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref_id", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "kind", "ref_id", "asked", name="pk_membership"),
    )
    op.create_index("ix_membership_list", "membership", ["crm", "asked"])
