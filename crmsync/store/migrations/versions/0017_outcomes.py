"""Opportunities, entries into stages with their scores, and since when the fields of records are known."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    _add_opportunities()
    op.create_table(
        "stage_entry",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("person", ID, nullable=False),
        _text("run"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(_text(name) for name in ("stage", "band")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("total", "fit", "behavior")),
        *(_text(name) for name in ("lines", "model", "owner")),
        sa.PrimaryKeyConstraint("id", name="pk_stage_entry"),
    )
    op.create_index("ix_stage_entry_person", "stage_entry", ["person"])
    op.create_table(
        "mapped_field",
        *(_text(name) for name in ("crm", "field", "spelled")),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "field", name="pk_mapped_field"),
    )
    op.create_table(
        "field_history",
        *(_text(name) for name in ("crm", "kind", "field")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("since", "read_at")),
        sa.PrimaryKeyConstraint("crm", "kind", "field", name="pk_field_history"),
    )
    op.add_column("record", sa.Column("seen_at", sa.BigInteger()))
    # Nothing tells when each was seen first: not before the first run, and not before the CRM had it.
    first = "(SELECT min(started) FROM run)"
    later = f"CASE WHEN created_at > {first} THEN created_at ELSE {first} END"
    op.execute(f"UPDATE record SET seen_at = {later} WHERE known")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _add_opportunities() -> None:
    op.create_table(
        "opportunity",
        *(_text(name) for name in ("crm", "id", "state", "stage", "pipeline")),
        sa.Column("created_at", sa.BigInteger()),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double()),
        *(_text(name) for name in ("currency", "owner", "company", "lost_reason", "source", "campaign")),
        sa.Column("came", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.PrimaryKeyConstraint("crm", "id", name="pk_opportunity"),
    )
    op.create_table(
        "opportunity_record",
        *(_text(name) for name in ("crm", "opportunity", "kind", "ref_id")),
        sa.PrimaryKeyConstraint("crm", "opportunity", "kind", "ref_id", name="pk_opportunity_record"),
    )
    op.create_index("ix_opportunity_record_ref_id", "opportunity_record", ["ref_id", "kind"])
    op.create_table(
        "opportunity_stage",
        *(_text(name) for name in ("crm", "id", "stage")),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("crm", "id", "at", "stage", name="pk_opportunity_stage"),
    )
