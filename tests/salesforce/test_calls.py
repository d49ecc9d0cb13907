"""How few calls the work takes, and that of what is asked for together each part goes wrong alone."""

from dataclasses import replace

import pytest

from connectors.salesforce import ahead, bulk, lookups
from connectors.sandbox.salesforce import bulk as sandbox_bulk
from connectors.sandbox.salesforce import composite
from connectors.sandbox.salesforce.values import SalesforceRefusal
from crmsync.errors import Unavailable
from tests.support.pages import pulled
from tests.support.salesforce import NAMES, by_ref, change, connect, do, fault, live, written

TITLE = "Chief of everything"
EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


class Worker:
    """What the daemon does with a connector in each run, and what it gets."""

    def __init__(self, sandbox, names):
        self.sandbox, self.names, self.crm = sandbox, names, connect(sandbox, names)
        self.cursors, self.versions = {}, dict.fromkeys(names.lists, "")

    def restart(self):
        self.crm = connect(self.sandbox, self.names)

    def run(self):
        """One run; its calls, and what came by it."""
        before, crm, came = self.crm.calls, self.crm, {}
        crm.account()
        self.missing = [each.sentence for each in crm.missing_fields()]
        pulls = {"contacts": crm.contacts, "activities": crm.activities, "outcomes": crm.outcomes}
        for name, pull in pulls.items():
            if name != "outcomes" or self.names.outcomes:
                came[name], self.cursors[name] = pulled(pull(self.cursors.get(name)))
        came["owners"] = crm.owners()
        for each in crm.list_members(self.versions) if self.versions else ():
            assert not each.problem
            self.versions[each.asked] = each.version
        crm.stage_order()
        self.calls = crm.calls - before
        return came


def settled(sandbox, **names):
    """A worker that has read everything, and whose last edit is longer ago than it looks back."""
    worker = Worker(sandbox, replace(NAMES, **names))
    worker.run()
    sandbox.clock.advance(7_200)
    worker.run()
    return worker


def edit(sandbox, lead):
    sandbox.do("salesforce", "update", id=lead.ref.id, fields={"Title": TITLE})


@pytest.fixture
def worker(sandbox, crm):
    campaign = next(iter(sandbox.snapshot("salesforce")["Campaign"].values()))
    return settled(sandbox, outcomes=True, lists=(campaign["Name"],))


@pytest.fixture
def parts(monkeypatch):
    """The addresses that come in composites; what is put into `refused` is answered with an error there."""
    real, told = composite._inner, Parts()

    def inner(call, method, url, body, headers):
        told.addresses.setdefault(call.body, []).append(url)
        if any(each in url for each in told.refused):
            told.count += 1
            raise SalesforceRefusal(told.code, "no")
        return real(call, method, url, body, headers)

    monkeypatch.setattr(composite, "_inner", inner)
    return told


class Parts:
    def __init__(self):
        self.addresses, self.refused, self.code, self.count = {}, [], "UNKNOWN_EXCEPTION", 0


def test_an_idle_run_of_everything_takes_three_calls(worker):
    came = worker.run()
    assert worker.calls <= 3
    assert [list(came[each]) for each in ("contacts", "activities", "outcomes")] == [[], [], []]
    assert came["owners"]
    assert worker.missing == []


def test_an_idle_run_of_people_and_what_they_did_takes_two_calls(sandbox, crm):
    worker = settled(sandbox)
    worker.run()
    assert worker.calls <= 2


def test_a_worker_that_just_began_takes_few_calls_for_an_idle_run(worker):
    worker.restart()
    worker.run()
    assert worker.calls <= 11
    worker.run()
    assert worker.calls <= 3


def test_what_changed_comes_in_the_same_three_calls(sandbox, worker):
    lead = live(connect(sandbox))[0]
    edit(sandbox, lead)
    came = worker.run()
    assert by_ref(came["contacts"])[lead.ref].fields["title"] == TITLE
    assert worker.calls <= 3


def test_a_composite_never_has_more_than_twenty_five_parts_and_five_queries(worker, parts):
    worker.run()
    assert parts.addresses
    assert all(len(urls) <= 25 and sum("/query" in url for url in urls) <= 5 for urls in parts.addresses.values())


@pytest.mark.parametrize("object_", ["Lead", "Contact", "Task", "Event", "CampaignMember", "Opportunity", "User"])
def test_a_part_that_goes_wrong_is_asked_for_by_itself_and_nothing_is_lost(sandbox, worker, parts, object_):
    lead = live(connect(sandbox))[0]
    edit(sandbox, lead)
    sandbox.do("salesforce", "add_activity", who=lead.ref.id, kind="call_completed", attributes={})
    parts.refused = [f"FROM%20{object_}%20"]
    came = worker.run()
    assert by_ref(came["contacts"])[lead.ref].fields["title"] == TITLE
    assert [each.ref for each in came["activities"] if not each.gone] == [lead.ref]
    assert len(came["owners"]) > 1
    assert worker.calls <= 3 + parts.count


def test_a_stream_that_cannot_be_read_at_all_hurts_no_other(sandbox, worker, parts):
    parts.refused, parts.code = ["FROM%20Task%20"], "QUERY_TIMEOUT"
    lead = live(connect(sandbox))[0]
    edit(sandbox, lead)
    fault(sandbox, "answer", "/queryAll", status=400, body=[{"errorCode": "MALFORMED_QUERY", "message": "no"}])
    worker.crm.missing_fields()
    assert lead.ref in by_ref(pulled(worker.crm.contacts(worker.cursors["contacts"]))[0])
    with pytest.raises(Exception, match="MALFORMED_QUERY"):
        list(worker.crm.activities(worker.cursors["activities"]))
    assert pulled(worker.crm.outcomes(worker.cursors["outcomes"]))


@pytest.mark.parametrize("do_", ["html", "reset", "truncate", "short"])
def test_a_composite_that_is_not_answered_costs_calls_and_nothing_else(sandbox, worker, do_):
    lead = live(connect(sandbox))[0]
    edit(sandbox, lead)
    fault(sandbox, do_, "/composite$", nth=1)
    came = worker.run()
    assert by_ref(came["contacts"])[lead.ref].fields["title"] == TITLE
    worker.run()
    assert worker.calls <= 3


def test_where_composites_fail_again_and_again_everything_is_asked_for_by_itself(sandbox, worker):
    said = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "no composite"}]
    fault(sandbox, "answer", "/composite$", status=403, body=said)
    calls = []
    for _ in range(4):
        assert len(worker.run()["owners"]) > 1
        calls.append(worker.calls)
    assert calls[-1] < calls[0]
    assert not worker.crm._org.ahead.lacks(["SELECT Id FROM Lead"])


def test_a_token_that_expired_is_renewed_for_the_composite(sandbox, worker):
    fault(sandbox, "answer", "/composite$", nth=1, status=401, body=EXPIRED)
    lead = live(connect(sandbox))[0]
    edit(sandbox, lead)
    came = worker.run()
    assert lead.ref in by_ref(came["contacts"])
    assert worker.calls <= 5


def test_a_user_who_is_new_is_known_in_the_next_run(sandbox, worker):
    known = {each.id for each in worker.run()["owners"]}
    fields = {"LastName": "New", "Email": "new@sales.example", "UserType": "Standard"}
    new = sandbox.do("salesforce", "create", object="User", fields=fields)["id"]
    assert new not in known
    assert new in {each.id for each in worker.run()["owners"]}
    assert worker.calls <= 3


def test_a_user_who_has_left_is_known_in_the_next_run(sandbox, worker):
    gone = next(each for each in worker.run()["owners"] if each.active and each.kind == "user")
    do(sandbox, "update", id=gone.id, fields={"IsActive": False})
    assert not next(each for each in worker.run()["owners"] if each.id == gone.id).active


def test_a_field_that_is_hidden_is_missing_in_the_next_run_and_its_values_are_unread(sandbox, worker):
    lead = live(connect(sandbox))[0]
    do(sandbox, "hide_field", object="Lead", field="Title")
    do(sandbox, "update", id=lead.ref.id, fields={"Company": "Other"})
    came = worker.run()
    assert any("Title" in each for each in worker.missing)
    assert "title" in by_ref(came["contacts"])[lead.ref].unread
    do(sandbox, "show_field", object="Lead", field="Title")
    assert worker.run()
    assert worker.missing == []


def test_pages_that_wait_are_not_taken_for_another_pull(sandbox, worker):
    worker.crm.missing_fields()
    sandbox.clock.advance(10)
    other = connect(sandbox, worker.names)
    _, cursor = pulled(other.contacts(None))
    worker.crm._org.call(lambda client: client.restful(""))  # which tells the time
    lead = live(other)[0]
    edit(sandbox, lead)
    assert lead.ref in by_ref(pulled(worker.crm.contacts(cursor))[0])


def test_pages_that_wait_too_long_are_asked_for_again(sandbox, worker, monkeypatch):
    worker.crm.missing_fields()
    lead = live(connect(sandbox))[0]
    edit(sandbox, lead)
    monkeypatch.setattr(ahead, "GOOD_FOR", -1.0)
    sandbox.clock.advance(60)
    worker.crm._org.call(lambda client: client.restful(""))  # which tells the time
    assert lead.ref in by_ref(pulled(worker.crm.contacts(worker.cursors["contacts"]))[0])


def test_what_is_edited_after_the_pages_were_asked_for_comes_with_the_next_run(sandbox, worker, monkeypatch):
    lead = live(connect(sandbox))[0]
    real = worker.crm.missing_fields

    def missing_fields():
        found = real()
        edit(sandbox, lead)
        return found

    monkeypatch.setattr(worker.crm, "missing_fields", missing_fields)
    assert lead.ref not in by_ref(worker.run()["contacts"])
    monkeypatch.undo()
    assert by_ref(worker.run()["contacts"])[lead.ref].fields["title"] == TITLE


def test_a_bulk_page_that_breaks_off_is_asked_for_again_with_fewer_rows(sandbox, crm, bulky, monkeypatch):
    whole = by_ref(pulled(crm.contacts(None))[0])
    monkeypatch.setattr(bulk, "RESULT_ROWS", 20)
    monkeypatch.setattr(bulk, "FEWEST_ROWS", 3)
    for number in (2, 3):
        fault(sandbox, "truncate", "/results$", nth=number)
    found, _ = pulled(bulky().contacts(None))
    assert by_ref(found) == whole
    assert len(found) == len(whole)
    asked = [
        call.query.partition("maxRecords=")[2].partition("&")[0] for call in sandbox.calls if "/results" in call.path
    ]
    assert asked[:4] == ["20", "20", "5", "3"]


def test_a_large_page_comes_in_parts_and_only_the_last_moves_the_cursor(sandbox, crm, bulky, monkeypatch):
    whole = by_ref(pulled(crm.contacts(None))[0])
    monkeypatch.setattr(bulk, "RESULT_ROWS", 1_000)
    monkeypatch.setattr(bulk, "HANDED_ON", 7)
    pages = list(bulky().contacts(None))
    assert max(len(page.items) for page in pages) == 7
    assert {each.ref for page in pages for each in page.items} == set(whole)
    for number, page in enumerate(pages):
        had = {each.ref for before in pages[: number + 1] for each in before.items}
        assert had | {each.ref for each in pulled(bulky().contacts(page.cursor))[0]} == set(whole)


def test_a_whole_org_is_read_by_bulk_with_few_calls(sandbox, crm, bulky, monkeypatch):
    monkeypatch.setattr(bulk, "RESULT_ROWS", 1_000)
    made = bulky()
    made.account()
    sandbox.calls.clear()
    pulled(made.contacts(None))
    # describes, sizes; and for leads and for contacts: create, two looks, one page, delete
    assert len(sandbox.calls) <= 2 + 2 * 5


def test_the_mails_behind_many_tasks_are_found_by_one_job(sandbox, crm, bulky, monkeypatch):
    lead = live(crm)[0]
    for _ in range(12):
        sandbox.do("salesforce", "add_activity", who=lead.ref.id, kind="email_sent", attributes={"subject": "Hello"})
    whole = {(each.ref, each.id) for each in pulled(crm.activities(None))[0]}
    monkeypatch.setattr(bulk, "RESULT_ROWS", 1_000)
    monkeypatch.setattr(bulk, "HANDED_ON", 5)
    monkeypatch.setattr(lookups, "ASKED_BY_ID", 3)
    sandbox.calls.clear()
    assert {(each.ref, each.id) for each in pulled(bulky().activities(None))[0]} == whole
    asked = [call.query for call in sandbox.calls if "FROM EmailMessage WHERE ActivityId IN" in call.query]
    assert len(asked) <= 3


@pytest.mark.parametrize("path", ["/jobs/query$", "/jobs/query/\\w+$", "/results$"])
def test_where_no_job_tells_the_mails_they_are_asked_for_by_id(sandbox, crm, monkeypatch, path):
    lead = live(crm)[0]
    for _ in range(6):
        sandbox.do("salesforce", "add_activity", who=lead.ref.id, kind="email_sent", attributes={"subject": "Hello"})
    whole = {(each.ref, each.id) for each in pulled(crm.activities(None))[0]}
    monkeypatch.setattr(lookups, "ASKED_BY_ID", 0)
    fault(sandbox, "answer", path, status=400, body=[{"errorCode": "API_ERROR", "message": "no"}])
    assert {(each.ref, each.id) for each in pulled(connect(sandbox).activities(None))[0]} == whole


def test_a_job_of_which_every_row_was_taken_takes_six_calls(sandbox, crm):
    leads = [each.ref for each in live(crm)]
    made = connect(sandbox)
    made.account()
    made.missing_fields()
    object.__setattr__(made._org.settings, "bulk_threshold", 1)
    sandbox.calls.clear()
    assert all(each.ok for each in written(made, *map(change, leads)).values())
    assert len(sandbox.calls) <= 5


def test_a_job_whose_counts_do_not_add_up_is_read_row_by_row(sandbox, crm, monkeypatch):
    leads = [each.ref for each in live(crm)]
    made = connect(sandbox)
    object.__setattr__(made._org.settings, "bulk_threshold", 1)
    real = sandbox_bulk._progress
    monkeypatch.setattr(sandbox_bulk, "_progress", lambda job: {**real(job), "numberRecordsProcessed": 3})
    told = written(made, *map(change, leads))
    assert set(told) == set(leads)
    assert any("successfulResults" in call.path for call in sandbox.calls)


def test_a_folder_without_room_for_a_page_is_told_in_a_sentence(sandbox, crm, bulky, monkeypatch):
    class Full:
        def write(self, part):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr("connectors.salesforce.result_files.tempfile.TemporaryFile", Full)
    with pytest.raises(Unavailable, match="does not take its file"):
        list(bulky().contacts(None))
