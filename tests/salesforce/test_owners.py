"""Users and queues: who may own what, and an owner who left."""

import pytest

from tests.support.salesforce import change, connect, do, patches, row, written


def test_owners_are_users_and_lead_queues(sandbox, crm):
    owners = {each.id: each for each in crm.owners()}
    someone = next(id_ for id_, each in owners.items() if each.email.startswith("dana"))
    do(sandbox, "deactivate_user", id=someone)
    owners = {each.id: each for each in crm.owners()}
    assert owners[someone].active is False
    assert [each.name for each in owners.values() if each.kind == "queue"] == ["Inbound Leads"]


def test_owners_go_in_a_pass_after_the_scores(sandbox, crm, leads):
    owner = crm.owners()[1].id
    sandbox.calls.clear()
    written(crm, *(change(ref, score=1, owner=owner) for ref in leads))
    assert len(patches(sandbox)) == 2


def test_an_inactive_owner_holds_back_nothing(sandbox, crm, leads):
    owner = crm.owners()[0]
    before = row(sandbox, leads[0])["OwnerId"]
    do(sandbox, "deactivate_user", id=owner.id)
    told = written(crm, change(leads[0], score=5, owner=owner.id))[leads[0]]
    assert told.ok
    assert "inactive" in told.refused["owner"]
    assert (row(sandbox, leads[0])["Crmsync_Score__c"], row(sandbox, leads[0])["OwnerId"]) == (5, before)


def test_a_record_whose_inactive_owner_stops_every_edit_gets_its_score_with_its_new_owner(sandbox, crm, leads):
    sandbox.do("salesforce", "set", strict_inactive_owners=True)
    left, other = [each.id for each in crm.owners() if each.kind == "user" and each.active][:2]
    for ref in leads[:2]:
        do(sandbox, "update", id=ref.id, fields={"OwnerId": left})
    do(sandbox, "deactivate_user", id=left)
    sandbox.calls.clear()
    told = written(crm, change(leads[0], score=5, band="warm", owner=other), change(leads[1], score=6, band="hot"))
    assert (told[leads[0]].ok, dict(told[leads[0]].refused)) == (True, {})
    assert (row(sandbox, leads[0])["Crmsync_Score__c"], row(sandbox, leads[0])["OwnerId"]) == (5, other)
    assert not told[leads[1]].ok
    assert "transfer the record to an active one" in told[leads[1]].reason
    assert len(patches(sandbox)) == 3


def test_an_owner_who_leaves_meanwhile_is_a_receipt(sandbox, crm, leads, monkeypatch):
    owner = crm.owners()[0]
    do(sandbox, "deactivate_user", id=owner.id)
    monkeypatch.setattr(type(crm), "owners", lambda self: [owner])
    told = written(crm, change(leads[0], score=5, owner=owner.id))[leads[0]]
    assert (told.ok, set(told.refused)) == (True, {"owner"})


def test_a_queue_owns_leads_only(sandbox, crm, leads, contacts):
    queue = next(each.id for each in crm.owners() if each.kind == "queue")
    told = written(crm, change(leads[0], owner=queue), change(contacts[0], owner=queue))
    assert told[leads[0]].ok
    assert "queues can own only leads" in told[contacts[0]].reason


def test_an_unknown_owner_is_refused_without_a_call(sandbox, crm, leads):
    told = written(crm, change(leads[0], owner="005000000000zzzAAA"))[leads[0]]
    assert "no user or queue" in told.reason
    assert not patches(sandbox)


@pytest.mark.parametrize("how", [{}, {"listed": True}])
def test_an_org_whose_users_have_no_type_is_read_and_written_and_says_who_counts(sandbox, crm, leads, how):
    users = {each.id for each in crm.owners() if each.kind == "user"}
    do(sandbox, "hide_field", object="User", field="UserType", **how)
    made = connect(sandbox)
    made.missing_fields()
    assert users <= {each.id for each in made.owners() if each.kind == "user"}
    told = {each for page in made.contacts(None) for each in page.left_out}
    assert len([each for each in told if "User.UserType" in each and "standard user" in each]) == 1
    owner = next(each for each in made.owners() if each.kind == "user" and each.active)
    assert written(made, change(leads[0], score=5, owner=owner.id))[leads[0]].ok
    checked = made.check() if how else connect(sandbox).check()
    assert [each for each in checked.problems if "User" in each] == []
    # What describe shows and only a query refuses is known by what asks for owners.
    assert len([each for each in checked.notes if "User.UserType" in each]) == (0 if how else 1)
