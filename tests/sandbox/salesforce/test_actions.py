"""The sandbox's Salesforce: what orgs do to integrations."""

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

from tests.support.sandbox_salesforce import (
    ANA,
    CONTACT,
    CONVERTED,
    CONVERTED_TO,
    LEAD,
    QUEUE,
    QUIET,
    UNOWNED,
    found,
    ids,
    patch,
)


@pytest.mark.parametrize("headers", [{}, {"Sforce-Auto-Assign": "TRUE"}])
def test_a_score_alone_can_cost_a_lead_its_owner(sf, headers):
    patch(sf, {"id": LEAD, "Title": "CTO"}, headers=QUIET)
    assert sf.Lead.get(LEAD)["OwnerId"] == ANA
    patch(sf, {"id": LEAD, "Title": "CIO"}, headers=headers)
    assert sf.Lead.get(LEAD)["OwnerId"] == QUEUE


def test_converted_leads_are_closed_to_us(sf, do):
    update = {"id": CONVERTED, "Title": "CTO"}
    [error] = patch(sf, update)[0]["errors"]
    assert (error["statusCode"], error["message"]) == (
        "CANNOT_UPDATE_CONVERTED_LEAD",
        "cannot reference converted lead",
    )
    do("set", edit_converted=True)
    assert patch(sf, update)[0]["success"]


def test_converting_a_lead(sf, do, sandbox):
    sandbox.clock.advance(60)
    made = do("convert", id=LEAD)
    lead = sf.Lead.get(LEAD)
    assert (lead["IsConverted"], lead["ConvertedContactId"], lead["ConvertedDate"]) == (
        True,
        made["contact"],
        "2026-11-21",
    )
    assert lead["SystemModstamp"] == "2026-11-21T09:01:00.000+0000"
    contact = sf.Contact.get(made["contact"])
    assert (contact["Email"], contact["AccountId"]) == ("p1@firm.example", made["account"])
    assert found(sf, "SELECT WhoId FROM Task WHERE Subject = 'Call'")[0]["WhoId"] == made["contact"]


def test_merging(sf, do, sandbox):
    sandbox.clock.advance(60)
    do("merge", winner=LEAD, losers=[UNOWNED])
    soql = "SELECT Id, MasterRecordId FROM Lead WHERE IsDeleted = true AND MasterRecordId != null"
    [loser] = found(sf, soql, include_deleted=True)
    assert (loser["Id"], loser["MasterRecordId"]) == (UNOWNED, LEAD)
    assert ids(sf, f"SELECT Id FROM Event WHERE WhoId = '{LEAD}'")
    assert patch(sf, {"id": UNOWNED, "Title": "x"})[0]["errors"][0]["statusCode"] == "ENTITY_IS_DELETED"


def test_an_activity_moves_its_parents_stamp_but_not_its_modified_date(sf, do, sandbox):
    before = sf.Lead.get(LEAD)
    sandbox.clock.advance(60)
    do("add_activity", who=LEAD, fields={"Subject": "Call", "Status": "Not Started"})
    assert sf.Lead.get(LEAD)["SystemModstamp"] == before["SystemModstamp"]
    do("add_activity", who=LEAD)
    lead = sf.Lead.get(LEAD)
    assert lead["LastActivityDate"] == "2026-11-21"
    assert lead["SystemModstamp"] == "2026-11-21T09:01:00.000+0000"
    assert lead["LastModifiedDate"] == before["LastModifiedDate"]


def test_shared_activities(sf, do):
    assert "WhoCount" not in {field["name"] for field in sf.Task.describe()["fields"]}
    do("share_activities")
    task = do("add_activity", who=LEAD, **{"with": [CONTACT, CONVERTED_TO]})["id"]
    assert sf.Task.get(task)["WhoCount"] == 3
    people = found(sf, f"SELECT RelationId, Type FROM TaskWhoRelation WHERE TaskId = '{task}'")
    assert {each["RelationId"]: each["Type"] for each in people} == {
        LEAD: "Lead",
        CONTACT: "Contact",
        CONVERTED_TO: "Contact",
    }
    assert [each["WhoCount"] for each in found(sf, "SELECT WhoCount FROM Event")] == [1]


def test_captured_emails_are_no_records(sf, do):
    do("capture_emails")
    for soql in ("SELECT Id FROM EmailMessage", "SELECT Id FROM Task WHERE TaskSubtype = 'Email'"):
        assert ids(sf, soql, include_deleted=True) == []
    assert sf.Contact.get(CONTACT)["LastActivityDate"] is not None
    assert ids(sf, "SELECT Id FROM Task WHERE TaskSubtype = 'Call'")


def test_an_account_does_not_move_its_contacts(sf, do, sandbox):
    account = sf.Contact.get(CONTACT)["AccountId"]
    before = sf.Contact.get(CONTACT)["SystemModstamp"]
    sandbox.clock.advance(60)
    do("update", id=account, fields={"Industry": "Banking"})
    assert sf.Contact.get(CONTACT)["SystemModstamp"] == before
    assert found(sf, "SELECT Account.Industry FROM Contact")[0]["Account"]["Industry"] == "Banking"


def test_a_formula_moves_without_any_stamp(sf, do):
    do("add_field", object="Contact", field="Sector__c", formula="Account.Industry")
    fields = {field["name"]: field for field in sf.Contact.describe()["fields"]}
    assert (fields["Sector__c"]["calculated"], fields["Sector__c"]["updateable"]) == (True, False)
    assert ids(sf, "SELECT Id FROM Contact WHERE Sector__c = 'technology' ORDER BY Id") == [CONTACT, CONVERTED_TO]


def test_validation_rules(sf, do):
    do(
        "add_validation_rule",
        object="Lead",
        when="Title = 'CTO' AND Country = 'Germany'",
        message="No CTOs",
        field="Title",
    )
    results = patch(sf, {"id": LEAD, "Title": "CTO"}, {"id": UNOWNED, "Title": "CIO"})
    [error] = results[0]["errors"]
    expected = {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "No CTOs", "fields": ["Title"]}
    assert (results[0]["success"], error) == (False, expected)
    assert "id" not in results[0]
    assert results[1]["success"]
    assert sf.Lead.get(LEAD)["Title"] == "VP, IT"


def test_duplicate_rules_and_the_header_that_waives_alerts(sf, do):
    do("add_duplicate_rule", object="Lead", field="Email")
    update = {"id": LEAD, "Email": "p4@firm.example"}
    assert patch(sf, update)[0]["errors"][0]["statusCode"] == "DUPLICATES_DETECTED"
    assert patch(sf, update, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})[0]["success"]
    do("add_duplicate_rule", object="Lead", field="Email", block=True)
    assert not patch(sf, update, headers={"Sforce-Duplicate-Rule-Header": "allowSave=true"})[0]["success"]


def test_a_picklist_value_is_taken_away(sf, do):
    do("remove_picklist_value", object="Lead", field="Rating", value="Hot")
    [error] = patch(sf, {"id": LEAD, "Rating": "Hot"})[0]["errors"]
    assert error["statusCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


def test_a_field_is_taken_away_and_given_back(sf, do):
    do("hide_field", object="Lead", field="Title", readable=True)
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD_FOR_INSERT_UPDATE"):
        sf.Lead.update(LEAD, {"Title": "CTO"})
    do("hide_field", object="Lead", field="Title")
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Title'"):
        sf.query("SELECT Title FROM Lead")
    do("show_field", object="Lead", field="Title")
    assert sf.Lead.update(LEAD, {"Title": "CTO"}) == 204


def test_sharing_hides_a_record_from_reading_and_writing(sf, do):
    stamp = sf.query(f"SELECT SystemModstamp FROM Lead WHERE Id = '{LEAD}'")["records"][0]["SystemModstamp"]
    do("unshare", ids=[LEAD])
    for every in (False, True):
        assert sf.query(f"SELECT Id FROM Lead WHERE Id = '{LEAD}'", include_deleted=every)["records"] == []
    with pytest.raises(SalesforceResourceNotFound):
        sf.Lead.get(LEAD)
    [error] = patch(sf, {"id": LEAD, "Title": "x"})[0]["errors"]
    assert error["statusCode"] == "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
    do("unshare", ids=[LEAD], code="INVALID_CROSS_REFERENCE_KEY")
    assert patch(sf, {"id": LEAD, "Title": "x"})[0]["errors"][0]["statusCode"] == "INVALID_CROSS_REFERENCE_KEY"
    do("share", ids=[LEAD])
    assert patch(sf, {"id": LEAD, "Title": None})[0]["success"]
    assert sf.query(f"SELECT SystemModstamp FROM Lead WHERE Id = '{LEAD}'")["records"][0]["SystemModstamp"] >= stamp


def test_what_hangs_on_a_record_is_hidden_and_shown_with_it(sf, do):
    task = do("add_activity", who=LEAD)["id"]
    for action, shown in (("unshare", 0), ("share", 1)):
        do(action, ids=[LEAD])
        for every in (False, True):
            assert len(sf.query(f"SELECT Id FROM Task WHERE Id = '{task}'", include_deleted=every)["records"]) == shown


def test_locks(sf, do):
    do("lock_rows", ids=[LEAD], times=2)
    codes = [patch(sf, {"id": LEAD, "Title": "x"})[0] for _ in range(3)]
    assert [result["success"] for result in codes] == [False, False, True]
    assert codes[0]["errors"][0]["statusCode"] == "UNABLE_TO_LOCK_ROW"
    do("lock_rows", share=1.0, times=1)
    assert [patch(sf, {"id": UNOWNED, "Title": "x"})[0]["success"] for _ in range(2)] == [False, True]
    account = sf.Contact.get(CONTACT)["AccountId"]
    do("lock_rows", ids=[account], times=-1)
    assert not patch(sf, {"id": CONTACT, "Title": "x"}, type_="Contact")[0]["success"]


def test_deactivating_a_user(sf, do):
    do("deactivate_user", id=ANA)
    assert patch(sf, {"id": LEAD, "Title": "x"})[0]["success"]
    [error] = patch(sf, {"id": UNOWNED, "OwnerId": ANA})[0]["errors"]
    assert error["statusCode"] == "INACTIVE_OWNER_OR_USER"
    do("set", strict_inactive_owners=True)
    patch(sf, {"id": LEAD, "OwnerId": QUEUE}, headers=QUIET)
    assert (
        patch(sf, {"id": CONTACT, "Title": "x"}, type_="Contact")[0]["errors"][0]["statusCode"]
        == "INACTIVE_OWNER_OR_USER"
    )


def test_mistaken_actions_are_told_in_a_sentence(do):
    for action, body, said in (
        ("set", {"nope": 1}, "there is no switch nope"),
        ("set", {"page_size": "many"}, "page_size must be int, not 'many'"),
        ("update", {"id": "x", "fields": {}}, "there is no record x"),
        ("update", {}, "'id' is missing"),
        ("add_validation_rule", {"object": "Lead", "when": "Nope = 1"}, "No such column"),
    ):
        with pytest.raises(ValueError, match=said):
            do(action, **body)
