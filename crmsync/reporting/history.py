"""What a person's score, stage and owner were over time: by which run and model, why, and who else changed them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.tables import spelled_duration
from crmsync.connector import FieldEdit
from crmsync.errors import ConfigError
from crmsync.model import Ref, Scalar
from crmsync.reporting.changes import Names, show_field
from crmsync.reporting.console import format_minute
from crmsync.reporting.editors import Answers, Ask, find_edits
from crmsync.reporting.person import find_all_records
from crmsync.scoring.wording import to_points
from crmsync.store.changes import ListedChange, list_written, oldest_run, runs_by_id
from crmsync.store.database import Store
from crmsync.store.edits import Edit, read_edits
from crmsync.store.hand_offs import hand_offs_of
from crmsync.store.owners import owner_names
from crmsync.store.restoring import find_repulls
from crmsync.store.sql import from_ms

FIELDS = ("score", "band", "stage", "owner")
"""What a row of a history holds."""

OURS, THEIRS = "crmsync", "user"
"""Who changed something: crmsync, or somebody else in the CRM whom it does not name (a user, a workflow, a tool)."""

UNKNOWN = "unknown"
"""Who made a change that the first pull after a restore found: crmsync, after the backup was made, or somebody else."""


class HistoryStep(NamedTuple):
    """A change of a record at an instant (milliseconds): `before` and `after` have the fields that it changed."""

    at: int
    run: str
    by: str
    why: str
    before: Mapping[str, Scalar | None]
    after: Mapping[str, Scalar | None]


def person_history(config: Config, store: Store | None, who: str, ask: Ask | None = None) -> dict[str, Any]:
    """The document of `crmsync history WHO`, the newest row first; `ask` says who others were. Raises as `find_person`.

    The CRMs are asked only where somebody else changed something, and when the state is no longer read.
    """
    if store is None:
        raise ConfigError("No run yet, so there is no history", "crmsync plan")
    with store.read() as reading:
        person, records = find_all_records(config, reading, who)
        names, offs = owner_names(reading), [] if person is None else hand_offs_of(reading, person)
        written: dict[int, list[ListedChange]] = {}
        for each in list_written(reading, [row.id for row in records]):
            written.setdefault(each.record, []).append(each)
        edits: dict[int, list[Edit]] = {}
        for edit in read_edits(reading, [row.id for row in records]):
            edits.setdefault(edit.record, []).append(edit)
        runs = runs_by_id(reading, {each.run for some in written.values() for each in some})
        whys = {each["run"]: each["why"] for each in offs}
        repulls = find_repulls(reading)
        steps = {
            row.id: _steps(row, written.get(row.id, ()), edits.get(row.id, ()), whys, repulls.get(row.crm, ()))
            for row in records
        }
        lost = [each for each in offs if each["run"] not in runs]
        first = {row_id: _first_values(each) for row_id, each in steps.items()}
        unknown = any(each.get(name) is not None for each in first.values() for name in ("score", "band"))
        notes = list(_notes(config, reading, is_cut=unknown or bool(lost)))
    edited = [_ref(row) for row in records if any(each.by == THEIRS for each in steps[row.id])]
    said = ask(edited) if ask is not None and edited else Answers()
    rows = [_hand_off_row(each) for each in lost]
    for row in records:
        told = [_with_editor(each, _ref(row), said.edits) for each in steps[row.id]]
        rows += _rows(row, told, first[row.id], runs, names)
    return {
        "person": person,
        "name": next((each.name for each in records if each.name), ""),
        "emails": sorted({address for each in records for address in orjson.loads(each.emails)}),
        "history": sorted(_merged(rows), key=lambda each: (each["at"], each["by"] == OURS), reverse=True),
        "notes": [*notes, *said.notes],
    }


def _ref(row: Any) -> Ref:
    return Ref(row.crm, row.kind, row.ref_id)


def _with_editor(step: HistoryStep, ref: Ref, edits: Iterable[FieldEdit]) -> HistoryStep:
    """A step of somebody else with who that was and when, where the CRM tells."""
    found = find_edits(edits, ref, step.after, step.at) if step.by == THEIRS else []
    if not found:
        return step
    at = format_minute(max(each.at for each in found).astimezone(UTC))
    why = f"changed in {ref.crm} on {at}; this is when it was noticed"
    return step._replace(by=", ".join(dict.fromkeys(each.by for each in found if each.by)) or THEIRS, why=why)


def _steps(
    row: Any,
    written: Iterable[ListedChange],
    edits: Iterable[Edit],
    whys: Mapping[str, str],
    repulls: Iterable[tuple[int, int]],
) -> list[HistoryStep]:
    """What changed of one record, in its order; what a pull noticed comes before what its run wrote.

    `repulls` are from when until when all was pulled again after restores (milliseconds).
    """
    steps: list[HistoryStep] = []
    for each in written:
        taken = [name for name in each.taken if name in FIELDS]
        because = each.change.because
        if "owner" in taken and (why := whys.get(each.run)):
            because = f"{because}; owner: {why}"
        if taken:
            before, after = (
                {name: side.get(name) for name in taken} for side in (each.change.before, each.change.after)
            )
            steps.append(HistoryStep(each.at, each.run, OURS, because, before, after))
    by_instant: dict[int, dict[str, Scalar | None]] = {}
    for edit in edits:
        by_instant.setdefault(edit.at, {})[edit.field] = edit.before
    for at, before in by_instant.items():
        by, why = THEIRS, f"changed in {row.crm}; this is when it was noticed"
        if any(since <= at <= until for since, until in repulls):
            by, why = UNKNOWN, f"found in {row.crm}: written by crmsync after the backup was made, or by a user"
        steps.append(HistoryStep(at, "", by, why, before, {}))
    steps.sort(key=lambda each: (each.at, each.by == OURS))
    # What somebody else set is what the next change found, else what is there now.
    following = {"stage": row.stage, "owner": row.owner, **dict.fromkeys(("score", "band"))}
    following |= {name: value for name, value in orjson.loads(row.current).items() if name in FIELDS}
    for place in range(len(steps) - 1, -1, -1):
        step = steps[place]
        if step.by != OURS:
            steps[place] = step._replace(after={name: following.get(name) for name in step.before})
        following |= step.before
    return steps


def _first_values(steps: Iterable[HistoryStep]) -> dict[str, Scalar | None]:
    """What a record held before the first change that is known of each field."""
    first: dict[str, Scalar | None] = {}
    for step in steps:
        first = {**step.before, **first}
    return first


def _rows(
    row: Any, steps: Iterable[HistoryStep], first: Mapping[str, Scalar | None], runs: Mapping[str, Any], names: Names
) -> Iterator[dict[str, Any]]:
    """A row for each step, with all that the record held after it."""
    holds = {name: first.get(name) for name in FIELDS}
    for step in steps:
        holds |= step.after
        run = runs.get(step.run)
        yield {
            "at": from_ms(step.at).isoformat(),
            "run": step.run or None,
            "model": run.model if run is not None else None,
            **{name: show_field(row.crm, name, value, names) for name, value in holds.items()},
            "by": step.by,
            "why": step.why,
            "changed": [name for name in FIELDS if name in step.after],
            "records": [f"{row.crm}:{row.kind}:{row.ref_id}"],
        }


def _hand_off_row(each: Mapping[str, Any]) -> dict[str, Any]:
    """A hand-off whose run is not known any more: it says what the person had then."""
    return {
        "at": from_ms(each["at"]).isoformat(),
        "run": each["run"],
        "model": each["model"],
        "score": to_points(each["total"]),
        "band": each["band"] or None,
        "stage": each["stage"] or None,
        "owner": each["owner"],
        "by": OURS,
        "why": each["why"],
        "changed": ["owner"],
        "records": [],
    }


def _merged(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for records that changed alike."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        key = repr([row[name] for name in row if name not in ("records", "why")])
        if key in found:
            found[key]["records"] += row["records"]
        else:
            found[key] = row
    return list(found.values())


def _notes(config: Config, reading: Connection, *, is_cut: bool) -> Iterator[str]:
    oldest = oldest_run(reading)
    if is_cut and oldest is not None:
        yield (
            f"What was before {from_ms(oldest):%Y-%m-%d} is not known any more: the state keeps runs for "
            f"{spelled_duration(config.state.keep)} ([state] keep), and they found values whose story is not known."
        )
