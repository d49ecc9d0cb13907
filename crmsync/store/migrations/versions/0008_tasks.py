"""The tasks made for owners, and which hand-offs took a person from an owner who was not in touch in time."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
OPEN = sa.text("state IN ('planned', 'sent')")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.add_column("hand_off", sa.Column("rerouted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "task",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("person", Id, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("crm", sa.Text(), server_default="", nullable=False),
        sa.Column("task_id", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("try_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_task"),
    )
    op.create_index("ix_task_person", "task", ["person"])
    op.create_index("ix_task_open", "task", ["at"], sqlite_where=OPEN, postgresql_where=OPEN)
