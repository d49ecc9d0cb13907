"""Plans that are approved as effects, records partly updated, owners by name, and what a full pull has seen."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

STATES = {"kept": "updated", "failed": "rejected", "skipped": "edited"}
VERDICTS = {"dry": "superseded", "unsafe": "superseded"}


def _remember_overrides() -> None:
    """A manual override was an instant (milliseconds) and is now the value, too: `{"stage": {"since": …}}`."""
    contact = sa.table("contact", sa.column("id"), sa.column("leases"))
    connection = op.get_bind()
    for row_id, text in connection.execute(sa.select(contact).where(contact.c.leases != "{}")).all():
        leases = {name: {"since": at, "value": None} for name, at in json.loads(text).items()}
        connection.execute(sa.update(contact).where(contact.c.id == row_id).values(leases=json.dumps(leases)))


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    with op.batch_alter_table("contact", schema=None) as batch_op:
        batch_op.add_column(sa.Column("edited", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("wake", sa.BigInteger(), nullable=True))
    waking = sa.text("wake IS NOT NULL")
    op.create_index("ix_contact_wake", "contact", ["wake"], sqlite_where=waking, postgresql_where=waking)
    with op.batch_alter_table("person", schema=None) as batch_op:
        for name in ("stage_why", "owner_why", "waiting"):
            batch_op.add_column(sa.Column(name, sa.Text(), server_default="", nullable=False))
    unowned = sa.text("waiting <> ''")
    op.create_index("ix_person_waiting", "person", ["id"], sqlite_where=unowned, postgresql_where=unowned)
    _remember_overrides()
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.add_column(sa.Column("config", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("plan", sa.Text(), server_default="{}", nullable=False))
        batch_op.add_column(sa.Column("approved_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("approved_by", sa.Text(), server_default="", nullable=False))
        batch_op.drop_column("pointers")
    with op.batch_alter_table("change", schema=None) as batch_op:
        batch_op.add_column(sa.Column("refused", sa.Text(), server_default="{}", nullable=False))
    for table, column, renamed in (("change", "state", STATES), ("run", "verdict", VERDICTS)):
        for old, new in renamed.items():
            where = sa.table(table, sa.column(column))
            op.execute(sa.update(where).where(where.c[column] == old).values({column: new}))
    op.create_table(
        "owner",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "id", name=op.f("pk_owner")),
    )
    op.create_table(
        "feed_day",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("activities", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "kind", "day", name=op.f("pk_feed_day")),
    )
    op.execute(
        "INSERT INTO feed_day (crm, kind, day, activities)"
        " SELECT activity.crm, fact.kind, activity.at / 86400, count(*)"
        " FROM activity JOIN fact ON fact.id = activity.fact GROUP BY activity.crm, fact.kind, activity.at / 86400"
    )
    op.create_table(
        "seen_activity",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "id", name=op.f("pk_seen_activity")),
        sqlite_with_rowid=False,
    )
