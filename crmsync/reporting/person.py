"""Why one person has the score, stage and owner they have, and whether the CRMs hold them already."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.config.experiment import PREFIX
from crmsync.config.feedback import FEEDBACK
from crmsync.connector import FieldMap
from crmsync.counts import count_of
from crmsync.errors import ConfigError, SeveralFound
from crmsync.model import CHANNEL_FIELD
from crmsync.planning.changes import noticed_at
from crmsync.planning.desk import read_account_views
from crmsync.planning.people_columns import holds_of_person, read_holds, read_people_columns
from crmsync.planning.small_moves import describe_small_move, is_small_move
from crmsync.reporting.accounts import account_of_person
from crmsync.reporting.field_values import find_differences
from crmsync.reporting.handed_over import feedback_of, sla_of
from crmsync.reporting.links import resolve_link
from crmsync.routing.owners import owners_of
from crmsync.scoring import Entry, Scores, choose_people, compare_lines, person_documents, score, summarize_many
from crmsync.scoring.wording import to_points
from crmsync.store.database import Store
from crmsync.store.hand_offs import hand_offs_of
from crmsync.store.journal import tell_because
from crmsync.store.ledgers import ledger_reader
from crmsync.store.owners import owner_names, read_owners
from crmsync.store.queries import (
    Delivery,
    find_contacts,
    find_hottest,
    find_named,
    find_owners,
    past_changes,
    pending_changes,
    records_of,
    stored_score,
)
from crmsync.store.run_journal import APPROVABLE, APPROVED, WAITING, list_plans
from crmsync.store.score_inputs import list_second_logs
from crmsync.store.sql import from_ms
from crmsync.store.tasks import tasks_of

HISTORY = 10
"""Changes of the past that an explanation shows."""

CANDIDATES = 10
"""People of one name who are listed."""


def explain_person(
    config: Config, store: Store | None, who: str, now: datetime, typed: Callable[[str], str] = str
) -> dict[str, Any]:
    """Everything crmsync can say of one person, scored as of `now` with the present config.

    Raises `ConfigError` when `who` is nobody, `SeveralFound` for several people. `typed` makes a command of ours one to
    be typed here.
    """
    if store is None:
        raise ConfigError("No run yet, so there are no people to explain", "crmsync plan")
    with store.read() as reading:
        return _document(config, reading, find_person(config, reading, who), now, typed)


def find_person(config: Config, connection: Connection, who: str) -> int:
    """The one person who is meant. Raises `ConfigError` where there is none, `SeveralFound` for several."""
    found = find_records(config, connection, who)
    people = _people_in(connection, found, who)
    if not people:
        raise _unscored(connection, found[0], who)
    return people[0]


def find_records(config: Config, connection: Connection, who: str) -> list[Any]:
    """The records that are meant, of whomever they are. Raises `ConfigError` where there is none."""
    who = resolve_link(config, connection, who)
    found = find_contacts(connection, who) or find_named(connection, who)
    if not found:
        raise ConfigError(
            f"nobody was found for {who!r}; give an e-mail address, a full name, a CRM id or link, crm:kind:id, or "
            "person: and a crmsync id; a new record is found after the next run: crmsync sync"
        )
    return found


def find_changed_records(config: Config, connection: Connection, who: str) -> list[Any]:
    """All records of the one person who is meant, or all that are meant and of nobody yet. Raises as `find_person`."""
    found = find_records(config, connection, who)
    people = _people_in(connection, found, who)
    return records_of(connection, people[0]) if people else found


def find_all_records(config: Config, connection: Connection, who: str) -> tuple[int | None, list[Any]]:
    """The one person who is meant and all their records, or the one record of nobody. Raises as `find_person`."""
    found = find_records(config, connection, who)
    people = _people_in(connection, found, who)
    if people:
        return people[0], records_of(connection, people[0])
    if len(found) > 1:
        meant = [f"  {_ref(each)}  {call_record(each)}" for each in found[:CANDIDATES]]
        raise _several(f"{who!r} matches {len(found):,} records; choose one:", meant, len(found))
    return None, found


def _people_in(connection: Connection, found: Sequence[Any], who: str) -> list[int]:
    """Whose records these are: one person or nobody."""
    people = sorted({each.person for each in found if each.person is not None})
    if len(people) > 1:
        meant = [f"  person:{each}  {call_record(records_of(connection, each)[0])}" for each in people[:CANDIDATES]]
        said = f"{who!r} matches {len(people):,} people; choose one by its crmsync id:"
        raise _several(said, meant, len(people))
    return people


def _several(said: str, meant: Sequence[str], number: int) -> SeveralFound:
    left = [f"  and {number - CANDIDATES:,} more"] if number > CANDIDATES else []
    return SeveralFound(said, [*meant, *left])


def _unscored(connection: Connection, row: Any, who: str) -> ConfigError:
    if row.ambiguous:
        return ConfigError(
            f"{who!r} is not matched to a person: the address is a shared mailbox or is on too many records, so these "
            "records are not scored; [identity] in the config sets the limits"
        )
    if became := row.merged_into or row.converted_into:
        did = "merged" if row.merged_into else "converted"
        return ConfigError(
            f"{who!r} was {did} into {became}, which crmsync does not see there, and is no longer scored; if that "
            "record is not deleted, let the integration user read it"
        )
    if row.gone:
        return ConfigError(f"{who!r} was deleted in {row.crm} and is no longer scored")
    if plans := [each for verdict in APPROVABLE for each in list_plans(connection, verdict)]:
        newest = max(plans, key=lambda each: each.started).id
        said = f"{who!r} is not scored yet, because a plan stores nobody; what plan {newest} would write:"
        return ConfigError(said, f"crmsync show {newest} {shlex.quote(who)}")
    return ConfigError(f"{who!r} is not scored yet; the next run does that", "crmsync sync")


def call_record(row: Any) -> str:
    """A stored record in a line: whose it is, and where it lives."""
    addresses = "".join(f" <{each}>" for each in orjson.loads(row.emails)[:1])
    return f"{row.name or 'no name'}{addresses}, {row.crm} {row.kind} {row.ref_id}"


def _with_names(text: str, records: Sequence[Any]) -> str:
    """A sentence with names in the place of the references to a person's records, and ids only to tell them apart."""
    names = [(each.name, each.crm, each.kind) for each in records]
    for each, (name, crm, kind) in zip(records, names, strict=True):
        if name:
            number = "" if names.count((name, crm, kind)) == 1 else f" {each.ref_id}"
            # Not `re.sub`, which takes a backslash in a name for an escape.
            text = f"{name} ({crm} {kind}{number})".join(re.split(rf"{re.escape(_ref(each))}(?!\w)", text))
    return text


def _document(
    config: Config, connection: Connection, person_id: int, now: datetime, typed: Callable[[str], str]
) -> dict[str, Any]:
    holds = read_holds(connection, config, now)
    columns = read_people_columns(connection, config, [person_id], holds, now=now)
    before = stored_score(connection, person_id)
    scores = score(config, columns, now, config.zone, [before.band if before else None])
    records = records_of(connection, person_id)
    live = [each for each in records if not (each.gone or each.merged_into or each.converted_into)]
    (said,) = person_documents(choose_people(config, scores, columns, [0], now, config.zone))
    names = owner_names(connection)
    pending = {each.record: each for each in pending_changes(connection, [each.id for each in live])}
    told = [_record(config, each, said, pending.get(each.id), names, typed) for each in records]
    return {
        "person": person_id,
        "name": next((each.name for each in records if each.name), ""),
        "emails": sorted({address for each in records for address in orjson.loads(each.emails)}),
        "refs": [_ref(each) for each in live],
        **said,
        "changed": _changed(connection, before, said["lines"]),
        "band_why": _band_why(config, scores, score(config, columns, now, config.zone)),
        "stage": next((each.stage for each in live if each.stage), None),
        "stage_why": _with_names(before.stage_why, records) if before else "",
        "owner": next((names.get((each.crm, each.owner), each.owner) for each in live if each.owner), None),
        "owners": _owners(connection, live),
        "owner_why": _with_names(before.owner_why, records) if before else "",
        "waiting": before.waiting if before else "",
        "excluded": before.excluded if before else "",
        "lifecycle": _lifecycle(before),
        "routing": _routing(connection, person_id, before),
        "experiments": {name: str(columns.fields[f"{PREFIX}{name}"][0]) for name in config.experiment},
        "feedback": feedback_of(config, columns.fields.get(FEEDBACK, [None])[0], before, now),
        "sla": sla_of(config, connection, person_id, now),
        "account": _account(config, connection, person_id, now),
        "overrides": list(_overrides(live, names, config.write.manual_override, now)),
        "differences": find_differences(config, live),
        "holds": [each.as_json() for each in holds_of_person(connection, config, person_id, holds)],
        "logged_twice": list(_logged_twice(config, connection, person_id)),
        "records": told,
        "written": _written(before),
        "history": [_past(each) for each in past_changes(connection, [each.id for each in records], HISTORY)],
    }


def _logged_twice(config: Config, connection: Connection, person_id: int) -> Iterator[dict[str, Any]]:
    """What two CRMs log of one person under one id or some seconds apart, and counts once."""
    it = config.identity
    for each in list_second_logs(connection, person_id, it.source_of_truth, it.seconds_apart):
        at = from_ms(each.at * 1_000).isoformat()
        what = each.kind.replace("_", " ")
        long = each.seconds > 3_600
        apart = f"{each.seconds / 3_600:,.1f} hours apart" if long else f"{count_of(each.seconds, 'second')} apart"
        said = f"1 {what} counts once: two CRMs log it {apart}{', with one Message-ID' if each.has_one_id else ''}"
        yield {"kind": each.kind, "at": at, "seconds": each.seconds, "said": said}


def _lifecycle(before: Any) -> dict[str, Any] | None:
    """The stage that was decided and since when, why and when it was entered, by whomever, and what is not entered
    again before when; `None` before a first run.
    """
    if before is None:
        return None
    cool_downs = orjson.loads(before.cool_downs)
    return {
        "stage": before.stage or None,
        "since": from_ms(before.stage_since).isoformat() if before.stage_since is not None else None,
        "reason": before.stage_reason,
        "entered": from_ms(before.stage_entered).isoformat() if before.stage_entered is not None else None,
        "left": before.stage_left or None,
        "cool_downs": {stage: from_ms(until).isoformat() for stage, until in cool_downs.items()},
        "why": before.stage_why,
    }


def _routing(connection: Connection, person_id: int, before: Any) -> dict[str, Any] | None:
    """Where somebody was last, by which route, and each time that they got an owner."""
    if before is None:
        return None
    return {
        "destination": "excluded" if before.excluded else before.destination or None,
        "route": before.route or None,
        "track": before.track or None,
        "waiting_since": from_ms(before.waiting_since).isoformat() if before.waiting_since is not None else None,
        "hand_offs": [_hand_off(each) for each in hand_offs_of(connection, person_id)],
        "tasks": [
            {**each, **{name: from_ms(each[name]).isoformat() for name in ("at", "due")}}
            for each in tasks_of(connection, person_id)
        ],
    }


def _hand_off(each: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: each[name] for name in ("owner", "route", "pool", "stage", "why")}
    return {**told, "at": from_ms(each["at"]).isoformat()}


def _account(config: Config, connection: Connection, person_id: int, now: datetime) -> dict[str, Any] | None:
    """The account that somebody belongs to; `None` without one, or where no decision asks about accounts."""
    owners = owners_of(read_owners(connection), config.write.unassigned_users)
    found = read_account_views(connection, config, owners, [person_id], now).get(person_id)
    scored = account_of_person(config, connection, person_id, now) if config.account else None
    if found is None or not (scored or found.name or found.owners or found.colleagues):
        return None
    return {
        "name": found.name or None,
        "owner": next(iter(found.owners), None),
        "people": scored["people"] if scored else len(found.colleagues) + 1,
        "active_people": found.active_people,
        "score": scored["score"] if scored else None,
        "roles": scored["roles"] if scored else {},
        "missing": scored["missing"] if scored else [],
    }


def _band_why(config: Config, scores: Scores, alone: Scores) -> str:
    """That somebody is only in their band because they were before; empty where the points alone bring it."""
    names, band, without = config.band_names(), int(scores.band[0]), int(alone.band[0])
    if band <= without:
        return ""
    kept = config.bands[names[band]]
    bottom = "" if kept.drop_below is None else f" until the score drops below {kept.drop_below:,g}"
    needed = "" if kept.at is None else f" (entered at {count_of(kept.at, 'point')})"
    return f"Stays in {names[band]}{bottom}{needed}; the points alone would give {names[without]}"


def _owners(connection: Connection, live: Sequence[Any]) -> dict[str, dict[str, str]]:
    """By record who owns it: the id in its CRM, the e-mail address, the name."""
    known = find_owners(connection, {(each.crm, each.owner) for each in live if each.owner})
    return {
        _ref(each): {"id": each.owner, "email": "", "name": "", **known.get((each.crm, each.owner), {})}
        for each in live
        if each.owner
    }


def _overrides(
    live: Sequence[Any], names: Mapping[tuple[str, str], str], lasts: timedelta, now: datetime
) -> Iterator[dict[str, Any]]:
    """The manual overrides that hold: which field of which record, its value then, until when."""
    for each in live:
        for field, lease in orjson.loads(each.overrides).items():
            until, value = from_ms(noticed_at(lease)) + lasts, lease.get("value")
            if until > now:
                named = names.get((each.crm, value), value) if field == "owner" else value
                yield {"ref": _ref(each), "name": each.name, "field": field, "value": named, "until": until.isoformat()}


def _ref(row: Any) -> str:
    return f"{row.crm}:{row.kind}:{row.ref_id}"


def _record(
    config: Config,
    row: Any,
    said: Mapping[str, Any],
    pending: Delivery | None,
    names: Mapping[tuple[str, str], str],
    typed: Callable[[str], str],
) -> dict[str, Any]:
    """One record, and how far what is explained has come to it.

    `delivery` is that in a word, `run` the run or plan that has the change, `pending` the values of it.
    """
    became = row.merged_into or row.converted_into
    parked = orjson.loads(row.on_hold) if row.on_hold else {}
    waits = pending is not None and pending.verdict in (WAITING, APPROVED)
    delivery = _delivery(config, row, said, pending, waits=waits)
    return {
        "ref": _ref(row),
        "name": row.name,
        "stage": row.stage,
        "owner": names.get((row.crm, row.owner), row.owner),
        "holds": orjson.loads(row.current),
        "state": "deleted" if row.gone and not became else f"became {became}" if became else "live",
        "on_hold": parked.get("reason"),
        "delivery": delivery,
        "not_written": describe_small_move(config.write.least_move) if delivery == "small_move" else None,
        "run": pending.run if pending else None,
        "pending": orjson.loads(pending.after) if pending else {},
        "next": typed(f"crmsync apply {pending.run}") if pending and waits else None,
    }


def _delivery(config: Config, row: Any, said: Mapping[str, Any], pending: Delivery | None, *, waits: bool) -> str:
    if pending:
        return "held" if waits else "pending"
    if row.on_hold:
        return "on_hold"
    wanted = {"score": said["total"], "band": said["band"] or "", "fit": said["fit"], "behavior": said["behavior"]}
    mapped = FieldMap.spelled(config.field_map(row.crm).score_fields, row.kind)
    holds = orjson.loads(row.current)
    if all(holds.get(name, "") == wanted[name] for name in wanted if name in mapped):
        return "written"
    wanted |= {name: said[name] for name in ("reason", "grade", "grid", "segment")}
    wanted |= {f"{CHANNEL_FIELD}{name}": points for name, points in said["channels"].items()}
    after = {name: value for name, value in wanted.items() if name in mapped and holds.get(name) != value}
    if is_small_move(holds, orjson.loads(row.last_written or "{}"), after, config.write.least_move):
        return "small_move"
    undone = orjson.loads(row.undone or "{}").get("score", {})
    is_undone = undone.get("value") == wanted["score"] and config.decision_hash() in undone["configs"]
    return "undone" if is_undone else "differs"


def _changed(connection: Connection, before: Any, lines: list[Any]) -> list[Any]:
    """What made the difference since the score was last another one; empty where it never was."""
    if before is None or before.ledger_before is None:
        return []
    ledger = ledger_reader(connection)(before.ledger_before)
    was: list[Entry] = [{"rule": rule, "points": to_points(points), "why": ""} for rule, points in ledger.items()]
    return list(compare_lines(was, lines))


def _written(before: Any) -> dict[str, Any] | None:
    if before is None:
        return None
    return {
        "total": to_points(before.total),
        "band": before.band,
        "run": before.scored_run,
        "at": from_ms(before.scored_at).isoformat(),
        "model": before.model.partition("-")[0],  # what follows names the holds it was scored under
    }


def _past(row: Any) -> dict[str, Any]:
    after = orjson.loads(row.after)
    return {
        "run": row.run,
        "ref": _ref(row),
        "state": row.state,
        "before": orjson.loads(row.before),
        "after": after,
        "because": tell_because(row.because, after),
        "reason": row.reason,
        "at": from_ms(row.at).isoformat(),
    }


def hottest_people(config: Config, connection: Connection, now: datetime, most: int) -> list[dict[str, Any]]:
    """The people with the most points in the highest bands, each with the reasons in one line."""
    hot = find_hottest(connection, config.band_names(), most)
    people = sorted(each.person for each in hot)
    columns = read_people_columns(connection, config, people, read_holds(connection, config, now), now=now)
    bands = {each.person: each.band for each in hot}
    scores = score(config, columns, now, config.zone, [bands[each] for each in people])
    why = dict(zip(people, summarize_many(config, scores, range(len(people))), strict=True))
    return [{**each._asdict(), "total": to_points(each.total), "reason": why[each.person]} for each in hot]
