"""Who made an activity, where the CRM says so: a number for each owner, since activities are many."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "activity_owner",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_activity_owner"),
        sa.UniqueConstraint("crm", "owner", name="uq_activity_owner_crm"),
    )
    op.add_column("activity", sa.Column("owner", ID))
