"""Alerts of a run: what changed is told in one message, once, and what a sink has not heard is told after the next."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection

from crmsync import log
from crmsync.alerting.conditions import CONCLUDED, AlertCondition, EndedRun, Facts, find_conditions
from crmsync.alerting.decisions import AlertLine, Remembered, decide_alerts
from crmsync.config import Config
from crmsync.config.alerts import name_url, read_urls
from crmsync.errors import Cancelled, LostLock, StateError, StateInUse
from crmsync.exit_codes import Outcome
from crmsync.planning.builder import CHANGED_BACK
from crmsync.planning.deadlines import read_breaches
from crmsync.planning.people_columns import read_holds
from crmsync.planning.review import refusal_cause
from crmsync.redaction import hide_people, hide_secrets, secrets_of
from crmsync.reporting.sinks import Message, call_addresses
from crmsync.reporting.status import PastRun, describe_waiting, is_good_for, list_dead_feeds, read_past_runs, why_stale
from crmsync.reporting.versions import describe_loosening, find_loosenings
from crmsync.store import run_journal
from crmsync.store.alerts import Unsent, delete_unsent, read_alerts, read_unsent, save_alerts, save_unsent
from crmsync.store.database import Store
from crmsync.store.pausing import find_pause
from crmsync.store.queries import refused_records
from crmsync.store.sql import to_ms

MOST_LINES = 20
"""Lines of one message."""

MOST_KEPT = 100
"""Lines that are kept for an address that is down; the older ones are history by then."""

HEARTBEAT = "heartbeat"
"""What the heartbeat is called among the addresses that were down."""

UNTOLD = (Cancelled, LostLock, StateInUse)
"""Errors that are no news: somebody stopped the run, or another process goes on."""

Memory = MutableMapping[str, Remembered]
"""What was told while the state could not be read."""

Typed = Callable[[str], str]


class Spoken(NamedTuple):
    """What alerts need of a process: how a command is typed here, and its own memory for when the state fails."""

    typed: Typed
    memory: Memory


def send_alerts(config: Config, store: Store | None, spoken: Spoken, failed: Outcome | None = None) -> None:
    """Tell what changed by the run that just ended, and ask for the heartbeat where it was good.

    `failed` is how it ended with an error. Nothing that goes wrong here is raised: it must not make a run fail.
    """
    if not (config.alerts.urls or config.alerts.heartbeat):
        return
    try:
        if store is None:
            _send_without_state(config, spoken, failed)
        elif store.may_write():
            _send_from_state(config, store, spoken, failed)
    except LostLock:
        return  # who took over tells it
    except StateError:
        _send_without_state(config, spoken, failed)
    except Exception as error:  # noqa: BLE001  a fault in telling is told in the log, and the run has ended as it did
        log.get_logger().error("alerts_failed", exc_info=error)


def _send_from_state(config: Config, store: Store, spoken: Spoken, failed: Outcome | None) -> None:
    now = datetime.now(UTC)
    with store.read() as reading:
        past = read_past_runs(reading, lambda: None, now)
        conditions = _find_conditions(config, reading, past, now, spoken.typed, failed)
        before = {row["key"]: Remembered(**row) for row in read_alerts(reading)}
        paused = find_pause(reading, to_ms(now)) is not None
        unsent = read_unsent(reading)
    urls = {_hash_url(url): url for url in read_urls(config.alerts)}
    # What nobody was told is not remembered: whoever is named later hears of it.
    lines, memory = decide_alerts(conditions, {**spoken.memory, **before}, to_ms(now)) if urls else ([], {})
    if paused:  # nothing that waits meanwhile is news
        lines, memory = [], before
    waiting = _queue_lines({sink: unsent.get(sink, Unsent(name_url(url))) for sink, url in urls.items()}, lines)
    heartbeat = config.alerts.heartbeat.get_secret_value() if config.alerts.heartbeat else None
    gone = unsent.keys() - urls.keys() - ({HEARTBEAT} if heartbeat else set())
    if memory != before or gone:
        # Before it is sent: a crash between the two repeats a message and loses none.
        with store.begin() as writing:
            save_alerts(writing, [each._asdict() for each in memory.values()])
            save_unsent(writing, waiting)
            delete_unsent(writing, gone)
        unsent = {**{sink: each for sink, each in unsent.items() if sink not in gone}, **waiting}
    spoken.memory.clear()
    wrong = any(each.ended is None for each in memory.values())
    messages = {urls[sink]: _make_message(each.lines, wrong, spoken.typed) for sink, each in waiting.items()}
    if heartbeat and is_heartbeat_due(config, past, failed, paused=paused):
        urls[HEARTBEAT] = heartbeat
        waiting[HEARTBEAT] = unsent.get(HEARTBEAT, Unsent(f"heartbeat {name_url(heartbeat)}"))
    down = call_addresses(messages, urls.get(HEARTBEAT))
    _note_outcomes(store, waiting, unsent, {sink for sink in waiting if urls[sink] in down}, to_ms(now))
    _log_outcomes([line.key for line in lines], down)


def _queue_lines(unsent: Mapping[str, Unsent], lines: Sequence[AlertLine]) -> dict[str, Unsent]:
    """What each address is to hear: what it has not heard yet, and then what is new."""
    texts = tuple(line.text for line in lines)
    return {
        sink: each._replace(lines=(*each.lines, *texts)[-MOST_KEPT:])
        for sink, each in unsent.items()
        if each.lines or texts
    }


def is_heartbeat_due(config: Config, past: Sequence[PastRun], failed: Outcome | None, *, paused: bool) -> bool:
    """Whether the newest run was good for every CRM of the config, or somebody `paused` writing on purpose."""
    if paused:
        return True
    return failed is None and bool(past) and all(is_good_for(crm, past[0]) for crm in config.crms)


def _note_outcomes(
    store: Store, waiting: Mapping[str, Unsent], unsent: Mapping[str, Unsent], down: set[str], now: int
) -> None:
    """Keep what an address that is down has not heard, and since when it is; forget what the others have."""
    failing = {sink: each._replace(down_since=each.down_since or now) for sink, each in waiting.items() if sink in down}
    heard = [sink for sink in waiting if sink not in down and sink in unsent]
    if heard or any(each != unsent.get(sink) for sink, each in failing.items()):
        with store.begin() as writing:
            save_unsent(writing, failing)
            delete_unsent(writing, heard)


def _send_without_state(config: Config, spoken: Spoken, failed: Outcome | None) -> None:
    """Tell of a run that failed where the state cannot say what was told before, by what this process remembers."""
    if failed is None:
        return
    now = to_ms(datetime.now(UTC))
    conditions = find_conditions(Facts((), failed=_said_of(config, failed)), spoken.typed)
    lines, memory = decide_alerts(conditions, dict(spoken.memory), now)
    message = _make_message([line.text for line in lines], True, spoken.typed)
    urls = read_urls(config.alerts) if lines else []
    down = call_addresses(dict.fromkeys(urls, message))
    if len(down) < len(urls) or not lines:
        spoken.memory.update(memory)
    _log_outcomes([line.key for line in lines], down)


def _log_outcomes(keys: Sequence[str], down: Mapping[str, str]) -> None:
    logger = log.get_logger()
    if keys:
        logger.info("alerts_decided", keys=sorted({key.partition(":")[0] for key in keys}))
    for url, why in down.items():
        logger.warning("alert_not_sent", sink=name_url(url), why=why, next="it is sent again after the next run")


def _find_conditions(
    config: Config,
    reading: Connection,
    past: Sequence[PastRun],
    now: datetime,
    typed: Typed,
    failed: Outcome | None,
) -> list[AlertCondition]:
    """What is wrong by the state, without what a CRM said word for word.

    Nobody is named but who changed the model.
    """
    done = next((run.result for run in past if run.verdict in CONCLUDED), {})
    secrets = secrets_of(config)
    refused = _count_refusals(reading, secrets)
    facts = Facts(
        crms=list(config.crms),
        events=[each.name for each in config.events],
        runs=[EndedRun(run.verdict, run.result) for run in past if run.verdict != "running"],
        waiting=[describe_waiting(row, typed) for row in run_journal.waiting_plans(reading)],
        refused={each: many for each, many in refused.items() if CHANGED_BACK not in each[1]},
        contested=_count_contested(refused),
        dead=list_dead_feeds(config, reading, now),
        holds=read_holds(reading, config, now),
        unowned=done.get("waiting_for_owner", {}).get("reasons", {}),
        late=len(read_breaches(reading, config, now)),
        loosened=_find_loosened(config, reading, now),
        overdue={
            name: why for name in config.source_names() if (why := why_stale(config.schedule, name, past, now, typed))
        },
        failed=_said_of(config, failed) if failed else None,
    )
    return [
        each._replace(title=_clean(each.title, secrets), sentence=_clean(each.sentence, secrets))
        for each in find_conditions(facts, typed)
    ]


def _find_loosened(config: Config, reading: Connection, now: datetime) -> list[tuple[str, str]]:
    found = find_loosenings(config, reading, now)
    return [(f"{each.version.hash}:{each.version.at}", describe_loosening(each)) for each in found]


def _said_of(config: Config, failed: Outcome) -> tuple[Sequence[str], str]:
    secrets = secrets_of(config)
    return [_clean(each, secrets) for each in failed.said], failed.next


def _clean(text: str, secrets: Sequence[str]) -> str:
    return hide_people(hide_secrets(text, secrets))


def _count_refusals(reading: Connection, secrets: Sequence[str]) -> dict[tuple[str, str], int]:
    """Records on hold by CRM and cause."""
    counts: dict[tuple[str, str], int] = {}
    for each in refused_records(reading):
        causes = sorted({_clean(refusal_cause(why), secrets) for why in each.reasons})
        key = each.crm, "; ".join(causes)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _count_contested(refused: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Of records on hold those that another tool keeps changing back, by CRM."""
    counts: Counter[str] = Counter()
    for (crm, cause), many in refused.items():
        counts[crm] += many if CHANGED_BACK in cause else 0
    return dict(+counts)


def _make_message(lines: Sequence[str], wrong: bool, typed: Typed) -> Message:
    more = len(lines) - MOST_LINES
    shown = [*lines[-MOST_LINES:], *([f"And {more:,} more: {typed('crmsync status')}"] if more > 0 else [])]
    first = lines[-1].partition(". ")[0] if len(lines) == 1 else f"{len(lines)} changes"
    return Message(f"crmsync: {first}", shown, good=not wrong)


def _hash_url(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
