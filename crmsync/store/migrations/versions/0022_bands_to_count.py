"""What `status` counts by: the band that a CRM holds of a record, and the changes that move one into a band or stage."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

SQLITE = "known = 1 AND gone = 0 AND ambiguous = 0 AND merged_into = '' AND converted_into = ''"
POSTGRES = "known AND NOT gone AND NOT ambiguous AND merged_into = '' AND converted_into = ''"


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.add_column("record", sa.Column("band", sa.Text(), nullable=False, server_default=""))
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    band = "current::json ->> 'band'" if is_postgresql else "json_extract(current, '$.band')"
    op.execute(f"UPDATE record SET band = coalesce({band}, '') WHERE current <> '{{}}'")
    op.drop_index("ix_record_live", "record")
    where = sa.text(SQLITE), sa.text(POSTGRES)
    columns = ["person", "band", "crm", "owner"]
    op.create_index("ix_record_live", "record", columns, sqlite_where=where[0], postgresql_where=where[1])
    op.add_column("change", sa.Column("is_move", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("""UPDATE change SET is_move = true WHERE "after" LIKE '%"band":%' OR "after" LIKE '%"stage":%'""")
    where = sa.text("is_move = 1"), sa.text("is_move")
    op.create_index("ix_change_move", "change", ["run"], sqlite_where=where[0], postgresql_where=where[1])
