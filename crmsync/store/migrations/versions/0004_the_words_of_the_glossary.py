"""Tables and columns called what they hold: records, score inputs, manual overrides, what is on hold."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = {"contact": "record", "sheet": "score_input"}
COLUMNS = {
    "record": {
        "grouped": "crm_group",
        "base": "last_written",
        "leases": "overrides",
        "parked": "on_hold",
        "wake": "wake_at",
    },
    "change": {"contact": "record", "grouped": "crm_group"},
    "identity": {"contact": "record", "mark": "key"},
    **{table: {"contact": "record"} for table in ("alias", "counter", "past_field", "activity")},
}
INDEXES: dict[str, tuple[str, str, list[str]]] = {
    "ix_contact_person": ("ix_record_person", "record", ["person"]),
    "ix_contact_seen_run": ("ix_record_seen_run", "record", ["seen_run"]),
    "ix_alias_contact": ("ix_alias_record", "alias", ["record"]),
    "ix_identity_mark": ("ix_identity_key", "identity", ["key"]),
    "ix_activity_contact": ("ix_activity_record", "activity", ["record", "at", "fact"]),
    "ix_change_contact": ("ix_change_record", "change", ["record"]),
}
PARTIAL = {
    "ix_contact_dirty": ("ix_record_dirty", "id", "dirty = 1", "dirty"),
    "ix_contact_parked": ("ix_record_on_hold", "id", "on_hold <> ''", "on_hold <> ''"),
    "ix_contact_wake": ("ix_record_wake_at", "wake_at", "wake_at IS NOT NULL", "wake_at IS NOT NULL"),
}
"""Those that hold a part of the records: the column, and which records, on SQLite and on PostgreSQL."""


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    for old in (*INDEXES, *PARTIAL):
        op.execute(f"DROP INDEX {old}")
    with op.batch_alter_table("contact") as batch_op:
        batch_op.drop_constraint("uq_contact_crm", type_="unique")
        batch_op.create_unique_constraint("uq_record_crm", ["crm", "kind", "ref_id"])
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, renamed in COLUMNS.items():
        for old, new in renamed.items():  # a new name alone: SQLite would copy the table if Alembic altered the column
            op.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{old}" TO "{new}"')
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE record RENAME CONSTRAINT pk_contact TO pk_record")
        op.execute("ALTER TABLE score_input RENAME CONSTRAINT pk_sheet TO pk_score_input")
    for name, table, columns in INDEXES.values():
        op.create_index(name, table, columns)
    for name, column, of_sqlite, of_postgresql in PARTIAL.values():
        op.create_index(
            name, "record", [column], sqlite_where=sa.text(of_sqlite), postgresql_where=sa.text(of_postgresql)
        )
