"""Every change of a run or plan, a row a field: before, after, how it ended and why; and what was left as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.model import Scalar
from crmsync.planning.approval import plan_of
from crmsync.reporting.person import find_changed_records
from crmsync.reporting.print_run import PROTECTED
from crmsync.store import journal, run_journal
from crmsync.store.changes import ListedChange, hand_off_whys, list_changes
from crmsync.store.database import Store
from crmsync.store.owners import owner_names
from crmsync.store.protections import ListedProtection, list_protections
from crmsync.store.sql import from_ms

LATEST = "latest"
"""What stands for the id of the newest run, or of the newest plan where there is no run."""

UNKNOWN_OWNER = "(unknown user)"
"""What to call an owner whom the CRM does not list any more."""

Names = Mapping[tuple[str, str], str]
"""What to call an owner, by CRM and id."""

LISTED_BY = "crmsync status --runs 50"


def show_changes(
    config: Config, store: Store | None, run_id: str, who: str | None, typed: Callable[[str], str] = str
) -> dict[str, Any]:
    """The document of `crmsync show`: a run or plan with its changes, those of one person where `who` is given.

    Raises `ConfigError` for a run that is not there, and as `find_person` for whom `who` means.
    """
    if store is None:
        raise ConfigError("No run yet, so there are no changes to show", "crmsync plan")
    with store.read() as reading:
        row = read_run(reading, run_id)
        only = None if who is None else [each.id for each in find_changed_records(config, reading, who)]
        names, whys = read_names(reading, row.id), hand_off_whys(reading, row.id)
        listed = list(list_changes(reading, row.id, only))
        changes = [each for it in listed for each in change_rows(it, names, whys)]
        result, plan = orjson.loads(row.result), plan_of(row)
        held = result.get("held") or {}
        waits = row.verdict in run_journal.APPROVABLE and row.verdict != run_journal.APPROVED
        return {
            "run": row.id,
            "command": row.command,
            "verdict": row.verdict,
            "started": from_ms(row.started).isoformat(),
            "ended": from_ms(row.ended).isoformat() if row.ended else None,
            "model": row.model,
            "undoes": plan.get("undoes"),
            "reasons": plan["reasons"],
            "approved": _approval(row),
            "held": held.get("run"),
            "counts": _count_states(listed),
            "changes": changes,
            "protected": list(protected_rows(reading, row.id, names, only)),
            "notes": list(_notes(row, listed, len(changes))),
            "next": typed(f"crmsync apply {row.id}") if waits and changes else None,
        }


def read_run(reading: Connection, run_id: str) -> Any:
    """The row of a run or plan; `latest` is the one that began last. Raises `ConfigError` where there is none."""
    if run_id == LATEST:
        row = _newest(reading)
        if row is None:
            raise ConfigError("there is no run yet", "crmsync plan")
        return row
    row = run_journal.find_run(reading, run_id)
    if row is None:
        raise ConfigError(f"there is no run or plan {run_id}; to list the last ones: {LISTED_BY}", LISTED_BY)
    return row


def _newest(reading: Connection) -> Any:
    """The run, or the plan that somebody looked at, that began last; of two at once the run. `None` without any."""
    looked_at = (run_journal.PREVIEW, run_journal.APPROVED)
    plans = [row for verdict in looked_at for row in run_journal.list_plans(reading, verdict)]
    found = (*run_journal.recent_runs(reading, 1), *plans)
    return max(found, key=lambda row: (row.started, row.verdict not in run_journal.PLANS, row.id), default=None)


def read_names(reading: Connection, run_id: str) -> Names:
    """What to call the owners in the changes of a run or plan."""
    return {**run_journal.plan_owners(reading, run_id), **owner_names(reading)}


def _approval(row: Any) -> dict[str, str] | None:
    if row.approved_at is None:
        return None
    return {"at": from_ms(row.approved_at).isoformat(), "by": row.approved_by}


def _count_states(listed: list[ListedChange]) -> dict[str, dict[str, int]]:
    """Records by CRM and how their change ended."""
    counts: dict[str, dict[str, int]] = {}
    for each in listed:
        here = counts.setdefault(each.change.ref.crm, {})
        here[each.state] = here.get(each.state, 0) + 1
    return counts


def _notes(row: Any, listed: list[ListedChange], rows: int) -> Iterator[str]:
    if row.verdict == run_journal.SUPERSEDED:
        yield "This plan is out of date or already applied: its changes are not kept."
    erased = sum(1 for each in listed if not each.change.after)
    if erased:
        yield f"Changes of deleted records whose values are not kept: {erased:,}."


def change_rows(listed: ListedChange, names: Names, whys: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    """A row for each field of a change; `whys` says why people got their owner."""
    it = listed.change
    for field, after in it.after.items():
        outcome, refusal = field_outcome(listed, field)
        because = (field == "owner" and listed.person is not None and whys.get(listed.person)) or it.because
        yield {
            "person": listed.person,
            "name": listed.name or next(iter(listed.emails), ""),
            "record": str(it.ref),
            "field": field,
            "before": show_field(it.ref.crm, field, it.before.get(field), names),
            "after": show_field(it.ref.crm, field, after, names),
            "outcome": outcome,
            "why": refusal or because,
        }


def protected_rows(
    reading: Connection, run_id: str, names: Names, only: Sequence[int] | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each field that a run left: `before` is what stands, `after` what it would have written.

    With `only` those of some records (row ids); `names` says what to call owners.
    """
    for it in list_protections(reading, run_id, only):
        kept = it.protection
        yield {
            "person": it.person,
            "name": it.name or it.email,
            "record": str(it.ref),
            "field": kept.field,
            "before": show_field(it.ref.crm, kept.field, kept.present, names),
            "after": show_field(it.ref.crm, kept.field, kept.wanted, names),
            "outcome": "protected",
            "why": describe_protection(it),
        }


def describe_protection(it: ListedProtection) -> str:
    """Why a field was left: `stage changed by a user, until 2026-12-05`."""
    why, until = it.protection.why, it.protection.until
    said = PROTECTED.get(why, why.replace("_", " "))
    if until is not None:
        said += f", until {from_ms(until):%Y-%m-%d}"
    return f"{said}: {it.refusal}" if why == "on_hold" and it.refusal else said


def field_outcome(listed: ListedChange, field: str) -> tuple[str, str]:
    """How one field of a change ended, and why where it was not taken."""
    if listed.state == journal.PARTLY:
        refusal = listed.refused.get(field)
        if refusal is None:
            return journal.UPDATED, ""
        return (journal.EDITED if refusal == journal.GIVEN_BACK else journal.REJECTED), refusal
    if listed.state in (journal.REJECTED, journal.EDITED, journal.UNKNOWN):
        return listed.state, listed.refused.get(field) or listed.reason
    return listed.state, ""


def show_field(crm: str, field: str, value: Scalar | None, names: Names) -> Scalar | None:
    """A value as people know it: an owner by the address."""
    if field != "owner" or not value:
        return value
    return names.get((crm, str(value)), UNKNOWN_OWNER)
