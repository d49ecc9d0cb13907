"""What an undo restored and what it left, or would, as rows of changes with the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from crmsync.planning.approval import plan_of
from crmsync.reporting.changes import Names, change_rows, read_names, show_field
from crmsync.store import journal, run_journal
from crmsync.store.changes import ListedChange, list_changes
from crmsync.store.database import Store
from crmsync.undo import Draft, LeftField

LEFT = "left"
"""The outcome of a field that an undo leaves."""

TURNS_STAY = "Turns of the owners who lost somebody stay counted: an undo gives no turn back."

WAITS = (
    "The next run does not write the same values again: they wait as a plan, until the config changes or somebody "
    "approves it."
)


def undo_document(store: Store, undo_id: str) -> dict[str, Any]:
    """The document of `crmsync undo`: what an undo (a run) restored and left."""
    with store.read() as reading:
        row = run_journal.find_run(reading, undo_id)
        plan, result = plan_of(row), orjson.loads(row.result)
        names = read_names(reading, plan["undoes"])
        listed = {each.id: each for each in list_changes(reading, plan["undoes"])}
        done = [it for each in list_changes(reading, undo_id) for it in change_rows(each, names, {})]
        left = [LeftField(*each) for each in plan["left"]]
        restored = [{**each, "reason": ""} for each in done if each["outcome"] == journal.UPDATED]
    return {
        "run": undo_id,
        "undoes": plan["undoes"],
        "verdict": row.verdict,
        "restored": restored,
        "left": list(_left_rows(listed, left, names)),
        "skipped": result.get("skipped", {}),
        "problems": result.get("problems", []),
        "notes": list(_notes(restored)),
    }


def draft_document(
    run_id: str, draft: Draft, listed: Sequence[ListedChange], skipped: Mapping[str, str], names: Names
) -> dict[str, Any]:
    """The same of an undo that is only looked at: `restored` is what it would restore."""
    restored = [_row(each.ours, name, names, "planned", "") for each in draft.restoring for name in each.change.after]
    return {
        "run": None,
        "undoes": run_id,
        "verdict": "preview",
        "restored": restored,
        "left": list(_left_rows({each.id: each for each in listed}, draft.left, names)),
        "skipped": dict(skipped),
        "problems": [],
        "notes": list(_notes(restored)),
    }


def _left_rows(listed: Mapping[int, ListedChange], left: Iterable[LeftField], names: Names) -> Iterator[dict[str, Any]]:
    for each in left:
        if each.change in listed:
            yield _row(listed[each.change], each.field, names, LEFT, each.reason)


def _row(listed: ListedChange, field: str, names: Names, outcome: str, reason: str) -> dict[str, Any]:
    """A field of a written change, turned around: from what was written to what was there before."""
    change = listed.change
    return {
        "person": listed.person,
        "name": listed.name or next(iter(listed.emails), ""),
        "record": str(change.ref),
        "field": field,
        "before": show_field(change.ref.crm, field, change.after.get(field), names),
        "after": show_field(change.ref.crm, field, change.before.get(field), names),
        "outcome": outcome,
        "why": change.because,
        "reason": reason,
    }


def _notes(restored: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if restored:
        yield WAITS
    if any(each["field"] == "owner" for each in restored):
        yield TURNS_STAY
