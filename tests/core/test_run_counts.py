"""What a run says of everybody: who went to whom, who waits whole, and that each number is of this run."""

from crmsync.store import schema
from tests.support.cycles import DAYS, NEVER_FADES, run, two_crms
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
    held = run(state, hubspot, salesforce, at=DAYS[2], **careful)
    assert {crm: counts["first"] for crm, counts in held.held.records.items()} == {"salesforce": 2}
    scored = {row["id"] for row in rows(state, schema.person)}
    has_score = {row["ref_id"]: row["person"] in scored for row in rows(state, schema.record)}
    assert has_score == {"1": True, "2": True, "00Q1": True, "0032": False}
