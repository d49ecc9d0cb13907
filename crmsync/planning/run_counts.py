"""What a run counted, once its plan is made: everybody is somewhere, and every record pulled is scored or skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from crmsync.connector import FieldMap
from crmsync.counts import count_of
from crmsync.dead_feeds import DeadFeed
from crmsync.planning.person_plan import PlanBuilder
from crmsync.result import Result
from crmsync.routing.feedback import describe_strange_tags
from crmsync.store import journal, tasks
from crmsync.store.distribution import keep_distribution
from crmsync.store.events import count_unmatched
from crmsync.store.journal import FieldOnHold
from crmsync.store.scores import band_counts, count_tags, destination_counts, pulled_counts
from crmsync.store.sql import from_ms


def count_run(tx: Connection, result: Result, desk: PlanBuilder, holds: Sequence[DeadFeed]) -> None:
    """Fill in the numbers of a result from the plan and from what is stored by now."""
    became = pulled_counts(tx, result.run)
    for crm, counts in result.crms.items():
        reasons_here = dict(became.get(crm, {}))
        # By construction, so that pulled = scored + skipped always holds (O01).
        counts.pulled = sum(reasons_here.values())
        counts.scored = reasons_here.pop("scored", 0)
        counts.skipped = reasons_here
        counts.rescored = desk.rescored[crm]
        counts.protected = dict(desk.protected.get(crm, {}))
        counts.small_moves = len(desk.small_moves.get(crm, ()))
        counts.planned = len(desk.tallies[crm].people["records"]) if crm in desk.tallies else 0
    for source, events in result.events.items():
        events.unmatched = count_unmatched(tx, source)
    result.bands = band_counts(tx)
    keep_distribution(tx, desk.work.now_ms)
    result.routing = _count_destinations(tx, desk)
    result.tasks = tasks.count_tasks(tx, result.run)
    result.holds = [each.as_json() for each in holds]
    people = {tag: sum(bands.values()) for tag, bands in count_tags(tx).items()}
    if little := frozenset[int]().union(*desk.small_moves.values()):
        result.notes.append(f"{count_of(len(little), 'person')} moved by less than {desk.least}: not written")
    result.notes += describe_strange_tags(desk.work.config.feedback, people)
    on_hold = journal.fields_on_hold(tx, desk.setting.read_only)
    result.notes += [describe_field_on_hold(each, desk.names.get(each.crm, FieldMap())) for each in on_hold]
    result.waiting_for_owner = {"count": result.routing["waiting"], "reasons": result.routing["reasons"]}


def describe_field_on_hold(field: FieldOnHold, names: FieldMap) -> str:
    """Which field a CRM will not take, of how many records, since when, and when it is tried again."""
    crm, kind, name = field.crm, field.kind, field.name
    api = FieldMap.spelled(names.score_fields, kind).get(name)
    which, many = f"{api} ({name})" if api else name, count_of(field.records, "record")
    said = f"{crm}: the {kind} field {which} is on hold for {many} since {_minute(field.since)}, because "
    if field.is_read_only:
        return f"{said}crmsync's user cannot edit it; crmsync tries again when it can"
    until = _minute(field.since + journal.PATIENCE)
    return f"{said}{crm} rejects it or does not keep it; crmsync tries again after {until}, or when the record changes"


def _minute(at: int) -> str:
    return f"{from_ms(at):%Y-%m-%d %H:%M} UTC"


def _count_destinations(tx: Connection, desk: PlanBuilder) -> dict[str, Any]:
    """Where everybody is: nobody falls through."""
    counted = dict.fromkeys(("owned", "routed", "nurture", "excluded", "waiting"), 0)
    reasons: dict[str, int] = {}
    for (destination, why), many in destination_counts(tx).items():
        # Whose first decision is not stored yet waits for it.
        where = {"crm_owned": "excluded", "disqualified": "excluded", "": "waiting"}.get(destination, destination)
        counted[where] += many
        if where == "waiting":
            reasons[why or HELD] = reasons.get(why or HELD, 0) + many
    new = sum(1 for each in desk.decided if each.destination == "owned" and each.person_id in desk.given.hand_offs)
    counted["owned"] -= new
    counted["routed"] += new
    by_owner: dict[str, int] = {}
    for each in desk.hand_offs:
        by_owner[each["owner"]] = by_owner.get(each["owner"], 0) + 1
    everybody = sum(counted.values())
    return {"in": everybody, **counted, "reasons": dict(sorted(reasons.items())), "by_owner": _most_first(by_owner)}


def _most_first(numbers: Mapping[str, int]) -> dict[str, int]:
    """The largest first."""
    return dict(sorted(numbers.items(), key=lambda each: (-each[1], each[0])))


HELD = "held for approval"
"""Why people have no owner whose plan waits."""
