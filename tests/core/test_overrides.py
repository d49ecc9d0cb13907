"""People win: what a user changed is respected for its time, remembered by value, and handed back by itself."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from crmsync.model import Owner, Receipt, Ref
from crmsync.reporting.person import explain_person
from crmsync.store import schema
from tests.support.cycles import ADA, DAYS, NEVER_FADES, after_pull, edit, held, hot, line_breaks, run, two_crms
from tests.support.make import NOW, activity, config, contact, owners


def test_a_stage_that_a_user_gave_and_took_back_is_theirs_though_crmsync_never_wrote_it(state):
    hubspot = hot()
    hubspot.edit(replace(hubspot.records[ADA], fields={}))
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, stage="mql")
    run(state, hubspot, at=DAYS[1])
    edit(hubspot, ADA, stage="lead", fields={"title": "VP Sales", "employees": 500})
    ran = run(state, hubspot, at=DAYS[2])
    assert ran.crms["hubspot"].protected == {"stage_changed_by_a_user": 1}
    assert held(hubspot)["1"][1] == "lead"
    assert run(state, hubspot, at=DAYS[15]).crms["hubspot"].planned == 0
    run(state, hubspot, at=DAYS[16])
    assert held(hubspot)["1"][1] == "mql"


def test_an_override_ends_by_itself_under_a_model_that_never_fades(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, stage="lead")
    run(state, hubspot, at=DAYS[1])
    assert held(hubspot)["1"][1] == "lead"
    for day in DAYS[2:15]:
        assert run(state, hubspot, at=day).crms["hubspot"].rescored == 0
    run(state, hubspot, at=DAYS[15])
    assert held(hubspot)["1"][1] == "mql"


def test_a_second_change_by_a_user_begins_the_time_again(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, owner="hubspot-eve")
    run(state, hubspot, at=DAYS[1])
    edit(hubspot, ADA, owner=None)  # a cleared owner is a user's change, too
    run(state, hubspot, at=DAYS[10])
    run(state, hubspot, at=DAYS[16])
    assert held(hubspot)["1"][2] is None
    run(state, hubspot, at=DAYS[24])
    assert held(hubspot)["1"][2] is not None


def test_another_name_for_a_stage_in_the_config_is_no_change_by_a_user(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    renamed = NEVER_FADES.replace('name = "lead"', 'name = "fresh"').replace(
        'name = "mql"\nband', 'name = "ready"\nband'
    )
    edit(hubspot, ADA, stage="ready")  # the same value in the CRM, read by another name
    ran = run(state, hubspot, at=DAYS[1], model=renamed)
    assert ran.crms["hubspot"].protected == {}


@pytest.mark.parametrize("field", ["stage", "owner"])
def test_W29_who_edits_while_the_batch_is_about_to_be_sent_wins(state, field):
    hubspot = hot()
    theirs = {"stage": "lead2", "owner": "hubspot-bob"}[field]
    taken = hubspot.write

    def write(changes, narrow):
        edit(hubspot, ADA, **{field: theirs})
        yield from taken(changes, narrow)

    hubspot.write = write
    ran = run(state, hubspot, at=DAYS[0])
    assert getattr(hubspot.records[ADA], field) == theirs
    assert held(hubspot)["1"][0] == 65
    assert ran.crms["hubspot"].updated == 1
    hubspot.write = taken
    run(state, hubspot, at=DAYS[1])
    assert getattr(hubspot.records[ADA], field) == theirs


def test_W29_whom_a_user_chose_between_the_write_and_the_look_at_it_stays(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        yield from taken(changes, narrow)
        edit(hubspot, ADA, owner="hubspot-bob")

    hubspot.write = write
    run(state, hubspot, at=DAYS[0])
    hubspot.write = taken
    for day in DAYS[1:4]:
        run(state, hubspot, at=day)
    assert held(hubspot)["1"][2] == "hubspot-bob"


def test_overrides_outlive_another_mapping(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, stage="lead", owner=None)
    run(state, hubspot, at=DAYS[1])
    fields = {**config().fields, "phone": {"hubspot": "phone"}}
    edit(hubspot, ADA, fields={**hubspot.records[ADA].fields, "phone": "1"})
    for day in DAYS[2:4]:
        run(state, hubspot, at=day, fields=fields)
    assert held(hubspot)["1"][1:] == ("lead", None)


def test_a_stage_that_a_user_changed_while_another_mapping_came_is_theirs(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    fields = {**config().fields, "phone": {"hubspot": "phone"}}
    edit(hubspot, ADA, stage="lead")
    for day in DAYS[1:3]:
        run(state, hubspot, at=day, fields=fields)
    assert held(hubspot)["1"][1] == "lead"


def test_W03_what_was_taken_in_part_before_the_answer_was_lost_is_no_users_change(state):
    hubspot = hot()
    with line_breaks(hubspot, lambda name: name != "score"):
        run(state, hubspot, at=DAYS[0])
    assert run(state, hubspot, at=DAYS[1]).crms["hubspot"].protected == {}
    assert held(hubspot)["1"] == (65, "mql", "hubspot-ann")
    with state.read() as reading:
        assert reading.scalars(select(schema.record.c.overrides)).all() == ["{}"]


def test_an_owner_that_a_user_cleared_costs_nobody_a_turn(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, owner=None)
    for day in DAYS[1:4]:
        hubspot.happen(activity(f"p{day}", hubspot.records[ADA], kind="page_viewed", url="/pricing"))
        run(state, hubspot, at=day)
    other = contact(2, emails=("bea@x.example",), fields={"title": "VP Sales", "employees": 500}, stage="lead")
    hubspot.edit(other)
    hubspot.happen(activity(2, other))
    run(state, hubspot, at=DAYS[4])
    assert held(hubspot)["2"][2] == "hubspot-bob"  # the turn after Ann's


def test_a_run_says_how_many_records_it_left_as_users_had_changed_them(state):
    hubspot = hot()
    bea = contact(2, emails=("bea@x.example",), fields={"title": "VP Sales", "employees": 500}, stage="lead")
    hubspot.edit(bea)
    hubspot.happen(activity(2, bea))
    run(state, hubspot, at=DAYS[0])
    for ref in (ADA, bea.ref):
        edit(hubspot, ref, stage="lead")
    assert run(state, hubspot, at=DAYS[1]).crms["hubspot"].protected == {"stage_changed_by_a_user": 2}


def test_an_explanation_says_that_a_user_changed_the_owner(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, owner=None)
    run(state, hubspot, at=DAYS[1])
    said = explain_person(config(NEVER_FADES), state, "ada@x.example", DAYS[1])
    assert said["owner_why"] == "protected: changed by a user"


def test_a_value_that_others_keep_changing_back_is_on_a_list(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    for number in range(1, 6):
        edit(hubspot, ADA, current={**hubspot.records[ADA].current, "score": 999})
        run(state, hubspot, at=NOW + timedelta(minutes=number))
    said = explain_person(config(NEVER_FADES), state, "ada@x.example", NOW + timedelta(hours=1))
    assert "keeps changing it back" in said["records"][0]["on_hold"]


def test_people_of_a_crm_that_the_file_no_longer_has_get_their_owner(state):
    hubspot, salesforce = two_crms()
    hubspot.happened.clear()
    run(state, hubspot, salesforce, at=DAYS[0])
    hubspot.happen(activity(5, hubspot.records[ADA]))
    ran = run(state, hubspot, at=DAYS[1])
    assert held(hubspot)["1"][2] == "hubspot-ann"
    assert run(state, hubspot, at=DAYS[2]).crms["hubspot"].rescored == ran.waiting_for_owner["count"] == 0


# Owners who leave


def departed(of, owner_id):
    of.people = [replace(each, active=False) if each.id == owner_id else each for each in of.people]


def test_W13_an_owner_who_left_between_plan_and_write_is_replaced_in_the_next_run(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        for change in changes:
            rest = replace(change, after={name: value for name, value in change.after.items() if name != "owner"})
            for receipt in taken([rest], narrow):
                yield Receipt(receipt.ref, ok=True, refused={"owner": "the owner is not active"})

    hubspot.write = write
    ran = run(state, hubspot, at=DAYS[0])
    assert (ran.crms["hubspot"].partly, held(hubspot)["1"][2]) == (1, None)
    hubspot.write = taken
    departed(hubspot, "hubspot-ann")
    run(state, hubspot, at=NOW + timedelta(minutes=15))
    assert held(hubspot)["1"][2] == "hubspot-bob"


def test_D7_the_leads_of_somebody_who_left_are_passed_on_in_the_next_run(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    assert held(hubspot)["1"][2] == "hubspot-ann"
    departed(hubspot, "hubspot-ann")
    ran = run(state, hubspot, at=NOW + timedelta(minutes=15))
    assert held(hubspot)["1"][2] == "hubspot-bob"
    assert ran.crms["hubspot"].updated == 1


# Nobody waits in silence


def test_people_whom_nobody_can_own_are_counted_in_every_run_and_served_when_somebody_comes(state):
    hubspot = hot()
    hubspot.people = []
    for day in DAYS[:3]:
        ran = run(state, hubspot, at=day)
        assert ran.waiting_for_owner["count"] == 1
        assert sum(ran.waiting_for_owner["reasons"].values()) == 1
    assert held(hubspot)["1"] == (65, "mql", None)
    hubspot.people = owners("hubspot")
    assert run(state, hubspot, at=DAYS[3]).waiting_for_owner == {"count": 0, "reasons": {}}
    assert held(hubspot)["1"][2] == "hubspot-ann"


def test_a_member_whom_one_crm_does_not_know_costs_nobody_an_owner(state):
    hubspot, salesforce = two_crms()
    salesforce.people = [each for each in salesforce.people if each.id != "salesforce-ann"]
    ran = run(state, hubspot, salesforce, at=DAYS[0])
    assert ran.waiting_for_owner["count"] == 0
    assert (held(hubspot)["1"][2], held(salesforce)["00Q1"][2]) == ("hubspot-bob", "salesforce-bob")


def test_an_owner_whom_the_other_crm_does_not_know_is_told_and_the_pool_serves_the_other_record(state):
    hubspot, salesforce = two_crms()
    salesforce.people.append(Owner("salesforce", "005X", "admin@acme.example", "Admin"))
    lead = Ref("salesforce", "lead", "00Q1")
    edit(salesforce, lead, owner="005X")
    run(state, hubspot, salesforce, at=DAYS[0])
    assert held(salesforce)["00Q1"][2] == "005X"
    assert held(hubspot)["1"][2] == "hubspot-ann"


def test_a_stage_before_the_wanted_one_in_the_portals_order_moves_and_an_unknown_one_is_told(state):
    hubspot = hot()
    hubspot.order = {"contact": ("subscriber", "lead", "marketingqualifiedlead", "customer")}
    edit(hubspot, ADA, stage="subscriber")
    run(state, hubspot, at=DAYS[0])
    assert held(hubspot)["1"][1] == "mql"
    other = contact(2, emails=("bea@x.example",), fields={"title": "VP Sales", "employees": 500}, stage="999")
    hubspot.edit(other)
    hubspot.happen(activity(2, other))
    ran = run(state, hubspot, at=DAYS[1])
    assert ran.crms["hubspot"].protected == {"stage_not_in_config": 1}
    assert held(hubspot)["2"][1] == "999"


def test_a_record_edited_between_pull_and_write_is_counted_as_edited_when_nothing_is_left(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0])
    departed(hubspot, "hubspot-ann")
    after_pull(hubspot, lambda: edit(hubspot, ADA, owner="hubspot-bob"))
    ran = run(state, hubspot, at=DAYS[1])
    assert ran.crms["hubspot"].edited in (0, 1)
    assert held(hubspot)["1"][2] == "hubspot-bob"
