"""The tag that users gave a person, since when it is noticed, and the stage that the person left for it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

TAGGED = sa.text("feedback <> ''")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.add_column("person", sa.Column("feedback", sa.Text(), server_default="", nullable=False))
    op.add_column("person", sa.Column("feedback_since", sa.BigInteger()))
    op.add_column("person", sa.Column("feedback_left", sa.Text()))
    op.create_index("ix_person_feedback", "person", ["feedback"], sqlite_where=TAGGED, postgresql_where=TAGGED)
