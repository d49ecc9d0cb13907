"""The sandbox's Salesforce: SOQL over its tables."""

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from tests.support.sandbox_salesforce import (
    ANA,
    CONTACT,
    CONVERTED,
    CONVERTED_TO,
    LEAD,
    QUEUE,
    UNOWNED,
    found,
    ids,
    patch,
)


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
