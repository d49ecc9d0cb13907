"""Indexes by which a run finds what it counts and what changed without looking through everybody."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

SQLITE = "known = 1 AND gone = 0 AND ambiguous = 0 AND merged_into = '' AND converted_into = ''"
POSTGRES = "known AND NOT gone AND NOT ambiguous AND merged_into = '' AND converted_into = ''"
SCORED = " AND current != '{}'"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    for name, columns, more in (("live", ["person", "crm"], ""), ("scored", ["crm"], SCORED)):
        where = sa.text(SQLITE + more), sa.text(POSTGRES + more)
        op.create_index(f"ix_record_{name}", "record", columns, sqlite_where=where[0], postgresql_where=where[1])
    # With the column itself, or SQLite reads the whole of the next index rather than the few rows of this one.
    op.drop_index("ix_person_waiting", "person")
    waits = sa.text("waiting <> ''")
    op.create_index("ix_person_waiting", "person", ["waiting"], sqlite_where=waits, postgresql_where=waits)
    op.create_index("ix_person_destination", "person", ["destination", "waiting", "excluded"])
