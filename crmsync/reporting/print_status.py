"""The status, a check and the demo on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from crmsync.reporting.console import (
    Document,
    count_of,
    count_waiting,
    format_minute,
    make_printable,
    make_table,
    print_sentences,
    print_table,
    print_title,
    say_command,
)
from crmsync.reporting.event_sources import print_sources
from crmsync.reporting.print_models import print_governance, print_reviews
from crmsync.reporting.print_plan import call_person
from crmsync.reporting.print_run import (
    OUTCOMES,
    STATES,
    print_counts,
    print_holds,
    print_run,
    print_troubles,
    print_waiting_for_owner,
)
from crmsync.store.pausing import Pause
from crmsync.store.sql import to_ms

STANDING = {
    "account": "account",
    "records": "records",
    "not_matched": "not matched",
    "pending_updates": "pending updates",
    "on_hold": "on hold",
}


NAMED = 5
"""People who are named of each sort; `--json` names more."""


REFUSED_COLUMNS = ("crm", "cause", "records", "people", "fix", "examples", "state", "fields")
"""Columns of a CSV file of what the CRMs reject."""


def print_refused(console: Console, document: Document) -> None:
    """What the CRMs reject at present, by cause."""
    if not document["refused"]:
        print_sentences(console, "No CRM rejects anything at present.")
    print_troubles(console, document["refused"], "On hold, because the CRM rejects it", len(document["refused"]))


def print_status(console: Console, document: Document) -> None:
    """How things stand: whether it works, what waits, the last runs, what is refused, people, calls, the next run."""
    document = make_printable(document)
    if not document["runs"] and not document["waiting"] and not document["approved"]:
        print_health(console, document)
        return
    _print_crms(console, document)
    console.print()
    for plan in document["waiting"]:
        _print_plan(console, plan)
    for plan in document["approved"]:
        _print_approved_plan(console, plan)
    print_reviews(console, document["reviews"])
    print_governance(console, document["models"])
    for each in document["alerts"]["down"]:
        _print_sink_down(console, each)
    told = [*document["health"], *(reason for plan in document["waiting"] for reason in plan["reasons"])]
    _print_runs(console, document["runs"], told)
    print_troubles(console, document["refused"], "On hold")
    print_holds(console, document)
    _print_movements(console, document["qualified"])
    _print_unowned(console, document)
    print_waiting_for_owner(console, document["waiting_for_owner"])
    _print_bands(console, document)
    _print_handed_over(console, document)
    console.print()
    print_counts(console, document["crms"], STANDING)
    console.print()
    if said := describe_tiers(document.get("tiers", ())):
        print_sentences(console, said)
    _print_feeds(console, document.get("feeds", ()))
    _print_calls_left(console, document["crms"])
    _print_next_run(console, document)
    if said := describe_freshness(document["freshness"]):
        print_sentences(console, said)
    if document["held_by"]:
        print_sentences(console, f"In use by {document['held_by']}.")


def describe_tiers(tiers: Sequence[Document]) -> str:
    """How many activities each intent tier had lately; empty where there were none."""
    if not any(each["activities"] for each in tiers):
        return ""
    counts = ", ".join(f"{each['activities']:,} {each['tier']}" for each in tiers)
    return f"Activities of the last {tiers[0]['days']} days by intent: {counts}."


def _print_crms(console: Console, document: Document) -> None:
    """Whether each CRM is kept up to date, since when not and what to do; then what else is not well."""
    if document["paused"] or document["healthy"]:
        print_health(console, document)
    for crm, each in document["crms"].items():
        good = each["last_good"]
        standing = f"ok, last successful run {good}" if good else "no successful run yet"
        print_sentences(console, f"{crm}: {each['why'] or standing}")
    print_sources(console, document)
    judged = {**document["crms"], **document.get("events", {})}
    told = {f"{name}: {each['why']}" for name, each in judged.items()}
    for sentence in () if document["healthy"] else document["health"]:
        if sentence not in told:
            print_sentences(console, sentence)


def _print_movements(console: Console, movements: Sequence[Document]) -> None:
    """Who came to a stage or band and who fell below it."""
    if not movements:
        return
    print_title(console, f"Who came and who went in the last {count_of(movements[0]['days'], 'day')}")
    for each in movements:
        print_sentences(console, f"  {each['field']} {each['name']}: {each['entered']:,} new, {each['left']:,} lost")
        for sign, who in (("+", "entered"), ("−", "left")):
            if people := each[f"who_{who}"][:NAMED]:
                more = f" and {each[who] - len(people):,} more" if each[who] > len(people) else ""
                print_sentences(console, f"    {sign} {', '.join(map(call_person, people))}{more}")


def _print_unowned(console: Console, document: Document) -> None:
    without, bands = document["without_owner"], [each for each in document["qualified"] if each["field"] == "band"]
    if not without["count"]:
        return
    among = f", {without['qualified']:,} of them in band {bands[0]['name']} or above" if bands else ""
    print_sentences(console, f"Without an active owner: {count_of(without['count'], 'person')}{among}")


def _print_calls_left(console: Console, crms: Document) -> None:
    said = [
        f"{crm} {each['api_left']:,} ({1 - each['api_used']:.1%})"
        for crm, each in crms.items()
        if each["api_left"] is not None and each["api_used"] is not None
    ]
    if said:
        print_sentences(console, f"API calls left, as of the last run: {', '.join(said)}")


def _print_next_run(console: Console, document: Document) -> None:
    """When the next run is, or why there is none."""
    following, schedule = document["next_run"], document["next_run"]["schedule"]
    if document["runs"] and document["runs"][0]["verdict"] == "running":
        print_sentences(console, f"A run is under way since {document['runs'][0]['started']}.")
    if not following["daemon"]:
        print_sentences(console, f"No next run: crmsync run, which runs {schedule}, is not running. To start it:")
        say_command(console, following["start"])
    elif following["at"]:
        at = format_minute(datetime.fromisoformat(following["at"]))
        paused = "; it writes nothing while it is paused" if document["paused"] else ""
        print_sentences(console, f"Next run: {at} ({schedule}){paused}")
    else:
        print_sentences(console, f"Next run: by the schedule, {schedule}")
    if following["daemon"] and following["delay_seconds"] is not None:
        minutes, seconds = divmod(following["delay_seconds"], 60)
        said = f"A new lead waits for {minutes} min {seconds} s at most: until the next run, and while it runs"
        print_sentences(console, f"{said}.")


def describe_freshness(fresh: Document) -> str:
    """How soon scores followed what happened, and whether that is the goal; empty where nobody's did."""
    if not fresh["people"]:
        return ""
    half, most = (f"{count_of(fresh[name], 'second')}" for name in ("median_seconds", "p95_seconds"))
    said = f"From an event in the CRM to the score there, {count_of(fresh['people'], 'person')} in the last day: "
    said += f"half within {half}, 95 % within {most}"
    if fresh["goal_seconds"] is None:
        return f"{said}."
    verdict = "met" if fresh["met"] else "not met"
    return f"{said}; with webhooks the goal is 95 % within {count_of(fresh['goal_seconds'], 'second')}: {verdict}."


def print_health(console: Console, document: Document) -> None:
    """That writing is paused, where it is; else what is not well."""
    if paused := document["paused"]:
        since, until = (paused[name] and to_ms(datetime.fromisoformat(paused[name])) for name in ("since", "until"))
        print_sentences(console, f"{make_printable(Pause(since, until, paused['why']).sentence())}.")
        return
    for sentence in document["health"] or ["Healthy."]:
        print_sentences(console, make_printable(sentence))


def _print_plan(console: Console, plan: Document) -> None:
    since = format_minute(datetime.fromisoformat(plan["since"]))
    print_sentences(console, f"Held for approval: plan {plan['run']}, {count_waiting(plan['records'])}, since {since}")
    for reason in plan["reasons"]:
        print_sentences(console, f"  {reason}")
    say_command(console, plan["next"])
    console.print()


def _print_approved_plan(console: Console, plan: Document) -> None:
    at = format_minute(datetime.fromisoformat(plan["at"]))
    print_sentences(
        console, f"Approved and not written yet: plan {plan['run']}, {count_waiting(plan['records'])}, at {at}"
    )
    print_sentences(
        console,
        "  The next run with the same config writes it. If crmsync run was started with another config, restart it.",
    )
    console.print()


def _print_bands(console: Console, document: Document) -> None:
    """What the CRMs hold, and beside it how many more are to come to a band."""
    held, waiting = document["bands"], document["bands_waiting"]
    if not held and not waiting:
        return
    said = [
        f"{band} {held.get(band, 0):,}" + (f" ({waiting[band]:,} more waiting)" if band in waiting else "")
        for band in {**held, **waiting}
    ]
    print_sentences(console, f"People per band, as stored in the CRMs: {', '.join(said)}")
    if document["accepted"]:
        print_sentences(console, document["accepted"]["said"])


def _print_sink_down(console: Console, down: Document) -> None:
    unsent = f", {count_of(down['unsent'], 'line')} not sent yet. To try it:" if down["unsent"] else ""
    print_sentences(console, f"Alerts: {down['sink']} could not be called since {down['since']}{unsent}")
    if down["next"]:
        say_command(console, down["next"])


def _print_handed_over(console: Console, document: Document) -> None:
    """What users said of people, and whom they did not contact in time."""
    if document["feedback"]:
        said = [
            f"{tag} {sum(bands.values()):,} ({', '.join(f'{band} {many:,}' for band, many in bands.items())})"
            for tag, bands in document["feedback"].items()
        ]
        print_sentences(console, f"Feedback: {', '.join(said)}")
    sla = document["sla"]
    if sla and sla["breached"]:
        named = [f"{each['name'] or 'no name'} ({each['owner']})" for each in sla["breaches"][:NAMED]]
        more = f" and {sla['breached'] - len(named):,} more" if sla["breached"] > len(named) else ""
        who = count_of(sla["breached"], "person")
        print_sentences(console, f"Not contacted within {sla['within']}: {who}: {', '.join(named)}{more}")

    if sla and (sla["open"] or sla["touched"]):
        _print_speed(console, sla)

    if any(each["overridden"] for each in document["overrides"]):
        _print_overrides(console, document)


def _print_overrides(console: Console, document: Document) -> None:
    """How often users overrode each rule, and whom they took people from."""
    made = make_table("", ">decided", ">overridden", ">rate", title="Overridden by users in the last 90 days")
    kinds = {"owner": "route", "stage": "stage"}
    rows = [(kinds[each["kind"]], each["rule"], each) for each in document["overrides"]]
    rows += [("rep", each["rep"], each) for each in document["overrides_by_rep"] if each["overridden"]]
    for kind, name, each in rows:
        total = each.get("moves", each.get("hand_offs", 0))
        made.add_row(f"{kind} {name}", f"{total:,}", f"{each['overridden']:,}", f"{each['rate']:.0%}")
    console.print()
    print_table(console, made)


GROUPS = 10
"""Owners, bands or sources of which the speed is shown; all are in `--json`."""


def _print_speed(console: Console, sla: Document) -> None:
    """How soon people are contacted, by owner, band and source."""
    left = []
    console.print()
    print_title(console, "Speed to lead")
    for heading in ("owner", "band", "source"):
        groups = sla[f"by_{heading}"]
        made = make_table(heading, ">contacted", ">waiting", ">too late", ">median", ">90 %")
        for each in groups[:GROUPS]:
            numbers = (f"{each[name]:,}" for name in ("touched", "open", "breached"))
            times = (_show_minutes(each[name]) for name in ("median_minutes", "p90_minutes"))
            made.add_row(each["name"] or "(none)", *numbers, *times)
        if groups:
            print_table(console, made)
        if len(groups) > GROUPS:
            left.append(count_of(len(groups) - GROUPS, f"other {heading}"))
    print_sentences(console, "Times are hours and minutes of the owners' working time.")
    if left:
        print_sentences(console, f"And {', '.join(left)}: see --json")


def _show_minutes(minutes: float | None) -> str:
    """Minutes as hours and minutes: `75.0` → `1:15`."""
    if minutes is None:
        return "–"
    hours, rest = divmod(round(minutes), 60)
    return f"{hours:,}:{rest:02}"


def _print_runs(console: Console, runs: Sequence[Document], told: Sequence[str]) -> None:
    """The last runs, and why they did not end well, as far as that is not `told` already."""
    made = make_table("run", "command", "outcome", ">updated", ">seconds", title="Last runs")
    for each in runs:
        updated = sum(crm["updated"] for crm in each["crms"].values())
        seconds = "" if each["seconds"] is None else f"{each['seconds']:.1f}"
        outcome = OUTCOMES.get(each["verdict"], each["verdict"])
        made.add_row(each["run"], each["command"], outcome, f"{updated:,}", seconds)
    print_table(console, made)
    by_reason: dict[str, list[str]] = {}
    for each in runs:
        for reason in _reasons_of(each):
            by_reason.setdefault(reason, []).append(each["run"])
    for reason, ids in by_reason.items():
        if not any(_told_reason(reason) in sentence for sentence in told):
            others = f" and {count_of(len(ids) - 1, 'other')}" if len(ids) > 1 else ""
            print_sentences(console, f"Run {ids[0]}{others}: {reason}")
    console.print()


def _told_reason(reason: str) -> str:
    """A reason as other sentences may contain it: without the CRM before it."""
    return reason.split(": ", 1)[-1]


def _reasons_of(run: Document) -> list[str]:
    """Why a run did not end well, each reason once."""
    if run["verdict"] not in ("partial", "held", "failed"):
        return []
    counts = [
        f"{crm}: {counts[name]:,} {STATES[name]}"
        for crm, counts in run["crms"].items()
        for name in ("rejected", "partly", "unknown")
        if counts.get(name)
    ]
    return list(dict.fromkeys((*run["problems"], *counts)))


def _print_feeds(console: Console, feeds: Sequence[Document]) -> None:
    if not feeds:
        return
    made = make_table("crm", "activity type", ">number", "last", title="Activity sources")
    for each in feeds:
        made.add_row(each["crm"], each["kind"], f"{each['activities']:,}", each["last"])
    print_table(console, made)
    console.print()


def print_check(console: Console, document: Document) -> None:
    """Errors, warnings and what else is worth knowing."""
    document = make_printable(document)
    for problem in document["problems"]:
        print_sentences(console, f"error: {problem}")
    for crm, each in document["crms"].items():
        print_sentences(console, f"{crm}: account {each['account'] or 'unknown'}")
        for problem in _summed_up(each["problems"], each["setup_creates"]):
            print_sentences(console, f"  error: {problem}")
        for note in each["notes"]:
            print_sentences(console, f"  info: {note}")
    for name, each in document.get("events", {}).items():
        for sort, sentences in (("error", each["problems"]), ("info", each["notes"])):
            for sentence in sentences:
                print_sentences(console, f"{sort}: {sentence}" if sort == "error" else f"{name}: {sentence}")
    for warning in document["warnings"]:
        print_sentences(console, f"warning: {warning}")
    for note in document["notes"]:
        print_sentences(console, f"info: {note}")
    said = "ready" if document["ok"] else "not ready"
    counts = f"{count_of(document['rules'], 'rule')}, {count_of(document['test_leads'], 'test lead')}"
    print_sentences(console, f"{document['config']} is {said}: {counts}.")


def _summed_up(problems: Sequence[str], creatable: Sequence[str]) -> list[str]:
    """The errors of a CRM, with one sentence for all that one command creates."""
    if len(creatable) < 2:
        return list(problems)
    rest = [problem for problem in problems if problem not in creatable]
    return [f"{len(creatable)} score fields are missing; create them with: crmsync setup", *rest]


def print_demo(console: Console, document: Document) -> None:
    """What the demo did, and what to try next."""
    document = make_printable(document)
    sandbox = document["sandbox"]
    print_sentences(
        console,
        f"The sandbox ran both CRMs at {sandbox['url']} with {count_of(sandbox['people'], 'invented person')}. "
        f"The config is {document['config']}.",
    )
    for crm, sentences in document["fields"].items():
        print_sentences(console, f"{crm}: score fields created ({count_of(len(sentences), 'step')})")
    print_sentences(console, "\nThe first sync run (a backfill):")
    print_run(console, document["backfill"])
    console.print()
    print_table(console, _hottest(document["hottest"]), "who")
    print_sentences(console, "\nThe second sync run, without new changes in the CRMs:")
    print_run(console, {**document["second"], "bands": {}})
    written = sum(each["updated"] for each in document["second"]["crms"].values())
    console.print("It updated nothing." if not written else f"It updated {count_of(written, 'record')}.")
    console.print()
    _print_following(console, document)


def _hottest(leads: Sequence[Document]) -> Table:
    made = make_table(">points", "band", "who", "because", title="The ten hottest leads", one_line=True)
    for each in leads:
        because = each["reason"].partition(": ")[2]
        made.add_row(f"{each['total']:g}", each["band"], each["email"] or each["name"], because)
    return made


def _print_following(console: Console, document: Document) -> None:
    if document["ignored_environment"]:
        names = ", ".join(document["ignored_environment"])
        print_sentences(console, f"Ignored, to protect your real CRMs: {names} in your environment.")
    if process := document["sandbox"]["process"]:
        print_sentences(console, f"The sandbox is still running. To stop it: kill {process}")
    else:
        print_sentences(
            console, "The sandbox has stopped. With --keep it keeps running, for crmsync plan and crmsync run."
        )
    console.print("Next:")
    for command in document["next"]:
        say_command(console, command)
