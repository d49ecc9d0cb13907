"""A mass of scores as one file: each row has its receipt, and no import is asked for twice."""

import json

import pytest

from connectors.sandbox.faults import Fault
from crmsync.errors import Cancelled, Unavailable
from crmsync.model import Ref
from tests.support.hubspot import MASS, Look, calls, change, create, hubspot, post, properties, refused, scores_of
from tests.support.stop import Hurried, Interrupted


def test_a_stage_or_owner_never_waits_for_an_import_even_where_it_is_refused(sandbox, many):
    owner = next(each.id for each in hubspot(sandbox).owners() if not each.active)
    look = Look(sandbox)
    moved = {each: {"stage": "mql"} for each in many[:2]} | {each: {"owner": owner} for each in many[2:4]}
    changes = [change(each, score=5, **moved.get(each, {})) for each in many]
    receipts = list(hubspot(sandbox, **MASS).write(changes, look))
    assert sorted(each.ref.id for each in receipts if each.ok) == sorted(many)
    assert look.asked == [many[:4], many[4:]]
    assert len(sandbox.portal.state.imports["7000001"].rows) == len(many) - 4
    assert scores_of(sandbox, many) == {"5"}


@pytest.fixture
def many(sandbox, ready):
    """Contacts enough for an import."""
    return [create(sandbox, email=f"mass{number}@acme.example") for number in range(120)]


def asked_for(sandbox):
    return len([each for each in calls(sandbox, "/imports") if each.method == "POST"])


@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_a_mass_of_scores_is_one_import(sandbox, many, version):
    notes = {}
    connector = hubspot(sandbox, notes=notes, api_version=version, **MASS)
    sandbox.calls.clear()
    because = 'Zoë, "quoted"; semi'
    receipts = list(connector.write([change(contact_id, score=73, band="mql", reason=because) for contact_id in many]))
    assert sorted(each.ref.id for each in receipts if each.ok and not each.refused) == sorted(many)
    assert {properties(sandbox, contact_id)["ls_reason"] for contact_id in many} == {because}
    assert asked_for(sandbox) == 1
    assert calls(sandbox, "/batch/") == []
    assert len(calls(sandbox, "/imports")) == 5
    assert notes == {}
    assert sandbox.portal.state.imports["7000001"].wanted["importOperations"] == {"0-1": "UPDATE"}


def test_what_an_import_may_not_carry_goes_by_batch(sandbox, many):
    owner = next(each.id for each in hubspot(sandbox).owners() if each.active)
    odd = {
        many[0]: {"score": 5, "stage": "sql"},
        many[1]: {"score": 5, "owner": owner},
        many[2]: {"score": 5, "reason": None},
        many[3]: {"score": 5, "reason": "two\nlines"},
        many[4]: {"score": 5},
    }
    changes = [change(contact_id, **odd.get(contact_id, {"score": 5, "reason": "why"})) for contact_id in many]
    receipts = list(hubspot(sandbox, **MASS).write(changes))
    assert sorted(each.ref.id for each in receipts if each.ok and not each.refused) == sorted(many)
    assert len(sandbox.portal.state.imports["7000001"].rows) == len(many) - len(odd)
    assert scores_of(sandbox, many) == {"5"}
    assert properties(sandbox, many[0])["lifecyclestage"] == "salesqualifiedlead"
    assert properties(sandbox, many[3])["ls_reason"] == "two\nlines"


def test_few_scores_are_no_import_and_neither_are_many_without_the_setting(sandbox, many):
    list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many[:99]]))
    list(hubspot(sandbox).write([change(contact_id, score=5) for contact_id in many]))
    assert asked_for(sandbox) == 0
    assert scores_of(sandbox, many) == {"5"}


def graded(sandbox):
    """A portal in which the band has options."""
    options = [{"label": each, "value": each, "displayOrder": 0, "hidden": False} for each in ("hot", "cold")]
    body = {"name": "ls_band", "label": "Band", "type": "enumeration", "fieldType": "select", "options": options}
    post(sandbox, "/crm/properties/2026-09/contacts", groupName="contactinformation", **body)


def without_row(error, shift):
    source = {"fileId": 1, "lineNumber": error["sourceData"]["lineNumber"] + shift}
    return {**error, "sourceData": source}


@pytest.mark.parametrize("shift", [None, 0, -1, -2])
def test_each_row_that_an_import_did_not_take_is_a_receipt_in_hubspots_words(sandbox, shift):
    graded(sandbox)
    connector = hubspot(sandbox, **MASS)
    connector.create_fields()
    ids = [create(sandbox, email=f"mass{number}@acme.example") for number in range(120)]
    list(connector.write([change(ids[0], band="cold")]))
    sandbox.do("hubspot", "remove_option", property="ls_band", value="hot")
    sandbox.do("hubspot", "archive", id=ids[50])
    changes = [
        change(contact_id, score=8, band="hot" if contact_id in (ids[7], ids[90]) else "cold") for contact_id in ids
    ]
    if shift is not None:
        errors = [
            {
                "errorType": "INVALID_OPTION",
                "errorMessage": "hot was not one of the options",
                "sourceData": {"lineNumber": at},
            }
            for at in (9, 92)
        ] + [{"errorType": "UNKNOWN_OBJECT", "sourceData": {"lineNumber": 52}}]
        body = {"results": [without_row(each, shift) for each in errors]}
        sandbox.faults.add(Fault(do="answer", status=200, body=body, path=r"/imports/.*/errors"))
    receipts = {each.ref.id: each for each in connector.write(changes)}
    assert set(receipts) == set(ids)
    assert {contact_id for contact_id, each in receipts.items() if each.refused} == {ids[7], ids[90]}
    assert all("hot" in receipts[ids[place]].refused["band"] for place in (7, 90))
    assert {contact_id for contact_id, each in receipts.items() if not each.ok} == {ids[50]}
    assert receipts[ids[50]].gone
    assert scores_of(sandbox, set(ids) - {ids[50]}) == {"8"}
    assert len(calls(sandbox, "/batch/read")) <= 3


def test_numbers_of_an_import_that_do_not_add_up_mean_reading_everything(sandbox, many):
    body = {"id": "7000001", "state": "DONE", "metadata": {"counters": {"UPDATED_OBJECTS": 118}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path=r"/imports/[^/]+/7000001$"))
    receipts = list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    assert sorted(each.ref.id for each in receipts if each.ok) == sorted(many)
    assert scores_of(sandbox, many) == {"5"}
    assert len(calls(sandbox, "/batch/update")) == 2


@pytest.mark.parametrize(
    "fault",
    [
        refused(403, category="MISSING_SCOPES", message="no"),
        refused(400, message="columnMappings"),
        refused(429, category="RATE_LIMITS", message="the limit of 500 imports in 24 hours"),
        {"do": "html", "status": 503},
    ],
)
def test_without_imports_batches_are_written(sandbox, many, fault):
    notes = {}
    sandbox.faults.add(Fault(**fault, method="POST", path="/imports"))
    connector = hubspot(sandbox, notes=notes, **MASS)
    for value in (5, 6):
        assert all(each.ok for each in connector.write([change(contact_id, score=value) for contact_id in many]))
    assert scores_of(sandbox, many) == {"6"}
    assert 1 <= asked_for(sandbox) <= 4
    assert notes == {}


def test_check_says_that_imports_are_not_to_be_had(sandbox, ready):
    sandbox.faults.add(Fault(**refused(403, category="MISSING_SCOPES", message="no"), path="/imports"))
    assert any("mass_write" in each for each in hubspot(sandbox, **MASS).check().notes)
    assert not any("mass_write" in each for each in hubspot(sandbox).check().notes)


@pytest.mark.parametrize("do", ["drop", "truncate", "empty", "html", "reset"])
def test_an_import_is_never_asked_for_twice(sandbox, many, do):
    sandbox.faults.add(Fault(do=do, method="POST", path="/imports", nth=1))
    receipts = list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    assert sorted(each.ref.id for each in receipts if each.ok) == sorted(many)
    assert len(sandbox.portal.state.imports) == 1


def test_an_import_that_a_process_left_is_waited_for_by_the_next_one(sandbox, many):
    notes = {}
    left = hubspot(sandbox, notes=notes, stop=Interrupted(2.0), **MASS)
    with pytest.raises(Cancelled):
        list(left.write([change(contact_id, score=5) for contact_id in many]))
    assert json.loads(notes["hubspot.import"])["id"] == "7000001"
    found = list(hubspot(sandbox, notes=notes).read([Ref("hubspot", "contact", contact_id) for contact_id in many]))
    assert {each.current["score"] for each in found} == {5}
    assert len(sandbox.portal.state.imports) == 1
    assert notes == {}


def test_an_import_whose_id_never_arrived_is_found_by_its_name(sandbox, many):
    notes = {}
    sandbox.faults.add(Fault(do="drop", method="POST", path="/imports"), Fault(do="html", status=503, path="/imports"))
    with pytest.raises(Unavailable):
        list(hubspot(sandbox, notes=notes, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    sandbox.faults.clear()
    found = list(hubspot(sandbox, notes=notes).read([Ref("hubspot", "contact", contact_id) for contact_id in many]))
    assert {each.current["score"] for each in found} == {5}
    assert notes == {}


@pytest.mark.parametrize("status", [403, 404])
def test_an_import_that_nobody_knows_any_more_is_forgotten(sandbox, many, status):
    notes = {"hubspot.import": '{"name": "crmsync", "id": "42"}'}
    sandbox.faults.add(Fault(**refused(status, message="no"), path="/imports"))
    assert all(each.ok for each in hubspot(sandbox, notes=notes).write([change(many[0], score=5)]))
    assert notes == {}


@pytest.mark.parametrize(("state", "retry", "scores"), [("FAILED", False, {"5"}), ("CANCELED", True, {None})])
def test_an_import_that_did_not_end_well(sandbox, many, state, retry, scores):
    body = {"id": "7000001", "state": state, "metadata": {"counters": {}}}
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path=r"/imports/[^/]+/7000001$"))
    receipts = list(hubspot(sandbox, **MASS).write([change(contact_id, score=5) for contact_id in many]))
    assert {(each.ok, each.retry) for each in receipts} == {(not retry, retry)}
    assert len(receipts) == len(many)
    assert scores_of(sandbox, many) == scores


def test_an_import_that_takes_hours_is_left_to_the_next_cycle(sandbox, many):
    sandbox.portal.switches.job_polls = 1_000
    notes, stop = {}, Hurried()
    connector = hubspot(sandbox, notes=notes, stop=stop, **MASS)
    with pytest.raises(Unavailable, match="still working"):
        list(connector.write([change(contact_id, score=5) for contact_id in many]))
    assert 7_200 <= sum(each for each in stop.waited if each) < 7_400
    assert "hubspot.import" in notes
