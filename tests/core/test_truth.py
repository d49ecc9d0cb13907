"""One stage and one owner in both CRMs: the CRM that leads is followed, and only where the file names one."""

import tomllib
from datetime import timedelta

import pytest

from crmsync.model import Owner, Ref
from crmsync.store import schema
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, held, run, two_crms
from tests.support.make import contact
from tests.support.state import rows

LEAD = Ref("salesforce", "lead", "00Q1")


def pair(hubspot, salesforce):
    """Stage and owner of Ada in HubSpot and in Salesforce."""
    return held(hubspot)["1"][1:], held(salesforce)["00Q1"][1:]


@pytest.fixture
def crms(state):
    """Both CRMs after a first run: Ada is an mql of Ann's in both."""
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce, at=DAYS[0])
    assert pair(hubspot, salesforce) == (("mql", "hubspot-ann"), ("mql", "salesforce-ann"))
    return hubspot, salesforce


def test_without_a_leader_what_a_user_changes_in_one_crm_stays_there(state, crms):
    edit(crms[1], LEAD, owner="salesforce-bob", stage="lead")
    run(state, *crms, at=DAYS[1])
    assert pair(*crms) == (("mql", "hubspot-ann"), ("lead", "salesforce-bob"))


def test_an_owner_of_the_leader_is_carried_to_the_other_crm(state, crms):
    edit(crms[1], LEAD, owner="salesforce-bob")
    run(state, *crms, at=DAYS[1], truth={"owner": "salesforce"})
    assert pair(*crms) == (("mql", "hubspot-bob"), ("mql", "salesforce-bob"))
    assert [each.planned for each in run(state, *crms, at=DAYS[2], truth={"owner": "salesforce"}).crms.values()] == [
        0,
        0,
    ]


def test_an_owner_of_the_follower_is_not_carried_to_the_leader(state, crms):
    edit(crms[0], ADA, owner="hubspot-bob")
    run(state, *crms, at=DAYS[1], truth={"owner": "salesforce"})
    assert pair(*crms) == (("mql", "hubspot-bob"), ("mql", "salesforce-ann"))  # a user's own change, for its time
    run(state, *crms, at=DAYS[16], truth={"owner": "salesforce"})
    assert pair(*crms) == (("mql", "hubspot-ann"), ("mql", "salesforce-ann"))


def test_an_owner_who_is_no_user_of_the_follower_is_not_carried(state, crms):
    edit(crms[1], LEAD, owner="salesforce-eve")
    run(state, *crms, at=DAYS[1], truth={"owner": "salesforce"})
    assert pair(*crms)[0] == ("mql", "hubspot-ann")


def test_an_owner_whom_the_leader_gets_now_is_carried_in_the_same_run(state):
    """Whoever owns the lead is no user of HubSpot: the record there is given to somebody, and HubSpot leads."""
    hubspot, salesforce = two_crms()
    salesforce.people = [*salesforce.people, Owner("salesforce", "salesforce-zoe", "zoe@acme.example", "Zoe")]
    edit(salesforce, LEAD, owner="salesforce-zoe")
    for day in (0, 1):
        result = run(state, hubspot, salesforce, at=DAYS[day], truth={"owner": "hubspot"})
        assert pair(hubspot, salesforce) == (("mql", "hubspot-ann"), ("mql", "salesforce-ann"))
    assert [each.planned for each in result.crms.values()] == [0, 0]


def test_a_stage_of_the_leader_is_carried_backwards_too_where_the_crm_takes_it(state, crms):
    edit(crms[0], ADA, stage="lead")
    run(state, *crms, at=DAYS[1], truth={"stage": "hubspot"})
    assert pair(*crms) == (("lead", "hubspot-ann"), ("lead", "salesforce-ann"))
    assert [each.planned for each in run(state, *crms, at=DAYS[2], truth={"stage": "hubspot"}).crms.values()] == [0, 0]


def stage_why(state):
    """What is said of Ada's stage."""
    return rows(state, schema.person)[0]["stage_why"]


def test_a_carried_stage_says_from_which_crm_it_is(state, crms):
    edit(crms[0], ADA, stage="lead")
    run(state, *crms, at=DAYS[1], truth={"stage": "hubspot"})
    assert f"{LEAD}: lead, as in hubspot" in stage_why(state)


def test_a_carried_stage_that_the_crm_does_not_take_says_from_which_crm_it_would_be(state, crms):
    edit(crms[1], LEAD, stage="lead")
    run(state, *crms, at=DAYS[1], truth={"stage": "salesforce"}, hubspot={"backward_stages": False})
    assert pair(*crms)[0] == ("mql", "hubspot-ann")
    assert f"{ADA}: lead, as in salesforce; stays mql: hubspot moves stages only forward" in stage_why(state)


def test_of_several_records_of_the_leader_the_furthest_stage_is_carried_and_not_among_themselves(state, crms):
    hubspot, salesforce = crms
    edit(hubspot, ADA, fields={})  # so that no stage is earned
    edit(salesforce, LEAD, stage="lead")
    salesforce.edit(contact("0031", "salesforce", "contact", emails=("ada@x.example",), stage="mql"))
    for day in (1, 16):
        run(state, *crms, at=DAYS[day], truth={"stage": "salesforce"})
        assert pair(*crms)[0][0] == "mql"
        assert held(salesforce)["0031"][1] == "mql"
        assert pair(*crms)[1][0] == "lead"


@pytest.mark.parametrize(
    ("name", "stays"), [("stage", ("mql", "salesforce-bob")), ("owner", ("lead", "salesforce-ann"))]
)
def test_nothing_is_carried_of_what_is_not_to_be_written(state, crms, name, stays):
    edit(crms[0], ADA, stage="lead", owner="hubspot-bob")
    write = {**tomllib.loads(NEVER_FADES)["write"], name: False}
    run(state, *crms, at=DAYS[1], truth={"stage": "hubspot", "owner": "hubspot"}, write=write)
    assert pair(*crms)[1] == stays


def test_a_stage_that_is_not_to_be_written_stays_as_it_is(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce, at=DAYS[0], write={**tomllib.loads(NEVER_FADES)["write"], "stage": False})
    assert pair(hubspot, salesforce) == ((None, "hubspot-ann"), ("lead", "salesforce-ann"))


def test_a_stage_that_is_earned_now_is_written_to_both_at_once(state):
    hubspot, salesforce = two_crms()
    edit(hubspot, ADA, stage="lead")
    run(state, hubspot, salesforce, at=DAYS[0], truth={"stage": "hubspot"})
    assert pair(hubspot, salesforce) == (("mql", "hubspot-ann"), ("mql", "salesforce-ann"))


@pytest.mark.parametrize("flips", [2, 3])
def test_whoever_changes_a_value_back_so_many_times_is_given_way_to(state, crms, flips):
    bot, held_scores = crms[0], []
    for minutes in (15, 30, 45, 60):
        edit(bot, ADA, current={**bot.records[ADA].current, "score": 1})
        run(state, *crms, at=DAYS[1] + timedelta(minutes=minutes), truth={"flips": flips})
        held_scores.append(bot.records[ADA].current["score"])
    assert held_scores == [65] * (flips - 1) + [1] * (5 - flips)


def test_a_leader_that_is_no_crm_is_a_mistake():
    with pytest.raises(ValueError, match="there is no CRM 'pipedrive'; the CRMs are hubspot and salesforce"):
        run(None, *two_crms(), at=DAYS[0], model=NEVER_FADES, truth={"owner": "pipedrive"})
