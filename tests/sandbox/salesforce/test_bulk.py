"""The sandbox's Salesforce: Bulk 2.0."""

import pytest

from tests.support.sandbox_salesforce import ANA, CONTACT, CONVERTED, CONVERTED_TO, LEAD, QUEUE, UNOWNED, ids, rows


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
