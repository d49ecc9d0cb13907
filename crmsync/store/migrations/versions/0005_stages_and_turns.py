"""What is decided of a person (stage, track, destination), companies, hand-offs, and turns counted by member."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.add_column("record", sa.Column("company", sa.Text(), server_default="", nullable=False))
    op.add_column("record", sa.Column("domain", sa.Text(), server_default="", nullable=False))
    op.add_column("record", sa.Column("created_at", sa.BigInteger()))
    for name in ("company", "domain"):
        filled = sa.text(f"{name} <> ''")
        op.create_index(f"ix_record_{name}", "record", [name], sqlite_where=filled, postgresql_where=filled)
    for name in ("excluded", "stage", "stage_left", "track", "destination", "route"):
        op.add_column("person", sa.Column(name, sa.Text(), server_default="", nullable=False))
    for name in ("stage_since", "waiting_since"):
        op.add_column("person", sa.Column(name, sa.BigInteger()))
    op.add_column("person", sa.Column("cool_downs", sa.Text(), server_default="{}", nullable=False))
    op.create_table(
        "company",
        sa.Column("crm", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("domain", sa.Text(), server_default="", nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("crm", "id", name="pk_company"),
    )
    filled = sa.text("domain <> ''")
    op.create_index("ix_company_domain", "company", ["domain"], sqlite_where=filled, postgresql_where=filled)
    op.create_table(
        "turn",
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("made_up", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("pool", "member", name="pk_turn"),
    )
    # Whoever had the last turn is one ahead of the others, so that the rotation goes on behind them.
    op.execute("INSERT INTO turn (pool, member, turns, value) SELECT pool, last, 1, 0 FROM pointer")
    op.drop_table("pointer")
    op.create_table(
        "hand_off",
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("person", Id, nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("band", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hand_off"),
    )
    op.create_index("ix_hand_off_person", "hand_off", ["person"])
    op.create_index("ix_hand_off_owner", "hand_off", ["owner", "at"])
