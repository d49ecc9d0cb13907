"""Tasks in Salesforce: each once, whatever happens to a request; users' edits stay; none counts as an activity."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from crmsync.errors import Unavailable
from crmsync.model import Ref, Task
from tests.support.salesforce import NAMES, connect, do, fault, happened, live, org_with_our_fields

WITH_TASKS = replace(NAMES, tasks=True)
DUE = datetime(2026, 12, 1, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
KEY = "Crmsync_Task_Key__c"


@pytest.fixture
def org(sandbox):
    """An org that has our fields, but that of tasks."""
    org_with_our_fields(sandbox).close()
    return sandbox


@pytest.fixture
def crm(org):
    connector = connect(org, WITH_TASKS)
    connector.create_fields()
    connector.missing_fields()
    org.calls.clear()
    yield connector
    connector.close()


@pytest.fixture
def people(crm, sandbox):
    found = [each.ref for each in live(crm)] + [each.ref for each in live(crm, "contact")]
    sandbox.calls.clear()
    return found


def owner_of(sandbox, active=True):
    users = sandbox.snapshot("salesforce")["User"].values()
    return next(each["Id"] for each in users if each["IsActive"] is active and each["FirstName"] != "crmsync")


def task(sandbox, key, ref, **how):
    given = {"owner": owner_of(sandbox), "subject": f"Call {key}", "body": "line 1\nline 2", "due": DUE}
    return Task(key, ref, **{**given, **how})


def tasks_of(sandbox):
    """The tasks of crmsync that are not deleted, by key; a key that is there twice fails."""
    rows = [
        each for each in sandbox.snapshot("salesforce")["Task"].values() if each.get(KEY) and not each.get("IsDeleted")
    ]
    found = {each[KEY]: each for each in rows}
    assert len(found) == len(rows)
    return found


def by_key(receipts):
    found = list(receipts)
    assert len({each.key for each in found}) == len(found)
    return {each.key: each for each in found}


def calls(sandbox):
    return [
        f"{each.method} {each.path.rpartition('66.0/')[2]}"
        for each in sandbox.calls.of("salesforce")
        if "oauth" not in each.path
    ]


# Creating


def test_a_task_is_made_as_an_owner_reads_it(sandbox, crm, people):
    wanted = task(sandbox, "t-1", people[0], subject="\N{ROCKET}" * 200)
    (receipt,) = crm.create_tasks([wanted])
    made = tasks_of(sandbox)["t-1"]
    assert (receipt.ok, receipt.id) == (True, made["Id"])
    assert (made["WhoId"], made["OwnerId"]) == (wanted.ref.id, wanted.owner)
    assert made["Subject"] == "\N{ROCKET}" * 127
    assert made["Description"] == "line 1\nline 2"
    assert made["ActivityDate"] == "2026-12-01"
    assert (made["Status"], made["IsClosed"]) == ("Not Started", False)


def test_a_batch_is_read_once_and_created_once(sandbox, crm, people):
    list(crm.create_tasks([task(sandbox, "first", people[0])]))
    wanted = [task(sandbox, f"t-{number:032}"[-32:], people[number % len(people)]) for number in range(230)]
    sandbox.calls.clear()
    assert all(each.ok for each in crm.create_tasks(wanted))
    assert calls(sandbox) == ["GET queryAll/", "POST composite/sobjects"] * 2
    sandbox.calls.clear()
    receipts = by_key(crm.create_tasks(wanted))
    assert calls(sandbox) == ["GET queryAll/"] * 2
    made = tasks_of(sandbox)
    assert {key: each.id for key, each in receipts.items()} == {task.key: made[task.key]["Id"] for task in wanted}


def test_one_key_given_twice_is_one_task(sandbox, crm, people):
    wanted = task(sandbox, "t-1", people[0])
    assert len(by_key(crm.create_tasks([wanted, wanted]))) == 1
    assert len(tasks_of(sandbox)) == 1


def test_nothing_to_do_is_no_call(sandbox, crm):
    assert [list(crm.create_tasks([])), list(crm.close_tasks([]))] == [[], []]
    assert calls(sandbox) == []


@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("flaw", ["drop", "truncate", "short", "empty"])
def test_an_answer_that_is_lost_makes_no_second_task(org, flaw, unique):
    do(org, "set", activity_keys=unique)
    crm = connect(org, WITH_TASKS)
    crm.create_fields()
    wanted = [task(org, f"t-{number}", each.ref) for number, each in enumerate(live(crm)[:7])]
    fault(org, flaw, "composite/sobjects$", times=1)
    receipts = by_key(crm.create_tasks(wanted))
    assert {key: (each.ok, each.id) for key, each in receipts.items()} == {
        key: (True, each["Id"]) for key, each in tasks_of(org).items()
    }
    assert len(receipts) == 7
    crm.close()


@pytest.mark.parametrize("flaw", [{"do": "reset"}, {"do": "html"}, {"do": "answer", "status": 502}])
def test_what_may_have_been_done_is_left_to_a_later_run(sandbox, crm, people, flaw):
    wanted = [task(sandbox, f"t-{number}", ref) for number, ref in enumerate(people[:5])]
    fault(sandbox, path="composite/sobjects$", times=1, **flaw)
    assert list(crm.create_tasks(wanted)) == []
    assert tasks_of(sandbox) == {}
    assert [each for each in calls(sandbox) if each.startswith("POST")] == ["POST composite/sobjects"]
    assert len(by_key(crm.create_tasks(wanted))) == len(tasks_of(sandbox)) == 5


def test_an_outage_after_an_answer_was_lost_makes_no_second_task(sandbox, crm, people):
    wanted = [task(sandbox, f"t-{number}", ref) for number, ref in enumerate(people[:5])]
    fault(sandbox, "drop", "composite/sobjects$", times=1)
    # The first one looks for the keys, the second one asks for the statuses.
    fault(sandbox, "reset", "queryAll", first=3)
    assert list(crm.create_tasks(wanted)) == []
    sandbox.faults.clear()
    assert len(by_key(crm.create_tasks(wanted))) == len(tasks_of(sandbox)) == 5


@pytest.mark.parametrize("status", [429, 503])
def test_a_storm_ends_in_each_task_once(sandbox, crm, people, status):
    wanted = [task(sandbox, f"t-{number}", ref) for number, ref in enumerate(people[:3])]
    fault(sandbox, "html", "composite/sobjects$", status=status)
    with pytest.raises(Unavailable):
        list(crm.create_tasks(wanted))
    assert tasks_of(sandbox) == {}
    sandbox.faults.clear()
    fault(sandbox, "html", "composite/sobjects$", status=status, times=3)
    receipts = by_key(crm.create_tasks(wanted))
    assert all(each.ok for each in receipts.values())
    assert len(receipts) == len(tasks_of(sandbox)) == 3


def test_a_key_that_the_org_refuses_as_taken_is_looked_up(org):
    do(org, "set", activity_keys=True)
    crm = connect(org, WITH_TASKS)
    crm.create_fields()
    wanted = [task(org, f"t-{number}", each.ref) for number, each in enumerate(live(crm)[:3])]
    list(crm.create_tasks(wanted[:1]))
    # Another worker was faster: the look finds nothing.
    fault(org, "answer", "queryAll", status=200, body={"records": [], "done": True}, times=1)
    receipts = by_key(crm.create_tasks(wanted))
    assert all(each.ok for each in receipts.values())
    assert {key: each.id for key, each in receipts.items()} == {key: each["Id"] for key, each in tasks_of(org).items()}
    assert len(receipts) == 3
    crm.close()


def test_one_bad_task_costs_no_other_one(sandbox, crm, people):
    wanted = [task(sandbox, f"t-{number}", ref) for number, ref in enumerate(people[:12])]
    wanted[3] = wanted[3]._replace(owner=owner_of(sandbox, active=False))
    wanted[4] = wanted[4]._replace(owner="005000000000zzzAAA")
    wanted[6] = wanted[6]._replace(ref=Ref("salesforce", "account", "001000000000001AAA"))
    do(sandbox, "delete", id=wanted[5].ref.id)
    receipts = by_key(crm.create_tasks(wanted))
    assert {key for key, each in receipts.items() if not each.ok} == {"t-3", "t-4", "t-5", "t-6"}
    assert not any(each.retry for each in receipts.values())
    assert all(each.reason for each in receipts.values() if not each.ok)
    assert "inactive" in receipts["t-3"].reason
    assert len(tasks_of(sandbox)) == 8


def test_a_lock_may_be_gone_later(sandbox, crm, people):
    locked = [{"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "locked", "fields": []}]}]
    fault(sandbox, "answer", "composite/sobjects$", status=200, body=locked, times=1)
    (receipt,) = crm.create_tasks([task(sandbox, "t-1", people[0])])
    assert (receipt.ok, receipt.retry) == (False, True)


def test_a_rule_of_the_org_is_a_reason(sandbox, crm, people):
    do(sandbox, "add_validation_rule", object="Task", when="Subject = 'Call t-1'", message="Not like that")
    receipts = by_key(crm.create_tasks([task(sandbox, f"t-{number}", people[0]) for number in (1, 2)]))
    assert (receipts["t-1"].ok, receipts["t-2"].ok) == (False, True)
    assert "Not like that" in receipts["t-1"].reason


def test_what_a_user_did_to_a_task_stays(sandbox, crm, people):
    wanted = [task(sandbox, f"t-{number}", people[number]) for number in range(4)]
    ids = {key: each.id for key, each in by_key(crm.create_tasks(wanted)).items()}
    do(sandbox, "update", id=ids["t-0"], fields={"Status": "Completed"})
    do(sandbox, "update", id=ids["t-1"], fields={"Subject": "Mine now"})
    do(sandbox, "update", id=ids["t-2"], fields={"WhoId": people[9].id})
    do(sandbox, "delete", id=ids["t-3"])
    do(sandbox, "archive", ids=[ids["t-0"]])
    before = sandbox.snapshot("salesforce")["Task"]
    again = by_key(crm.create_tasks([each._replace(subject="Other") for each in wanted]))
    assert {key: each.id for key, each in again.items()} == ids
    assert sandbox.snapshot("salesforce")["Task"] == before


def test_the_statuses_are_those_of_the_org(sandbox, crm, people):
    def rename():
        table = sandbox.org.state.of("TaskStatus")
        for row in range(len(table)):
            name = table.get(row, "ApiName")
            table.set(row, "ApiName", {"Not Started": "Offen", "Completed": "Erledigt"}.get(name, name))
        known = sandbox.org.state.of("Task").sobject
        known.add(replace(known.fields["status"], values=("Offen", "In Progress", "Erledigt"), restricted=True))
        sandbox.org.state.forget()

    sandbox.between_requests(rename)
    list(crm.create_tasks([task(sandbox, "t-1", people[0])]))
    assert tasks_of(sandbox)["t-1"]["Status"] == "Offen"
    assert [each.ok for each in crm.close_tasks(["t-1"])] == [True]
    assert (tasks_of(sandbox)["t-1"]["Status"], tasks_of(sandbox)["t-1"]["IsClosed"]) == ("Erledigt", True)


# The field that holds the key


def test_without_the_field_nothing_is_created_and_setup_is_named(org):
    crm = connect(org, WITH_TASKS)
    wanted = task(org, "t-1", live(crm)[0].ref)
    (missing,) = crm.missing_fields()
    assert (missing.role, missing.kind) == ("task", "task")
    (receipt,) = crm.create_tasks([wanted])
    assert (receipt.ok, receipt.retry) == (False, True)
    assert "crmsync setup" in missing.sentence
    assert "crmsync setup" in receipt.reason
    (closed,) = crm.close_tasks(["t-1"])
    assert (closed.ok, closed.retry) == (False, True)
    assert any("crmsync setup" in each for each in crm.check().problems)
    crm.create_fields()
    assert list(crm.missing_fields()) == []
    assert [each.ok for each in crm.create_tasks([wanted])] == [True]
    crm.close()


def test_a_field_that_is_hidden_meanwhile_stops_creating(sandbox, crm, people):
    list(crm.create_tasks([task(sandbox, "t-1", people[0])]))
    do(sandbox, "hide_field", object="Task", field=KEY)
    (receipt,) = crm.create_tasks([task(sandbox, "t-2", people[0])])
    assert (receipt.ok, receipt.retry) == (False, True)
    (receipt,) = crm.close_tasks(["t-1"])
    assert (receipt.ok, receipt.retry) == (False, True)
    do(sandbox, "show_field", object="Task", field=KEY)
    assert set(tasks_of(sandbox)) == {"t-1"}


def test_a_field_that_may_only_be_read_stops_creating(sandbox, crm, people):
    do(sandbox, "hide_field", object="Task", field=KEY, readable=True)
    (receipt,) = crm.create_tasks([task(sandbox, "t-1", people[0])])
    assert not receipt.ok
    assert any("grant Edit" in each for each in crm.check().problems)


@pytest.mark.parametrize("unique", [False, True])
def test_setup_makes_the_field_once(org, unique):
    do(org, "set", activity_keys=unique)
    crm = connect(org, WITH_TASKS)
    first, second = crm.create_fields(), crm.create_fields()
    assert f"Task.{KEY}: created" in first
    assert f"Task.{KEY}: found" in second
    made = org.org.state.of("Task").sobject.fields[KEY.lower()]
    assert (made.unique, made.external) == (unique, unique)
    assert crm.check().problems == ()
    crm.close()


def test_setup_without_the_right_says_where_to_click(org):
    do(org, "set", metadata_forbidden=True)
    crm = connect(org, WITH_TASKS)
    (said,) = [each for each in crm.create_fields() if KEY in each and "not created" in each]
    assert "Object Manager > Activity" in said
    crm.close()


def test_an_integration_user_without_activities_is_told(org):
    crm = connect(org, WITH_TASKS)
    crm.create_fields()
    org.org.state.tables.pop("task")
    assert any("Access Activities" in each for each in crm.check().problems)
    (receipt,) = crm.create_tasks([task(org, "t-1", Ref("salesforce", "lead", "00Q000000000001AAA"))])
    assert "Access Activities" in receipt.reason
    crm.close()


def test_without_tasks_nothing_is_asked_of_them(org):
    crm = connect(org)
    crm.create_fields()
    assert KEY.lower() not in org.org.state.of("Task").sobject.fields
    assert list(crm.missing_fields()) == []
    crm.close()


# Closing


def test_open_tasks_are_completed_and_nothing_else(sandbox, crm, people):
    wanted = [task(sandbox, f"t-{number}", people[number]) for number in range(4)]
    ids = {key: each.id for key, each in by_key(crm.create_tasks(wanted)).items()}
    do(sandbox, "update", id=ids["t-1"], fields={"Status": "Completed"})
    do(sandbox, "delete", id=ids["t-2"])
    before = tasks_of(sandbox)["t-1"]
    sandbox.calls.clear()
    receipts = by_key(crm.close_tasks(["t-0", "t-1", "t-2", "t-9"]))
    assert all(each.ok for each in receipts.values())
    assert calls(sandbox) == ["GET queryAll/", "PATCH composite/sobjects"]
    after = tasks_of(sandbox)
    assert {key: each["IsClosed"] for key, each in after.items()} == {"t-0": True, "t-1": True, "t-3": False}
    assert after["t-1"] == before
    assert all(each.ok for each in crm.close_tasks(["t-0", "t-1", "t-2"]))


def test_a_locked_task_is_closed_later(sandbox, crm, people):
    ids = {
        key: each.id
        for key, each in by_key(
            crm.create_tasks([task(sandbox, f"t-{number}", people[number]) for number in range(3)])
        ).items()
    }
    do(sandbox, "lock_rows", ids=[ids["t-1"]], times=1)
    receipts = by_key(crm.close_tasks(list(ids)))
    assert {key: (each.ok, each.retry) for key, each in receipts.items() if not each.ok} == {"t-1": (False, True)}
    assert all(each.ok for each in crm.close_tasks(list(ids)))


def test_a_close_without_an_answer_is_repeated(sandbox, crm, people):
    list(crm.create_tasks([task(sandbox, "t-1", people[0])]))
    fault(sandbox, "drop", "composite/sobjects$", method="PATCH", times=1)
    assert [each.ok for each in crm.close_tasks(["t-1"])] == [True]
    fault(sandbox, "empty", "composite/sobjects$", method="PATCH", times=1)
    list(crm.create_tasks([task(sandbox, "t-2", people[0])]))
    assert list(crm.close_tasks(["t-2"])) == []


# No activity


@pytest.mark.parametrize("bulk", [False, True])
def test_a_task_of_ours_is_no_activity(sandbox, crm, people, bulk):
    _, cursor = happened(crm)
    (receipt,) = crm.create_tasks([task(sandbox, "t-1", people[0])])
    do(sandbox, "update", id=receipt.id, fields={"Status": "Completed"})
    theirs = do(sandbox, "add_activity", who=people[0].id, fields={"Subject": "Send offer"})["id"]
    sandbox.clock.advance(60)
    for again in (cursor, None):
        # A new one: it does not carry on the clock of an answer from before the edit.
        later = connect(sandbox, WITH_TASKS)
        if bulk:
            object.__setattr__(later._org.settings, "bulk_query_threshold", 1)
        found = [each for each in happened(later, again)[0] if each.id.startswith("00T")]
        later.close()
        assert not [each for each in found if each.id.startswith(receipt.id)]
        assert f"{theirs}:task_completed" in {each.id for each in found if not each.gone}


def test_without_tasks_in_the_config_the_same_task_is_one(sandbox, crm, people):
    (receipt,) = crm.create_tasks([task(sandbox, "t-1", people[0])])
    do(sandbox, "update", id=receipt.id, fields={"Status": "Completed"})
    plain = connect(sandbox)
    assert f"{receipt.id}:task_completed" in {each.id for each in happened(plain)[0]}
    plain.close()


def test_leaving_them_out_costs_no_call_and_no_reading_of_everything(sandbox, crm, people):
    def count(names, cursor):
        connector = connect(sandbox, names)
        sandbox.calls.clear()
        _, cursor = happened(connector, cursor)
        connector.close()
        return len(calls(sandbox)), cursor

    list(crm.create_tasks([task(sandbox, f"t-{number}", people[number]) for number in range(3)]))
    full, cursor = count(NAMES, None)
    assert count(WITH_TASKS, None)[0] <= full
    sandbox.clock.advance(3_600)
    connector = connect(sandbox, WITH_TASKS)
    assert len(happened(connector, cursor)[0]) < 20
    connector.close()
    assert count(WITH_TASKS, cursor)[0] <= count(NAMES, cursor)[0]


def test_the_day_of_a_task_is_that_of_its_owner(sandbox, crm, people):
    at = datetime(2026, 12, 1, 0, 30, tzinfo=timezone(timedelta(hours=9)))
    list(
        crm.create_tasks(
            [task(sandbox, "t-1", people[0], due=at), task(sandbox, "t-2", people[0], due=at.astimezone(UTC))]
        )
    )
    assert {each["ActivityDate"] for each in tasks_of(sandbox).values()} == {"2026-12-01", "2026-11-30"}


def test_a_lead_that_was_converted_is_a_receipt(sandbox, crm, people):
    do(sandbox, "convert", id=people[0].id)
    (receipt,) = crm.create_tasks([task(sandbox, "t-1", people[0])])
    assert (receipt.ok, receipt.retry) == (False, False)
    assert "converted" in receipt.reason


# Answers that are none


ODD = [{}, [], [7], [{}], {"records": None}, [{"success": True}], [{"success": True, "id": 7}, {}, {}]]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("path", ["queryAll", "composite/sobjects$"])
def test_an_odd_answer_makes_no_second_task_and_no_receipt_of_success(sandbox, crm, people, path, odd):
    wanted = [task(sandbox, f"t-{number}", people[number]) for number in range(3)]
    fault(sandbox, "answer", path, status=200, body=odd)
    for _ in range(2):
        with contextlib.suppress(Unavailable):
            assert not [each for each in crm.create_tasks(wanted) if each.ok]
    sandbox.faults.clear()
    assert all(each.ok for each in crm.create_tasks(wanted))
    assert len(tasks_of(sandbox)) == 3


def test_a_look_that_lost_its_rows_is_not_believed(sandbox, crm, people):
    wanted = [task(sandbox, f"t-{number}", people[number]) for number in range(3)]
    list(crm.create_tasks(wanted))
    fault(sandbox, "empty", "queryAll", times=1)
    with pytest.raises(Unavailable):
        list(crm.create_tasks(wanted))
    assert len(tasks_of(sandbox)) == 3
