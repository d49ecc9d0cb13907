"""Columns that queries refuse although describe lists them: they are read on without, and told of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from connectors.salesforce.errors import HIDDEN, RequestRefused
from connectors.salesforce.schema import Schema
from connectors.salesforce.source import Source

T = TypeVar("T")

_COLUMN = re.compile(r"No such column '([^']+)' on (?:entity|sobject of type) '?(\w+)'?")
_CONDITION = re.compile(r"[Ff]ield '([^']+)' can ?not be (?:filtered|sorted)")
_RELATIONSHIP = re.compile(r"Didn't understand relationship '([^']+)' in field path")


def ask_readable(schema: Schema, make: Callable[[], Source], ask: Callable[[Source], T]) -> T:
    """What `ask` answers for a source, without the columns that are no longer there or that queries refuse."""
    is_anew = False
    while True:
        source = make()
        try:
            return ask(source)
        except RequestRefused as error:
            learn_refusal(schema, make, source, error, is_anew=is_anew)
            is_anew = True


def learn_refusal(
    schema: Schema, make: Callable[[], Source], source: Source, error: RequestRefused, *, is_anew: bool
) -> None:
    """See to it that `make` leaves out what a refusal names. Raises the refusal where there is nothing to leave out.

    `is_anew` says that describe was asked again already, which a field may have gone from.
    """
    if error.code != "INVALID_FIELD":
        raise error
    if not is_anew:
        schema.forget()
    if make() != source:
        return
    for each in droppable_columns(schema, source, error.message):
        schema.refuse(source.object, each)
    # Otherwise it would be asked again and again.
    if make() == source:
        raise error


def droppable_columns(schema: Schema, source: Source, said: str) -> frozenset[str]:
    """The columns of a source that a refusal names; none where it cannot do without one of them."""
    named = frozenset(_named_columns(schema, source, said))
    return named if named <= source.optional else frozenset()


def names_object(schema: Schema, make: Callable[[], Source], refusal: RequestRefused) -> bool:
    """Whether a refusal means that this user may not read an object, or some column of what `make` asks for."""
    hidden = refusal.code in HIDDEN
    return hidden and (refusal.code != "INVALID_FIELD" or any(_named_columns(schema, make(), refusal.message)))


def _named_columns(schema: Schema, source: Source, said: str) -> Iterator[str]:
    asked = dict.fromkeys((*source.columns, *source.order, *re.findall(r"[A-Za-z_]+", source.where)))
    ways = {path: path.lower().split(".") for path in asked}
    if found := _RELATIONSHIP.search(said):
        yield from (path for path, steps in ways.items() if found[1].lower() in steps[:-1])
    elif found := _CONDITION.search(said):
        yield from (path for path in ways if path.lower() == found[1].lower())
    elif found := _COLUMN.search(said):
        name, entity = found[1].lower(), found[2].lower()
        alike = [path for path, steps in ways.items() if name in (steps[-1], path.lower())]
        exact = [path for path in alike if schema.owner_of(source.object, path).lower() == entity]
        # The parent is called "Name" where it may be one of several objects.
        yield from exact or (path for path in alike if "." in path)
