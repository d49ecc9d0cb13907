"""The sandbox's Salesforce: the first Bulk API."""

from tests.support.sandbox_salesforce import ANA, CONVERTED, LEAD, rows


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
