"""Ledgers as numbers, with the names of their lines kept once."""

import struct
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ENTRY = struct.Struct("<Iq")
AT_ONCE = 2_000
COLUMNS = {"person": {"lines": "ledger", "was": "ledger_before"}, "stage_entry": {"lines": "ledger"}}


def upgrade() -> None:
    """Bring a state of the version before to this one."""
    op.create_table(
        "line_name",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_line_name"),
        sa.UniqueConstraint("name", name="uq_line_name_name"),
    )
    numbers: dict[str, int] = {}
    for table, columns in COLUMNS.items():
        for packed in columns.values():
            op.add_column(table, sa.Column(packed, sa.LargeBinary()))
        _pack(table, columns, numbers)
        for text in columns:
            op.drop_column(table, text)
    names = sa.table("line_name", sa.column("id"), sa.column("name"))
    op.bulk_insert(names, [{"id": number, "name": name} for name, number in numbers.items()])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SELECT setval(pg_get_serial_sequence('line_name', 'id'), (SELECT max(id) FROM line_name))")


def _pack(table: str, columns: dict[str, str], numbers: dict[str, int]) -> None:
    """Fill the packed columns of a table by its texts; `numbers` are those that names have, and get here."""
    connection, last = op.get_bind(), -1
    of = sa.table(table, *(sa.column(name) for name in ("id", *columns, *columns.values())))
    query = sa.select(of.c.id, *(of.c[name] for name in columns)).order_by(of.c.id).limit(AT_ONCE)
    fill = of.update().where(of.c.id == sa.bindparam("row"))
    fill = fill.values({packed: sa.bindparam(f"new_{packed}", type_=sa.LargeBinary()) for packed in columns.values()})
    while rows := connection.execute(query.where(of.c.id > last)).all():
        last = rows[-1].id
        given = [
            {"row": row.id}
            | {f"new_{packed}": _packed(getattr(row, text), numbers) for text, packed in columns.items()}
            for row in rows
        ]
        connection.execute(fill, given)


def _packed(text: str, numbers: dict[str, int]) -> bytes | None:
    if not text:
        return None
    lines: list[Any] = orjson.loads(text)
    return b"".join(ENTRY.pack(numbers.setdefault(name, len(numbers) + 1), points) for name, points in lines)
