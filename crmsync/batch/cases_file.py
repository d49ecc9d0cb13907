"""A file of people with what came of them, as cases to judge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crmsync.batch.good_lines import read_good_lines
from crmsync.batch.inputs import find_inputs
from crmsync.batch.people_file import AT_ONCE, FileTally, read_people
from crmsync.config import Config
from crmsync.config.feedback import FEEDBACK
from crmsync.errors import ConfigError
from crmsync.evaluation.cases import GROUPS, LOST, NEVER, OPEN, WON, Cases
from crmsync.scoring.people_json import ParsedPerson, columns_of_parsed

_OUTCOMES = {"won": WON, "lost": LOST, None: OPEN}


def read_cases_file(config: Config, file: Iterable[bytes], name: str, now: int, tally: FileTally) -> Iterator[Cases]:
    """The people of a file as cases, some at a time; `now` is in seconds since 1970. The rest is in `tally`.

    Each is judged as of the hand-off (`handed_off_at`); without one, or with one after the outcome, as of the second
    before the outcome, so that what the outcome brought does not count; and without an outcome as of now. A line that
    is there again does not count again.
    """
    yield from make_cases(read_people(config, file, name, tally, AT_ONCE), now, tally)


def read_input_cases(config: Config, given: Path, now: int, tally: FileTally) -> Iterator[Cases]:
    """The same for a file of lines, CSV or Parquet, or for a folder of these.

    Raises `ConfigError` where a file given by name cannot be read; one of a folder is told in `tally`.
    """
    inputs = find_inputs(given)
    tally.problems += inputs.problems

    def read() -> Iterator[list[ParsedPerson]]:
        for part in inputs.parts:
            try:
                for good in read_good_lines(config, part, tally, AT_ONCE, inputs.facts):
                    yield [person for _, person in good]
            except ConfigError as error:
                if not inputs.is_folder:
                    raise
                tally.problems += error.problems

    return make_cases(read(), now, tally)


def make_cases(some: Iterable[list[ParsedPerson]], now: int, tally: FileTally) -> Iterator[Cases]:
    """Cases of people as `read_cases_file` judges them."""
    seen: dict[int, int] = {}
    for people in some:
        for each in (*GROUPS, "owner", FEEDBACK):  # people are compared by them, whether or not the config has them
            tally.fields.pop(each, None)
        _count_odd_instants(people, now, tally)
        yield _cases([each for each in people if not _is_repeated(each, seen, tally)], now)


def _is_repeated(person: ParsedPerson, seen: dict[int, int], tally: FileTally) -> bool:
    """Whether a line before says exactly the same of the same person; another one of theirs is told and counts."""
    whose = person.id if person.id is not None else person.fields.get("email")
    if whose is None:
        return False
    key, whole = hash((type(whose), whose)), hash(repr(person))
    if key not in seen:
        seen[key] = whole
        return False
    if seen[key] == whole:
        tally.odd["the same line is there again; it counts once"] += 1
        return True
    tally.odd["another line has the same id; each line counts as a person of its own"] += 1
    return False


def _count_odd_instants(people: Sequence[ParsedPerson], now: int, tally: FileTally) -> None:
    for came in (each.outcome for each in people):
        handed_off, outcome, created = came.handed_off_at, came.outcome_at, came.created_at
        if outcome is not None and outcome > now:
            tally.odd["outcome_at is in the future; check it, an outcome is what has happened"] += 1
        if handed_off is not None and handed_off > now:
            tally.odd["handed_off_at is in the future; check it"] += 1
        if handed_off is not None and outcome is not None and handed_off > outcome:
            tally.odd["handed_off_at is after outcome_at; they are judged the second before the outcome"] += 1
        if created is not None and any(each is not None and created > each for each in (handed_off, outcome)):
            tally.odd["created_at is after the hand-off or the outcome; they count as having come when judged"] += 1


def _cases(people: Sequence[ParsedPerson], now: int) -> Cases:
    came = [each.outcome for each in people]
    outcome_at = _instants([each.outcome_at for each in came])
    handed_off = _instants([each.handed_off_at for each in came])
    last = np.where(outcome_at != NEVER, outcome_at - 1, now)
    handed_off = np.where((outcome_at != NEVER) & (handed_off > outcome_at), NEVER, handed_off)
    at = np.where(handed_off == NEVER, last, np.where(outcome_at != NEVER, np.minimum(handed_off, last), handed_off))
    created = _instants([each.created_at for each in came])
    first = np.array([min((act.at for act in each.acts), default=now) for each in people], dtype=np.int64)
    texts = {
        "source": [_text(each, "source") for each in people],
        "campaign": [_text(each, "campaign") for each in people],
        "rep": [each.outcome.owner or _text(each, "owner") for each in people],
    }
    return Cases(
        columns=columns_of_parsed(people),
        at=at,
        came=np.minimum(np.where(created != NEVER, created, first), at),
        outcome=np.array([_OUTCOMES[each.outcome] for each in came], dtype=np.int8),
        outcome_at=outcome_at,
        value=np.array([np.nan if each.value is None else each.value for each in came], dtype=np.float64),
        milestones={},
        touched=_instants([each.touched_at for each in came]),
        handed_off=handed_off,
        scored_then=np.zeros(len(people), dtype=np.int64),
        groups={**{name: texts[name] for name in GROUPS}, FEEDBACK: [_text(each, FEEDBACK) for each in people]},
        names=[each.outcome.name or _name(each, number) for number, each in enumerate(people, start=1)],
    )


def _instants(values: Sequence[int | None]) -> NDArray[np.int64]:
    return np.array([NEVER if value is None else value for value in values], dtype=np.int64)


def _text(person: ParsedPerson, field: str) -> str:
    value = person.fields.get(field)
    return "" if value is None else str(value)


def _name(person: ParsedPerson, number: int) -> str:
    return str(person.id if person.id is not None else person.fields.get("email") or f"no. {number}")
