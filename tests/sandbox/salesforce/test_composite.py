"""The sandbox's Salesforce: Collections, and calls that carry calls."""

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from connectors.sandbox.world import salesforce_id
from tests.support.sandbox_salesforce import CONVERTED, LEAD, UNOWNED, patch


def test_collections_are_positional_and_never_take_an_id_twice(sf):
    results = patch(
        sf, {"id": UNOWNED, "Title": "a"}, {"id": "nope", "Title": "b"}, {"id": LEAD[:15], "Title": "c"}, {"id": LEAD}
    )
    assert [result["success"] for result in results] == [True, False, True, False]
    assert [result.get("id") for result in results] == [UNOWNED, None, LEAD, None]
    assert results[3]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"


def test_collections_refuse_the_whole_request(sf, do):
    with pytest.raises(SalesforceMalformedRequest) as caught:
        patch(sf, *[{"id": LEAD, "Title": "x"}] * 201)
    assert caught.value.status == 400
    with pytest.raises(SalesforceMalformedRequest) as caught:
        patch(sf, {"id": LEAD, "Title": "x"}, {"id": UNOWNED, "Nope": 1})
    assert caught.value.content[0]["errorCode"] == "INVALID_FIELD"
    assert sf.Lead.get(LEAD)["Title"] == "VP, IT"
    do("set", unknown_field="row")
    results = patch(sf, {"id": LEAD, "Title": "x"}, {"id": UNOWNED, "Nope": 1})
    assert [result["success"] for result in results] == [True, False]


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("composite/sobjects", "PATCH", {"records": ["x"]}),
        ("composite/sobjects", "PATCH", {}),
        ("composite/sobjects/Lead", "POST", {"ids": "x"}),
        ("composite", "POST", {"compositeRequest": [{}]}),
        ("sobjects/Lead", "POST", []),
        ("jobs/ingest", "POST", {"object": "Nope", "operation": "update"}),
        ("jobs/query", "POST", {"operation": "query", "query": "SELECT"}),
    ],
)
def test_bodies_that_make_no_sense_are_refused(sf, path, method, body):
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.restful(path, method=method, json=body)
    assert caught.value.content[0].keys() >= {"message", "errorCode"}


def test_all_or_none(sf):
    body = {
        "allOrNone": True,
        "records": [{"attributes": {"type": "Lead"}, "id": id_, "Title": "x"} for id_ in (LEAD, CONVERTED)],
    }
    results = sf.restful("composite/sobjects", method="PATCH", json=body)
    assert results[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert sf.Lead.get(LEAD)["Title"] == "VP, IT"


def test_collections_read_create_upsert_delete(sf):
    read = sf.restful(
        "composite/sobjects/Lead", method="POST", json={"ids": [LEAD, salesforce_id("00Q", 999)], "fields": ["Name"]}
    )
    assert (read[0]["Name"], read[1]) == ("First1 Last1", None)
    new = [
        {"attributes": {"type": "Lead"}, "LastName": "N", "Company": "C"},
        {"attributes": {"type": "Lead"}, "LastName": "N"},
    ]
    made = sf.restful("composite/sobjects", method="POST", json={"records": new})
    assert [result["success"] for result in made] == [True, False]
    upsert = {"records": [{"attributes": {"type": "Lead"}, "Email": "p1@firm.example", "Title": "CTO"}]}
    [result] = sf.restful("composite/sobjects/Lead/Email", method="PATCH", json=upsert)
    assert (result["id"], result["created"]) == (LEAD, False)
    [gone] = sf.restful("composite/sobjects", method="DELETE", params={"ids": made[0]["id"]})
    assert gone["success"]


def test_upsert_by_a_field_that_is_not_unique(sf, do):
    do("update", id=UNOWNED, fields={"Email": "p1@firm.example"})
    with pytest.raises(Exception, match="More than one") as caught:
        sf.Lead.upsert("Email/p1@firm.example", {"Title": "x"})
    assert caught.value.content == [f"/services/data/v66.0/sobjects/Lead/{id_}" for id_ in (LEAD, UNOWNED)]


def test_composite_batch_and_tree(sf):
    requests_ = [
        {"method": "GET", "url": f"/services/data/v66.0/sobjects/Lead/{LEAD}?fields=OwnerId", "referenceId": "lead"},
        {"method": "GET", "url": "/services/data/v66.0/sobjects/User/@{lead.OwnerId}", "referenceId": "owner"},
        {"method": "GET", "url": "/services/data/v66.0/sobjects/Lead/00Q", "referenceId": "bad"},
    ]
    told = sf.restful("composite", method="POST", json={"compositeRequest": requests_})["compositeResponse"]
    assert [each["httpStatusCode"] for each in told] == [200, 200, 400]
    assert told[1]["body"]["Name"] == "Ana Ito"
    batch = {"batchRequests": [{"method": "GET", "url": "v66.0/limits"}, {"method": "GET", "url": "v66.0/nope"}]}
    told = sf.restful("composite/batch", method="POST", json=batch)
    assert (told["hasErrors"], [each["statusCode"] for each in told["results"]]) == (True, [200, 404])
    child = {"attributes": {"type": "Task", "referenceId": "t"}, "Subject": "Call"}
    tree = {
        "records": [
            {"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "N", "Tasks": {"records": [child]}}
        ]
    }
    made = {
        each["referenceId"]: each["id"]
        for each in sf.restful("composite/tree/Contact", method="POST", json=tree)["results"]
    }
    assert sf.Task.get(made["t"])["WhoId"] == made["c"]


def test_what_changed(sf, do, sandbox):
    sandbox.clock.advance(3600)
    patch(sf, {"id": LEAD, "Title": "x"})
    do("delete", id=UNOWNED)
    window = {"start": "2026-11-21T09:30:00Z", "end": "2026-11-21T11:00:00Z"}
    assert sf.restful("sobjects/Lead/updated/", params=window)["ids"] == [LEAD]
    gone = sf.restful("sobjects/Lead/deleted/", params=window)
    assert gone["deletedRecords"] == [{"id": UNOWNED, "deletedDate": "2026-11-21T10:00:00.000+0000"}]
    assert gone.keys() >= {"earliestDateAvailable", "latestDateCovered"}
