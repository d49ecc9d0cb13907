"""A person, the model, or a scored file on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Console

from crmsync.reporting.console import (
    Document,
    count_of,
    format_minute,
    make_printable,
    make_table,
    print_person_heading,
    print_sentences,
    print_table,
    say_command,
    show_points,
    show_signed,
)
from crmsync.reporting.print_accounts import describe_roles
from crmsync.scoring.explanation.model_page import RULES
from crmsync.scoring.operators import join_options

MOST_TWICE = 3
"""Of what two CRMs log, so many are told."""


def print_explanation(console: Console, document: Document) -> None:
    """Why somebody has their score, stage and owner: the ledger, what is missing, and what the CRMs hold."""
    document = make_printable(document)
    print_person_heading(console, document)
    if document["excluded"]:
        said = "neither scored nor written; the points below are those that they would have"
        print_sentences(console, f"Excluded: {document['excluded']}; {said}")
    grade = f", grade {document['grade']}" if document.get("grade") else ""
    print_sentences(
        console,
        f"{count_of(document['total'], 'point')}: {document['band'] or 'no band'}{grade} "
        f"(fit {show_points(document['fit'])}, behavior {show_points(document['behavior'])})",
    )
    _print_lines(console, document)
    for sentence in (*_outlook(document), *_decisions(document)):
        print_sentences(console, sentence)
    for record in document["records"]:
        print_sentences(console, _record(record, is_excluded=bool(document["excluded"])))
    if commands := dict.fromkeys(record["next"] for record in document["records"] if record["next"]):
        console.print("To approve it:")
        for command in commands:
            say_command(console, command)


def _print_lines(console: Console, document: Document) -> None:
    console.print()
    lines = make_table(">points", "rule", "why")
    for line in document["lines"]:
        lines.add_row(show_signed(line["points"]), line["rule"], line["why"])
    lines.add_row(show_points(document["total"]), "total", "")
    print_table(console, lines)
    console.print()


def print_past(console: Console, document: Document) -> None:
    """The same as of a past instant: what was known then, and what nobody can know any more."""
    document = make_printable(document)
    print_person_heading(console, {**document, "emails": []})
    points = f"fit {show_points(document['fit'])}, behavior {show_points(document['behavior'])}"
    said = f"{count_of(document['total'], 'point')}: {document['band'] or 'no band'} ({points})"
    print_sentences(console, f"As of {_minute(document['at'])}, by the present model: {said}")
    _print_lines(console, document)
    if entry := document["entered"]:
        where = ", ".join(filter(None, [entry["stage"] and f"stage {entry['stage']}", f"band {entry['band']}"]))
        given = f"{count_of(entry['total'], 'point')} by model {entry['model']}"
        print_sentences(console, f"Kept from {_minute(entry['at'])}: {where}, with {given}")
    for warning in document["warnings"]:
        print_sentences(console, f"warning: {warning}")
    if document["gaps"]:
        print_sentences(console, "Unknown: " + "; ".join(document["gaps"]))
    if document["unknown_then"]:
        names = ", ".join(document["unknown_then"])
        how = "crmsync did not read them yet then; to read what the CRMs keep: crmsync backfill --history"
        print_sentences(console, f"Not known any more as of then: {names}. {how}")


def _outlook(document: Document) -> Iterator[str]:
    """What moved the score last, what will move it next, and how sure it is."""
    if document["changed"]:
        moved = ", ".join(f"{each['rule']} {show_signed(each['points'])}" for each in document["changed"])
        yield f"Since the last score: {moved}"
    if document["band_why"]:
        yield document["band_why"]
    for ahead in (document["until"], document["next"]):
        if ahead:
            yield str(ahead["said"])
    yield from (f"Experiment {name}: arm {arm}" for name, arm in document["experiments"].items())
    yield from _spread(document)
    yield from (f"{each['said']}." for each in document["holds"])
    twice = document["logged_twice"]
    yield from (f"{each['said']}." for each in twice[:MOST_TWICE])
    if len(twice) > MOST_TWICE:
        yield f"The same of {len(twice) - MOST_TWICE:,} more."
    for warning in document["warnings"]:
        yield f"warning: {warning}"
    if document["gaps"]:
        yield "Unknown: " + "; ".join(document["gaps"])
    for each in document["differences"]:
        first, *others = [_what_record_says(**value) for value in each["values"]]
        yield f"{each['field']}: {first} counts, not {', '.join(others)}"


def _spread(document: Document) -> Iterator[str]:
    """What unknown values could make of the score."""
    lowest, highest = document["range"]["lowest"], document["range"]["highest"]
    bands = " or ".join(document["range"]["bands"])
    if lowest != highest:
        yield f"Depending on the unknown values: {show_points(lowest)} to {count_of(highest, 'point')} ({bands})"
    elif lowest != document["total"]:  # it rests on that nothing is known
        yield f"Once the unknown values are known: {count_of(lowest, 'point')} ({bands})"


def _what_record_says(ref: str, mapped: str, value: object) -> str:
    crm, kind, _id = ref.split(":", 2)
    return f"{join_options(value, 'and')} ({crm} {kind}, {mapped})"


def _decisions(document: Document) -> Iterator[str]:
    """What was decided of the stage and the owner, and why, as of the last run."""
    if document["stage_why"]:
        yield f"Stage: {document['stage'] or '(empty)'}; {document['stage_why']}"
    if (stage := document["lifecycle"]) and stage["reason"] and stage["entered"]:
        yield f"In {stage['stage']} since {_minute(stage['entered'])}: {stage['reason']}"
    if document["waiting"]:
        yield f"Owner: none yet, because {document['waiting']}"
    elif document["owner_why"]:
        yield f"Owner: {document['owner'] or 'unassigned'}; {document['owner_why']}"
    if (account := document["account"]) and account["score"] is not None:
        called = [
            account["name"] or "",
            count_of(account["score"], "point"),
            count_of(account["people"], "person"),
        ]
        yield "; ".join(filter(None, [f"Account: {', '.join(filter(None, called))}", describe_roles(account)]))
    if tag := document["feedback"]:
        until = f" until {tag['until'][:10]}" if tag["until"] else ""
        yield f"Feedback: {tag['tag']}, {tag['action'] or 'which is not in [feedback.tags]'}{until}"
    if sla := document["sla"]:
        due, touched = (
            _minute(sla["due"]),
            f"contacted {_minute(sla['touched'])}" if sla["touched"] else "not contacted",
        )
        yield f"To be contacted by {due}; {touched}{', too late' if sla['breached'] else ''}"
    for task in (document["routing"] or {}).get("tasks", ()):
        state = {"planned": "not taken by a CRM yet", "sent": "outcome unknown"}.get(task["state"], task["state"])
        why = f" ({task['reason']})" if task["reason"] else ""
        yield f"Task for {task['owner']}: {task['event'].replace('_', '-')}, due {_minute(task['due'])}, {state}{why}"
    for each in document["overrides"]:
        value = f"{each['field']} {each['value'] or '(empty)'}"
        yield f"Protected: {_called_record(each)}: {value}, changed by a user, until {each['until'][:10]}"


def _minute(at: str) -> str:
    return format_minute(datetime.fromisoformat(at))


DELIVERY = {
    "pending": "update to {value} pending (run {run})",
    "held": "update to {value} waits for approval (plan {run})",
    "on_hold": "on hold: the CRM rejects the update: {on_hold}",
    "differs": "the next run updates it",
    "undone": "the update was undone and waits, until the config changes or somebody approves it",
}


def _called_record(record: Document) -> str:
    """A record as people know it: the name, and where it is."""
    crm, kind, ref_id = record["ref"].split(":", 2)
    return ", ".join(each for each in (record["name"], f"{crm} {kind} {ref_id}") if each)


def _record(record: Document, *, is_excluded: bool) -> str:
    who = _called_record(record)
    parts = [f"stage {record['stage'] or '(empty)'}", f"owner {record['owner'] or 'unassigned'}"]
    score = f"score {show_points(record['holds']['score'])}" if "score" in record["holds"] else ""
    if record["state"] == "live" and is_excluded and record["delivery"] in ("written", "differs", "small_move"):
        return f"{who}: {', '.join((*parts, score or 'no score'))}; excluded"
    if record["state"] != "live" or record["delivery"] == "written":
        ending = record["state"] if record["state"] != "live" else "written"
        return f"{who}: {', '.join(each for each in (*parts, score, ending) if each)}"
    value = show_points(record["pending"]["score"]) if "score" in record["pending"] else "other values"
    if record["not_written"]:
        return f"{who}: {', '.join(parts)}, {score or 'no score yet'}; {record['not_written']}"
    delivery = DELIVERY[record["delivery"]].format(value=value, run=record["run"], on_hold=record["on_hold"])
    return f"{who}: {', '.join(parts)}, {score or 'no score yet'}; {delivery}"


PARTS = {
    "fit": ("Fit", "who somebody is"),
    "behavior": ("Behavior", "what they did"),
    "limits": ("Limits", "in this order"),
    "bands": ("Bands", "the highest one whose conditions, and those of all lower bands, are met"),
    "disqualifiers": ("Disqualified", "always in the lowest band"),
    "qualifications": ("Qualified", "if all of these are true; the score does not change"),
    "segments": ("Segments", "the first one that matches a person applies"),
    "words": ("Lists and words", ""),
    "stages": ("Stages", "in this order; people move forward, and back only where they leave"),
    "owners": ("Owners", "the first route that holds decides; an active owner stays"),
}


NAMED_BY_SORT = ("group", "channel", "grade", "grid")


def print_model(console: Console, document: Document) -> None:
    """The whole model on a page, to be read aloud in a meeting."""
    document = make_printable(document)
    rules = document["rules"]
    fit = [line for line in rules if line["sort"] == "fit"]
    parts = {**document, "fit": fit, "behavior": [line for line in rules if line not in fit]}
    made = make_table(">points", "rule", "when")
    for part, (title, note) in PARTS.items():
        if parts[part]:
            made.add_row()
            made.add_row("", title, note, style="bold")
        for line in parts[part]:
            made.add_row(*_said(line))
    if document.get("tiers"):
        made.add_row()
        made.add_row("", "Intent", "the tier of each type of activity", style="bold")
    for each in document.get("tiers", ()):
        many = "" if each["activities"] is None else f"{each['activities']:,} in the last {each['days']} days: "
        kinds = ", ".join(kind.replace("_", " ") for kind in each["kinds"])
        made.add_row("", each["tier"], f"{many}{kinds or 'none'}")
    print_table(console, made)
    console.print()
    ages = f"Ages are whole days in {document['timezone']}."
    print_sentences(console, f"{count_of(len(rules), 'rule')}. {ages} Model version: {document['model']}.")


def _said(line: Document) -> tuple[str, str, str]:
    """Points, name and words of one line; limits and grades carry what they are in their name."""
    given = line["points"]
    points = "" if given is None else show_signed(given) if line["sort"] in (*RULES, "learned") else show_points(given)
    name = f"{line['sort']} {line['name']}" if line["sort"] in NAMED_BY_SORT else line["name"]
    return points, name, line["says"]


def print_tally(console: Console, path: object, people: int, document: Document) -> None:
    """The errors and warnings of a file of people; nothing where all is well."""
    document = make_printable(document)
    for problem in document["problems"]:
        print_sentences(console, problem)
    for warning in document["warnings"]:
        print_sentences(console, f"warning: {warning}")
    if not people and not document["problems"]:
        print_sentences(console, f"{path} is empty: there are no people to score.")
    elif document["problems"]:
        print_sentences(
            console, f"{count_of(people, 'person')} scored; {count_of(len(document['problems']), 'error')} in {path}."
        )
