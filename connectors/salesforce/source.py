"""What to read of one object."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """What to read of one object: `columns` are the wanted paths, `where` narrows, `order` are the keyset columns.

    `stream` is its name in the cursor, `mark` whatever else must cause a full read when it changes.
    `parent` reads the rows whose parent changed in the window: the field that points to it and the parent's object.
    `optional` are the columns without which the rest can be read and understood.
    """

    stream: str
    object: str
    columns: tuple[str, ...]
    where: str = ""
    order: tuple[str, ...] = ("SystemModstamp", "Id")
    parent: tuple[str, str] | None = None
    mark: str = ""
    optional: frozenset[str] = frozenset()
