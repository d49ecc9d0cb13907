"""The lists behind the numbers of the pages: of people, of records, of the changes of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from sqlalchemy import Connection

from crmsync.counts import count_of
from crmsync.planning.review import causes_of
from crmsync.reporting.changes import change_rows, read_names
from crmsync.reporting.print_run import COUNTS, PROTECTED, SKIPPED
from crmsync.store import journal
from crmsync.store.changes import ChangeFilter, ListedChange, hand_off_whys, list_some_changes
from crmsync.store.listing import (
    Listed,
    ListPart,
    list_band,
    list_excluded,
    list_pending,
    list_points,
    list_protected,
    list_pulled,
    list_records,
    list_waiting,
)
from crmsync.store.queries import SCORE_STEP, list_reasons, refused_records

MOST = 50
"""Rows of a list that are shown at once."""

MOST_POINTS = 10**9
"""Points beyond which nobody is looked for: no database compares numbers of any size."""

LOOKED_AT = 2_000
"""Records on hold among which those of a cause are looked for at once."""

Query = Mapping[str, str]


LISTED_PROTECTIONS = ("stage_changed_by_a_user", "owner_changed_by_a_user", "on_hold", "undone")
"""What records say themselves of why they are protected; the rest only `crmsync show RUN` lists."""


class ShownList(NamedTuple):
    """A part of a list for a page: its title, its rows, and the address of the next part, empty at the end.

    `note` says what the list is not.
    """

    title: str
    rows: list[Any]
    more: str = ""
    note: str = ""


NOW = "As things stand now; what a run counted may have changed since."


def find_list(reading: Connection, query: Query) -> ShownList | None:
    """The list of people or records that the query of an address asks for; `None` where it asks for none."""
    crm, after = query.get("crm", ""), query.get("after", "")
    if "band" in query:
        band = query["band"]
        return _shown("/people", query, f"People: {band or 'no band'}", list_band(reading, band, after, MOST))
    if "points" in query:
        low = max(-MOST_POINTS, min(_number(query["points"]), MOST_POINTS))
        title = f"People with {low:,} to {count_of(low + SCORE_STEP, 'point')}"
        return _shown("/people", query, title, list_points(reading, low, SCORE_STEP, after, MOST))
    if "waiting" in query:
        why = query["waiting"]
        title = f"People waiting for an owner{f': {why}' if why else ''}"
        return _shown("/people", query, title, list_waiting(reading, why, after, MOST))
    if "excluded" in query:
        why = query["excluded"]
        title = f"Excluded people{f': {why}' if why else ''}"
        return _shown("/people", query, title, list_excluded(reading, why, after, MOST))
    if "refused" in query:
        return _refused(reading, query)
    if "pending" in query:
        title = f"Pending updates in {query['pending']}"
        return _shown("/people", query, title, list_pending(reading, query["pending"], after, MOST))
    if "protected" in query:
        why = query["protected"]
        title = f"Protected in {crm}: {PROTECTED.get(why, why.replace('_', ' '))}"
        return _shown("/people", query, title, list_protected(reading, crm, why, after, MOST), NOW)
    if crm:
        return _shown("/people", query, f"Records in {crm}", list_records(reading, crm, after, MOST))
    return None


def find_pulled(reading: Connection, run_id: str, query: Query) -> ShownList:
    """The records that a run pulled, as `pulled` of the query asks: all, `scored`, or skipped for a reason."""
    crm, became = query.get("crm", ""), query["pulled"]
    said = {"": "pulled", "scored": "scored"}.get(became) or f"skipped: {SKIPPED.get(became, became.replace('_', ' '))}"
    part = list_pulled(reading, run_id, crm, became, query.get("after", ""), MOST)
    note = "A record that a later run pulled again is in the list of that run."
    return _shown(f"/runs/{run_id}", query, f"Run {run_id}: {crm}, {said}", part, note)


def find_changes(reading: Connection, run_id: str, query: Query) -> ShownList:
    """The changes of a run: of a `crm`, an `outcome`, a `field`, and of a `cause` of refusals, as far as given."""
    outcome, wanted = query.get("outcome", ""), query.get("field", "")
    states = OUTCOMES.get(outcome, (outcome,) if outcome else ())
    chosen = ChangeFilter(query.get("crm", ""), states, wanted, _cause_filter(query))
    listed, after = list_some_changes(reading, run_id, chosen, _number(query.get("after", "")), MOST)
    people = {each.person for each in listed if each.person is not None}
    names, whys = read_names(reading, run_id), hand_off_whys(reading, run_id, people)
    rows = [
        row
        for each in listed
        for row in (change_rows(each, names, whys) if each.change.after else [_erased_row(each)])
        if wanted in ("", row["field"])
    ]
    said = [query.get("crm", ""), COUNTS.get(outcome, outcome), wanted, query.get("cause", "")]
    title = f"Run {run_id}: {', '.join(filter(None, said)) or 'all changes'}"
    return ShownList(title, rows, _more(f"/runs/{run_id}", query, str(after or "")))


def _erased_row(listed: ListedChange) -> dict[str, Any]:
    """What is left of a change of a record that was deleted since."""
    row: dict[str, Any] = dict.fromkeys(("name", "field", "before", "after"), "")
    why = "the record was deleted since: its values are not kept"
    return row | {"person": listed.person, "record": str(listed.change.ref), "outcome": listed.state, "why": why}


OUTCOMES: dict[str, tuple[str, ...]] = {"planned": (), "unknown": (journal.UNKNOWN, journal.SENT, journal.PLANNED)}
"""The states of changes that a number counts, where they are not the one of its name."""


def _cause_filter(query: Query) -> Any:
    if "cause" not in query:
        return None

    def has_cause(each: ListedChange) -> bool:
        reasons = list_reasons(each.reason, each.refused)
        return causes_of(reasons) == query["cause"] and ",".join(sorted(each.refused)) == query.get("fields", "")

    return has_cause


def _refused(reading: Connection, query: Query) -> ShownList:
    rows: list[Listed] = []
    after = last = ""
    for place, each in enumerate(refused_records(reading, _number(query.get("after", "")))):
        if len(rows) == MOST or place == LOOKED_AT:
            after = last
            break
        last = str(each.id)
        is_meant = (
            query["refused"] in ("", causes_of(each.reasons))
            and query.get("crm", each.crm) == each.crm
            and query.get("state", each.state) == each.state
            and query.get("fields", ",".join(sorted(each.fields))) == ",".join(sorted(each.fields))
        )
        if is_meant:
            rows.append(Listed(each.person, each.name, (), each.ref, why="; ".join(sorted(each.reasons))))
    title = ", ".join(filter(None, ["On hold", query.get("crm", ""), query["refused"]]))
    return _shown("/people", query, title, ListPart(rows, after))


def _shown(path: str, query: Query, title: str, part: ListPart, note: str = "") -> ShownList:
    return ShownList(title, part.rows, _more(path, query, part.after), note)


def _more(path: str, query: Query, after: str) -> str:
    """The address of what comes `after` in a list."""
    return f"{path}?{urlencode({**query, 'after': after})}" if after else ""


def _number(text: str) -> int:
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 19 else 0
