"""Ids that activities carry beyond their CRM, as hashes: one e-mail that two CRMs log has one Message-ID in both."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "shared_id",
        sa.Column("record", ID, nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("hash", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record", "activity", name="pk_shared_id"),
        sqlite_with_rowid=False,
    )
