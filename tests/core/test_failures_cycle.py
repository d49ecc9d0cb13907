"""Whole runs over real HTTP while the CRMs change, refuse and forget under them."""

import pytest

from connectors.salesforce.connector import SalesforceConnector
from connectors.sandbox.faults import Fault
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref
from crmsync.reporting.status import refused_document
from crmsync.store import schema
from crmsync.store.odd_records import update_odd_records
from tests.support.runs import TOKEN, alone


@pytest.fixture
def sandbox(small_sandbox):
    """A smaller one than other tests have: these run many whole cycles."""
    return small_sandbox


def test_R17_a_contact_that_is_merged_between_pull_and_write_is_its_survivor_afterwards(runs):
    runs.run("hubspot")
    winner, loser = alone(runs, "hubspot", "contact", 2)
    for each in (winner, loser):
        runs.do("hubspot", "update", id=each, properties={"jobtitle": "Chief Executive Officer"})
    merged = []
    runs.run("hubspot", act=lambda: merged.append(runs.do("hubspot", "merge", id=winner, other=loser)["id"]))
    runs.run("hubspot")
    (survivor,) = merged
    rows = {each["ref_id"]: each for each in runs.rows() if each["ref_id"] in (winner, loser, survivor)}
    person = {each["id"]: each["total"] for each in runs.rows(schema.person)}[rows[survivor]["person"]]
    assert runs.scores("hubspot")[survivor] == person // 100
    assert {each["merged_into"] for ref, each in rows.items() if ref != survivor} == {f"hubspot:contact:{survivor}"}


@pytest.mark.parametrize("becomes", ["merged", "converted"])
def test_R18_W17_a_lead_that_is_merged_or_converted_between_pull_and_write_is_no_failure(runs, becomes):
    runs.run("salesforce")
    winner, loser = alone(runs, "salesforce", "lead", 2)
    for each in (winner, loser):
        runs.do("salesforce", "update", id=each, fields={"Title": "Chief Executive Officer"})
    done = []

    def act():
        if becomes == "merged":
            runs.do("salesforce", "merge", winner=winner, losers=[loser])
            done.append(winner)
        else:
            done.append(runs.do("salesforce", "convert", id=loser)["contact"])

    meanwhile = runs.run("salesforce", act=act).crms["salesforce"]
    assert (meanwhile.rejected, meanwhile.unknown) == (0, 0)
    after = runs.run("salesforce")
    assert after.verdict == "ok"
    row = next(each for each in runs.rows() if each["ref_id"] == done[0])
    person = {each["id"]: each["total"] for each in runs.rows(schema.person)}[row["person"]]
    assert runs.scores("salesforce")[done[0]] == person // 100
    assert runs.run("salesforce").crms["salesforce"].planned == 0


def test_W18_a_lead_that_comes_back_from_the_recycle_bin_is_written_again(runs):
    runs.run("salesforce")
    (lead,) = alone(runs, "salesforce", "lead", 1)
    runs.do("salesforce", "delete", id=lead)
    runs.run("salesforce")
    runs.do("salesforce", "undelete", id=lead)
    runs.do("salesforce", "update", id=lead, fields={"Title": "Chief Executive Officer", "Crmsync_Score__c": None})
    runs.run("salesforce")
    row = next(each for each in runs.rows() if each["ref_id"] == lead)
    person = {each["id"]: each["total"] for each in runs.rows(schema.person)}[row["person"]]
    assert runs.scores("salesforce")[lead] == person // 100


def test_R15_a_contact_that_was_deleted_and_purged_while_the_worker_was_off_is_found_gone(runs):
    runs.run("hubspot")
    (lost,) = alone(runs, "hubspot", "contact", 1)
    runs.do("hubspot", "archive", id=lost)
    runs.sandbox.clock.advance(91 * 86_400)
    runs.sandbox.calls.clear()
    result = runs.run("hubspot", full=True)
    row = next(each for each in runs.rows() if each["ref_id"] == lost)
    assert row["gone"]
    assert "@" not in row["emails"]
    assert result.crms["hubspot"].rejected == 0
    assert runs.run("hubspot", full=True).crms["hubspot"].planned == 0


@pytest.mark.parametrize("code", ["INVALID_CROSS_REFERENCE_KEY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"])
def test_a_lead_that_is_only_not_shown_any_more_is_kept_and_written_once_it_is_shown(runs, code):
    runs.run("salesforce")
    leads = alone(runs, "salesforce", "lead", 2)
    before = {each["ref_id"]: each for each in runs.rows()}
    for lead in leads:
        runs.do("salesforce", "update", id=lead, fields={"Title": "Chief Executive Officer", "Crmsync_Score__c": None})
    # Hidden between the pull, which saw the edit, and the write.
    result = runs.run("salesforce", act=lambda: runs.do("salesforce", "unshare", ids=leads, code=code))
    rows = {each["ref_id"]: each for each in runs.rows()}
    assert result.crms["salesforce"].rejected == 2
    assert [(rows[each]["gone"], rows[each]["emails"]) for each in leads] == [
        (False, before[each]["emails"]) for each in leads
    ]
    refused = refused_document(runs.state)["refused"]
    assert sum(each["records"] for each in refused) == 2
    assert all("does not show the record" in each["cause"] for each in refused)
    runs.do("salesforce", "share", ids=leads)
    runs.sandbox.clock.advance(2 * 86_400)
    runs.run("salesforce")
    assert None not in [runs.scores("salesforce")[each] for each in leads]


def hide_a_lead(runs):
    """Hide a lead who is nobody else's and did something: its id, its row, and what it did."""
    runs.run("salesforce")
    (lead,) = alone(runs, "salesforce", "lead", 1)
    runs.do("salesforce", "add_activity", who=lead)
    runs.run("salesforce")
    row = next(each for each in runs.rows() if each["ref_id"] == lead)
    did = [each for each in runs.rows(schema.activity) if each["record"] == row["id"]]
    assert did
    runs.do("salesforce", "unshare", ids=[lead])
    return lead, row, did


def test_a_lead_that_is_not_shown_to_a_full_pull_is_kept_and_told_and_forgotten_where_somebody_says_so(runs):
    lead, before, did = hide_a_lead(runs)
    result = runs.run("salesforce", full=True, approved=False)
    row = next(each for each in runs.rows() if each["ref_id"] == lead)
    assert (row["gone"], row["emails"]) == (False, before["emails"])
    # Its parent controls who sees them.
    assert [each for each in runs.rows(schema.activity) if each["record"] == before["id"]] == did
    (told,) = (each for each in result.problems if "crmsync backfill --yes" in each)
    assert told.startswith("salesforce: 1 lead ")
    assert runs.run("salesforce", approved=False).problems == []
    runs.run("salesforce", full=True, approved=True)
    row = next(each for each in runs.rows() if each["ref_id"] == lead)
    assert (row["gone"], row["emails"]) == (True, "[]")


def test_what_a_lead_did_that_is_not_shown_stays_where_a_full_pull_is_cut_off_and_goes_on(runs, monkeypatch):
    _lead, row, did = hide_a_lead(runs)

    def breaks(*_):
        raise Unavailable("salesforce", "it does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(SalesforceConnector, "activities", breaks)
        with pytest.raises(Unavailable):
            runs.run("salesforce", full=True, approved=False)
    result = runs.run("salesforce", full=True, approved=False)
    assert [each for each in runs.rows(schema.activity) if each["record"] == row["id"]] == did
    assert [each for each in result.problems if "1 lead did not come" in each]
    assert runs.run("salesforce", approved=False).problems == []


@pytest.mark.parametrize(("days", "gone"), [(14, True), (16, False)])
def test_R15_a_lead_that_was_purged_is_found_gone_as_long_as_salesforce_names_it_and_told_later(runs, days, gone):
    runs.run("salesforce")
    (lead,) = alone(runs, "salesforce", "lead", 1)
    runs.do("salesforce", "delete", id=lead)
    runs.do("salesforce", "purge")
    runs.sandbox.clock.advance(days * 86_400)
    result = runs.run("salesforce", full=True, approved=False)
    row = next(each for each in runs.rows() if each["ref_id"] == lead)
    assert (row["gone"], "@" in row["emails"]) == (gone, not gone)
    assert any("crmsync backfill --yes" in each for each in result.problems) != gone


def test_a_record_that_could_not_be_read_and_is_not_shown_by_now_is_kept(runs):
    runs.run("salesforce")
    (lead,) = alone(runs, "salesforce", "lead", 1)
    with runs.state.begin() as writing:
        update_odd_records(writing, "salesforce", add=[Ref("salesforce", "lead", lead)], drop=())
    runs.do("salesforce", "unshare", ids=[lead])
    runs.run("salesforce")
    row = next(each for each in runs.rows() if each["ref_id"] == lead)
    assert not row["gone"]
    assert "@" in row["emails"]


def test_a_run_counts_activities_that_came_and_no_word_that_one_is_gone_or_is_none(runs):
    runs.run("salesforce")
    (lead,) = alone(runs, "salesforce", "lead", 1)
    runs.sandbox.clock.advance(7_200)
    done, _open = (
        runs.do("salesforce", "add_activity", who=lead, fields={"Status": status})["id"]
        for status in ("Completed", "Not Started")
    )
    assert runs.run("salesforce").crms["salesforce"].activities == 1
    runs.sandbox.clock.advance(7_200)
    runs.do("salesforce", "delete", id=done)
    assert runs.run("salesforce").crms["salesforce"].activities == 0


def test_A04_a_crm_that_revoked_its_token_is_skipped_with_the_remedy_and_the_other_goes_on(runs):
    runs.sandbox.do("hubspot", "revoke_token", token=TOKEN)
    runs.sandbox.calls.clear()
    result = runs.run("hubspot", "salesforce")
    assert result.verdict == "partial"
    assert "CRMSYNC_HUBSPOT__TOKEN" in result.skipped["hubspot"]
    assert len(runs.sandbox.calls.of("hubspot")) == 1
    assert result.crms["salesforce"].updated > 0


def test_A11_a_run_that_reached_its_share_of_the_quota_is_partial_and_the_next_one_goes_on(runs):
    runs.do("salesforce", "set_usage", used=695, max=1_000)
    runs.sandbox.do("salesforce", "set", page_size=5)
    result = runs.run("hubspot", "salesforce")
    assert result.verdict == "partial"
    assert "700 of the org's 1,000" in result.skipped["salesforce"]
    assert result.crms["hubspot"].updated > 0
    before = result.crms["salesforce"].pulled
    assert before > 0
    runs.do("salesforce", "set_usage", used=10, max=100_000)
    again = runs.run("salesforce")
    assert again.verdict == "ok"
    assert again.crms["salesforce"].pulled + before < 1.5 * len(
        [each for each in runs.rows() if each["crm"] == "salesforce"]
    )
    shared = {each["ref_id"] for each in runs.rows() if each["ambiguous"]}
    assert {each for each, score in runs.scores("salesforce").items() if score is None} == shared


def test_R24_a_bulk_job_that_fails_moves_no_cursor_and_is_no_success(runs):
    runs.config = runs.config.model_copy(
        update={"salesforce": runs.config.crms["salesforce"].model_copy(update={"bulk_query_threshold": 1})}
    )
    runs.sandbox.faults.add(
        Fault(
            do="answer",
            vendor="salesforce",
            path="/jobs/query/\\w+$",
            status=200,
            body={"id": "750", "state": "Failed"},
        )
    )
    result = runs.run("hubspot", "salesforce")
    assert result.verdict == "partial"
    assert "started again" in result.skipped["salesforce"]
    assert not [each for each in runs.rows() if each["crm"] == "salesforce"]
    runs.sandbox.faults.clear()
    assert runs.run("hubspot", "salesforce").crms["salesforce"].updated > 10


def test_W14_an_owner_who_leaves_between_pull_and_write_gets_nobody_and_the_score_is_written(runs):
    runs.config = runs.config.model_copy(update={"write": runs.config.write.model_copy(update={"owner": True})})
    owners = {each.id: each for each in runs.connect("hubspot").owners()}
    pool = {member.email for each in runs.config.owner_pool for member in each.members}
    reps = [id_ for id_, each in owners.items() if each.email in pool]

    def act():
        for each in reps[:-1]:
            runs.do("hubspot", "archive_owner", id=each)

    before = {
        each: values.get("hubspot_owner_id") for each, values in runs.sandbox.snapshot("hubspot")["contacts"].items()
    }
    runs.run("hubspot", act=act)
    after = runs.sandbox.snapshot("hubspot")["contacts"]
    given = {
        values.get("hubspot_owner_id")
        for each, values in after.items()
        if values.get("hubspot_owner_id") != before[each]
    }
    assert given <= {reps[-1]}
    rows = [each for each in runs.rows() if each["person"] and not each["gone"]]
    totals = {each["id"]: each["total"] for each in runs.rows(schema.person)}
    assert {each["ref_id"]: totals[each["person"]] // 100 for each in rows} == {
        each["ref_id"]: runs.scores("hubspot")[each["ref_id"]] for each in rows
    }


def test_C04_no_secret_is_in_the_state_after_runs_that_went_well_and_runs_that_did_not(runs, tmp_path):
    runs.run("hubspot", "salesforce")
    runs.sandbox.faults.add(Fault(do="answer", status=401, body={"message": "no"}))
    with pytest.raises(ConfigError, match="CRMSYNC_HUBSPOT__TOKEN"):
        runs.run("hubspot", "salesforce")
    runs.state.close()
    for file in tmp_path.glob("state.db*"):
        assert TOKEN.encode() not in file.read_bytes(), file.name


@pytest.mark.parametrize(("crm", "path"), [("hubspot", "/batch/update$"), ("salesforce", "/composite/sobjects$")])
def test_C04_no_secret_is_in_the_state_though_the_crm_repeats_it_in_a_refusal(runs, tmp_path, crm, path):
    said = f"No. You sent: Authorization: Bearer {TOKEN}"
    body = {"status": "error", "message": said, "category": "VALIDATION_ERROR"}
    if crm == "salesforce":
        body = [{"errorCode": "INVALID_FIELD", "message": said}]
    runs.sandbox.faults.add(Fault(do="answer", vendor=crm, path=path, status=400, body=body))
    result = runs.run(crm)
    assert result.crms[crm].rejected > 0
    assert any("No. You sent" in each["reason"] for each in runs.rows(schema.change))
    runs.state.close()
    for file in tmp_path.glob("state.db*"):
        assert TOKEN.encode() not in file.read_bytes(), file.name


def test_R33_what_was_known_of_companies_holds_where_a_portal_has_them_no_more_and_the_rest_goes_on(runs):
    runs.run("hubspot")
    fields = {each["ref_id"]: each["fields"] for each in runs.rows()}
    scores = runs.scores("hubspot")
    said = {"status": "error", "message": "resource not found"}
    runs.sandbox.faults.add(Fault(do="answer", vendor="hubspot", path="/companies", status=404, body=said))
    for each in fields:
        runs.do("hubspot", "update", id=each, properties={"city": "Turin"})
    result = runs.run("hubspot", approved=False)
    assert (result.skipped, result.verdict) == ({}, "partial")
    assert [each for each in result.problems if "companies" in each] == result.problems
    assert len(result.problems) == 1
    assert {each["ref_id"]: each["fields"] for each in runs.rows()} == fields
    assert runs.scores("hubspot") == scores
