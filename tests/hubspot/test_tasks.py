"""Tasks in HubSpot: each once, whatever happens to a request; users' edits stay; none counts as an activity."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.sandbox.faults import Fault
from crmsync.errors import Unavailable
from crmsync.model import Ref, Task
from tests.support.hubspot import NAMES, calls, create, hubspot, post
from tests.support.pages import pulled

WITH_TASKS = replace(NAMES, tasks=True)
DUE = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def crm(sandbox):
    connector = hubspot(sandbox, WITH_TASKS)
    connector.create_fields()
    connector.owners()
    connector.missing_fields()
    connector.owners()
    sandbox.calls.clear()
    yield connector
    connector.close()


def owner_of(sandbox, active=True):
    return next(str(each.id) for each in sandbox.portal.state.owners.values() if each.archived is not active)


def task(sandbox, key, contact_id=None, **how):
    contact_id = contact_id or create(sandbox, email=f"{key}@acme.example")
    given = {"owner": owner_of(sandbox), "subject": f"Call {key}", "body": "line 1\n<b> & 2", "due": DUE}
    return Task(key, Ref("hubspot", "contact", contact_id), **{**given, **how})


def tasks_of(sandbox):
    """The live tasks of crmsync, by key; a key that is there twice fails."""
    table = sandbox.portal.state.records["tasks"]
    found = [table.by_id[each] for each in table.live if "crmsync_task_key" in table.by_id[each].properties]
    keys = [each.properties["crmsync_task_key"] for each in found]
    assert len(keys) == len(set(keys))
    return dict(zip(keys, found, strict=True))


def by_key(receipts):
    found = list(receipts)
    assert len({each.key for each in found}) == len(found)
    return {each.key: each for each in found}


# Creating


def test_a_task_is_made_as_an_owner_reads_it(sandbox, crm):
    wanted = task(sandbox, "t-1")
    (receipt,) = crm.create_tasks([wanted])
    made = tasks_of(sandbox)["t-1"]
    assert (receipt.ok, receipt.id) == (True, str(made.id))
    assert made.properties["hs_task_subject"] == "Call t-1"
    assert made.properties["hs_task_body"] == "line 1<br>&lt;b&gt; &amp; 2"
    assert made.properties["hs_task_status"] == "NOT_STARTED"
    assert made.properties["hubspot_owner_id"] == wanted.owner
    assert made.properties["hs_timestamp"] == "2026-12-01T09:30:00.000Z"
    links = sandbox.portal.state.linked(("tasks", "contacts"), made.id)
    assert [str(number) for number, _ in links] == [wanted.ref.id]


def test_a_batch_is_read_once_and_created_once(sandbox, crm):
    wanted = [task(sandbox, f"t-{number}") for number in range(130)]
    sandbox.calls.clear()
    assert all(each.ok for each in crm.create_tasks(wanted))
    assert [each.path.rpartition("/")[2] for each in calls(sandbox)] == ["read", "create"] * 2
    sandbox.calls.clear()
    receipts = by_key(crm.create_tasks(wanted))
    assert len(calls(sandbox)) == 2
    assert {key: each.id for key, each in receipts.items()} == {
        key: str(each.id) for key, each in tasks_of(sandbox).items()
    }


def test_one_key_given_twice_is_one_task(sandbox, crm):
    wanted = task(sandbox, "t-1")
    assert len(by_key(crm.create_tasks([wanted, wanted]))) == 1
    assert len(tasks_of(sandbox)) == 1


def test_nothing_to_do_is_no_call(sandbox, crm):
    assert [list(crm.create_tasks([])), list(crm.close_tasks([]))] == [[], []]
    assert calls(sandbox) == []


LOST = [
    Fault(do="drop", path="/batch/create$", times=1),
    Fault(do="truncate", path="/batch/create$", times=1),
    Fault(do="html", path="/batch/create$", times=1),
    Fault(do="answer", status=502, path="/batch/create$", times=2),
    Fault(do="empty", path="/batch/create$", times=1),
]


@pytest.mark.parametrize("conflicts", ["invalid", "conflict"])
@pytest.mark.parametrize("flaw", LOST, ids=lambda flaw: flaw.do)
def test_an_answer_that_is_lost_makes_no_second_task(sandbox, crm, flaw, conflicts):
    sandbox.portal.switches.unique_conflicts = conflicts
    wanted = [task(sandbox, f"t-{number}") for number in range(7)]
    sandbox.faults.add(flaw)
    receipts = by_key(crm.create_tasks(wanted))
    made = tasks_of(sandbox)
    assert {key: (each.ok, each.id) for key, each in receipts.items()} == {
        key: (True, str(each.id)) for key, each in made.items()
    }
    assert len(made) == 7
    assert sandbox.faults.fired()[0][1] == (flaw.times or 1)


@pytest.mark.parametrize("conflicts", ["invalid", "conflict"])
def test_a_portal_that_refuses_the_batch_for_one_taken_key_creates_the_others(sandbox, crm, conflicts):
    sandbox.portal.switches.unique_conflicts = conflicts
    wanted = [task(sandbox, f"t-{number}") for number in range(9)]
    list(crm.create_tasks(wanted[:4]))
    # Another worker was faster: the look finds nothing.
    nothing = {"status": "COMPLETE", "results": []}
    sandbox.faults.add(Fault(do="answer", status=200, path="tasks/batch/read$", body=nothing, times=1))
    receipts = by_key(crm.create_tasks(wanted))
    assert all(each.ok and each.id for each in receipts.values())
    assert len(tasks_of(sandbox)) == len(receipts) == 9


def test_a_conflict_without_the_names_of_inputs_is_looked_up(sandbox, crm):
    wanted = [task(sandbox, f"t-{number}") for number in range(3)]
    list(crm.create_tasks(wanted[:1]))
    nothing = {"status": "COMPLETE", "results": []}
    sandbox.faults.add(Fault(do="answer", status=200, path="tasks/batch/read$", body=nothing, times=1))
    taken = {"status": "error", "category": "CONFLICT", "message": "Task already exists"}
    sandbox.faults.add(Fault(do="answer", status=409, path="tasks/batch/create$", body=taken, times=1))
    receipts = by_key(crm.create_tasks(wanted))
    assert all(each.ok for each in receipts.values())
    assert len(tasks_of(sandbox)) == len(receipts) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_a_storm_ends_in_each_task_once(sandbox, crm, status):
    wanted = [task(sandbox, f"t-{number}") for number in range(3)]
    storm = Fault(do="answer", status=status, path="tasks", body={"status": "error"})
    sandbox.faults.add(storm)
    with pytest.raises(Unavailable):
        list(crm.create_tasks(wanted))
    sandbox.faults.clear()
    sandbox.faults.add(Fault(do="answer", status=status, path="tasks", body={"status": "error"}, every=2, times=4))
    assert len(by_key(crm.create_tasks(wanted))) == len(tasks_of(sandbox)) == 3


def test_one_bad_task_costs_no_other_one(sandbox, crm):
    wanted = [task(sandbox, f"t-{number}") for number in range(20)]
    sandbox.do("hubspot", "archive", id=wanted[11].ref.id)
    receipts = by_key(crm.create_tasks(wanted))
    assert {key for key, each in receipts.items() if not each.ok} == {"t-11"}
    assert not receipts["t-11"].retry
    assert receipts["t-11"].reason
    assert len(tasks_of(sandbox)) == 19
    assert len(calls(sandbox)) < 20


def test_an_owner_who_left_is_refused_before_and_after(sandbox, crm):
    good = task(sandbox, "t-0")
    gone = task(sandbox, "t-1", owner=owner_of(sandbox, active=False))
    left = next(str(each.id) for each in sandbox.portal.state.owners.values() if str(each.id) != good.owner)
    receipts = by_key(crm.create_tasks([good, gone]))
    assert (receipts["t-0"].ok, receipts["t-1"].ok) == (True, False)
    assert "deactivated" in receipts["t-1"].reason
    leaving = task(sandbox, "t-2", owner=left)
    sandbox.portal.state.owners[int(left)] = sandbox.portal.state.owners[int(left)]._replace(archived=True)
    (receipt,) = crm.create_tasks([leaving])
    assert not receipt.ok
    assert receipt.reason
    assert set(tasks_of(sandbox)) == {"t-0"}


def test_a_record_of_another_crm_is_a_receipt(sandbox, crm):
    strange = task(sandbox, "t-1")._replace(ref=Ref("hubspot", "contact", "00Q5g00000AbCdEEAV"))
    (receipt,) = crm.create_tasks([strange])
    assert not receipt.ok


def test_what_a_user_did_to_a_task_stays(sandbox, crm):
    wanted = [task(sandbox, f"t-{number}") for number in range(3)]
    ids = {key: each.id for key, each in by_key(crm.create_tasks(wanted)).items()}
    other = next(each for each in (str(o.id) for o in sandbox.portal.state.owners.values()) if each != wanted[0].owner)
    sandbox.do("hubspot", "update", type="tasks", id=ids["t-0"], properties={"hs_task_status": "COMPLETED"})
    sandbox.do("hubspot", "update", type="tasks", id=ids["t-1"], properties={"hs_task_subject": "Mine now"})
    sandbox.do("hubspot", "update", type="tasks", id=ids["t-2"], properties={"hubspot_owner_id": other})
    before = {key: dict(each.properties) for key, each in tasks_of(sandbox).items()}
    again = by_key(crm.create_tasks([each._replace(subject="Other", due=DUE + timedelta(days=1)) for each in wanted]))
    assert {key: each.id for key, each in again.items()} == ids
    assert {key: dict(each.properties) for key, each in tasks_of(sandbox).items()} == before


# The property that holds the key


def test_without_the_property_nothing_is_created_and_setup_is_named(sandbox):
    crm = hubspot(sandbox, WITH_TASKS)
    (missing,) = [each for each in crm.missing_fields() if each.role == "task"]
    assert "crmsync setup" in missing.sentence
    (receipt,) = crm.create_tasks([task(sandbox, "t-1")])
    assert (receipt.ok, receipt.retry) == (False, True)
    assert "crmsync setup" in receipt.reason
    (closed,) = crm.close_tasks(["t-1"])
    assert (closed.ok, closed.retry) == (False, True)
    assert any("crmsync setup" in each for each in crm.check().problems)
    crm.create_fields()
    assert not [each for each in crm.missing_fields() if each.role == "task"]
    assert [each.ok for each in crm.create_tasks([task(sandbox, "t-2")])] == [True]
    crm.close()


def test_a_property_that_is_hidden_meanwhile_stops_creating(sandbox, crm):
    list(crm.create_tasks([task(sandbox, "t-1")]))
    sandbox.do("hubspot", "hide_property", type="tasks", property="crmsync_task_key")
    (receipt,) = crm.create_tasks([task(sandbox, "t-2")])
    assert (receipt.ok, receipt.retry) == (False, True)
    (receipt,) = crm.close_tasks(["t-1"])
    assert (receipt.ok, receipt.retry) == (False, True)
    sandbox.do("hubspot", "show_property", type="tasks", property="crmsync_task_key")


def test_a_property_without_unique_values_is_not_used(sandbox):
    post(
        sandbox, "/crm/v3/properties/tasks", name="crmsync_task_key", label="Mine", type="string", fieldType="text",
        groupName="engagementinformation",
    )  # fmt: skip
    crm = hubspot(sandbox, WITH_TASKS)
    said = [each for each in crm.create_fields() if "crmsync_task_key" in each]
    assert said == [each.removeprefix("[tasks]: ") for each in crm.check().problems if "[tasks]" in each]
    (receipt,) = crm.create_tasks([task(sandbox, "t-1")])
    assert not receipt.ok
    assert not tasks_of(sandbox)
    crm.close()


def test_setup_makes_the_property_once(sandbox):
    crm = hubspot(sandbox, WITH_TASKS)
    first, second = crm.create_fields(), crm.create_fields()
    assert "created the HubSpot property 'crmsync_task_key'" in first
    assert "the HubSpot property 'crmsync_task_key' exists" in second
    assert sandbox.portal.state.records["tasks"].schema.known["crmsync_task_key"]["hasUniqueValue"]
    crm.close()


def test_without_tasks_nothing_is_asked_of_them(sandbox, ready):
    ready.missing_fields()
    ready.create_fields()
    assert not [each for each in calls(sandbox) if "/tasks" in each.path]


def test_a_missing_scope_is_named(sandbox, crm):
    sandbox.portal.switches.scopes = ["crm.objects.contacts.read", "crm.objects.owners.read"]
    assert any("crm.objects.contacts.write" in each for each in crm.check().problems)


# Closing


def test_open_tasks_are_completed_and_nothing_else(sandbox, crm):
    wanted = [task(sandbox, f"t-{number}") for number in range(4)]
    ids = {key: each.id for key, each in by_key(crm.create_tasks(wanted)).items()}
    sandbox.do("hubspot", "update", type="tasks", id=ids["t-1"], properties={"hs_task_status": "COMPLETED"})
    sandbox.do("hubspot", "archive", type="tasks", id=ids["t-2"])
    sandbox.calls.clear()
    receipts = by_key(crm.close_tasks(["t-0", "t-1", "t-2", "t-9"]))
    assert all(each.ok for each in receipts.values())
    assert [each.path.rpartition("/")[2] for each in calls(sandbox)] == ["read", "update"]
    assert {key: each.properties["hs_task_status"] for key, each in tasks_of(sandbox).items()} == {
        "t-0": "COMPLETED", "t-1": "COMPLETED", "t-3": "NOT_STARTED",
    }  # fmt: skip
    assert all(each.ok for each in crm.close_tasks(["t-0", "t-1", "t-2"]))


def test_a_task_that_is_deleted_while_it_is_closed_is_gone(sandbox, crm):
    wanted = [task(sandbox, f"t-{number}") for number in range(3)]
    ids = {key: each.id for key, each in by_key(crm.create_tasks(wanted)).items()}
    there = tasks_of(sandbox)
    old = {
        "results": [
            {"id": ids[key], "updatedAt": "2026-11-21T09:00:00Z", "properties": {"crmsync_task_key": key}}
            for key in there
        ]
    }
    sandbox.do("hubspot", "archive", type="tasks", id=ids["t-1"])
    sandbox.faults.add(Fault(do="answer", status=200, path="tasks/batch/read$", body=old, times=1))
    assert {key: each.ok for key, each in by_key(crm.close_tasks(list(ids))).items()} == dict.fromkeys(ids, True)
    assert {each.properties["hs_task_status"] for each in tasks_of(sandbox).values()} == {"COMPLETED"}


def test_one_locked_task_costs_no_other_one(sandbox, crm):
    wanted = [task(sandbox, f"t-{number}") for number in range(5)]
    ids = {key: each.id for key, each in by_key(crm.create_tasks(wanted)).items()}
    sandbox.do("hubspot", "lock", ids=[ids["t-3"]], times=50)
    receipts = by_key(crm.close_tasks(list(ids)))
    assert {key for key, each in receipts.items() if not each.ok} == {"t-3"}
    assert receipts["t-3"].retry


@pytest.mark.parametrize(("category", "passes"), [("INTERNAL_ERROR", True), ("VALIDATION_ERROR", False)])
def test_what_fails_for_a_moment_inside_a_batch_is_for_the_next_run(sandbox, crm, category, passes):
    wanted = [task(sandbox, "t-0"), task(sandbox, "t-1")]
    told = {"results": [], "errors": [{"status": "error", "category": category, "context": {}}]}
    told["errors"][0]["context"]["objectWriteTraceId"] = ["t-0", "t-1"]
    sandbox.faults.add(Fault(do="answer", status=207, path="tasks/batch/create$", body=told, times=1))
    assert {each.retry for each in crm.create_tasks(wanted)} == {passes}
    assert all(each.ok for each in crm.create_tasks(wanted))
    sandbox.faults.add(Fault(do="answer", status=207, path="tasks/batch/update$", body=told, times=1))
    assert {(each.ok, each.retry) for each in crm.close_tasks(["t-0", "t-1"])} == {(False, passes)}


# No activity


def test_a_task_of_ours_is_no_activity(sandbox, crm):
    contact_id = create(sandbox, email="a@acme.example")
    _, cursor = pulled(crm.activities(None))
    (receipt,) = crm.create_tasks([task(sandbox, "t-1", contact_id)])
    sandbox.do("hubspot", "update", type="tasks", id=receipt.id, properties={"hs_task_status": "COMPLETED"})
    theirs = {"id": contact_id, "kind": "task_completed", "attributes": {"subject": "Send offer"}}
    sandbox.do("hubspot", "add_activity", **theirs)
    sandbox.clock.advance(60)
    for again in (cursor, None):
        found = [each for each in pulled(crm.activities(again))[0] if each.id.startswith("tasks:")]
        assert f"tasks:{receipt.id}" not in {each.id for each in found}
        assert contact_id in {each.ref.id for each in found if each.kind == "task_completed"}


def test_without_tasks_in_the_config_the_same_task_is_one(sandbox, crm):
    (receipt,) = crm.create_tasks([task(sandbox, "t-1")])
    sandbox.do("hubspot", "update", type="tasks", id=receipt.id, properties={"hs_task_status": "COMPLETED"})
    plain = hubspot(sandbox)
    assert f"tasks:{receipt.id}" in {each.id for each in pulled(plain.activities(None))[0]}
    plain.close()


def test_leaving_them_out_costs_no_call(sandbox, crm):
    def count(names):
        connector = hubspot(sandbox, names)
        sandbox.calls.clear()
        _, cursor = pulled(connector.activities(None))
        pulled(connector.activities(cursor))
        connector.close()
        return len(calls(sandbox))

    list(crm.create_tasks([task(sandbox, f"t-{number}") for number in range(3)]))
    assert count(WITH_TASKS) <= count(NAMES)


# Answers that are none


ODD = [{}, [], {"results": None}, {"results": [7]}, {"results": [{"id": None}]}, {"results": [], "errors": [7, {}]}]


@pytest.mark.parametrize("path", ["tasks/batch/read$", "tasks/batch/create$", "tasks/batch/update$"])
@pytest.mark.parametrize("odd", ODD, ids=str)
def test_an_odd_answer_makes_no_second_task_and_no_receipt_of_success(sandbox, crm, path, odd):
    wanted = [task(sandbox, f"t-{number}") for number in range(3)]
    sandbox.faults.add(Fault(do="answer", status=200, path=path, body=odd))
    for _ in range(2):
        with contextlib.suppress(Unavailable):
            receipts = by_key([*crm.create_tasks(wanted)])
            assert {key for key, each in receipts.items() if each.ok} <= set(tasks_of(sandbox))
            assert all(each.ok for each in crm.close_tasks(["t-0"])) or not tasks_of(sandbox)
    sandbox.faults.clear()
    assert all(each.ok for each in crm.create_tasks(wanted))
    assert len(tasks_of(sandbox)) == 3
