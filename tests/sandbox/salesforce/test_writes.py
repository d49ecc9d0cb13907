"""The sandbox's Salesforce: rows from making to deleting, and refused updates."""

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

from connectors.sandbox.world import salesforce_id
from tests.support.sandbox_salesforce import BO, CONTACT, LEAD, QUEUE, QUIET, patch


def test_a_row_from_making_to_deleting(sf, session):
    session.headers.update(QUIET)
    made = sf.Lead.create({"LastName": "Nowak", "Company": "Firma", "Email": "e@x.example"})["id"]
    assert sf.Lead.get(made)["Name"] == "Nowak"
    assert sf.Lead.update(made, {"FirstName": "Jan"}) == 204
    lead = sf.Lead.get(made)
    assert (lead["Name"], lead["Status"], lead["attributes"]["type"]) == ("Jan Nowak", "Open - Not Contacted", "Lead")
    assert sf.Lead.get_by_custom_id("Email", "e@x.example")["Id"] == made
    assert sf.Lead.delete(made) == 204
    for call in (lambda: sf.Lead.get(made), lambda: sf.Lead.update(made, {"Title": "x"})):
        with pytest.raises(SalesforceResourceNotFound) as caught:
            call()
        assert caught.value.content[0]["errorCode"] == "ENTITY_IS_DELETED"


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"Nope": 1}, "INVALID_FIELD", ["Nope"]),
        ({"Title": "x" * 129}, "STRING_TOO_LONG", ["Title"]),
        ({"NumberOfEmployees": 10**8}, "NUMBER_OUTSIDE_VALID_RANGE", ["NumberOfEmployees"]),
        ({"NumberOfEmployees": "many"}, "JSON_PARSER_ERROR", ["NumberOfEmployees"]),
        ({"Email": "nobody"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
        ({"LastName": None}, "REQUIRED_FIELD_MISSING", ["LastName"]),
        ({"SystemModstamp": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["SystemModstamp"]),
        ({"Id": LEAD}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["Id"]),
        ({"Name": "x"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["Name"]),
        ({"OwnerId": BO}, "INACTIVE_OWNER_OR_USER", None),
        ({"OwnerId": salesforce_id("005", 77)}, "INVALID_CROSS_REFERENCE_KEY", ["OwnerId"]),
        ({"OwnerId": "nobody"}, "MALFORMED_ID", ["OwnerId"]),
    ],
)
def test_refused_updates_leave_the_row_alone(sf, fields, code, named):
    before = sf.Lead.get(LEAD)
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.Lead.update(LEAD, {"Company": "Other"} | fields)
    [error] = caught.value.content
    assert error["errorCode"] == code
    assert error.get("fields") == named
    assert sf.Lead.get(LEAD) == before


def test_texts_lose_the_blanks_around_them_and_addresses_their_capitals(sf):
    sf.Lead.update(LEAD, {"Title": "  VP  Sales ", "Email": "Ada.X@Kestrel.Example", "City": "  "})
    lead = sf.Lead.get(LEAD)
    assert (lead["Title"], lead["Email"], lead["City"]) == ("VP  Sales", "ada.x@kestrel.example", None)


def test_unknown_rows(sf):
    with pytest.raises(SalesforceResourceNotFound) as caught:
        sf.Lead.get(salesforce_id("00Q", 999))
    assert caught.value.content == [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]
    result = patch(sf, {"id": salesforce_id("00Q", 999), "Title": "x"})[0]
    assert result["errors"][0]["statusCode"] == "INVALID_CROSS_REFERENCE_KEY"


def test_queues_own_leads_only(sf):
    assert patch(sf, {"id": LEAD, "OwnerId": QUEUE}, headers=QUIET)[0]["success"]
    result = patch(sf, {"id": CONTACT, "OwnerId": QUEUE}, type_="Contact")[0]
    assert result["errors"][0]["statusCode"] == "INVALID_CROSS_REFERENCE_KEY"


def test_optimistic_locking(sf, sandbox):
    sandbox.clock.advance(60)
    headers = {"If-Unmodified-Since": "Sat, 21 Nov 2026 09:00:30 GMT"}
    body = {"method": "PATCH", "json": {"Title": "CTO"}, "headers": headers}
    sf.restful(f"sobjects/Lead/{LEAD}", **body)
    with pytest.raises(Exception, match="modified since") as caught:
        sf.restful(f"sobjects/Lead/{LEAD}", **body)
    assert caught.value.status == 412


def test_writes_move_the_stamps(sf, sandbox):
    sandbox.clock.advance(90.75)
    patch(sf, {"id": LEAD, "Title": "CTO"})
    lead = sf.Lead.get(LEAD)
    assert lead["SystemModstamp"] == lead["LastModifiedDate"] == "2026-11-21T09:01:30.000+0000"
    assert sf.User.get(lead["LastModifiedById"])["Username"] == "crmsync@sandbox.example"
