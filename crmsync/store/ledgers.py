"""Ledgers as the state keeps them: the number of each line's name with its points, packed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select

from crmsync.store.schema import line_name
from crmsync.store.sql import one_of, plain_rows, write_many

ENTRY = struct.Struct("<Iq")
"""One line of a ledger: the number of its name, and its points in hundredths."""

ENTRY_DTYPE = "<u4,<i8"
"""The same for numpy."""


def number_lines(connection: Connection, names: Sequence[str]) -> list[int]:
    """The number of each name of a line; one that was never stored gets a number now."""
    found = _known_lines(connection, names)
    missing = [{"name": name} for name in dict.fromkeys(names) if name not in found]
    if missing:
        write_many(connection, line_name.insert(), missing)
        found = _known_lines(connection, names)
    return [found[name] for name in names]


def _known_lines(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    query = select(line_name.c.name, line_name.c.id).where(one_of(line_name.c.name, names))
    return dict(plain_rows(connection, query))


def ledger_reader(connection: Connection) -> Callable[[bytes], dict[str, int]]:
    """What makes of a packed ledger the points of each line (hundredths), which sum to the total."""
    names: dict[int, str] = dict(plain_rows(connection, select(line_name.c.id, line_name.c.name)))

    def read_ledger(packed: bytes) -> dict[str, int]:
        return {names[line]: points for line, points in ENTRY.iter_unpack(packed)}

    return read_ledger
