"""What one record says of its fields: without texts that stand for nothing, and of several mapped fields the first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, or_, select

from crmsync.connector import plain_name
from crmsync.folding import fold_text
from crmsync.store.schema import LIVE, record
from crmsync.store.sql import plain_rows

Values = dict[str, Any]


class FieldReading(NamedTuple):
    """How the values of a record are read.

    `missing`: by field the folded texts that count as not known, under "" those of any other one. `further`: by field
    the names under which the values of its further mappings are kept, in their order. `same_activity`: what two CRMs
    log no more than so many seconds apart, or under one id, is one.
    """

    missing: Mapping[str, frozenset[str]] = {}
    further: Mapping[str, Sequence[str]] = {}
    same_activity: int = 0

    @property
    def key(self) -> str:
        """A short text that changes when something is read otherwise; empty where all is read as it is kept."""
        said = sorted((name, sorted(words)) for name, words in self.missing.items() if words)
        told = repr((said, sorted((name, [*more]) for name, more in self.further.items()), self.same_activity))
        return hashlib.sha256(told.encode()).hexdigest()[:12] if said or self.further or self.same_activity else ""


def make_record_reader(reading: FieldReading) -> Callable[[Values], Values]:
    """What reads the values of a record; each distinct short text is folded once."""
    any_word = frozenset().union(*reading.missing.values())
    longest = max(map(len, any_word), default=0)
    others = reading.missing.get("", frozenset())
    words: dict[str, str] = {}

    def word_of(text: str) -> str:
        if text not in words:
            folded = fold_text(text)
            words[text] = folded if folded in any_word else ""
        return words[text]

    def is_missing(name: str, value: Any) -> bool:
        if type(value) is str:
            word = word_of(value) if len(value) <= longest else ""
            return bool(word) and word in reading.missing.get(name, others)
        if type(value) is list:
            return all(type(each) is str and is_missing(name, each) for each in value)
        return False

    def read(values: Values) -> Values:
        for name in [name for name, value in values.items() if is_missing(plain_name(name), value)]:
            del values[name]
        for name, more in reading.further.items():
            found = [values.pop(each) for each in more if each in values]
            if found and name not in values:
                values[name] = found[0]
        return values

    return read if any_word or reading.further else lambda values: values


def read_live_values(connection: Connection, names: Sequence[str], most: int) -> Iterator[tuple[str, str, str, str]]:
    """CRM, kind and id of live records that have a value under one of some names, with all their values (JSON)."""
    it, has = record.c, [record.c.fields.contains(f'"{name}":', autoescape=True) for name in names]
    if has:
        query = select(it.crm, it.kind, it.ref_id, it.fields).where(LIVE, or_(*has)).order_by(it.id).limit(most)
        yield from plain_rows(connection, query)
