"""The doctor: what is wrong or odd about a config, by itself and against the CRMs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from crmsync.config import Config, connectors
from crmsync.ending import DONE, FAILED, WRONG
from crmsync.errors import ConfigError, Unavailable
from crmsync.lint import Finding, lint, lint_with_data
from crmsync.model import KINDS, Stop
from crmsync.route import pool_of_band, stage_of_band
from crmsync.scoring import golden, score, worth_knowing
from crmsync.scoring.people import golden_band
from crmsync.store import asked, sheets
from crmsync.workplace import connector, has_state, opened_state

SAMPLE = 20_000
"""People of the state that a check looks at."""


def checked(config: Config, now: datetime, stop: Stop | None) -> dict[str, Any]:
    """What is wrong (`problems`), odd (`warnings`) or worth a look (`notes`); with `stop`, each CRM is asked too.

    Where a state is there already, the people in it are looked at as well.
    """
    today = now.astimezone(config.zone).date()
    findings = [*lint(config, kinds_of(config), today, config.fields), *_lint_state(config, now)]
    problems = [
        *golden(config, config.zone),
        *_misrouted(config),
        *(each.sentence for each in findings if each.level == "error"),
    ]
    if not config.crms:
        problems.append(f"the config names no CRM; add a table [{'] or ['.join(sorted(connectors()))}]")
    crms = {crm: _asked(config, crm, stop) for crm in config.crms} if stop else {}
    wrong = bool(problems) or any(each["problems"] for each in crms.values())
    unreached = any(not each["reached"] for each in crms.values())
    return {
        "ok": not wrong and not unreached,
        "rules": len(config.rules()),
        "golden_leads": len(config.test),
        "problems": problems,
        "warnings": [each.sentence for each in findings if each.level == "warning"],
        "notes": [each.sentence for each in findings if each.level == "note"],
        "crms": crms,
        "exit_code": WRONG if wrong else FAILED if unreached else DONE,
    }


def _lint_state(config: Config, now: datetime) -> list[Finding]:
    """What the people in the state show about the model; nothing where there is no state yet."""
    if not has_state(config):
        return []
    with opened_state(config) as store, store.read() as tx:
        people = asked.some_people(tx, SAMPLE)
        if not people:
            return []
        columns = sheets.columns(tx, people, sorted(config.fields), config.identity.precedence)
    scores = score(config, columns, now, config.zone)
    found = lint_with_data(config, scores, columns, kinds_of(config), int(now.timestamp()))
    gaps = worth_knowing(config, scores, columns, now, config.zone)
    return [
        *found,
        *(Finding("warning", sentence) for sentence in scores.warnings),
        *(
            Finding(
                "note",
                f"{lacking:,} of {len(people):,} people have no {name}; knowing it could move {moving:,} of them",
            )
            for name, lacking, moving in gaps
            if moving
        ),
    ]


def _misrouted(config: Config) -> Iterator[str]:
    """Golden leads whose band brings them another stage, or another owner where nobody had a turn yet."""
    stages = stage_of_band(config.stage, config.band_names())
    members = {pool.name: pool.members for pool in config.owner_pool}
    for test in config.test:
        if test.expect.stage is None and test.expect.owner is None:
            continue
        try:
            band = golden_band(config, test, config.zone)
        except ConfigError:
            continue  # golden() has told it
        pool = pool_of_band(band, config.route)
        got = {"stage": stages.get(band), "owner": members[pool][0] if pool else None}
        for name, wanted in (("stage", test.expect.stage), ("owner", test.expect.owner)):
            if wanted not in (None, got[name]):
                yield f"test {test.name!r}: {name} is {got[name]!r}, expected {wanted!r} (the band is {band!r})"


def kinds_of(config: Config) -> set[str]:
    """Every kind of activity that the config's CRMs may bring."""
    feeds = [feed for table in config.crms.values() for feed in getattr(table, "activities", ())]
    return {*KINDS, *(feed.kind for feed in feeds)}


def _asked(config: Config, crm: str, stop: Stop) -> dict[str, Any]:
    try:
        with connector(config, crm, {}, stop) as connected:
            found = connected.check()
    except Unavailable as error:
        return {"reached": False, "account": "", "problems": (), "notes": (f"not reached: {error}",)}
    except ConfigError as error:
        return {"reached": True, "account": "", "problems": error.problems, "notes": ()}
    return {"reached": True, "account": found.account, "problems": found.problems, "notes": found.notes}
