"""Why one person has the score they have, from what the state holds of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from crmsync.config import Config
from crmsync.errors import ConfigError
from crmsync.scoring import Entry, changes, document, reasons, score
from crmsync.scoring.words import plain
from crmsync.store import asked, journal, sheets
from crmsync.store.database import Store
from crmsync.store.pulled import from_ms

HISTORY = 10
"""Changes of the past that an explanation shows."""


def explain(config: Config, store: Store, who: str, now: datetime) -> dict[str, Any]:
    """Everything crmsync can say of one person, scored as of `now` with the present config.

    Raises `ConfigError` when `who` is nobody, or several people.
    """
    with store.read() as reading:
        return _document(config, reading, _person(reading, who), now)


def _person(connection: Connection, who: str) -> int:
    found = asked.find_contacts(connection, who)
    if not found:
        raise ConfigError(
            f"nobody is known as {who!r}; give an e-mail address, a CRM id, crm:kind:id or a person's number, "
            "of somebody who was pulled already"
        )
    people = sorted({each.person for each in found if each.person is not None})
    if not people:
        raise ConfigError(_unscored(found[0], who))
    if len(people) > 1:
        meant = "; ".join(f"person:{each} ({_called(connection, each)})" for each in people[:10])
        raise ConfigError(f"{who!r} may mean {len(people)} people; say which: {meant}")
    return int(people[0])


def _unscored(row: Any, who: str) -> str:
    if row.ambiguous:
        return (
            f"{who!r} is on records that cannot be told apart (a shared mailbox, or an address on too many records), "
            "so they are not scored; [identity] in the config says when"
        )
    if row.gone:
        return f"{who!r} was deleted in {row.crm} and is no longer scored"
    return f"{who!r} was pulled and not scored yet; run: crmsync sync"


def _called(connection: Connection, person_id: int) -> str:
    first = asked.records_of(connection, person_id)[0]
    return f"{first.name or 'no name'}, {first.crm}:{first.kind}:{first.ref_id}"


def _document(config: Config, connection: Connection, person_id: int, now: datetime) -> dict[str, Any]:
    columns = sheets.columns(connection, [person_id], sorted(config.fields), config.identity.precedence)
    before = asked.stored_score(connection, person_id)
    scores = score(config, columns, now, config.zone, [before.band if before else None])
    records = asked.records_of(connection, person_id)
    live = [each for each in records if not (each.gone or each.merged_into or each.converted_into)]
    said = document(config, scores, columns, 0, now, config.zone)
    return {
        "person": person_id,
        "name": next((each.name for each in records if each.name), ""),
        "emails": sorted({address for each in records for address in orjson.loads(each.emails)}),
        "refs": [_ref(each) for each in live],
        **said,
        "changed": _changed(before, said["lines"]),
        "stage": next((each.stage for each in live if each.stage), None),
        "owner": next((each.owner for each in live if each.owner), None),
        "records": [_record(each) for each in records],
        "written": _written(before),
        "history": [_past(each) for each in journal.history(connection, [each.id for each in records], HISTORY)],
    }


def _ref(row: Any) -> str:
    return f"{row.crm}:{row.kind}:{row.ref_id}"


def _record(row: Any) -> dict[str, Any]:
    became = row.merged_into or row.converted_into
    parked = orjson.loads(row.parked) if row.parked else {}
    return {
        "ref": _ref(row),
        "stage": row.stage,
        "owner": row.owner,
        "holds": orjson.loads(row.current),
        "state": "deleted" if row.gone and not became else f"became {became}" if became else "live",
        "parked": parked.get("reason"),
    }


def _changed(before: Any, lines: list[Any]) -> list[Any]:
    """What made the difference since the score was last another one; empty where it never was."""
    if before is None or not before.was:
        return []
    was: list[Entry] = [{"rule": rule, "points": plain(points), "why": ""} for rule, points in orjson.loads(before.was)]
    return list(changes(was, lines))


def _written(before: Any) -> dict[str, Any] | None:
    if before is None:
        return None
    return {
        "total": plain(before.total),
        "band": before.band,
        "run": before.scored_run,
        "at": from_ms(before.scored_at).isoformat(),
        "model": before.model,
    }


def _past(row: Any) -> dict[str, Any]:
    return {
        "run": row.run,
        "ref": _ref(row),
        "state": row.state,
        "before": orjson.loads(row.before),
        "after": orjson.loads(row.after),
        "because": row.because,
        "reason": row.reason,
        "at": from_ms(row.at).isoformat(),
    }


def hottest(config: Config, connection: Connection, now: datetime, most: int) -> list[dict[str, Any]]:
    """The people with the most points in the highest bands, each with the reasons in one line."""
    hot = asked.hottest(connection, config.band_names(), most)
    people = sorted(each.person for each in hot)
    columns = sheets.columns(connection, people, sorted(config.fields), config.identity.precedence)
    bands = {each.person: each.band for each in hot}
    scores = score(config, columns, now, config.zone, [bands[each] for each in people])
    why = dict(zip(people, reasons(config, scores, range(len(people))), strict=True))
    return [{**each._asdict(), "total": plain(each.total), "reason": why[each.person]} for each in hot]
