"""What is drawn for people: only where somebody looks, and nothing of a stranger's text steers the terminal."""

import io
import re
import sys

import pytest
from rich.console import Console

from crmsync.reporting import console as report
from crmsync.reporting.print_person import _record
from crmsync.reporting.print_run import print_run, print_troubles
from crmsync.reporting.print_status import print_status


def console(terminal=False, width=100):
    file = io.StringIO()
    made = Console(
        file=file, force_terminal=terminal, width=width, emoji=False, markup=False, highlight=False, color_system=None
    )
    return made, file


def printed(draw, *given, width=80, terminal=True):
    """The lines that are drawn, without the blanks at their ends."""
    made, file = console(terminal, width)
    draw(made, *given)
    return [line.rstrip() for line in re.sub("\x1b\\[[0-9;]*m", "", file.getvalue()).splitlines()]


def trouble(cause, **over):
    given = {"crm": "hubspot", "state": "rejected", "cause": cause, "fields": ["score"], "records": 1}
    return {**given, "examples": ["ann@firm.example"], "fix": "crmsync setup", **over}


def test_progress_is_drawn_on_a_terminal_and_nowhere_else():
    for terminal in (True, False):
        made, file = console(terminal)
        with report.progress_bar(made) as progress:
            progress("contacts", "hubspot", 1_200)
            progress("contacts", "hubspot", 34)
        assert ("hubspot contacts" in file.getvalue()) is terminal
        assert ("1,234" in file.getvalue()) is terminal


def test_what_is_printed_beside_a_bar_goes_where_it_belongs(capsys):
    made, file = console(terminal=True)
    with report.progress_bar(made) as progress:
        progress("scored", "", 1)
        sys.stdout.write("a line of the result\n")
    assert capsys.readouterr().out == "a line of the result\n"
    assert "a line of the result" not in file.getvalue()


def test_steps_are_drawn_on_a_terminal_and_nowhere_else():
    for terminal in (True, False):
        made, file = console(terminal)
        with report.steps_bar(made, 2) as begin:
            begin("A config")
        assert ("A config" in file.getvalue()) is terminal


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\rb", "\x9b2J", "x\x00y", "\u202egnp.exe", "a\nb\tc"])
def test_a_strangers_text_does_not_steer_the_terminal(name):
    made, file = console()
    print_troubles(made, [trouble(name, examples=[name], fix=name)])
    assert all(line.isprintable() for line in file.getvalue().split("\n"))
    assert len(file.getvalue().split("\n")) == 5


def test_a_strangers_text_is_not_read_as_markup():
    made, file = console()
    reason = "[red]not red[/red] :smile: [/]"
    print_troubles(made, [trouble(reason)])
    assert reason in file.getvalue()


def test_a_document_is_cleaned_throughout():
    assert report.make_printable({"a\x1b": ["b\x1b", ("c\x00", 3, None, True)]}) == {
        "a ": ["b ", ["c ", 3, None, True]]
    }


def test_bands_come_in_their_order_and_forgotten_ones_last():
    assert list(report.in_order({"mql": 1, "old": 2, "cold": 3}, ["cold", "warm", "mql"])) == ["cold", "mql", "old"]


# Eighty columns


LONG = (
    "Salesforce refuses the log-in: the consumer secret is not the one of this External Client App; copy it again and "
    "put it into CRMSYNC_SALESFORCE__CLIENT_SECRET, then restart crmsync run"
)


def counts(**over):
    zero = dict.fromkeys(("updated", "partly", "rejected", "edited", "unknown"), 0)
    given = {"pulled": 1_234, "activities": 56_789, "scored": 1_200, "planned": 1_000, **zero}
    return {**given, "skipped": {"not_matched": 6}, "protected": {}, "api_calls": 42, "seconds": 1.25, **over}


def run(verdict, **over):
    document = {"run": "20261121-090000-62c4", "verdict": verdict, "bands": {"cold": 1_000}, "problems": [LONG]}
    return {**document, "notes": [], "crms": {"hubspot": counts(**over), "salesforce": counts(**over)}}


def test_sentences_break_at_words_on_a_terminal_and_nowhere_in_a_pipe():
    for width in (40, 80, 200):
        lines = printed(report.print_sentences, LONG, width=width)
        assert " ".join(lines) == LONG
        assert max(map(len, lines)) <= width
    assert printed(report.print_sentences, LONG, terminal=False) == [LONG]
    assert printed(report.print_sentences, f"  {LONG} {'x' * 90}")[1].startswith("  External Client App")
    assert printed(report.print_sentences, "x" * 90) == ["x" * 90]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_counts_fit_any_terminal_and_what_is_zero_is_left_out(width):
    lines = printed(print_run, run("preview"), width=width)
    assert max(map(len, lines)) <= width
    assert ["to", "update", "1,000", "1,000"] in [line.split() for line in lines]
    assert not any(word in " ".join(lines) for word in ("updated", "rejected", "unknown", "edited"))
    assert "hubspot, skipped: 6 not matched (same address on several people)" in lines or width == 60


def test_a_run_shows_what_became_of_what_it_planned():
    words = " ".join(printed(print_run, run("partial", updated=900, rejected=60, partly=40)))
    for said in ("updated (verified) 900 900", "rejected by the CRM 60 60", "partly updated 40 40"):
        assert said in re.sub(" +", " ", words)
    assert "to update" not in words


def test_troubles_are_told_once_for_each_cause():
    lines = printed(print_troubles, [trouble(LONG, records=3_024), trouble("it is locked", records=1)])
    assert lines[0] == "Not written as planned: 3,025 records"
    assert " ".join(line.strip() for line in lines).count("consumer secret") == 1
    assert "  hubspot, 1 record, rejected by the CRM (score): it is locked" in lines
    assert max(map(len, lines)) <= 80
    lines = printed(print_troubles, [trouble(str(each)) for each in range(50)])
    assert lines[-1] == "  and 30 records of 30 other causes"
    assert printed(print_troubles, []) == []


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            {"hubspot": {"records": 130, "bands": 9}, "salesforce": {"records": 113}},
            "130 records in hubspot, 113 records in salesforce",
        ),
        ({"hubspot": {"records": 1}, "salesforce": {"records": 0}}, "1 record in hubspot"),
        ({}, "nothing"),
    ],
)
def test_what_waits_is_counted_in_each_crm(records, said):
    assert report.count_waiting(records) == said


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"delivery": "written"}, "stage mql, owner unassigned, score 75, written"),
        (
            {"delivery": "held", "pending": {"score": 87}},
            "stage mql, owner unassigned, score 75; update to 87 waits for approval (plan p1)",
        ),
        (
            {"delivery": "pending", "pending": {"stage": "sql"}},
            "stage mql, owner unassigned, score 75; update to other values pending (run p1)",
        ),
        (
            {"delivery": "differs", "holds": {}},
            "stage mql, owner unassigned, no score yet; the next run updates it",
        ),
        ({"state": "deleted"}, "stage mql, owner unassigned, score 75, deleted"),
    ],
)
def test_an_explanation_tells_what_a_record_holds_from_what_is_to_come(over, said):
    record = {"ref": "hubspot:contact:1", "name": "", "stage": "mql", "owner": "", "holds": {"score": 75}}
    record |= {
        "state": "live",
        "delivery": "written",
        "not_written": None,
        "run": "p1",
        "on_hold": None,
        "pending": {},
        **over,
    }
    assert _record(record, is_excluded=False) == f"hubspot contact 1: {said}"


def standing(**over):
    crm = {"account": "00D000000000001EAA", "records": 3_025, "not_matched": 6, "on_hold": 0, "pending_updates": 0}
    told = {"last_good": "2026-11-21 09:00 UTC", "healthy": True, "why": "", "api_left": 999_392, "api_used": 0.000608}
    ran = {"run": "20261121-090000-62c4", "command": "full_resync", "verdict": "partial", "seconds": 12.3}
    return {
        "crms": {"hubspot": {**crm, **told}, "salesforce": {**crm, **told}},
        "bands": {"cold": 1_395, "mql": 11},
        "bands_waiting": {"mql": 5},
        "accepted": {"said": "Over the line (mql) in the last 91 days: 12 (42 % accepted)."},
        "runs": [{**ran, "crms": {"hubspot": counts(updated=1)}, "problems": [LONG]}] * 3,
        "waiting": [],
        "approved": [],
        "qualified": [],
        "without_owner": {"count": 0, "qualified": 0},
        "freshness": {"people": 0},
        "reviews": [],
        "models": {"current": None, "without_reason": [], "loosened": []},
        "next_run": {
            "schedule": "every 15m",
            "daemon": False,
            "at": None,
            "start": "crmsync run",
            "delay_seconds": None,
        },
        "waiting_for_owner": {"count": 2, "reasons": {"no member of pool sales is active in salesforce": 2}},
        "feedback": {},
        "sla": None,
        "refused": [],
        "held_by": None,
        "paused": None,
        "overrides": [],
        "overrides_by_rep": [],
        "alerts": {"sinks": [], "heartbeat": False, "open": [], "down": []},
        "healthy": True,
        "health": [],
        **over,
    }


def test_the_status_says_why_what_waits_and_what_the_crms_hold():
    plan = {
        "run": "20261121-100000-aaaa", "kind": "data",
        "reasons": ["hubspot: 27 of 100 records (27.0%) would get another band"],
        "records": {"hubspot": {"records": 1, "bands": 1}}, "since": "2026-11-21T10:00:00+00:00",
        "next": "crmsync apply 20261121-100000-aaaa",
    }  # fmt: skip
    lines = printed(print_status, standing(waiting=[plan], refused=[trouble("it is locked", records=9)]))
    words = " ".join(" ".join(lines).split())
    assert "Held for approval: plan 20261121-100000-aaaa, 1 record in hubspot, since 2026-11-21 10:00 UTC" in words
    assert "  crmsync apply 20261121-100000-aaaa" in lines
    assert "completed with errors" in words
    assert words.count(LONG) == 1
    assert f"Run 20261121-090000-62c4 and 2 others: {LONG}" in words
    assert "mql 11 (5 more waiting)" in words
    assert "Waiting for an owner: 2 people 2: no member of pool sales is active in salesforce" in words
    assert "9 records, rejected by the CRM (score): it is locked" in words
    assert "on hold" not in words.partition("On hold")[0]
    for whole in ("last successful run", "2026-11-21 09:00 UTC", "00D000000000001EAA", "updated", "seconds"):
        assert any(whole in line for line in lines)
    assert max(map(len, lines)) <= 80


WHO = {"person": 7, "name": "Charlotte Khan", "email": "charlotte.khan@dunmore-software.example"}


def test_the_status_answers_in_the_order_in_which_an_admin_asks():
    down = {"last_good": None, "healthy": False, "why": f"no successful run since 2026-11-20 18:02 UTC. {LONG}"}
    given = standing()
    crms = {
        "hubspot": given["crms"]["hubspot"],
        "salesforce": {**given["crms"]["salesforce"], **down, "api_left": None},
    }
    plan = {
        "run": "20261121-100000-aaaa", "kind": "data", "reasons": ["27 of 100 records would get another band"],
        "records": {"hubspot": {"records": 1}}, "since": "2026-11-21T10:00:00+00:00", "next": "crmsync apply x",
    }  # fmt: skip
    moved = {"days": 7, "entered": 12, "left": 1, "who_entered": [WHO] * 12, "who_left": [WHO]}
    document = standing(
        crms=crms, healthy=False, health=[f"salesforce: {down['why']}", "Plan p0 has waited for approval since Friday"],
        waiting=[plan], refused=[trouble("it is locked", records=9)],
        qualified=[{"field": "stage", "name": "mql", **moved}, {"field": "band", "name": "mql", **moved}],
        without_owner={"count": 812, "qualified": 2},
        reviews=[{"what": "model", "on": "2026-08-01", "due": "2026-11-01", "days": 112, "overdue": True}],
        next_run={
            "schedule": "every 15m", "daemon": True, "at": "2026-11-21T10:15:00+00:00", "start": None,
            "delay_seconds": 903,
        },
    )  # fmt: skip
    lines = printed(print_status, document)
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    asked = [
        "hubspot: ok, last successful run 2026-11-21 09:00 UTC",
        "salesforce: no successful run since 2026-11-20 18:02 UTC. ",
        "Plan p0 has waited for approval since Friday",
        "Held for approval: plan 20261121-100000-aaaa",
        "The model was last reviewed on 2026-08-01 (112 days ago); a review was due on 2026-11-01.",
        "Last runs",
        "On hold: 9 records",
        "stage mql: 12 new, 1 lost + charlotte.khan@dunmore-software.example, ",
        "and 7 more − charlotte.khan@dunmore-software.example",
        "band mql: 12 new, 1 lost",
        "Without an active owner: 812 people, 2 of them in band mql or above",
        "Waiting for an owner: 2 people",
        "API calls left, as of the last run: hubspot 999,392 (99.9%)",
        "Next run: 2026-11-21 10:15 UTC (every 15m)",
        "A new lead waits for 15 min 3 s at most: until the next run, and while it runs.",
    ]
    places = [words.find(each) for each in asked]
    assert -1 not in places, asked[places.index(-1)]
    assert places == sorted(places)
    assert "Healthy" not in words


def test_the_status_says_that_nothing_runs_by_itself():
    lines = printed(print_status, standing())
    assert "No next run: crmsync run, which runs every 15m, is not running. To start it:" in lines
    assert lines[-1] == "  crmsync run"


def test_the_status_tells_each_reason_of_the_last_runs_once_and_of_how_many():
    run = standing()["runs"][0]
    good = {**run, "verdict": "ok", "problems": []}
    words = " ".join(" ".join(printed(print_status, standing(runs=[good, run, {**run, "run": "r3"}]))).split())
    assert words.count(LONG) == 1
    assert f"Run 20261121-090000-62c4 and 1 other: {LONG}" in words
    under_way = {**run, "verdict": "running", "problems": [], "started": "2026-11-21 09:15 UTC"}
    failed = {**run, "problems": [f"salesforce: {LONG}", "the disk is full", "the disk is full"]}
    health = [f"salesforce: Run 20261121-090000-62c4 skipped it: {LONG}"]
    given = standing(runs=[under_way, failed, run], health=health, healthy=False)
    words = " ".join(printed(print_status, given, width=900))
    assert (words.count(LONG), words.count("the disk is full")) == (1, 1)
    assert "A run is under way since 2026-11-21 09:15 UTC." in words
    assert "A run is under way since 2026-11-21 09:15 UTC." in words


def test_the_status_counts_as_updated_what_its_json_does():
    run = {**standing()["runs"][0], "crms": {"hubspot": {**counts(updated=41), "partly": 3}}}
    lines = printed(print_status, standing(runs=[run]))
    assert any(" 41 " in line and "completed with errors" in line for line in lines)
    assert "hubspot: 3 partly updated" in " ".join(lines)


def test_the_status_lists_what_is_approved_and_not_written():
    plan = {"run": "p1", "records": {"hubspot": {"records": 2}}, "at": "2026-11-21T10:00:00+00:00"}
    lines = printed(print_status, standing(approved=[plan]))
    assert "Approved and not written yet: plan p1, 2 records in hubspot, at 2026-11-21 10:00 UTC" in " ".join(lines)
    assert "If crmsync run was started with another config, restart it" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(("number", "said"), [(1, "1 record"), (0, "0 records"), (1_234, "1,234 records")])
def test_numbers_and_nouns_agree(number, said):
    assert report.count_of(number, "record") == said
