"""The sandbox's Salesforce: opportunities, their contact roles, and what the org remembers of edits."""

import pytest

from connectors.sandbox.world import salesforce_id
from tests.support.sandbox_salesforce import (
    ANA,
    CONTACT,
    CONVERTED,
    CONVERTED_TO,
    LEAD,
    LOST,
    OPEN,
    QUIET,
    SELLING,
    WON,
    found,
    ids,
    patch,
)


@pytest.fixture
def org(sandbox):
    sandbox.between_requests(lambda: sandbox.org.load(SELLING))
    return sandbox.org


def history(sf, id_):
    soql = f"SELECT StageName, CreatedDate FROM OpportunityHistory WHERE OpportunityId = '{id_}' ORDER BY CreatedDate"
    return [(each["StageName"], each["CreatedDate"][:10]) for each in found(sf, soql)]


def test_deals_are_opportunities(sf):
    columns = "Id, StageName, IsClosed, IsWon, Amount, CloseDate, AccountId, OwnerId, LeadSource, Campaign.Name"
    rows = {each["Id"]: each for each in found(sf, f"SELECT {columns}, Loss_Reason__c FROM Opportunity")}
    assert rows.keys() == {WON, LOST, OPEN}
    won = rows[WON]
    assert (won["StageName"], won["IsClosed"], won["IsWon"], won["Amount"]) == ("Closed Won", True, True, 12_000)
    assert (won["CloseDate"], won["OwnerId"], won["LeadSource"]) == ("2026-12-24", ANA, "Web")
    assert won["Campaign"]["Name"] == "Autumn webinar"
    assert won["AccountId"] == salesforce_id("001", 1)
    assert (rows[LOST]["IsClosed"], rows[LOST]["IsWon"], rows[LOST]["Loss_Reason__c"]) == (True, False, "Price")
    assert (rows[OPEN]["StageName"], rows[OPEN]["IsClosed"]) == ("Negotiation/Review", False)


def test_the_stages_of_a_deal_are_its_history(sf):
    assert history(sf, WON) == [
        ("Qualification", "2026-10-12"),
        ("Proposal/Price Quote", "2026-10-22"),
        ("Closed Won", "2026-11-01"),
    ]
    [won] = found(sf, f"SELECT CreatedDate, LastStageChangeDate FROM Opportunity WHERE Id = '{WON}'")
    assert (won["CreatedDate"][:10], won["LastStageChangeDate"][:10]) == ("2026-10-12", "2026-11-01")


def test_contacts_have_roles_and_leads_do_not(sf):
    roles = found(sf, "SELECT OpportunityId, ContactId, IsPrimary FROM OpportunityContactRole ORDER BY Id")
    assert [(each["OpportunityId"], each["ContactId"], each["IsPrimary"]) for each in roles] == [
        (WON, CONVERTED_TO, True),
        (WON, CONTACT, False),
        (LOST, CONTACT, True),
    ]
    assert ids(sf, f"SELECT Id FROM Lead WHERE ConvertedOpportunityId = '{WON}'") == [CONVERTED]


def test_an_opportunity_lives(sf, do, sandbox):
    id_ = do("create_opportunity", contacts=[CONTACT], fields={"Amount": 10})["id"]
    for action, body in (
        ("move_opportunity", {"stage": "Qualification", "fields": {"Amount": 20}}),
        ("close_opportunity", {"won": False}),
        ("reopen_opportunity", {}),
        ("close_opportunity", {"won": True}),
    ):
        sandbox.clock.advance(86_400)
        do(action, id=id_, **body)
    assert [stage for stage, _ in history(sf, id_)] == [
        "Prospecting", "Qualification", "Closed Lost", "Negotiation/Review", "Closed Won",
    ]  # fmt: skip
    row = sf.Opportunity.get(id_)
    assert (row["IsClosed"], row["IsWon"], row["CloseDate"]) == (True, True, "2026-11-25")
    assert row["LastStageChangeDate"] == row["SystemModstamp"] == "2026-11-25T09:00:00.000+0000"


def test_an_edit_without_a_new_stage_is_no_change_of_stage(sf, do, sandbox):
    before = sf.Opportunity.get(OPEN)["LastStageChangeDate"]
    sandbox.clock.advance(60)
    do("update", id=OPEN, fields={"Amount": 5})
    do("update", id=OPEN, fields={"LeadSource": "Other"})
    assert sf.Opportunity.get(OPEN)["LastStageChangeDate"] == before
    assert [stage for stage, _ in history(sf, OPEN)] == ["Negotiation/Review"] * 2


def test_a_contact_role_does_not_touch_its_opportunity(sf, do, sandbox):
    before = sf.Opportunity.get(OPEN)["SystemModstamp"]
    sandbox.clock.advance(60)
    role = do("add_contact_role", id=OPEN, contact=CONTACT)["id"]
    assert sf.Opportunity.get(OPEN)["SystemModstamp"] == before
    sandbox.clock.advance(60)
    assert do("remove_contact_role", id=OPEN, contact=CONTACT) == {"removed": 1}
    soql = f"SELECT IsDeleted, SystemModstamp FROM OpportunityContactRole WHERE Id = '{role}'"
    [gone] = found(sf, soql, include_deleted=True)
    assert (gone["IsDeleted"], gone["SystemModstamp"]) == (True, "2026-11-21T09:02:00.000+0000")
    assert sf.Opportunity.get(OPEN)["SystemModstamp"] == before


def test_roles_go_and_come_with_their_opportunity(sf, do, sandbox):
    soql = f"SELECT Id FROM OpportunityContactRole WHERE OpportunityId = '{WON}'"
    before = ids(sf, soql)
    sandbox.clock.advance(60)
    do("delete", id=WON)
    assert ids(sf, soql) == []
    deleted = sf.Opportunity.deleted(sandbox.clock().replace(hour=8), sandbox.clock().replace(hour=10))
    assert [each["id"] for each in deleted["deletedRecords"]] == [WON]
    sandbox.clock.advance(60)
    do("undelete", id=WON)
    assert (ids(sf, soql), len(history(sf, WON))) == (before, 3)


def test_merged_contacts_keep_their_roles(sf, do, sandbox):
    do("merge", winner=CONVERTED_TO, losers=[CONTACT])
    assert {each["ContactId"] for each in found(sf, "SELECT ContactId FROM OpportunityContactRole")} == {CONVERTED_TO}


@pytest.mark.parametrize("given", [True, {"Name": "From the fair", "Amount": 7}])
def test_converting_into_a_new_opportunity(sf, do, given):
    made = do("convert", id=LEAD, opportunity=given)
    assert sf.Lead.get(LEAD)["ConvertedOpportunityId"] == made["opportunity"]
    row = sf.Opportunity.get(made["opportunity"])
    assert (row["AccountId"], row["StageName"]) == (made["account"], "Prospecting")
    assert row["Name"] == ("Firm & Söhne" if given is True else "From the fair")
    roles = found(sf, f"SELECT ContactId, IsPrimary FROM OpportunityContactRole WHERE OpportunityId = '{row['Id']}'")
    assert [(each["ContactId"], each["IsPrimary"]) for each in roles] == [(made["contact"], True)]


def test_converting_into_an_opportunity_there_is(sf, do):
    assert do("convert", id=LEAD, opportunity=OPEN)["opportunity"] == OPEN
    assert sf.Lead.get(LEAD)["ConvertedOpportunityId"] == OPEN


def test_tracked_fields_have_a_history(sf, do, sandbox):
    patch(sf, {"id": LEAD, "Title": "CTO"}, headers=QUIET)
    for field in ("Title", "OwnerId", "NumberOfEmployees"):
        do("track_field", object="Lead", field=field)
    sandbox.clock.advance(60)
    patch(sf, {"id": LEAD, "Title": "CIO", "NumberOfEmployees": 300, "Company": "Firm"}, headers=QUIET)
    patch(sf, {"id": LEAD, "Title": "CIO"}, headers=QUIET)
    queue = salesforce_id("00G", 1)
    do("update", id=LEAD, fields={"OwnerId": queue})
    do("track_field", object="Lead", field="Title", tracked=False)
    patch(sf, {"id": LEAD, "Title": "CEO"}, headers=QUIET)
    rows = found(sf, f"SELECT Field, OldValue, NewValue FROM LeadHistory WHERE LeadId = '{LEAD}' ORDER BY Id")
    assert [(each["Field"], each["OldValue"], each["NewValue"]) for each in rows] == [
        ("Title", "CTO", "CIO"),
        ("NumberOfEmployees", 250, 300),
        ("Owner", "Ana Ito", "Inbound Leads"),
        ("Owner", ANA, queue),
    ]


def test_who_may_see_it_can_ask_which_fields_are_tracked(sf, do):
    do("track_field", object="Contact", field="Title")
    soql = (
        "SELECT QualifiedApiName, IsFieldHistoryTracked FROM FieldDefinition "
        "WHERE EntityDefinition.QualifiedApiName = 'Contact'"
    )
    told = sf.toolingexecute("query", params={"q": soql})["records"]
    assert [each["QualifiedApiName"] for each in told if each["IsFieldHistoryTracked"]] == ["Title"]


def test_what_is_never_edited_has_no_editor(sf):
    fields = {name: {each["name"] for each in getattr(sf, name).describe()["fields"]} for name in HISTORIES}
    assert all("LastModifiedDate" not in each for each in fields.values())
    assert ["SystemModstamp" in fields[name] for name in HISTORIES] == [True, False, False]


HISTORIES = ("OpportunityHistory", "LeadHistory", "ContactHistory")


def test_record_types_show_once_there_are_any(sf, do):
    assert "RecordTypeId" not in sf.Opportunity.get(OPEN)
    type_ = do("add_record_type", object="Opportunity", name="New business")["id"]
    do("update", id=OPEN, fields={"RecordTypeId": type_})
    [row] = found(sf, f"SELECT RecordType.Name FROM Opportunity WHERE Id = '{OPEN}'")
    assert row["RecordType"]["Name"] == "New business"
