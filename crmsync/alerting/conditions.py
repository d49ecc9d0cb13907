"""What is wrong after a run, in sentences: each condition has a key that stays the same for as long as it lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from crmsync.counts import count_of
from crmsync.dead_feeds import DeadFeed

Severity = Literal["error", "warning"]

CONCLUDED = ("ok", "partial", "held")
"""Verdicts of runs that came to their end: what they say of a CRM holds until another one says otherwise."""


CONTESTED = "contested:"
"""How the keys begin of what another tool changes back: it may look mended until that tool has come by again."""


class AlertCondition(NamedTuple):
    """Something that is wrong: `title` says what in a few words, `sentence` why, `next` is the command that helps."""

    key: str
    severity: Severity
    title: str
    sentence: str = ""
    next: str = ""


class EndedRun(NamedTuple):
    """A run that ended: its verdict, and what it reported."""

    verdict: str
    result: Mapping[str, Any]


class Facts(NamedTuple):
    """What conditions are found in.

    `events` are sources of events; `runs` are the last ones, newest first; `waiting` plans with `run`, `reasons` and
    `next`; `refused` records on hold by CRM and cause; `contested` those by CRM that another tool keeps changing back;
    of the `dead` feeds `holds` put decay and inactivity on hold; `unowned` people by why they wait for an owner; `late`
    people whom their owner did not contact in time; `loosened` versions of the model (hash and instant) that let more
    people over the line near the end of a quarter, each with a sentence; `overdue` says by CRM why the last good run is
    too old; `failed` has the sentences about a run that ended with an error, and the command that helps.
    """

    crms: Sequence[str]
    events: Sequence[str] = ()
    runs: Sequence[EndedRun] = ()
    waiting: Sequence[Mapping[str, Any]] = ()
    refused: Mapping[tuple[str, str], int] = {}
    contested: Mapping[str, int] = {}
    dead: Sequence[DeadFeed] = ()
    holds: Sequence[DeadFeed] = ()
    unowned: Mapping[str, int] = {}
    late: int = 0
    loosened: Sequence[tuple[str, str]] = ()
    overdue: Mapping[str, str] = {}
    failed: tuple[Sequence[str], str] | None = None


def find_conditions(facts: Facts, typed: Callable[[str], str] = str) -> list[AlertCondition]:
    """Everything that is wrong, the most urgent first; `typed` says how a command is typed here."""
    out = [found for crm in (*facts.crms, *facts.events) if (found := _find_outage(crm, facts.runs, typed))]
    skipped = {each.key.partition(":")[2] for each in out}
    return [
        *_find_failure(facts, skipped, typed),
        *out,
        # A CRM that is out has no good run either, which nobody needs to be told twice.
        *(
            AlertCondition(f"no_good_run:{crm}", "error", f"{crm} is not up to date", why, typed("crmsync status"))
            for crm, why in facts.overdue.items()
            if crm not in skipped
        ),
        *(
            AlertCondition(
                f"held:{plan['run']}",
                "warning",
                f"plan {plan['run']} is held for approval",
                _end_sentence("; ".join(plan["reasons"])),
                plan["next"],
            )
            for plan in facts.waiting
        ),
        *_find_refusals(facts.refused, typed),
        *_find_contested(facts.contested, typed),
        *(_describe_dead_feed(each, each in facts.holds, typed) for each in facts.dead),
        *_find_unowned(facts.unowned, typed),
        *_find_late(facts.late, typed),
        *_find_loosened(facts.loosened, typed),
    ]


def _find_failure(facts: Facts, skipped: set[str], typed: Callable[[str], str]) -> Iterator[AlertCondition]:
    # Where every CRM is out, that is why the run failed.
    if facts.failed is not None and not (facts.crms and skipped.issuperset(facts.crms)):
        said, command = facts.failed
        sentence = _end_sentence("; ".join(said))
        yield AlertCondition("run_failed", "error", "the last run failed", sentence, typed(command) if command else "")


def _find_outage(crm: str, runs: Sequence[EndedRun], typed: Callable[[str], str]) -> AlertCondition | None:
    """That the last run that says something about a CRM could not use it."""
    for run in runs:
        why = run.result.get("skipped", {}).get(crm)
        if why and crm in run.result.get("out_of_calls", ()):
            title = f"the API calls that crmsync may use in {crm} are used up"
            return AlertCondition(f"quota:{crm}", "warning", title, _end_sentence(why), typed("crmsync status"))
        if why:
            sentence, command = _end_sentence(why), typed("crmsync check --online")
            return AlertCondition(f"crm_out:{crm}", "error", f"{crm} could not be used", sentence, command)
        if run.verdict in CONCLUDED and (crm in run.result.get("crms", {}) or crm in run.result.get("events", {})):
            return None
    return None


def _find_refusals(refused: Mapping[tuple[str, str], int], typed: Callable[[str], str]) -> Iterator[AlertCondition]:
    for (crm, cause), records in sorted(refused.items()):
        many = count_of(records, "record")
        said, command = _end_sentence(f"{many} on hold: {cause}"), typed("crmsync status")
        yield AlertCondition(f"refused:{crm}:{cause}", "warning", f"{crm} rejects updates", said, command)


def _find_contested(contested: Mapping[str, int], typed: Callable[[str], str]) -> Iterator[AlertCondition]:
    for crm, records in sorted(contested.items()):
        many = count_of(records, "record")
        said = f"{many} on hold: look for a workflow, flow or sync that sets them."
        title, command = f"another tool keeps changing values back in {crm}", typed("crmsync status --refused")
        yield AlertCondition(f"{CONTESTED}{crm}", "warning", title, said, command)


def _describe_dead_feed(dead: DeadFeed, is_hold: bool, typed: Callable[[str], str]) -> AlertCondition:
    hold = " Until one comes, decay and inactivity are on hold for it." if is_hold else ""
    pause = count_of(dead.pause, "day")
    said = f"Its longest pause before was {pause}. Check that it is still tracked and may be read.{hold}"
    title = f"no {dead.kind} from {dead.crm} for {count_of(dead.silent, 'day')}"
    return AlertCondition(f"feed_dead:{dead.crm}:{dead.kind}", "warning", title, said, typed("crmsync status --feeds"))


def _find_unowned(unowned: Mapping[str, int], typed: Callable[[str], str]) -> Iterator[AlertCondition]:
    if many := sum(unowned.values()):
        who = f"{count_of(many, 'person')} {'waits' if many == 1 else 'wait'}"
        reasons = ", ".join(f"{why}: {count:,}" for why, count in sorted(unowned.items()))
        command = typed("crmsync people --waiting")
        yield AlertCondition("waiting_for_owner", "warning", f"{who} for an owner", _end_sentence(reasons), command)


def _find_late(late: int, typed: Callable[[str], str]) -> Iterator[AlertCondition]:
    if late:
        who = f"{count_of(late, 'person')} {'was' if late == 1 else 'were'}"
        yield AlertCondition("sla_breaches", "warning", f"{who} not contacted in time", "", typed("crmsync status"))


def _find_loosened(loosened: Sequence[tuple[str, str]], typed: Callable[[str], str]) -> Iterator[AlertCondition]:
    for version, said in loosened:
        title = f"the model was loosened near the end of a quarter (version {version.partition(':')[0]})"
        yield AlertCondition(f"loosened:{version}", "warning", title, said, typed("crmsync models"))


def _end_sentence(said: str) -> str:
    return said if said.endswith((".", "!", "?")) or not said else f"{said}."
