"""A plan as CSV: every change of it, one row a field."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO

from sqlalchemy import Connection

from crmsync.reporting.csv_text import disarm_formula
from crmsync.reporting.plan_report import call_owner, lowered_owners
from crmsync.store.plan_people import PlannedRecord, planned_people

COLUMNS = ("person", "name", "email", "crm", "record", "field", "before", "after", "why")


def write_plan_csv(file: TextIO, reading: Connection, run_id: str) -> int:
    """Write every change of a plan with a header, person by person, and say how many rows that are."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    rows = 0
    for row in plan_rows(reading, run_id):
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


def _why(it: PlannedRecord, field: str) -> str:
    return {"stage": it.stage_why, "owner": it.owner_why}.get(field, it.because)
