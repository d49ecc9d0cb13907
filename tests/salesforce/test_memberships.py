"""Salesforce campaigns: found by name or id, read to their end, and not read again while nobody joins or leaves."""

from dataclasses import replace

import pytest

from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref
from tests.support.salesforce import NAMES, connect, do, fault, live


@pytest.fixture
def people(crm):
    return live(crm)[0].ref, live(crm, "contact")[0].ref


def campaign(sandbox, *members, name="Partners 2026"):
    id_ = do(sandbox, "create", object="Campaign", fields={"Name": name})["id"]
    for each in members:
        add(sandbox, id_, each)
    return id_


def add(sandbox, id_, ref):
    who = {f"{ref.kind.title()}Id": ref.id}
    return do(sandbox, "create", object="CampaignMember", fields={"CampaignId": id_, **who})["id"]


def read(crm, asked="Partners 2026", known=""):
    (found,) = crm.list_members({asked: known})
    return found


def queries(sandbox):
    return [each for each in sandbox.calls.of("salesforce") if "query" in each.path]


def test_a_campaign_is_found_by_its_name_or_its_id(sandbox, crm, people):
    id_ = campaign(sandbox, *people)
    for asked in ("Partners 2026", "partners 2026", id_, id_[:15]):
        found = read(crm, asked)
        assert (found.asked, found.id, found.name, found.members) == (asked, id_, "Partners 2026", frozenset(people))


def test_a_name_may_have_quotes(sandbox, crm, people):
    campaign(sandbox, *people, name="O'Neil \\ Sons")
    assert read(crm, "O'Neil \\ Sons").members == frozenset(people)


def test_every_page_of_members_is_read(sandbox, crm):
    everybody = [each.ref for each in live(crm)[:7]]
    campaign(sandbox, *everybody)
    sandbox.do("salesforce", "set", page_size=3)
    assert read(crm).members == frozenset(everybody)


def test_members_are_read_again_when_somebody_joined_or_left(sandbox, crm, people):
    lead, contact = people
    id_ = campaign(sandbox)
    first = read(crm)
    assert first.members == frozenset()
    member = add(sandbox, id_, lead)
    second = read(crm, known=first.version)
    assert second.members == {lead}
    assert read(crm, known=second.version).members is None
    add(sandbox, id_, contact)
    do(sandbox, "delete", id=member)
    third = read(crm, known=second.version)
    assert third.members == {contact}
    assert read(crm, known=third.version).members is None
    sandbox.clock.advance(3_600)
    read(crm)
    assert read(crm, known=third.version).members == {contact}


def test_a_converted_lead_stays_a_member_and_so_does_its_contact(sandbox, crm, people):
    lead, _ = people
    campaign(sandbox, lead)
    made = do(sandbox, "convert", id=lead.id)["contact"]
    assert read(crm).members == {lead, Ref("salesforce", "contact", made)}


def test_a_deleted_campaign_and_a_twin_are_told(sandbox, crm):
    id_ = campaign(sandbox)
    do(sandbox, "delete", id=id_)
    said = "Salesforce has no campaign 'Partners 2026', or the integration user may not see it; if it was renamed or"
    assert read(crm).problem == f"{said} deleted, correct [exclude] campaigns"
    assert read(crm, id_).problem.startswith(f"Salesforce has no campaign {id_!r}")
    one, two = campaign(sandbox), campaign(sandbox)
    said = "Salesforce has 2 campaigns with the name 'Partners 2026'; write the id into [exclude] campaigns:"
    assert read(crm).problem == f"{said} {one} or {two}"
    assert read(crm, one).problem == ""


def test_one_campaign_that_cannot_be_found_keeps_no_other_from_being_read(sandbox, crm, people):
    campaign(sandbox, *people)
    missing, found = crm.list_members({"Nobody": "", "Partners 2026": ""})
    assert missing.problem
    assert found.members == frozenset(people)


def test_many_campaigns_cost_two_queries_while_nobody_moves(sandbox, crm):
    names = {f"Campaign {number}": "" for number in range(5)}
    for each in names:
        campaign(sandbox, name=each)
    known = {each.asked: each.version for each in crm.list_members(names)}
    sandbox.calls.clear()
    assert all(each.members is None for each in crm.list_members(known))
    assert len(queries(sandbox)) == 2


def test_hidden_campaigns_are_told_with_what_to_grant(sandbox, crm):
    body = [{"errorCode": "INVALID_TYPE", "message": "sObject type 'Campaign' is not supported."}]
    fault(sandbox, "answer", "query", status=400, body=body)
    with pytest.raises(ConfigError) as raised:
        list(crm.list_members({"Partners 2026": ""}))
    assert "give its permission set 'Read' and 'View All' on Campaign" in str(raised.value)


@pytest.mark.parametrize(
    ("nth", "row"), [(1, {"Id": None}), (2, {"CampaignId": "x", "many": 1}), (3, {"LeadId": "?", "ContactId": None})]
)
def test_an_answer_without_ids_is_no_answer(sandbox, crm, people, nth, row):
    campaign(sandbox, *people)
    body = {"totalSize": 1, "done": True, "records": [row]}
    fault(sandbox, "answer", "query", nth=nth, status=200, body=body)
    with pytest.raises(Unavailable):
        list(crm.list_members({"Partners 2026": ""}))


def test_members_that_break_off_are_not_half_read(sandbox, crm):
    campaign(sandbox, *(each.ref for each in live(crm)[:7]))
    sandbox.do("salesforce", "set", page_size=3)
    fault(sandbox, "answer", "query", first=4, status=500, body=[])
    with pytest.raises(Unavailable):
        list(crm.list_members({"Partners 2026": ""}))


def test_check_tells_campaigns_that_cannot_be_used(sandbox, crm):
    campaign(sandbox)
    made = connect(sandbox, replace(NAMES, lists=["Partners 2026", "Partners 2027"]))
    found = [each for each in made.check().problems if "campaign" in each]
    assert [each.partition(",")[0] for each in found] == ["Salesforce has no campaign 'Partners 2027'"]
    made.close()
