"""Why somebody goes where they go and not elsewhere: the smallest change of a person that another route would take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import combinations, product

import numpy as np

from crmsync.columns import Columns
from crmsync.config.settings import Config
from crmsync.model import Scalar
from crmsync.routing.decisions import PersonState, decide_people
from crmsync.scoring.calendar import day_of
from crmsync.scoring.conditions import encode_fields
from crmsync.scoring.engine import score
from crmsync.scoring.values import Matching
from crmsync.scoring.whatif.candidates import NO_WORD, answers_of
from crmsync.scoring.whatif.scenarios import copy_rows

Change = Mapping[str, Scalar | None]

MOST_WAYS = 20_000
"""So many ways to change a person are tried; where there are more, changes of two fields are left out."""


def find_instead(
    config: Config, columns: Columns, state: PersonState, now: datetime, previous: str | None
) -> dict[str, Change | None]:
    """For each route that does not take the one person of `columns` the smallest change of fields that it would take
    them by: one field where that is enough, else two; `None` where neither is.

    Exact: each change is scored and decided as a run would.
    """
    scores = score(config, columns, now, config.zone, [previous])
    now_ms = int(now.timestamp() * 1000)
    (decision,) = decide_people(config, scores, columns, [0], [state], now_ms)
    wanted = [route.name for route in config.route if route not in decision.routes[:1]]
    found: dict[str, Change | None] = dict.fromkeys(wanted)
    if not decision.routes:
        return found
    options = _options(config, columns, day_of(now, config.zone))
    for ways in (_singles(options), _pairs(options)):
        changes = list(ways)
        if len(changes) > MOST_WAYS or all(found.values()):
            break
        for change, route in zip(changes, _routes_of(config, columns, state, now, previous, changes), strict=True):
            if route in found and found[route] is None:
                found[route] = change
    return found


def _options(config: Config, columns: Columns, today: int) -> dict[str, list[Scalar]]:
    """For each field that decides something the other values that it could have."""
    asked = [
        part
        for conditions in (config.placed_conditions(), config.placed_decisions())
        for _loc, condition in conditions
        for part in condition.parts()
        if part.field is not None
    ]
    fields = sorted({str(part.field) for part in asked} & (config.fields.keys() | {"email"}))
    # Another address is another person, mostly: it comes last.
    fields.sort(key=lambda name: name == "email")
    options = {}
    for name in fields:
        answers = answers_of([part for part in asked if part.field == name], config.lists, today)
        plain = [each for each in answers if not isinstance(each, Matching)]
        options[name] = [each for each in sorted(plain, key=_oddity(plain)) if each != columns.fields[name][0]]
    return options


OTHER = NO_WORD
"""A value that no question names."""


def _oddity(values: Sequence[Scalar]) -> Callable[[Scalar], int]:
    """What somebody may well have comes first, then any other value, then texts made of several values."""
    begins = tuple(f"{each} " for each in values)
    return lambda value: 1 if value == OTHER else 2 * str(value).startswith(begins)


def _singles(options: Mapping[str, Sequence[Scalar]]) -> Iterator[Change]:
    return ({name: value} for name, values in options.items() for value in values)


def _pairs(options: Mapping[str, Sequence[Scalar]]) -> Iterator[Change]:
    for one, other in combinations(options, 2):
        yield from ({one: first, other: second} for first, second in product(options[one], options[other]))


def _routes_of(
    config: Config,
    columns: Columns,
    state: PersonState,
    now: datetime,
    previous: str | None,
    changes: Sequence[Change],
) -> list[str | None]:
    """The first route that would take the person with each of some changes."""
    if not changes:
        return []
    encoded = encode_fields(config, columns.fields, columns.fields)
    copies = copy_rows(replace(columns, fields=encoded), np.zeros(len(changes), dtype=np.intp))
    fields = {name: [change.get(name, columns.fields[name][0]) for change in changes] for name in columns.fields}
    copies = replace(copies, fields=fields)
    # As a run would see them: in the band that they were in before.
    scores = score(config, copies, now, config.zone, [previous] * len(changes))
    decisions = decide_people(
        config, scores, copies, range(len(changes)), [state] * len(changes), int(now.timestamp() * 1000)
    )
    return [each.routes[0].name if each.routes else None for each in decisions]
