"""What a run says of everybody: who went to whom, who waits whole, and that each number is of this run."""

import pytest

from crmsync.store import schema
from tests.core.test_approval import down
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, held, run, two_crms
from tests.support.make import activity, contact, crm
from tests.support.state import rows

BOB_FIRST = NEVER_FADES.replace('["ann@acme.example", "bob@acme.example"]', '["bob@acme.example", "ann@acme.example"]')


def hot_people(number):
    hubspot = crm("hubspot")
    for each in range(1, number + 1):
        who = contact(each, fields={"title": "VP Sales", "employees": 500}, stage="lead")
        hubspot.edit(who)
        hubspot.happen(activity(each, who))
    return hubspot


def test_a_run_counts_the_hand_offs_of_each_owner_the_most_first_and_where_everybody_is(state):
    hubspot = hot_people(3)
    hubspot.edit(contact(4))
    seen = run(state, hubspot, at=DAYS[0], model=BOB_FIRST).routing
    assert list(seen["by_owner"].items()) == [("bob@acme.example", 2), ("ann@acme.example", 1)]
    assert {name: seen[name] for name in ("in", "owned", "routed", "nurture", "excluded", "waiting")} == {
        "in": 4, "owned": 0, "routed": 3, "nurture": 1, "excluded": 0, "waiting": 0,
    }  # fmt: skip
    later = run(state, hubspot, at=DAYS[1], model=BOB_FIRST).routing
    assert (later["owned"], later["routed"], later["nurture"], later["by_owner"]) == (3, 0, 1, {})


def test_whose_first_score_waits_in_every_crm_has_no_score_and_whose_waits_in_one_has(state):
    hubspot, salesforce = two_crms()
    careful = {"guard": {"first_run": 1}}
    assert run(state, hubspot, salesforce, at=DAYS[0], **careful).verdict == "held"
    assert rows(state, schema.person) == []
    run(state, hubspot, at=DAYS[1])
    waiting = run(state, hubspot, salesforce, at=DAYS[2], **careful)
    assert {crm: counts["first"] for crm, counts in waiting.held.records.items()} == {"salesforce": 2}
    scored = {row["id"] for row in rows(state, schema.person)}
    has_score = {row["ref_id"]: row["person"] in scored for row in rows(state, schema.record)}
    assert has_score == {"1": True, "2": True, "00Q1": True, "0032": False}


def dirty(state):
    return {row["ref_id"] for row in rows(state, schema.record) if row["dirty"]}


@pytest.mark.parametrize(("is_dropped", "waits"), [(False, {"00Q1"}), (True, set())])
def test_a_record_in_a_crm_that_is_skipped_is_decided_about_in_the_next_run_and_in_a_dropped_one_not(
    state, is_dropped, waits
):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce, at=DAYS[0])
    run(state, hubspot, salesforce, at=DAYS[0])  # the echo of our own writes
    assert dirty(state) == set()
    edit(hubspot, ADA, fields={"title": "VP Sales"})
    with down(salesforce):
        run(state, hubspot, *(() if is_dropped else (salesforce,)), at=DAYS[1])
    assert dirty(state) == waits
    run(state, hubspot, salesforce, at=DAYS[2])
    assert held(salesforce)["00Q1"][0] == held(hubspot)["1"][0] == 50
