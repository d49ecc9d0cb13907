"""Whole runs that read opportunities: a stream of its own, and people of the state with what came of them."""

import io
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from rich.console import Console

from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import Cancelled, ConfigError, Transient, Unavailable
from crmsync.evaluation.cases import LOST, NEVER, OPEN, WON, judge_cases
from crmsync.model import Odd, Opportunity, Page, Ref
from crmsync.reporting import cases as state_cases
from crmsync.reporting.audit import sample_state
from crmsync.reporting.cases import StateTally, read_state_cases
from crmsync.reporting.print_status import print_status
from crmsync.reporting.status import status_document
from crmsync.reporting.versions import accepted_document
from crmsync.store import schema
from crmsync.store.cursors import read_cursor
from crmsync.store.ledgers import ledger_reader
from tests.support import make
from tests.support.cycles import balanced, two_crms
from tests.support.make import MODEL, NOW, activity, config, contact, crm, work
from tests.support.state import rows

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ADA, BO, CY = Ref("hubspot", "contact", "1"), Ref("hubspot", "contact", "2"), Ref("salesforce", "contact", "0032")
SETTINGS = config(MODEL + "[outcome]\n")


def deal(number=1, *records, at=NOW, **over):
    given = {"changed_at": at, "created_at": at, "records": records, **over}
    return Opportunity(Ref(records[0].crm if records else "hubspot", "deal", f"d{number}"), **given)


def run(state, *crms, at=NOW, settings=SETTINGS, **how):
    return balanced(run_cycle(work(state, *crms, now=at, settings=settings), **how))


def cursor(state, name, of="hubspot"):
    with state.read() as reading:
        return read_cursor(reading, of, name)


def ids(state):
    return sorted(row["id"] for row in rows(state, schema.opportunity))


def failing(of, error, after=0):
    """A CRM whose opportunities cannot be read after so many pages."""
    asked = of.outcomes

    def outcomes(cursor):
        for number, page in enumerate(asked(cursor)):
            if number >= after:
                raise error
            yield page
        raise error

    of.outcomes = outcomes
    return asked


def test_a_run_reads_opportunities_after_activities_and_goes_on_from_their_cursor(state):
    hubspot, salesforce = two_crms()
    hubspot.sell(deal(1, ADA))
    first = run(state, hubspot, salesforce)
    assert first.crms["hubspot"].opportunities == 1
    assert first.crms["salesforce"].opportunities == 0
    assert first.as_json()["crms"]["hubspot"]["opportunities"] == 1
    hubspot.sell(deal(2, BO))
    hubspot.sell(deal(1, ADA, state="lost", closed_at=NOW))
    assert run(state, hubspot, salesforce, at=NOW + HOUR).crms["hubspot"].opportunities == 2
    assert run(state, hubspot, salesforce, at=NOW + 2 * HOUR).crms["hubspot"].opportunities == 0
    assert ids(state) == ["d1", "d2"]


def test_without_the_table_nothing_of_them_is_read_and_no_call_is_made(state):
    hubspot, salesforce = two_crms()
    hubspot.sell(deal(1, ADA))
    hubspot.outcomes = salesforce.outcomes = None
    result = run(state, hubspot, salesforce, settings=config())
    assert (result.verdict, ids(state), cursor(state, "outcomes")) == ("ok", [], None)


def test_the_field_map_says_that_they_are_read_and_by_which_field_they_are_worth(state):
    plain, worth = config().field_map("hubspot"), config(outcome={"value": {"hubspot": "arr"}})
    assert (plain.outcomes, plain.opportunity_value) == (False, "")
    assert (worth.field_map("hubspot").outcomes, worth.field_map("hubspot").opportunity_value) == (True, "arr")
    assert worth.field_map("salesforce").opportunity_value == ""
    # Nobody's record has to be read again for them.
    assert worth.mapping_hash("hubspot") == config().mapping_hash("hubspot")
    assert worth.decision_hash() == config().decision_hash()


def test_a_page_and_its_cursor_are_stored_together(state):
    hubspot = crm(page_size=1)
    hubspot.edit(contact(1))
    for number in range(3):
        hubspot.sell(deal(number, ADA))
    asked = failing(hubspot, Cancelled("stopped"), after=2)
    with pytest.raises(Cancelled):
        run(state, hubspot)
    assert ids(state) == ["d0", "d1"]
    hubspot.outcomes = asked
    assert run(state, hubspot, at=NOW + HOUR).crms["hubspot"].opportunities == 1
    assert ids(state) == ["d0", "d1", "d2"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ConfigError(["the user may not read deals; give it the scope crm.objects.deals.read"]),
            "the user may not read deals",
        ),
        (Unavailable("hubspot", "deals do not answer"), "opportunities: deals do not answer"),
        (Transient("a gateway timed out"), "opportunities: a gateway timed out"),
        (KeyError("secret@x.example"), "opportunities: the answer cannot be read (KeyError)"),
    ],
    ids=["config", "unavailable", "transient", "odd"],
)
def test_where_they_cannot_be_read_the_crm_takes_part_all_the_same(state, error, said):
    hubspot, salesforce = two_crms()
    hubspot.sell(deal(1, ADA))
    run(state, hubspot, salesforce)
    failing(hubspot, error)
    hubspot.edit(contact(3, fields={"title": "VP", "employees": 500}))
    result = run(state, hubspot, salesforce, at=NOW + HOUR)
    assert result.verdict == "partial"
    assert result.skipped == {}
    (problem,) = result.problems
    assert problem.startswith(f"hubspot: {said}")
    assert problem.endswith("; until then the last known opportunities are used")
    assert hubspot.records[Ref("hubspot", "contact", "3")].current["score"] == 35
    assert ids(state) == ["d1"]


def test_a_page_of_which_most_cannot_be_read_is_no_answer(state):
    hubspot = crm()
    hubspot.edit(contact(1))
    odd = [Odd(f"deal {number}", "without its properties") for number in range(11)]
    hubspot.outcomes = lambda _cursor: iter([Page([deal(1, ADA)], "1", odd=odd)])
    result = run(state, hubspot)
    assert "11 of 12 records arrived without its properties" in result.problems[0]
    assert ids(state) == []
    hubspot.outcomes = lambda _cursor: iter([Page([deal(1, ADA)], "1", odd=odd[:1])])
    result = run(state, hubspot, at=NOW + HOUR)
    assert "hubspot: deal 0 arrived without its properties" in result.problems[0]
    assert ids(state) == ["d1"]


def test_a_full_pull_finds_those_that_vanished_and_goes_on_where_it_was_cut_off(state):
    hubspot = crm(page_size=1)
    hubspot.edit(contact(1))
    for number in range(4):
        hubspot.sell(deal(number, ADA))
    run(state, hubspot)
    del hubspot.opportunities[Ref("hubspot", "deal", "d1")]
    assert run(state, hubspot, at=NOW + HOUR).crms["hubspot"].opportunities == 0
    asked = failing(hubspot, Unavailable("hubspot", "down"), after=2)
    run(state, hubspot, at=NOW + 2 * HOUR, full=True)
    assert ids(state) == ["d0", "d1", "d2", "d3"]
    hubspot.outcomes = asked
    result = run(state, hubspot, at=NOW + 3 * HOUR, full=True)
    assert result.crms["hubspot"].opportunities == 1
    assert ids(state) == ["d0", "d2", "d3"]
    assert cursor(state, "full:outcomes") is None
    assert cursor(state, "outcomes") == "5"


def test_with_another_field_for_their_value_all_are_read_again(state):
    hubspot = crm()
    hubspot.edit(contact(1))
    hubspot.sell(deal(1, ADA))
    run(state, hubspot)
    run(state, hubspot)  # the echo of what was written
    worth = config(MODEL + "[outcome]\nvalue = { hubspot = 'arr' }\n")
    result = run(state, hubspot, at=NOW + HOUR, settings=worth)
    assert (result.crms["hubspot"].opportunities, result.crms["hubspot"].pulled) == (1, 0)
    assert cursor(state, "outcomes") is None


def test_a_preview_reads_them_on_its_copy_alone(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    hubspot.sell(deal(1, ADA))

    @contextmanager
    def connect(_config, _copy):
        yield {each.name: each for each in (hubspot, salesforce)}

    result = preview_run(work(state, hubspot, salesforce, now=NOW + HOUR, settings=SETTINGS)._replace(connect=connect))
    assert result.crms["hubspot"].opportunities == 1
    assert ids(state) == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"line": "mqls"}, "[outcome] line: there is no band 'mqls'; did you mean 'mql'?"),
        ({"line": "x"}, "there is no band 'x'; the bands are cold, warm, mql"),
        ({"stable": ["titel"]}, "there is no field 'titel'; did you mean 'title'?"),
        ({"value": {"pipedrive": "x"}}, "there is no CRM 'pipedrive'; the CRMs are hubspot, salesforce"),
        ({"value": {"hubspot": " "}}, "the field of hubspot is empty"),
        ({"touched": ["call"]}, "there is no activity type 'call'"),
        ({"won": [" "]}, "an empty text names nothing"),
        ({"won": ["A"], "lost": ["A"]}, "[outcome] lost: 'A' is in won, too; remove it from one of the two"),
    ],
)
def test_names_that_the_file_does_not_have_are_mistakes(table, said):
    with pytest.raises(ValueError) as told:
        config(outcome=table)
    assert said in str(told.value)


def test_stable_may_name_the_stage_and_the_address():
    assert config(outcome={"stable": ["email", "stage", "title"]}).outcome.stable == ["email", "stage", "title"]


# Entries into stages


def entries(state):
    return [
        (row["person"], row["stage"], row["band"], row["total"], row["owner"])
        for row in rows(state, schema.stage_entry)
    ]


def test_a_run_keeps_each_entry_once_with_score_lines_model_and_owner(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    run(state, hubspot, salesforce, at=NOW + HOUR)
    assert entries(state) == [(1, "mql", "mql", 6500, "ann@acme.example")]
    (row,) = rows(state, schema.stage_entry)
    assert row["model"] == SETTINGS.model_hash()
    with state.read() as reading:
        assert "Demo requested" in ledger_reader(reading)(row["ledger"])
    hubspot.edit(replace(hubspot.records[BO], stage="mql"))
    run(state, hubspot, salesforce, at=NOW + 2 * HOUR)
    assert entries(state)[1:] == [(2, "mql", "cold", 1500, "")]


def test_a_stage_that_was_there_at_first_sight_is_no_entry(state):
    hubspot = crm()
    hubspot.edit(contact(1, stage="mql"))
    run(state, hubspot)
    assert entries(state) == []


def test_what_waits_for_approval_has_entered_nothing_yet(state):
    hubspot = crm()
    for number in range(3):
        hubspot.edit(contact(number, fields={"title": "VP", "employees": 500}))
        hubspot.happen(activity(number, contact(number)))
    settings = config(MODEL + "[outcome]\n[guard]\nfirst_run = 2\n")
    held = run(state, hubspot, settings=settings)
    assert held.held is not None
    assert entries(state) == []
    make.apply_plan(work(state, hubspot, settings=settings, now=NOW + HOUR), held.held.run)
    assert len(entries(state)) == 3


def test_S3_15_status_and_plan_say_the_accepted_share_beside_the_bands(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    with state.read() as reading:
        assert accepted_document(SETTINGS, reading, NOW + HOUR)["said"].endswith(
            "(mql) in the last 91 days: 1 (0 % accepted)."
        )
        assert accepted_document(config(), reading, NOW + HOUR) is None
    hubspot.sell(deal(1, ADA, at=NOW + HOUR))
    run(state, hubspot, salesforce, at=NOW + 2 * HOUR)
    with state.read() as reading:
        found = accepted_document(SETTINGS, reading, NOW + 3 * HOUR)
        later = accepted_document(SETTINGS, reading, NOW + 92 * DAY)
    assert found["said"] == "Over the line (mql) in the last 91 days: 1 (100 % accepted)."
    assert (later["people"], later["said"][-30:]) == (0, " (mql) in the last 91 days: 0.")
    screen = Console(file=io.StringIO(), width=80)
    document = status_document(SETTINGS, state, NOW + 3 * HOUR, str)
    assert document["accepted"] == found
    print_status(screen, document)
    assert found["said"] in screen.file.getvalue()


# Cases


def cases_of(state, *, now, settings=SETTINGS, since=None, until=None, tally=None):
    parts = list(read_state_cases(settings, state, now, since, until, tally))
    names = [name for part in parts for name in part.names]
    return {name: (part, row) for part in parts for row, name in enumerate(part.names)} if names else {}


def value_of(found, name, key):
    part, row = found[name]
    return (getattr(part, key, None) if hasattr(part, key) else part.milestones[key])[row]


def seconds(at):
    return int(at.timestamp())


def test_somebody_handed_over_is_judged_as_of_then_with_what_came_of_it(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    touch = replace(activity("t", contact(1), kind="call_completed"), at=NOW + 2 * HOUR, owner="hubspot-ann")
    theirs = replace(activity("o", contact(1), kind="call_completed"), at=NOW + HOUR, owner="hubspot-bob")
    hubspot.happen(touch)
    hubspot.happen(theirs)
    for number, worth in ((1, 100.0), (2, 20.0)):
        hubspot.sell(
            deal(
                number, ADA, at=NOW + DAY, state="won", closed_at=NOW + number * 3 * DAY, value=worth, source="Webinar"
            )
        )
    run(state, hubspot, salesforce, at=NOW + 8 * DAY)
    found = cases_of(state, now=NOW + 9 * DAY)
    get = partial(value_of, found, "ada@x.example")
    assert (get("at"), get("handed_off"), get("scored_then")) == (seconds(NOW), seconds(NOW), 6500)
    assert (get("outcome"), get("outcome_at"), get("value")) == (WON, seconds(NOW + 3 * DAY), 120.0)
    assert (get("mql"), get("accepted"), get("opportunity")) == (seconds(NOW), *[seconds(NOW + DAY)] * 2)
    assert get("touched") == seconds(NOW + 2 * HOUR)
    part, row = found["ada@x.example"]
    assert (part.groups["rep"][row], part.groups["source"][row]) == ("ann@acme.example", "Webinar")
    judged = judge_cases(SETTINGS, part, SETTINGS.zone)
    assert judged.total[row] == 6500


def test_S2_15_the_score_at_the_hand_off_counts_and_not_todays(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    hubspot.edit(replace(hubspot.records[ADA], fields={"title": "Clerk"}))
    hubspot.happen(replace(activity(9, contact(1), kind="page_viewed", url="/pricing"), at=NOW + HOUR))
    hubspot.sell(deal(1, ADA, at=NOW + DAY, state="won", closed_at=NOW + 2 * DAY))
    run(state, hubspot, salesforce, at=NOW + 3 * DAY)
    part, row = cases_of(state, now=NOW + 3 * DAY)["ada@x.example"]
    today = {row["id"]: row["total"] for row in rows(state, schema.person)}[1]
    assert (part.scored_then[row], judge_cases(SETTINGS, part, SETTINGS.zone).total[row], today) == (6500, 6500, 4500)


def test_c_10_another_config_is_replayed_over_what_was_known_then(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    hubspot.edit(replace(hubspot.records[ADA], fields={"title": "Clerk"}))
    hubspot.sell(deal(1, ADA, at=NOW + DAY))
    run(state, hubspot, salesforce, at=NOW + 3 * DAY)
    other = config(MODEL.replace("points = 20", "points = 33") + "[outcome]\n")
    part, row = cases_of(state, now=NOW + 3 * DAY, settings=other)["ada@x.example"]
    assert judge_cases(other, part, other.zone).total[row] == 7800


def test_who_had_an_opportunity_before_is_judged_as_of_just_before_it(state):
    hubspot = crm()
    born = NOW - 30 * DAY
    hubspot.edit(contact(1, fields={"title": "VP", "employees": 500}, created_at=born))
    hubspot.happen(activity(1, contact(1), days_ago=20))
    hubspot.sell(deal(1, ADA, at=NOW - 15 * DAY, state="lost", closed_at=NOW - 3 * DAY, owner="hubspot-bob"))
    run(state, hubspot)
    get = partial(value_of, cases_of(state, now=NOW + HOUR), "person1@firm.example")
    assert (get("at"), get("handed_off")) == (seconds(NOW - 15 * DAY) - 1, NEVER)
    assert (get("outcome"), get("outcome_at")) == (LOST, seconds(NOW - 3 * DAY))
    assert np.isnan(get("value"))
    part, row = cases_of(state, now=NOW + HOUR)["person1@firm.example"]
    assert part.groups["rep"][row] == "bob@acme.example"
    assert get("came") == seconds(born)


def test_who_never_had_either_is_judged_a_while_after_they_came_and_lost_after_the_horizon(state):
    hubspot = crm()
    ages = {1: 300, 2: 100, 3: 5}
    for number, days in ages.items():
        hubspot.edit(contact(number, created_at=NOW - days * DAY))
    hubspot.sell(deal(9))
    run(state, hubspot)
    found = cases_of(state, now=NOW)
    judged = {name: (value_of(found, name, "at"), value_of(found, name, "outcome")) for name in found}
    assert judged == {
        "person1@firm.example": (seconds(NOW - 286 * DAY), LOST),
        "person2@firm.example": (seconds(NOW - 86 * DAY), OPEN),
        "person3@firm.example": (seconds(NOW), OPEN),
    }
    assert value_of(found, "person1@firm.example", "outcome_at") == seconds(NOW - 106 * DAY)
    with state.read() as reading:  # a sample to review says the same of them
        sample = sample_state(SETTINGS, reading, 10, "1", NOW)
    assert sorted(each["outcome"] for each in sample) == ["lost", "open", "open"]


def test_without_an_opportunity_somebody_is_judged_as_long_after_they_came_as_others_had_to_theirs(state):
    hubspot, salesforce = two_crms()
    refs = [Ref("hubspot", "contact", str(number)) for number in range(100, 180)]
    for place, ref in enumerate(refs):
        came = NOW - 300 * DAY - place * HOUR
        hubspot.edit(contact(int(ref.id), fields={}, name=f"Dee {ref.id}", created_at=came))
        if place < 30:
            hubspot.sell(deal(place, ref, at=came + (place + 1) * DAY, state="lost", closed_at=NOW))
    run(state, hubspot, salesforce)
    found = cases_of(state, now=NOW)
    waits = {name: value_of(found, name, "at") - value_of(found, name, "came") for name in found if name[:4] == "Dee "}
    had = {waits[f"Dee {ref.id}"] for ref in refs[:30]}
    drawn = [waits[f"Dee {ref.id}"] for ref in refs[30:]]
    assert had == {(place + 1) * 86_400 - 1 for place in range(30)}
    assert set(drawn) <= had
    assert len(set(drawn)) > 15
    assert 5 * 86_400 < np.median(drawn) < 25 * 86_400
    again = cases_of(state, now=NOW)
    assert all(value_of(again, name, "at") == value_of(found, name, "at") for name in found)
    fixed = config(MODEL + '[outcome]\njudged_after = "3d"\n')
    found = cases_of(state, now=NOW, settings=fixed)
    assert {value_of(found, f"Dee {ref.id}", "at") - value_of(found, f"Dee {ref.id}", "came") for ref in refs[30:]} == {
        3 * 86_400
    }


@pytest.mark.parametrize(
    ("states", "outcome"),
    [(("lost", "open"), OPEN), (("lost", "lost"), LOST), (("lost", "won", "open"), WON), (("open",), OPEN)],
)
def test_one_open_opportunity_keeps_somebody_open_and_one_that_is_won_wins(state, states, outcome):
    hubspot = crm()
    hubspot.edit(contact(1, created_at=NOW - 400 * DAY))
    for number, each in enumerate(states):
        closed = None if each == "open" else NOW - number * DAY
        hubspot.sell(deal(number, ADA, at=NOW - 300 * DAY, state=each, closed_at=closed))
    run(state, hubspot)
    assert value_of(cases_of(state, now=NOW), "person1@firm.example", "outcome") == outcome


def test_people_who_are_left_out_and_opportunities_of_nobody_are_counted(state):
    hubspot = crm()
    for number in range(4):
        hubspot.edit(contact(number))
    for number in range(10, 17):
        hubspot.edit(contact(number, emails=("info@firm.example",)))
    hubspot.sell(deal(1, Ref("hubspot", "contact", "77")))
    settings = config(MODEL + '[outcome]\n[exclude]\naddresses = ["person2@firm.example"]\n')
    run(state, hubspot, settings=settings)
    tally = StateTally()
    found = cases_of(state, now=NOW, settings=settings, tally=tally)
    assert sorted(found) == [f"person{number}@firm.example" for number in (0, 1, 3)]
    assert tally.left_out == {"excluded": 1, "not_matched": 7}
    assert tally.unlinked == 1
    assert tally.notes == ["1 opportunity without a person: no record that crmsync knows is named there"]
    assert tally.unknown_then == 0.0


def test_values_in_two_currencies_are_said(state):
    hubspot = crm()
    hubspot.edit(contact(1, created_at=NOW - 90 * DAY))
    won = {"state": "won", "closed_at": NOW, "value": 5.0}
    hubspot.sell(deal(1, ADA, currency="EUR", **won))
    hubspot.sell(deal(2, ADA, currency="USD", **won))
    run(state, hubspot)
    tally = StateTally()
    found = cases_of(state, now=NOW, tally=tally)
    assert np.isnan(value_of(found, "person1@firm.example", "value"))
    assert tally.notes == ["what was won is in USD and EUR; only values in USD count"]


def test_only_those_who_are_judged_in_the_period_are_read(state, monkeypatch):
    monkeypatch.setattr(state_cases, "PEOPLE_AT_ONCE", 2)
    hubspot = crm()
    for number in range(5):
        hubspot.edit(contact(number, created_at=NOW - (20 + 10 * number) * DAY))
    hubspot.sell(deal(1))
    run(state, hubspot)
    assert len(cases_of(state, now=NOW)) == 5
    some = cases_of(state, now=NOW, since=seconds(NOW - 26 * DAY), until=seconds(NOW - 6 * DAY))
    assert sorted(some) == ["person1@firm.example", "person2@firm.example"]


def test_a_hand_off_that_an_older_crmsync_kept_counts(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    with state.begin() as tx:
        tx.execute(schema.stage_entry.delete())
    hubspot.sell(deal(1, BO))
    run(state, hubspot, salesforce, at=NOW + DAY)
    get = partial(value_of, cases_of(state, now=NOW + DAY), "ada@x.example")
    assert (get("handed_off"), get("scored_then")) == (seconds(NOW), 6500)


def test_without_outcomes_there_are_no_cases_and_it_says_what_to_do(state):
    with pytest.raises(ConfigError, match=r"add \[outcome\] to the config"):
        list(read_state_cases(config(), state, NOW, None, None))
    with pytest.raises(ConfigError, match="no run yet"):
        list(read_state_cases(SETTINGS, None, NOW, None, None))
    with pytest.raises(ConfigError, match="no opportunities are read yet"):
        list(read_state_cases(SETTINGS, state, NOW, None, None))
