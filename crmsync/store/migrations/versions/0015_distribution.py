"""The distribution of scores by day, the words of names, and indexes by which the status page lists people."""

import sqlalchemy as sa
from alembic import op

from crmsync.identity.names import name_words

revision = "0015"
down_revision = "0014"

RECORDS = 10_000
"""Records whose names are read at once."""


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "distribution",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "points", name="pk_distribution"),
    )
    words = op.create_table(
        "name_word",
        sa.Column("record", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("record", "word", name="pk_name_word"),
        sqlite_with_rowid=False,
    )
    _copy_names(op.get_bind(), words)
    op.create_index("ix_name_word_word", "name_word", ["word", "record"], postgresql_ops={"word": "text_pattern_ops"})
    for name, table in (
        ("ix_identity_key", "identity"),
        ("ix_record_seen_run", "record"),
        ("ix_person_band", "person"),
        ("ix_change_run", "change"),
    ):
        op.drop_index(name, table)
    op.create_index("ix_identity_key", "identity", ["key"], postgresql_ops={"key": "text_pattern_ops"})
    op.create_index("ix_record_seen_run", "record", ["seen_run", "id"])
    op.create_index("ix_change_run", "change", ["run", "crm", "state", "id"])
    for name, table, columns, condition in (
        ("ix_person_band", "person", ["band", "total", "id"], "excluded = ''"),
        ("ix_person_total", "person", ["total", "id"], "excluded = ''"),
        ("ix_person_excluded", "person", ["id"], "excluded <> ''"),
        ("ix_record_overrides", "record", ["id"], "overrides <> '{}'"),
        ("ix_record_replaced", "record", ["id"], "(gone OR ambiguous OR merged_into <> '' OR converted_into <> '')"),
    ):
        op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def _copy_names(connection: sa.Connection, words: sa.Table) -> None:
    record = sa.table("record", sa.column("id"), sa.column("name"))
    last = 0
    while True:
        query = sa.select(record).where(record.c.id > last, record.c.name != "").order_by(record.c.id).limit(RECORDS)
        rows = connection.execute(query).all()
        if not rows:
            return
        last = rows[-1].id
        found = [{"record": row_id, "word": word} for row_id, name in rows for word in sorted(set(name_words(name)))]
        if found:
            connection.execute(words.insert(), found)
