"""Which fields of which records a run or plan left as they are, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    id_type = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "protected",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("record", id_type, nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("present", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("run", "record", "field", name="pk_protected"),
    )
    op.create_index("ix_protected_record", "protected", ["record"])
