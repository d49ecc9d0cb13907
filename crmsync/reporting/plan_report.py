"""What a plan means, in people: who moves where, what the edit of the file does, what it costs, how near the limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from crmsync.config import Config, config_of
from crmsync.config.difference import compare_configs
from crmsync.errors import ConfigError
from crmsync.model import Scalar
from crmsync.planning.builder import BuiltPlan
from crmsync.planning.gates import STAGE, PlanCount
from crmsync.planning.guard import ChangeCounts, list_limits
from crmsync.planning.movements import Level, Moved, Movements, Places, count_movements
from crmsync.planning.rule_effects import Effects, Rescored, list_differences, sum_effects
from crmsync.reporting.score_comparison import compare_scores
from crmsync.reporting.versions import accepted_document
from crmsync.result import Result
from crmsync.store import journal, run_journal
from crmsync.store.database import Store
from crmsync.store.owners import owner_names
from crmsync.store.plan_people import (
    PlannedRecord,
    call_people,
    count_placed,
    lines_of_people,
    people_by_owner,
    people_by_stage,
    planned_people,
    rescored_people,
    total_counts,
)
from crmsync.store.queries import replanned_bands
from crmsync.store.scores import band_counts, count_scored
from crmsync.work import Work

BARS = 30
"""Bars of the distribution of scores, at most."""

STEPS = tuple(digit * 10**power for power in range(7) for digit in (1, 2, 5))
"""Widths of a bar (points) to choose from."""

OwnerNames = Mapping[tuple[str, str], str]
Report = dict[str, Any]


def plan_report(before: Store, trial: Work, result: Result, drafted: BuiltPlan) -> Report:
    """The report of a plan that was made on a copy of the state, as plain values; `before` is the state itself."""
    with before.read() as stored, trial.store.read() as copy:
        moves = count_movements(moved_people(copy, result.run))
        effects = sum_effects(_rescored(stored, copy, result.run))
        named = call_people(copy, sorted(_people_to_name(effects)))
        edits = _edits(stored, trial.config)
        totals, placed = total_counts(copy), count_placed(copy)
        return {
            "edits": edits,
            "people": _count_people(moves, placed, sum(totals.values())),
            "accepted": accepted_document(trial.config, copy, trial.now),
            "bands": _levels(moves, "band", _bands_before(copy, trial.config, moves)),
            **_stages_and_owners(copy, trial.config, moves, placed),
            "distribution": _distribution(trial.config, totals, moves),
            "effects": _effects(effects, edits or (), named),
            "moved": _points(effects.moved),
            "movers": [_mover(each, named) for each in effects.movers],
            "limits": list(_limits(copy, trial.config, result, drafted)),
            "cost": _cost(copy, trial, result.run),
            "comparison": compare_scores(copy, trial.config),
        }


def stored_report(reading: Connection, config: Config, run_id: str, now: datetime) -> Report:
    """The report of a plan that the state keeps, as far as its changes tell it: the scores behind them are not kept."""
    moves = count_movements(moved_people(reading, run_id, is_decided=False))
    placed, bands = count_placed(reading), band_counts(reading)
    stored = {"": 0, **dict.fromkeys(config.band_names(), 0), **bands}
    # Whose values were undone has a band in the state that the CRMs do not hold.
    replanned = replanned_bands(reading, run_id)
    before = {
        name: number - replanned.get(name, 0) + _level(moves, "band", name).left for name, number in stored.items()
    }
    return {
        "edits": _edits(reading, config),
        "people": _count_people(moves, placed, sum(bands.values())),
        "accepted": accepted_document(config, reading, now),
        "bands": _levels(moves, "band", before),
        **_stages_and_owners(reading, config, moves, placed),
    }


def _count_people(moves: Movements, placed: Mapping[str, int], scored: int) -> Report:
    changed = {"changed": moves.people, "records": moves.records, "reassigned": moves.reassigned}
    return {"all": placed["people"], "live": placed["records"], "scored": scored, **changed}


def moved_people(reading: Connection, run_id: str, *, is_decided: bool = True) -> Iterator[Moved]:
    """Everybody whom the changes of a run concern, before and after it.

    Of a plan that is not `is_decided` the state does not know why people get their stage and owner.
    """
    names = lowered_owners(reading)
    for records in planned_people(reading, run_id):
        first, because = records[0], next(each for each in records if each.after).because
        score = _of_first(records, "score")
        was, becomes = _of_first(records, "band") or (None, None)
        whys = because, first.stage_why, first.owner_why
        yield Moved(
            first.person,
            next((each.name for each in records if each.name), ""),
            next((each.email for each in records if each.email), ""),
            (_number(score[0]), _number(score[1])) if score else (first.total / 100, first.total / 100),
            (_places([was]), _places([becomes])),
            (_places(each.stage for each in records), _places(each.after.get("stage", each.stage) for each in records)),
            (
                _places(call_owner(names, each, each.owner) for each in records),
                _places(call_owner(names, each, each.after.get("owner", each.owner)) for each in records),
            ),
            sum(bool(each.after) for each in records),
            dict(zip(("band", "stage", "owner"), whys if is_decided else (because,) * 3, strict=True)),
        )


def lowered_owners(reading: Connection) -> OwnerNames:
    """What to call each owner: addresses in lower case, since two CRMs may write one in two ways."""
    return {key: name.lower() if "@" in name else name for key, name in owner_names(reading).items()}


def call_owner(names: OwnerNames, record: PlannedRecord, owner: Scalar | None) -> str:
    """What to call an owner of a record; `""` for none."""
    return names.get((record.ref.crm, str(owner)), str(owner)) if owner else ""


def _of_first(records: Sequence[PlannedRecord], name: str) -> tuple[Scalar | None, Scalar | None] | None:
    """A field before and after, of the first record in which it changes."""
    return next(((each.before.get(name), each.after[name]) for each in records if name in each.after), None)


def _places(values: Any) -> Places:
    return frozenset(str(each) for each in values if each not in (None, ""))


def _number(value: Scalar | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _points(hundredths: int) -> float | int:
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100


def _rescored(stored: Connection, copy: Connection, run_id: str) -> Iterator[Rescored]:
    """Whose score a run on the copy stored, with the lines that the state itself has of them."""
    for people in rescored_people(copy, run_id):
        before = lines_of_people(stored, [each.person for each in people])
        for each in people:
            was = before.get(each.person)
            if was is None or was.lines != each.lines:
                yield Rescored(each.person, was.lines if was else {}, each.lines, was is None)


def _people_to_name(effects: Effects) -> set[int]:
    examples = {who for each in effects.lines.values() for who in (each.gain[1], each.loss[1])}
    return {*examples, *(each.person for each in effects.movers)} - {0}


def _edits(stored: Connection, config: Config) -> list[dict[str, str]] | None:
    """What was edited since the config that was last planned with; `None` where none was, or it cannot be read."""
    adopted = run_journal.adopted_config(stored)
    if adopted is None or adopted[0] == config.decision_hash():
        return None
    try:
        before = config_of(adopted[1], config)
    except ConfigError:
        return None
    return [each._asdict() for each in compare_configs(before, config)]


def _bands_before(copy: Connection, config: Config, moves: Movements) -> dict[str, int]:
    """People by the band that the CRMs hold: a copy on which a plan was made has those after it."""
    after = {"": _level(moves, "band", "").entered, **dict.fromkeys(config.band_names(), 0), **band_counts(copy)}
    return {
        name: number - _level(moves, "band", name).entered + _level(moves, "band", name).left
        for name, number in after.items()
    }


def _stages_and_owners(reading: Connection, config: Config, moves: Movements, placed: Mapping[str, int]) -> Report:
    """Each stage and owner with its people before and after the plan; `null` is none."""
    named = (*(each.name for each in config.stage), *config.lifecycle.crm_owned)
    stages = dict.fromkeys(named, 0) | people_by_stage(reading)
    stages[""], owners = placed["people"] - placed["stage"], people_by_owner(reading)
    owners = {**dict(sorted(owners.items())), "": placed["people"] - placed["owner"]}
    return {"stages": _levels(moves, "stage", stages), "owners": _levels(moves, "owner", owners)}


def _level(moves: Movements, what: str, name: str) -> Level:
    return moves.places[what].get(name, Level())


def _levels(moves: Movements, what: str, before: Mapping[str, int]) -> list[Report]:
    names = dict.fromkeys([*before, *sorted(moves.places[what])])
    found = []
    for name in names:
        it = _level(moves, what, name)
        was = before.get(name, it.left)  # an owner whom the CRM does not name any longer is not counted before
        if name or was or it.entered:
            found.append({"name": name or None, "before": was, "after": was + it.entered - it.left, **vars(it)})
    return found


def _distribution(config: Config, totals: Mapping[int, int], moves: Movements) -> Report:
    """People by score, before (as far as the CRMs hold one) and after, in bars of equal width."""
    after: Counter[float] = Counter({total / 100: many for total, many in totals.items()})
    before = after.copy()
    before.subtract(moves.scored)
    before.update({score: many for score, many in moves.scores.items() if score is not None})
    points = [each for each in {**before, **after} if before[each] or after[each]]
    low, high = min(points, default=0), max(points, default=0)
    step = next((each for each in STEPS if (high - low) / each < BARS), STEPS[-1])
    bars: dict[int, list[int]] = {
        int(low // step) + place: [0, 0] for place in range(int(high // step - low // step) + 1)
    }
    for place, counts in enumerate((before, after)):
        for score, many in counts.items():
            if many:
                bars[int(score // step)][place] += many
    return {
        "step": step,
        "bars": [{"from": number * step, "before": was, "after": now} for number, (was, now) in sorted(bars.items())],
        "first_scores": moves.scores[None],
        "thresholds": [{"band": name, "at": each.at} for name, each in config.bands.items() if each.at is not None],
    }


def _effects(
    effects: Effects, edits: Sequence[Mapping[str, str]], named: Mapping[int, tuple[str, str]]
) -> list[Report]:
    """What each line did, those first that somebody edited, then by their points."""
    found = [
        {
            "rule": name,
            "edit": _edit_of(name, edits),
            "people": it.people,
            "points": _points(it.points),
            "gain": _points(it.gain[0]),
            "loss": _points(it.loss[0]),
            "example": {**_called(it.example, named), "points": _points(max(it.gain[0], it.loss[0], key=abs))},
        }
        for name, it in effects.lines.items()
    ]
    without = [
        _without_effect(each) for each in edits if each["table"] in RULE_TABLES and each["name"] not in effects.lines
    ]
    return sorted([*found, *without], key=lambda row: (row["edit"] is None, -abs(row["points"]), row["rule"]))


RULE_TABLES = ("[[fit]]", "[[behavior]]", "[[inactivity]]", "[[sequence]]", "[[pattern]]")


def _without_effect(edit: Mapping[str, str]) -> Report:
    return {"rule": edit["name"], "edit": edit["kind"], "people": 0, "points": 0, "gain": 0, "loss": 0, "example": None}


def _edit_of(line: str, edits: Sequence[Mapping[str, str]]) -> str | None:
    """How the rule or limit behind a line was edited."""
    rule = line.partition(": ")[0]
    for each in edits:
        key = each["name"].partition(".")[0]
        behind = {"[weights]": "Weight of", "[channels]": "Limit of the channel", "[groups]": "Limit of the group"}
        is_rule = each["table"] in RULE_TABLES and each["name"] in (line, rule)
        if is_rule or line == f"{behind.get(each['table'], '')} {key}":
            return each["kind"]
    return None


def _called(person: int, named: Mapping[int, tuple[str, str]]) -> Report:
    name, email = named.get(person, ("", ""))
    return {"person": person, "name": name, "email": email}


def _mover(each: Rescored, named: Mapping[int, tuple[str, str]]) -> Report:
    score = {"from": _points(sum(each.before.values())), "to": _points(sum(each.after.values()))}
    return {**_called(each.person, named), "score": score, "lines": list_differences(each)}


def _limits(copy: Connection, config: Config, result: Result, drafted: BuiltPlan) -> Iterator[Report]:
    """Each limit of `[guard]` that holds in a CRM, and how near the plan comes to it, in records."""
    for crm in result.crms:
        if crm in result.skipped:
            continue
        tally = ChangeCounts(*count_scored(copy, crm))
        numbers = drafted.numbers.get(crm, tally.numbers())
        for name, limit, said in list_limits(crm, tally, config.guard, numbers):
            used = numbers[name]
            left = max(limit - used, 0)
            yield {"crm": crm, "limit": name, "records": used, "allowed": limit, "left": left, "said": said}


def _cost(copy: Connection, trial: Work, run_id: str) -> dict[str, int]:
    """About how many calls the writing takes in each CRM."""
    kinds: dict[str, Counter[str]] = {crm: Counter() for crm in trial.crms}
    for crm, kind, many in journal.count_kinds(copy, run_id):
        kinds[crm][kind] += many
    return {crm: connector.estimate_writes(kinds[crm]) for crm, connector in trial.crms.items()}


def plan_counts(report: Report) -> dict[str, PlanCount]:
    """What `--fail-if` can ask of a plan."""
    people = report["people"]
    levels = {
        f"{above}{each['name']}": PlanCount(each["before"], each["after"], people["all"])
        for what, above in (("bands", ""), ("stages", STAGE))
        for each in report[what]
        if each["name"]
    }
    return {
        **levels,
        "changes": PlanCount(0, people["records"], people["live"], is_change=True),
        "owners": PlanCount(0, people["reassigned"], people["all"], is_change=True),
        "people": PlanCount(0, people["changed"], people["all"], is_change=True),
    }
