"""The sandbox's Salesforce: custom fields that tasks and events have in common, and tasks that a client inserts."""

import pytest
from simple_salesforce.exceptions import SalesforceError

from tests.support.sandbox_salesforce import ANA, BO, CONVERTED, LEAD, found


def field(sf, name="Key__c", on="Activity", **metadata):
    body = {"FullName": f"{on}.{name}", "Metadata": {"label": "Key", "type": "Text", "length": 40, **metadata}}
    return sf.restful("tooling/sobjects/CustomField", method="POST", json=body)["id"]


def show(org, sf, name="Key__c"):
    set_ = sf.restful("sobjects/PermissionSet", method="POST", json={"Name": "Ours", "Label": "Ours"})["id"]
    rights = {"ParentId": set_, "SobjectType": "Task", "Field": f"Task.{name}"}
    rights |= {"PermissionsRead": True, "PermissionsEdit": True}
    sf.restful("sobjects/FieldPermissions", method="POST", json=rights)
    user = found(sf, "SELECT Id FROM User WHERE FirstName = 'crmsync'")[0]["Id"]
    sf.restful("sobjects/PermissionSetAssignment", method="POST", json={"AssigneeId": user, "PermissionSetId": set_})


def insert(sf, *tasks):
    records = [
        {"attributes": {"type": "Task"}, "WhoId": LEAD, "OwnerId": ANA, "Subject": "Call", **each} for each in tasks
    ]
    return sf.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": records})


def test_a_field_of_activities_is_one_of_tasks_and_events(org, sf):
    id_ = field(sf)
    assert all("key__c" in org.state.of(name).sobject.fields for name in ("Task", "Event"))
    assert sf.restful(f"tooling/sobjects/CustomField/{id_}")["FullName"] == "Activity.Key__c"
    soql = "SELECT Id FROM CustomField WHERE TableEnumOrId = 'Activity' AND DeveloperName = 'Key'"
    assert [each["Id"] for each in sf.restful("tooling/query", params={"q": soql})["records"]] == [id_]
    with pytest.raises(SalesforceError, match="already a field"):
        field(sf)
    sf.restful(f"tooling/sobjects/CustomField/{id_}", method="DELETE")
    assert not any("key__c" in org.state.of(name).sobject.fields for name in ("Task", "Event"))


def test_a_field_of_tasks_alone_there_is_not(sf):
    with pytest.raises(SalesforceError):
        field(sf, on="Task")


def test_activities_may_or_may_not_have_keys(org, sf, do):
    with pytest.raises(SalesforceError, match="cannot be unique"):
        field(sf, unique=True)
    do("set", activity_keys=True)
    field(sf, unique=True, externalId=True)
    show(org, sf)
    told = {each["name"]: each for each in sf.restful("sobjects/Task/describe")["fields"]}
    assert (told["Key__c"]["unique"], told["Key__c"]["externalId"]) == (True, True)
    first, second, third = insert(sf, {"Key__c": "a"}, {"Key__c": "a"}, {"Key__c": "b"})
    assert (first["success"], third["success"]) == (True, True)
    assert second["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
    assert first["id"] in second["errors"][0]["message"]


def test_an_inserted_task_is_open_by_the_default_of_the_org(sf):
    (made,) = insert(sf, {})
    (task,) = found(sf, f"SELECT Status, IsClosed FROM Task WHERE Id = '{made['id']}'")
    (default,) = found(sf, "SELECT ApiName FROM TaskStatus WHERE IsDefault = true")
    assert (task["Status"], task["IsClosed"]) == (default["ApiName"], False)


def test_a_status_that_is_closed_closes_a_task(sf):
    (closed,) = found(sf, "SELECT ApiName FROM TaskStatus WHERE IsClosed = true")
    (made,) = insert(sf, {"Status": closed["ApiName"]})
    assert found(sf, f"SELECT IsClosed FROM Task WHERE Id = '{made['id']}'")[0]["IsClosed"] is True


def test_a_bad_task_costs_no_other_one(sf):
    rows = insert(sf, {}, {"OwnerId": BO}, {"WhoId": CONVERTED}, {"WhoId": "00Q00000000zzzzAAQ"}, {})
    codes = [each["errors"][0]["statusCode"] if each["errors"] else "" for each in rows]
    assert codes == [
        "", "INACTIVE_OWNER_OR_USER", "CANNOT_UPDATE_CONVERTED_LEAD", "INVALID_CROSS_REFERENCE_KEY", "",
    ]  # fmt: skip
