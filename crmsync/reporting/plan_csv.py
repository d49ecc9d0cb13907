"""A plan as CSV: every change of it and what it leaves, one row a field."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TextIO

from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.compare import COMPARED
from crmsync.reporting.changes import describe_protection, show_field
from crmsync.reporting.csv_text import disarm_formula
from crmsync.reporting.plan_report import call_owner, lowered_owners
from crmsync.reporting.score_comparison import agrees, describe_own_lines, read_compared, show_hundredths
from crmsync.store.plan_people import PlannedRecord, call_people, planned_people
from crmsync.store.protections import list_protections

COLUMNS = ("person", "name", "email", "crm", "record", "field", "before", "after", "why")


def write_plan_csv(file: TextIO, reading: Connection, run_id: str, further: Iterable[Mapping[str, Any]] = ()) -> int:
    """Write every change of a plan with a header, person by person, then what it leaves, then `further` rows; returns
    how many rows.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    rows = 0
    for row in chain(plan_rows(reading, run_id), kept_rows(reading, run_id), further):
        writer.writerow([disarm_formula(each) if isinstance(each, str) else each for each in row.values()])
        rows += 1
    return rows


def plan_rows(reading: Connection, run_id: str) -> Iterator[dict[str, Any]]:
    """Each field that a plan changes, by `COLUMNS`; owners are addresses."""
    owners = lowered_owners(reading)
    for records in planned_people(reading, run_id):
        for it in records:
            for field, after in it.after.items():
                values = it.before.get(field), after
                if field == "owner":
                    values = call_owner(owners, it, values[0]), call_owner(owners, it, values[1])
                row = (it.person, it.name, it.email, it.ref.crm, str(it.ref), field, *values, _why(it, field))
                yield dict(zip(COLUMNS, row, strict=True))


def kept_rows(reading: Connection, run_id: str) -> Iterator[dict[str, Any]]:
    """Each field that a plan leaves as it is, by `COLUMNS`: the same before and after, with the reason."""
    owners = lowered_owners(reading)
    for it in list_protections(reading, run_id):
        kept = it.protection
        present, wanted = (show_field(it.ref.crm, kept.field, value, owners) for value in (kept.present, kept.wanted))
        why = f"protected: {describe_protection(it)}; not changed to {wanted}"
        row = (it.person, it.name, it.email, it.ref.crm, str(it.ref), kept.field, present, present, why)
        yield dict(zip(COLUMNS, row, strict=True))


def compared_rows(reading: Connection, config: Config) -> Iterator[dict[str, Any]]:
    """Whoever has another score of `[compare]` than ours, by `COLUMNS`: both scores; nothing of it is a change."""
    if config.compare is None:
        return
    apart = [each for each in read_compared(reading, config) if each is not None and not agrees(each, config)]
    named = call_people(reading, [each.person for each in apart])
    for each in apart:
        lines = "; ".join(f"{line['rule']} {line['points']:+,.15g}" for line in describe_own_lines(each))
        scores = show_hundredths(each.theirs), show_hundredths(each.ours)
        why = f"compared, not changed: {lines or 'no rule matches'}"
        row = (each.person, *named.get(each.person, ("", "")), "", "", COMPARED, *scores, why)
        yield dict(zip(COLUMNS, row, strict=True))


def _why(it: PlannedRecord, field: str) -> str:
    return {"stage": it.stage_why, "owner": it.owner_why}.get(field, it.because)
