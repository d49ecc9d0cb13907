"""Versions of the model with who made and approved them and why, and what reviewers said of people's scores."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "model_version",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False, server_default="")
            for name in ("hash", "author", "approver", "reason", "commit_id")
        ),
        sa.Column("noted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_model_version"),
    )
    op.create_table(
        "verdict",
        sa.Column("person", ID, nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False, server_default="") for name in ("verdict", "note", "band")),
        sa.PrimaryKeyConstraint("person", "sample", name="pk_verdict"),
    )
    _find_versions()


def _find_versions() -> None:
    """Versions by the runs that are still known: each time that another config was used than before."""
    names = ("id", "config", "started", "verdict", "approved_at", "approved_by")
    run = sa.table("run", *map(sa.column, names))
    model = sa.table("model", sa.column("hash"))
    version = sa.table("model_version", *map(sa.column, ("at", "hash", "approver")))
    connection = op.get_bind()
    stored = set(connection.scalars(sa.select(model.c.hash)))
    approvals = sa.select(run.c.config, run.c.approved_at, run.c.approved_by).where(run.c.approved_by != "")
    approved = connection.execute(approvals.order_by(run.c.approved_at)).all()
    used = sa.select(run.c.config, run.c.started).where(run.c.verdict.in_(("ok", "partial")))
    before, rows = None, []
    for config, started in connection.execute(used.order_by(run.c.started, run.c.id)):
        if config in stored and config != before:
            by = [who for of, at, who in approved if of == config and at <= started]
            rows.append({"at": started, "hash": config, "approver": by[-1] if by else ""})
            before = config
    if rows:
        connection.execute(version.insert(), rows)
