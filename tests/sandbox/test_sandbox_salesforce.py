"""The sandbox's Salesforce, through the real simple-salesforce and plain HTTP."""

import csv
import io
from datetime import UTC, datetime, timedelta

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from connectors.sandbox.salesforce.schema import sobjects
from connectors.sandbox.salesforce.table import ObjectTable
from connectors.sandbox.world import Firm, Happening, Human, Rep, World, salesforce_id, with_checksum

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
QUEUE = salesforce_id("00G", 1)
ANA, BO = salesforce_id("005", 1), salesforce_id("005", 2)
LEAD, CONTACT = salesforce_id("00Q", 4), salesforce_id("003", 8)
CONVERTED, CONVERTED_TO = salesforce_id("00Q", 12), salesforce_id("003", 13)
UNOWNED = salesforce_id("00Q", 16)


def happened(kind, days, **attributes):
    return Happening(kind, NOW - timedelta(days=days), attributes, frozenset({"salesforce"}))


def human(number, records, owner=1, happenings=(), **more):
    given = {"first": f"First{number}", "last": f"Last{number}", "email": f"p{number}@firm.example", "title": "VP, IT"}
    given |= {"firm": FIRM, "country": "Germany", "in_hubspot": 0, "created_at": NOW - timedelta(days=60)}
    return Human(number=number, in_salesforce=records, owner=owner, happenings=tuple(happenings), **given | more)


FIRM = Firm(1, "Firm & Söhne", "firm.example", "Technology", 250, "Germany", 5_000_000)
LETTER = (happened("email_sent", 9, subject="Hello"), happened("email_opened", 8, subject="Hello"))
PEOPLE = (
    human(1, ("lead",), happenings=[happened("call_completed", 3, subject="Call", outcome="reached", seconds=90)]),
    human(2, ("contact",), happenings=[*LETTER, happened("email_replied", 7, subject="Hello")]),
    human(3, ("converted", "contact"), happenings=[happened("webinar_attended", 2, campaign="Autumn webinar")]),
    human(4, ("lead",), owner=None, happenings=[happened("meeting_held", 1, subject="Demo")]),
)
WORLD = World(
    NOW,
    (Rep(1, "Ana", "Ito", "ana@sales.example"), Rep(2, "Bo", "Ek", "bo@sales.example", active=False)),
    (FIRM,),
    PEOPLE,
)


class Rewritten(requests.adapters.HTTPAdapter):
    """simple-salesforce insists on https and on salesforce.com; the sandbox is neither."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    def send(self, request, **options):
        request.url = self.url + "/" + request.url.split("/", 3)[3]
        return super().send(request, **options)


@pytest.fixture
def org(sandbox):
    sandbox.between_requests(lambda: sandbox.org.load(WORLD))
    return sandbox.org


@pytest.fixture
def session(sandbox):
    with requests.Session() as made:
        made.mount("https://", Rewritten(sandbox.url))
        yield made


@pytest.fixture
def sf(org, session):
    return Salesforce(
        consumer_key="sandbox", consumer_secret="sandbox", domain="acme.my", version="66.0", session=session
    )


@pytest.fixture
def do(sandbox, org):
    return lambda action, **body: sandbox.do("salesforce", action, **body)


def found(sf, soql, **options):
    return sf.query_all(soql, **options)["records"]


def ids(sf, soql, **options):
    return [record["Id"] for record in found(sf, soql, **options)]


def patch(sf, *records, type_="Lead", headers=None):
    body = {"allOrNone": False, "records": [{"attributes": {"type": type_}} | record for record in records]}
    return sf.restful("composite/sobjects", method="PATCH", json=body, **({"headers": headers} if headers else {}))


QUIET = {"Sforce-Auto-Assign": "FALSE"}


# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_carry_salesforces_checksum():
    # https://help.salesforce.com/s/articleView?id=000385008: an upper-case letter sets a bit in its group of five.
    assert with_checksum("00Q5g00000AbCdE") == "00Q5g00000AbCdEEAV"
    assert salesforce_id("00Q", 0) == "00Q000000000000EAA"
    assert sorted(salesforce_id("00Q", n) for n in range(5000)) == [salesforce_id("00Q", n) for n in range(5000)]


# --- tokens ----------------------------------------------------------------------------------------------------------


def ask_token(sandbox, **form):
    return requests.post(f"{sandbox.url}/services/oauth2/token", data=form, timeout=5)


def test_client_credentials(sf, sandbox):
    answer = ask_token(sandbox, grant_type="client_credentials", client_id="sandbox", client_secret="sandbox")
    assert answer.status_code == 200
    assert answer.json().keys() >= {"access_token", "instance_url", "id", "token_type", "issued_at", "signature"}
    assert answer.json()["instance_url"] == sandbox.url
    assert sf.query("SELECT Id FROM Organization")["totalSize"] == 1


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "sandbox"}, "invalid_client_id"),
        ({"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "x"}, "invalid_client"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "client_id": "sandbox", "refresh_token": "old"}, "invalid_grant"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
    ],
)
def test_refused_logins(sandbox, org, form, error):
    answer = ask_token(sandbox, **form)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert answer.json()["error_description"]


def test_simple_salesforce_hears_why_it_was_refused(org, session):
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(consumer_key="sandbox", consumer_secret="wrong", domain="acme.my", version="66.0", session=session)
    assert caught.value.code == "invalid_client"


def test_refresh_tokens_rotate_when_told_to(sandbox, do):
    do("set", rotate_refresh_tokens=True)
    form = {"grant_type": "refresh_token", "client_id": "sandbox"}
    first = ask_token(sandbox, **form, refresh_token="sandbox-refresh-token").json()
    assert ask_token(sandbox, **form, refresh_token="sandbox-refresh-token").json()["error"] == "invalid_grant"
    assert ask_token(sandbox, **form, refresh_token=first["refresh_token"]).status_code == 200


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_jwt_bearer(org, session, key, do):
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    do("register_key", client_id="app", public_key=public.decode())
    login = {"username": "crmsync@sandbox.example", "consumer_key": "app", "domain": "acme.my", "session": session}
    sf = Salesforce(**login, privatekey=pem(key), version="66.0")
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 3
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(**login, privatekey=pem(other), version="66.0")
    assert caught.value.code == "invalid_grant"


def test_an_external_client_app_refuses_the_old_audience(sandbox, org, key):
    claims = {
        "iss": "sandbox",
        "sub": "a",
        "aud": "https://test.salesforce.com",
        "exp": int(datetime.now(UTC).timestamp()) + 100,
    }
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    answer = ask_token(sandbox, grant_type=grant, assertion=jwt.encode(claims, pem(key), algorithm="RS256"))
    assert answer.json()["error"] == "app_not_found"


def test_soap_login_is_over(sandbox, org):
    for version, code in (("66.0", "UNSUPPORTED_API_VERSION"), ("59.0", "INVALID_OPERATION")):
        answer = requests.post(f"{sandbox.url}/services/Soap/u/{version}", data="<x/>", timeout=5)
        assert answer.status_code == 500
        assert f"<sf:exceptionCode>{code}</sf:exceptionCode>" in answer.text


def test_a_session_ends_and_simple_salesforce_gets_another(sf, do):
    assert do("expire_sessions")["ended"] == 1
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 3
    do("set", session_calls=2)
    assert [sf.query("SELECT COUNT() FROM Lead")["totalSize"] for _ in range(5)] == [3] * 5


def test_an_ended_session_is_told_in_a_list(sandbox, session, org):
    answer = requests.get(f"{sandbox.url}/services/data/v66.0/limits", headers={"Authorization": "Bearer x"}, timeout=5)
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    stale = Salesforce(session_id="x", instance_url=sandbox.url, version="66.0", session=session)
    with pytest.raises(SalesforceExpiredSession):
        stale.limits()


def test_who_we_are(sf, sandbox):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    said = requests.get(f"{sandbox.url}/services/oauth2/userinfo", headers=headers, timeout=5).json()
    assert said["organization_id"] == ids(sf, "SELECT Id FROM Organization")[0]
    token = {"token": sf.session_id}
    assert requests.post(f"{sandbox.url}/services/oauth2/introspect", data=token, timeout=5).json()["active"]


# --- limits ----------------------------------------------------------------------------------------------------------


def test_every_answer_says_how_much_of_the_quota_is_used(sf, do):
    sf.limits()
    before = sf.api_usage["api-usage"].used
    sf.query("SELECT COUNT() FROM Lead")
    assert sf.api_usage["api-usage"] == (before + 1, 5_000_000)
    do("set_usage", used=99, max=100)
    assert sf.limits()["DailyApiRequests"] == {"Max": 100, "Remaining": 0}
    with pytest.raises(SalesforceRefusedRequest) as caught:
        sf.limits()
    assert caught.value.content == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_too_many_at_once_passes_by_itself(sf, do):
    do("set", concurrent_errors=1)
    with pytest.raises(SalesforceRefusedRequest, match="ConcurrentRequests"):
        sf.limits()
    assert sf.limits()


def test_versions_need_no_token(sandbox, org):
    versions = requests.get(f"{sandbox.url}/services/data", timeout=5).json()
    assert {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"} in versions


@pytest.mark.parametrize(
    ("version", "status"), [("30.0", 410), ("31.0", 200), ("99.0", 404), ("66", 404), ("v66.0", 404)]
)
def test_versions_are_retired(sf, sandbox, version, status):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    answer = requests.get(f"{sandbox.url}/services/data/v{version}/limits", headers=headers, timeout=5)
    assert answer.status_code == status


def test_header_names_are_written_as_salesforce_writes_them(sf, sandbox):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    answer = requests.get(f"{sandbox.url}/services/data/v66.0/limits", headers=headers, timeout=5)
    assert {"Date", "Content-Type", "Sforce-Limit-Info"} <= set(answer.headers)
    assert "Sforce-Limit-Info" in list(answer.headers)


def test_an_address_that_is_too_long(sf, sandbox):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    url = f"{sandbox.url}/services/data/v66.0/query?q={'x' * 16_400}"
    assert requests.get(url, headers=headers, timeout=5).status_code == 414


# --- describe --------------------------------------------------------------------------------------------------------


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


# --- SOQL ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "leads"),
    [
        ("IsConverted = false", [LEAD, UNOWNED]),
        ("isconverted = TRUE", [CONVERTED]),
        ("Email = 'P1@FIRM.example'", [LEAD]),
        ("Email LIKE 'p_@firm.%' AND NOT (FirstName = 'First4' OR IsConverted = true)", [LEAD]),
        ("Title = 'nobody'", []),
        ("Rating != 'Hot' AND Rating = null", [LEAD, CONVERTED, UNOWNED]),
        ("NumberOfEmployees >= 250 AND AnnualRevenue < 6000000.5", [LEAD, CONVERTED, UNOWNED]),
        (f"Id IN ('{LEAD}', '{UNOWNED[:15]}')", [LEAD, UNOWNED]),
        (f"Id NOT IN ('{LEAD}') AND OwnerId = '{QUEUE}'", [UNOWNED]),
        (f"OwnerId = '{ANA}' AND Owner.IsActive = true AND Owner.Type = 'User'", [LEAD, CONVERTED]),
        ("Id IN (SELECT WhoId FROM Task)", [LEAD]),
        ("Status IN ('Open - Not Contacted', null)", [UNOWNED]),
        ("CreatedDate = LAST_N_DAYS:60", [LEAD, CONVERTED, UNOWNED]),
        ("CreatedDate > LAST_N_DAYS:60", []),
        ("CreatedDate < TODAY AND CreatedDate >= 2026-09-22T11:00:00+02:00", [LEAD, CONVERTED, UNOWNED]),
        ("LastActivityDate = YESTERDAY", [UNOWNED]),
        ("LastActivityDate < 2026-11-20", [LEAD]),
        ("Lead.LastActivityDate = N_DAYS_AGO:3", [LEAD]),
        ("ConvertedContact.Account.Name = 'Firm & Söhne'", [CONVERTED]),
    ],
)
def test_conditions(sf, where, leads):
    assert ids(sf, f"SELECT Id FROM Lead WHERE {where} ORDER BY Id") == leads


def test_parents_are_nested_and_may_be_null(sf, do):
    do("update", id=CONTACT, fields={"AccountId": None})
    orphan, child = found(sf, "SELECT Id, Account.Name, Account.Owner.Alias, MailingAddress FROM Contact ORDER BY Id")
    assert orphan["Account"] is None
    assert child["Account"]["Name"] == "Firm & Söhne"
    assert child["Account"]["attributes"]["type"] == "Account"
    assert child["Account"]["Owner"]["Alias"]
    assert child["MailingAddress"]["country"] == "Germany"
    [task] = found(sf, f"SELECT Who.Type, Who.Name FROM Task WHERE WhoId = '{LEAD}'")
    assert (task["Who"]["Type"], task["Who"]["Name"]) == ("Lead", "First1 Last1")
    [queue] = found(sf, "SELECT Queue.Name, Queue.DeveloperName FROM QueueSobject WHERE SobjectType = 'Lead'")
    assert queue["Queue"]["Name"] == "Inbound Leads"


def test_children_in_a_subquery(sf):
    contacts = found(sf, "SELECT Id, (SELECT Subject FROM Tasks ORDER BY Subject LIMIT 1) FROM Contact ORDER BY Id")
    assert contacts[0]["Tasks"]["records"][0]["Subject"] == "Email: Hello"
    assert contacts[1]["Tasks"] is None


def test_counting_and_grouping(sf):
    assert sf.query("SELECT COUNT() FROM Lead WHERE IsConverted = false")["totalSize"] == 2
    assert found(sf, "SELECT COUNT(Id), MAX(SystemModstamp) latest FROM Lead")[0]["expr0"] == 3
    groups = found(sf, "SELECT IsConverted, COUNT(Id) many FROM Lead GROUP BY IsConverted")
    assert {group["IsConverted"]: group["many"] for group in groups} == {False: 2, True: 1}


def test_all_fields(sf):
    [record] = found(sf, "SELECT FIELDS(ALL) FROM Lead WHERE IsConverted = true LIMIT 200")
    assert record["ConvertedContactId"] == CONVERTED_TO
    assert record.keys() - {"attributes"} == {field["name"] for field in sf.Lead.describe()["fields"]}
    with pytest.raises(SalesforceMalformedRequest, match="must have a LIMIT of at most 200"):
        sf.query("SELECT FIELDS(ALL) FROM Lead")


@pytest.mark.parametrize(
    ("soql", "code", "said"),
    [
        ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Nope FROM Lead", "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
        ("SELECT Account.Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("SELECT Nope.Id FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Nope' in field path"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported"),
        (
            "SELECT Id FROM Lead WHERE CreatedDate > '2026-01-01T00:00:00Z'",
            "INVALID_FIELD",
            "should not be enclosed in quotes",
        ),
        ("SELECT Id FROM Lead WHERE Title = 5", "INVALID_FIELD", "must be of type string and should be enclosed"),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees > 'many'", "INVALID_FIELD", "must be of type int"),
        ("SELECT Id FROM Lead WHERE IsConverted = 1", "INVALID_FIELD", "must be of type boolean"),
        ("SELECT Id FROM Lead WHERE LastActivityDate > 2026-01-01T00:00:00Z", "INVALID_FIELD", "must be of type date"),
        ("SELECT Id FROM Lead WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered in a query call"),
        ("SELECT Id FROM Lead ORDER BY Description", "INVALID_FIELD", "can not be sorted in a query call"),
        ("SELECT Id FROM Lead WHERE Id = 'nope'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field"),
        ("SELECT Id FROM Lead WHERE Id LIKE '00Q%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field"),
        ("SELECT Id, id FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Status, COUNT(Id) FROM Lead", "MALFORMED_QUERY", "Field must be grouped or aggregated: Status"),
        ("SELECT Id FROM Lead OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset"),
    ],
)
def test_refused_queries(sf, soql, code, said):
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query(soql)
    assert caught.value.content[0]["errorCode"] == code
    assert said in caught.value.content[0]["message"]


def test_the_columns_of_a_query(sf):
    answer = sf.restful("query", params={"q": "SELECT Id, Owner.Name FROM Lead", "columns": "true"})
    assert [column["columnName"] for column in answer["columnMetadata"]] == ["Id", "Owner"]
    assert answer["columnMetadata"][1]["joinColumns"][0]["columnName"] == "Name"


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Lead GROUP BY CALENDAR_YEAR(CreatedDate)",
        "SELECT COUNT(Id) FROM Lead GROUP BY HOUR_IN_DAY(CreatedDate)",
        "SELECT Status, DAY_ONLY(CreatedDate), COUNT(Id) FROM Lead GROUP BY Status, DAY_ONLY(CreatedDate)",
        "SELECT CALENDAR_YEAR(CreatedDate), COUNT(Id) FROM Lead",
        "SELECT FORMAT(AnnualRevenue) FROM Lead",
    ],
)
def test_what_this_org_cannot_work_out_is_refused(sf, soql):
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query(soql)
    assert caught.value.content[0]["errorCode"] == "MALFORMED_QUERY"


def test_a_composite_takes_five_queries_and_more_describes(sf):
    def asked(path, number):
        calls = [
            {"method": "GET", "url": f"/services/data/v66.0/{path}", "referenceId": f"r{at}"} for at in range(number)
        ]
        return sf.restful("composite", method="POST", json={"compositeRequest": calls})["compositeResponse"]

    assert len(asked("query/?q=SELECT+Id+FROM+Lead", 5)) == 5
    assert len(asked("sobjects/Lead/describe", 25)) == 25
    for path in ("query/?q=SELECT+Id+FROM+Lead", "queryAll?q=SELECT+Id+FROM+Lead"):
        with pytest.raises(SalesforceMalformedRequest, match="LIMIT_EXCEEDED"):
            asked(path, 6)


def test_order_limit_offset(sf, do):
    do("update", id=LEAD, fields={"Rating": "Hot"})
    assert ids(sf, "SELECT Id FROM Lead ORDER BY Rating DESC NULLS LAST, LastName DESC") == [LEAD, UNOWNED, CONVERTED]
    assert ids(sf, "SELECT Id FROM Lead ORDER BY Rating, LastName") == [CONVERTED, UNOWNED, LEAD]
    assert ids(sf, "SELECT Id FROM Lead ORDER BY Id DESC LIMIT 1 OFFSET 1") == [CONVERTED]


def test_pages_hold_a_snapshot_until_the_locator_is_lost(sf, do):
    made = [do("create", object="Lead", fields={"LastName": f"N{n}", "Company": "C"})["id"] for n in range(700)]
    headers = {"Sforce-Query-Options": "batchSize=200"}
    first = sf.query("SELECT Id FROM Lead WHERE LastName LIKE 'N%' ORDER BY Id", headers=headers)
    assert (first["totalSize"], first["done"], len(first["records"])) == (700, False, 200)
    rest = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True, headers=headers)
    assert [record["Id"] for record in first["records"] + rest["records"]] == made[:400]
    do("set", locator_pages=2)
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query_more(rest["nextRecordsUrl"], identifier_is_url=True)
    assert caught.value.content[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_a_keyset_walks_over_many_rows_of_one_second(sf, do):
    for n in range(25):
        do("create", object="Lead", fields={"LastName": f"N{n}", "Company": "C"})
    at = do("bulk_stamp", object="Lead")["at"].replace(".000+0000", "Z")
    seen, last = [], "000000000000000AAA"
    while True:
        where = f"SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > '{last}')"
        page = ids(sf, f"SELECT Id FROM Lead WHERE {where} ORDER BY SystemModstamp, Id LIMIT 10")
        if not page:
            break
        seen, last = seen + page, page[-1]
    assert len(seen) == len(set(seen)) == 28
    assert seen == sorted(seen)


def test_deleted_and_archived_records_come_only_with_query_all(sf, do):
    task = do("add_activity", who=LEAD)["id"]
    do("archive", ids=[task])
    do("delete", id=UNOWNED)
    assert UNOWNED not in ids(sf, "SELECT Id FROM Lead")
    assert task not in ids(sf, "SELECT Id FROM Task")
    assert ids(sf, "SELECT Id FROM Lead WHERE IsDeleted = true", include_deleted=True) == [UNOWNED]
    assert ids(sf, "SELECT Id FROM Task WHERE IsArchived = true", include_deleted=True) == [task]
    do("undelete", id=UNOWNED)
    assert UNOWNED in ids(sf, "SELECT Id FROM Lead")
    do("delete", id=UNOWNED)
    do("purge")
    assert ids(sf, "SELECT Id FROM Lead WHERE IsDeleted = true", include_deleted=True) == []


def test_multi_select_picklists(sf, do):
    do("add_field", object="Lead", field="Stack__c", type="multipicklist", values=["Go", "Java", "Python"])
    patch(sf, {"id": LEAD, "Stack__c": "Go;Python"}, {"id": UNOWNED, "Stack__c": "Java"})
    assert ids(sf, "SELECT Id FROM Lead WHERE Stack__c INCLUDES ('Go;Python', 'Rust')") == [LEAD]
    assert ids(sf, f"SELECT Id FROM Lead WHERE Stack__c EXCLUDES ('Go') AND Id != '{CONVERTED}'") == [UNOWNED]


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 9)), max_size=30),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_the_index_of_stamps_is_what_sorting_gives(first, moves, low, high):
    table = ObjectTable(sobjects()["lead"])
    table.extend([{"Id": salesforce_id("00Q", n), "SystemModstamp": str(stamp)} for n, stamp in enumerate(first)])
    list(table.by_stamp(""))
    for n, stamp in moves:
        if n < len(table):
            table.set(n, "SystemModstamp", str(stamp))
        else:
            table.insert({"Id": salesforce_id("00Q", 100 + len(table)), "SystemModstamp": str(stamp)})
    rows_ = sorted((table.get(row, "SystemModstamp"), table.ids[row], row) for row in range(len(table)))
    assert list(table.by_stamp(str(low), str(high))) == [row for stamp, _, row in rows_ if low <= int(stamp) <= high]
    for stamp in {each for each, _, _ in rows_}:
        expected = sorted(row for each, _, row in rows_ if each == stamp)
        assert table.where("SystemModstamp", [stamp]) == expected


# --- rows ------------------------------------------------------------------------------------------------------------


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


# --- what orgs do to integrations ------------------------------------------------------------------------------------


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


# --- Collections and composites --------------------------------------------------------------------------------------


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


# --- Bulk 2.0 --------------------------------------------------------------------------------------------------------


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


class Bulk:
    """The calls of a job, one by one."""

    def __init__(self, sf):
        self.sf, self.base = sf, "https://acme.my.salesforce.com/services/data/v66.0/jobs/"
        self.headers = {"Authorization": f"Bearer {sf.session_id}"}

    def call(self, method, path, **options):
        headers = self.headers | options.pop("headers", {})
        return self.sf.session.request(method, self.base + path, headers=headers, **options)

    def ingest(self, text, **job):
        made = self.call(
            "POST", "ingest", json={"object": "Lead", "operation": "update", "contentType": "CSV"} | job
        ).json()
        put = self.call("PUT", f"ingest/{made['id']}/batches", data=text.encode(), headers={"Content-Type": "text/csv"})
        assert (made["state"], put.status_code, put.content) == ("Open", 201, b"")
        assert (
            self.call("PATCH", f"ingest/{made['id']}", json={"state": "UploadComplete"}).json()["state"]
            == "UploadComplete"
        )
        return made["id"]

    def wait(self, job, kind="ingest"):
        for _ in range(5):
            info = self.call("GET", f"{kind}/{job}").json()
            if info["state"] in ("JobComplete", "Failed", "Aborted"):
                return info
        raise AssertionError(info)

    def results(self, job, which):
        return rows(self.call("GET", f"ingest/{job}/{which}/").content.decode())


@pytest.fixture
def bulk(sf):
    return Bulk(sf)


def test_ingest_one_call_at_a_time(bulk, sf, do):
    do("update", id=LEAD, fields={"Rating": "Hot", "Website": "https://x.example"})
    text = (
        f'Id,Title,Rating,Website\n{LEAD},"Chief, ""Ops"" 🚀\n& more",#N/A,\n{CONVERTED},x,,\n{UNOWNED},{"x" * 129},,\n'
    )
    job = bulk.ingest(text)
    info = bulk.wait(job)
    assert info.items() >= {"state": "JobComplete", "numberRecordsProcessed": 3, "numberRecordsFailed": 2}.items()
    [done] = bulk.results(job, "successfulResults")
    assert (done["sf__Id"], done["sf__Created"], done["Id"]) == (LEAD, "false", LEAD)
    errors = {row["sf__Id"]: row["sf__Error"] for row in bulk.results(job, "failedResults")}
    assert errors[CONVERTED] == "CANNOT_UPDATE_CONVERTED_LEAD:cannot reference converted lead: --"
    assert errors[UNOWNED].startswith("STRING_TOO_LONG:")
    lead = sf.Lead.get(LEAD)
    assert (lead["Title"], lead["Rating"], lead["Website"]) == ('Chief, "Ops" 🚀\n& more', None, "https://x.example")
    assert lead["OwnerId"] == ANA
    assert bulk.call("DELETE", f"ingest/{job}").status_code == 204
    assert bulk.call("GET", f"ingest/{job}").status_code == 404


def test_ingest_runs_the_assignment_rule_only_when_named(bulk, sf):
    rule = ids(sf, "SELECT Id FROM AssignmentRule WHERE SobjectType = 'Lead' AND Active = true")[0]
    bulk.ingest(f"Id,Title\n{LEAD},a\n", assignmentRuleId=rule)
    assert sf.Lead.get(LEAD)["OwnerId"] == QUEUE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"Id,Nope\n{LEAD},x\n", "Field name not found : Nope"),
        (f"Id,Title\r\n{LEAD},x\r\n", "LineEnding is invalid"),
        (f"Id,Title\n{LEAD},x,y\n", "Failed to parse CSV"),
        ("Title\nx\n", "Field name not found : Id"),
    ],
)
def test_an_upload_that_cannot_be_read_fails_as_a_whole(bulk, sf, text, said):
    info = bulk.wait(bulk.ingest(text))
    assert info["state"] == "Failed"
    assert said in info["errorMessage"]
    assert sf.Lead.get(LEAD)["Title"] == "VP, IT"


def test_a_job_that_fails_on_its_way_keeps_what_it_did(bulk, sf, do):
    do("set", bulk_fails_after=1)
    job = bulk.ingest(f"Id,Title\n{LEAD},a\n{UNOWNED},b\n")
    assert bulk.wait(job)["state"] == "Failed"
    assert [row["Id"] for row in bulk.results(job, "successfulResults")] == [LEAD]
    assert [row["Id"] for row in bulk.results(job, "unprocessedrecords")] == [UNOWNED]
    assert (sf.Lead.get(LEAD)["Title"], sf.Lead.get(UNOWNED)["Title"]) == ("a", "VP, IT")


def test_jobs_are_slow_when_told_to(bulk, do):
    do("set", bulk_polls=3)
    job = bulk.ingest(f"Id,Title\n{LEAD},a\n")
    states = [bulk.call("GET", f"ingest/{job}").json()["state"] for _ in range(4)]
    assert states == ["InProgress"] * 3 + ["JobComplete"]
    assert bulk.call("GET", "ingest").json()["records"][0]["id"] == job


def test_an_upload_is_taken_once(bulk):
    job = bulk.call("POST", "ingest", json={"object": "Lead", "operation": "update"}).json()["id"]
    put = {"data": b"Id,Title\n", "headers": {"Content-Type": "text/csv"}}
    assert bulk.call("PUT", f"ingest/{job}/batches", **put).status_code == 201
    again = bulk.call("PUT", f"ingest/{job}/batches", **put)
    assert (again.status_code, again.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    assert bulk.call("PATCH", f"ingest/{job}", json={"state": "Aborted"}).json()["state"] == "Aborted"


def test_simple_salesforces_own_ingest(sf):
    records = [{"Id": LEAD, "Title": "CTO"}, {"Id": CONVERTED, "Title": "CTO"}]
    [info] = sf.bulk2.Lead.update(records=records, wait=0.01)
    assert (info["numberRecordsTotal"], info["numberRecordsFailed"]) == (2, 1)
    failed = sf.bulk2.Lead.get_failed_records(info["job_id"])
    assert rows(failed)[0]["sf__Id"] == CONVERTED
    [upserted] = sf.bulk2.Lead.upsert(
        records=[{"Email": "p1@firm.example", "Title": "CIO"}], external_id_field="Email", wait=0.01
    )
    assert upserted["numberRecordsFailed"] == 0
    assert sf.Lead.get(LEAD)["Title"] == "CIO"


def test_query_jobs_page_by_locator(bulk, sf, do):
    soql = "SELECT Id, Name, Account.Industry, SystemModstamp, IsDeleted, AccountId FROM Contact"
    job = bulk.call("POST", "query", json={"operation": "queryAll", "query": soql}).json()
    assert job.items() >= {"state": "UploadComplete", "object": "Contact", "apiVersion": 66.0}.items()
    assert bulk.wait(job["id"], "query")["numberRecordsProcessed"] == 2
    seen, locator = [], ""
    while locator != "null":
        params = {"maxRecords": 1} | ({"locator": locator} if locator else {})
        page = bulk.call("GET", f"query/{job['id']}/results", params=params)
        locator = page.headers["Sforce-Locator"]
        assert page.headers["Sforce-NumberOfRecords"] == "1"
        seen += rows(page.content.decode())
    assert sorted(row["Id"] for row in seen) == [CONTACT, CONVERTED_TO]
    assert seen[0].items() >= {"Account.Industry": "Technology", "IsDeleted": "false"}.items()
    assert seen[0]["SystemModstamp"].endswith(".000Z")


@pytest.mark.parametrize(
    ("soql", "said"),
    [
        ("SELECT COUNT(Id) FROM Lead", "not supported in Bulk Query"),
        ("SELECT Id FROM Lead LIMIT 1 OFFSET 1", "OFFSET"),
        ("SELECT Id, (SELECT Id FROM Tasks) FROM Lead", "not supported in Bulk Query"),
        ("SELECT Address FROM Lead", "compound data"),
        ("SELECT Id FROM TaskStatus", "is not supported by the Bulk API"),
        ("SELECT Nope FROM Lead", "No such column 'Nope'"),
    ],
)
def test_what_bulk_cannot_query(bulk, org, soql, said):
    answer = bulk.call("POST", "query", json={"operation": "query", "query": soql})
    assert answer.status_code == 400
    assert said in answer.json()[0]["message"]


def test_simple_salesforces_own_bulk_query(sf):
    pages = list(sf.bulk2.Lead.query("SELECT Id, Company FROM Lead", max_records=2, wait=0.01))
    seen = [row for page in pages for row in rows(page)]
    assert {row["Id"] for row in seen} == {LEAD, CONVERTED, UNOWNED}
    assert seen[0]["Company"] == "Firm & Söhne"


# --- the first Bulk API ----------------------------------------------------------------------------------------------


def test_simple_salesforces_first_bulk_api(sf):
    done, refused = sf.bulk.Lead.update([{"Id": LEAD, "Title": "CTO"}, {"Id": CONVERTED, "Title": "CTO"}])
    assert (done["success"], done["id"]) == (True, LEAD)
    assert refused["errors"][0]["statusCode"] == "CANNOT_UPDATE_CONVERTED_LEAD"
    assert sf.Lead.get(LEAD)["OwnerId"] == ANA
    records = sf.bulk.Lead.query("SELECT Id, Title, Owner.Name FROM Lead ORDER BY Id LIMIT 1")
    assert (records[0]["Title"], records[0]["Owner"]["Name"]) == ("CTO", "Ana Ito")


def test_the_first_bulk_api_speaks_xml_around_csv(sf, session):
    base = "https://acme.my.salesforce.com/services/async/61.0/job"
    headers = {"X-SFDC-Session": sf.session_id, "Content-Type": "application/xml"}
    info = '<jobInfo xmlns="http://www.force.com/2009/06/asyncapi/dataload">{}</jobInfo>'
    job = "<operation>update</operation><object>Lead</object><contentType>CSV</contentType>"
    made = session.post(base, info.format(job), headers=headers)
    assert (made.status_code, made.headers["Content-Type"]) == (201, "application/xml")
    id_ = made.text.split("<id>")[1][:18]
    rows_ = f'Id,Title\n{LEAD},"a, b"\n{CONVERTED},x\n'
    batch = session.post(f"{base}/{id_}/batch", rows_, headers=headers | {"Content-Type": "text/csv"}).text
    assert "<state>Completed</state>" in batch
    batch_id = batch.split("<id>")[1][:18]
    closed = session.post(f"{base}/{id_}", info.format("<state>Closed</state>"), headers=headers)
    assert "<numberRecordsProcessed>2</numberRecordsProcessed>" in closed.text
    results = rows(session.get(f"{base}/{id_}/batch/{batch_id}/result", headers=headers).text)
    assert [row["Success"] for row in results] == ["true", "false"]
    assert results[1]["Error"].startswith("CANNOT_UPDATE_CONVERTED_LEAD")
    assert batch_id in session.get(f"{base}/{id_}/batch", headers=headers).text
    assert "InvalidJob" in session.get(f"{base}/nope", headers=headers).text
    assert "InvalidSessionId" in session.get(base, headers={"X-SFDC-Session": "x"}).text
    assert sf.Lead.get(LEAD)["Title"] == "a, b"


# --- what a world becomes --------------------------------------------------------------------------------------------


def test_people_and_what_they_did(sf):
    assert ids(sf, "SELECT Id FROM Contact ORDER BY Id") == [CONTACT, CONVERTED_TO]
    [call] = found(
        sf,
        "SELECT CallDurationInSeconds, CallDisposition, CompletedDateTime FROM Task WHERE TaskSubtype = 'Call'",
    )
    assert (call["CallDurationInSeconds"], call["CallDisposition"]) == (90, "reached")
    assert call["CompletedDateTime"] == "2026-11-18T09:00:00.000+0000"
    letters = found(
        sf, "SELECT Incoming, IsOpened, FirstOpenedDate, Activity.WhoId FROM EmailMessage ORDER BY MessageDate"
    )
    assert [(letter["Incoming"], letter["IsOpened"]) for letter in letters] == [(False, True), (True, False)]
    assert letters[0]["Activity"]["WhoId"] == CONTACT
    [member] = found(
        sf, "SELECT ContactId, Status, HasResponded, FirstRespondedDate, Campaign.Type FROM CampaignMember"
    )
    assert (member["ContactId"], member["Status"], member["Campaign"]["Type"]) == (CONVERTED_TO, "Attended", "Webinar")
    [meeting] = found(sf, "SELECT WhoId, StartDateTime, IsChild FROM Event")
    assert (meeting["WhoId"], meeting["IsChild"]) == (UNOWNED, False)
    assert ids(sf, "SELECT Id FROM User WHERE IsActive = false") == [BO]


def test_a_snapshot_tells_every_change(sf, sandbox):
    before = sandbox.snapshot("salesforce")
    patch(sf, {"id": LEAD, "Title": "CTO"}, headers=QUIET)
    after = sandbox.snapshot("salesforce")
    assert {name for name in after if after[name] != before[name]} == {"Lead"}
    assert after["Lead"][LEAD]["Title"] == "CTO"
