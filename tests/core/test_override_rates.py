"""How often users override what routes and stages decided, by rule and by rep."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from crmsync.model import Owner
from crmsync.reporting.documents import check_document
from crmsync.reporting.print_status import print_status
from crmsync.reporting.status import status_document
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, hot, run
from tests.support.make import activity, config, contact, crm


def status(state, at, **tables):
    said = status_document(config(NEVER_FADES, **tables), state, at)
    check_document("status", json.loads(json.dumps(said)))
    return said


def rules(state, at=DAYS[9], **tables):
    return [
        (each["rule"], each["kind"], each.get("hand_offs", each.get("moves")), each["overridden"], each["rate"])
        for each in status(state, at, **tables)["overrides"]
    ]


def reps(state, at=DAYS[9]):
    return [
        (each["rep"], each["hand_offs"], each["overridden"], each["rate"])
        for each in status(state, at)["overrides_by_rep"]
    ]


def crowd(people):
    hubspot = crm("hubspot")
    for number in range(people):
        each = contact(number, fields={"title": "VP", "employees": 500}, stage="lead")
        hubspot.edit(each)
        hubspot.happen(activity(number, each))
    return hubspot


def test_S4_32_an_owner_whom_a_user_changed_counts_for_the_route_and_for_the_rep_who_was_given_the_person(state):
    hubspot = crowd(4)
    run(state, hubspot, at=DAYS[0])
    owned = [ref for ref, each in hubspot.records.items() if each.owner == "hubspot-ann"]
    edit(hubspot, owned[0], owner="hubspot-bob")
    run(state, hubspot, at=DAYS[1])
    assert rules(state) == [("Sales", "owner", 4, 1, 0.25), ("mql", "stage", 4, 0, 0.0)]
    assert reps(state) == [("ann@acme.example", 2, 1, 0.5), ("bob@acme.example", 2, 0, 0.0)]


@pytest.mark.parametrize(("theirs", "overridden"), [(None, 1), ("hubspot-ann-too", 0)])
def test_a_cleared_owner_is_overridden_and_another_account_of_the_same_person_is_not(state, theirs, overridden):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    hubspot.people = [*hubspot.people, Owner("hubspot", "hubspot-ann-too", "Ann@acme.example", "Ann")]
    edit(hubspot, ADA, owner=theirs)
    run(state, hubspot, at=DAYS[1])
    assert reps(state) == [("ann@acme.example", 1, overridden, float(overridden))]


def test_a_person_counts_once_for_each_hand_off_however_often_users_change_them(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    for day, owner in ((1, "hubspot-bob"), (2, None), (3, "hubspot-bob")):
        edit(hubspot, ADA, owner=owner)
        run(state, hubspot, at=DAYS[day])
        run(state, hubspot, at=DAYS[day] + timedelta(hours=1))
    assert rules(state)[0] == ("Sales", "owner", 1, 1, 1.0)


def test_whoever_is_changed_in_both_crms_counts_once(state):
    hubspot, salesforce = hot(), crm("salesforce")
    lead = contact("00Q1", "salesforce", "lead", emails=("ada@x.example",), stage="lead")
    salesforce.edit(lead)
    run(state, hubspot, salesforce, at=DAYS[0])
    edit(hubspot, ADA, owner="hubspot-bob", stage="lead")
    edit(salesforce, lead.ref, owner="salesforce-bob", stage="lead")
    run(state, hubspot, salesforce, at=DAYS[1])
    assert rules(state) == [("Sales", "owner", 1, 1, 1.0), ("mql", "stage", 1, 1, 1.0)]


def test_an_owner_who_left_was_not_overridden(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    hubspot.people = [replace(each, active=each.email != "ann@acme.example") for each in hubspot.people]
    edit(hubspot, ADA, owner="hubspot-bob")
    run(state, hubspot, at=DAYS[1])
    assert rules(state)[0] == ("Sales", "owner", 1, 0, 0.0)


def test_an_owner_whom_no_route_gave_is_not_counted(state):
    hubspot = hot()
    edit(hubspot, ADA, owner="hubspot-bob")
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, owner="hubspot-ann")
    run(state, hubspot, at=DAYS[1])
    assert rules(state) == [("mql", "stage", 1, 0, 0.0)]


def test_a_stage_that_a_user_moved_back_counts_for_the_stage_that_was_given(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, stage="lead")
    run(state, hubspot, at=DAYS[1])
    assert rules(state)[1] == ("mql", "stage", 1, 1, 1.0)


def test_a_stage_that_a_user_cleared_counts(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, stage=None)
    run(state, hubspot, at=DAYS[1])
    assert rules(state)[1] == ("mql", "stage", 1, 1, 1.0)


def test_a_stage_further_along_is_no_override_but_what_sales_do(state):
    hubspot = hot()
    hubspot.order[("hubspot", "contact")] = ("lead", "marketingqualifiedlead", "customer")
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, stage="customer")
    run(state, hubspot, at=DAYS[1])
    edit(hubspot, ADA, stage="a stage that nobody knows")
    run(state, hubspot, at=DAYS[2])
    assert rules(state)[1] == ("mql", "stage", 1, 0, 0.0)


def test_it_counts_even_where_an_override_is_not_respected_for_any_time(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, owner="hubspot-bob", stage="lead")
    run(state, hubspot, at=DAYS[1], write={**config().write.model_dump(), "manual_override": "0s"})
    assert [each[3] for each in rules(state)] == [1, 1]


def test_what_is_longer_ago_than_ninety_days_does_not_count(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    assert len(rules(state, DAYS[0] + timedelta(days=90))) == 2
    assert rules(state, DAYS[0] + timedelta(days=91)) == []


def test_a_terminal_shows_them_in_eighty_columns_once_there_are_any(state, capsys):
    hubspot = crowd(4)
    run(state, hubspot, at=DAYS[0])
    print_status(Console(width=80), status(state, DAYS[0]))
    assert "Overridden" not in capsys.readouterr().out
    edit(hubspot, contact(0).ref, owner="hubspot-bob")
    run(state, hubspot, at=DAYS[1])
    print_status(Console(width=80), status(state, DAYS[1]))
    printed = capsys.readouterr().out
    table = printed[printed.index("Overridden by users in the last 90 days") : printed.index("\naccount")]
    assert max(map(len, table.splitlines())) <= 80
    assert "25%" in table
    assert "ann@acme.example" in table
    assert "bob@acme.example" not in table
