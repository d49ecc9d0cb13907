"""The sandbox's Salesforce: what describe tells."""

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceRefusedRequest

from tests.support.sandbox_salesforce import LEAD, found, ids, patch


def test_describe_has_the_shape_of_the_real_one(sf):
    described = sf.Lead.describe()
    fields = {field["name"]: field for field in described["fields"]}
    assert (described["keyPrefix"], described["mergeable"]) == ("00Q", True)
    assert fields["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert fields["OwnerId"]["polymorphicForeignKey"]
    assert fields["AnnualRevenue"].items() >= {"type": "currency", "precision": 18, "scale": 0, "length": 0}.items()
    assert fields["NumberOfEmployees"]["digits"] == 8
    assert fields["Status"]["restrictedPicklist"] is False
    assert [value["value"] for value in fields["Status"]["picklistValues"]][2] == "Closed - Converted"
    assert fields["Email"].items() >= {"type": "email", "length": 80, "idLookup": True, "nillable": True}.items()
    assert not fields["SystemModstamp"]["updateable"]
    assert {child["relationshipName"] for child in described["childRelationships"]} >= {"Tasks", "CampaignMembers"}
    assert {each["name"] for each in sf.describe()["sobjects"]} >= {"Lead", "Contact", "EmailMessage", "QueueSobject"}


@pytest.mark.parametrize(
    ("object_", "field", "said"),
    [
        ("Lead", "FirstName", {"permissionable": False, "extraTypeInfo": "personname"}),
        ("Lead", "LastActivityDate", {"permissionable": False}),
        ("Lead", "ConvertedContactId", {"permissionable": False}),
        ("Lead", "Title", {"permissionable": True, "extraTypeInfo": None}),
        ("Lead", "Industry", {"length": 255}),
        ("Contact", "IsEmailBounced", {"aggregatable": False}),
        ("Lead", "Status", {"defaultValue": "Open - Not Contacted", "permissionable": False}),
        ("Lead", "EmailBouncedDate", {"createable": False, "updateable": True}),
        ("Event", "StartDateTime", {"permissionable": False}),
        ("Lead", "Address", {"filterable": True, "sortable": False, "aggregatable": False}),
    ],
)
def test_describe_says_what_was_recorded(sf, object_, field, said):
    [found] = [each for each in getattr(sf, object_).describe()["fields"] if each["name"] == field]
    assert found.items() >= said.items()


def test_describe_if_modified(sf, session):
    url = "https://acme.my.salesforce.com/services/data/v66.0/sobjects/Lead/describe"
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    first = session.get(url, headers=headers)
    again = session.get(url, headers=headers | {"If-Modified-Since": first.headers["Last-Modified"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    later = session.get(url, headers=headers | {"If-Modified-Since": "Sat, 21 Nov 2026 23:00:00 GMT"})
    earlier = session.get(url, headers=headers | {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:01 GMT"})
    assert (later.status_code, earlier.status_code) == (304, 200)


def test_describe_tells_of_a_change_within_the_same_second(sf, session, do):
    url = "https://acme.my.salesforce.com/services/data/v66.0/sobjects/Lead/describe"
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    first = session.get(url, headers=headers)
    do("hide_field", object="Lead", field="Title")
    again = session.get(url, headers=headers | {"If-Modified-Since": first.headers["Last-Modified"]})
    assert again.status_code == 200


def test_a_new_field_is_invisible_until_it_is_granted(sf):
    metadata = {"label": "Fit Score", "type": "Number", "precision": 5, "scale": 2}
    create = {"method": "POST", "data": {"FullName": "Lead.Fit_Score__c", "Metadata": metadata}}
    assert sf.toolingexecute("sobjects/CustomField", **create)["success"]
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.toolingexecute("sobjects/CustomField", **create)
    assert caught.value.content[0]["errorCode"] == "DUPLICATE_DEVELOPER_NAME"
    assert "Fit_Score__c" not in {field["name"] for field in sf.Lead.describe()["fields"]}
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Fit_Score__c' on entity 'Lead'"):
        sf.query("SELECT Fit_Score__c FROM Lead")
    [parent] = ids(sf, "SELECT Id FROM PermissionSet")
    permission = {"ParentId": parent, "SobjectType": "Lead", "Field": "Lead.Fit_Score__c"}
    sf.FieldPermissions.create(permission | {"PermissionsRead": True, "PermissionsEdit": True})
    field = next(field for field in sf.Lead.describe()["fields"] if field["name"] == "Fit_Score__c")
    assert field.items() >= {"type": "double", "precision": 5, "scale": 2, "updateable": True, "custom": True}.items()
    assert patch(sf, {"id": LEAD, "Fit_Score__c": 72.5})[0]["success"]
    assert found(sf, "SELECT Fit_Score__c FROM Lead WHERE Fit_Score__c > 70")[0]["Fit_Score__c"] == 72.5
    [of_tooling] = sf.toolingexecute(
        "query", params={"q": "SELECT Id FROM CustomField WHERE DeveloperName = 'Fit_Score'"}
    )["records"]
    assert of_tooling["TableEnumOrId"] == "Lead"


def test_the_values_of_a_picklist_are_those_its_metadata_names(sf, do):
    do("add_field", object="Contact", field="Tier__c", type="picklist", values=["A", "B"])
    asked = {"q": "SELECT Id FROM CustomField WHERE TableEnumOrId = 'Contact' AND DeveloperName = 'Tier'"}
    path = f"sobjects/CustomField/{sf.toolingexecute('query', params=asked)['records'][0]['Id']}"
    metadata = sf.toolingexecute(path)["Metadata"]
    definition = metadata["valueSet"]["valueSetDefinition"]
    assert [each["valueName"] for each in definition["value"]] == ["A", "B"]
    definition["value"] = [{"valueName": "C", "label": "C", "default": False}, definition["value"][1]]
    sf.toolingexecute(path, method="PATCH", data={"Metadata": metadata})
    field = next(field for field in sf.Contact.describe()["fields"] if field["name"] == "Tier__c")
    assert [each["value"] for each in field["picklistValues"]] == ["C", "B"]
    after = sf.toolingexecute(path)["Metadata"]["valueSet"]["valueSetDefinition"]["value"]
    assert [(each["valueName"], each["isActive"]) for each in after] == [("C", None), ("B", None), ("A", False)]
    do("set", metadata_forbidden=True)
    with pytest.raises(SalesforceRefusedRequest):
        sf.toolingexecute(path, method="PATCH", data={"Metadata": metadata})
