"""The sandbox's HubSpot: exports and imports, which take their time."""

from datetime import timedelta

import orjson
import pytest
import requests

from tests.support.sandbox_hubspot import DAY, does, only, stage

EXPORT = {
    "exportType": "VIEW",
    "exportName": "all",
    "format": "CSV",
    "language": "EN",
    "objectType": "CONTACT",
    "objectProperties": ["email", "lifecyclestage", "lastmodifieddate"],
    "associatedObjectType": ["COMPANY"],
    "exportInternalValuesOptions": ["NAMES", "VALUES"],
    "includeLabeledAssociations": False,
    "includePrimaryDisplayPropertyForAssociatedObjects": False,
    "overrideAssociatedObjectsPerDefinitionPerRowLimit": False,
}


def exported(ask, version="/crm/exports/2026-09", **change):
    """Start an export and ask until it is there: the answers of all polls, and the file."""
    started = ask("POST", f"{version}/export/async", {**EXPORT, **change})
    assert started.status_code == 202
    path, answers = f"{version}/export/async/tasks/{started.json()['id']}/status", []
    while not answers or answers[-1]["status"] != "COMPLETE":
        answers.append(ask.get(path))
    host, _, rest = answers[-1]["result"].removeprefix("http://").partition("/")
    assert ask.url.endswith(host)
    return answers, requests.get(f"{ask.url}/{rest}", timeout=5)


def test_an_export_is_slow_and_then_a_file(ask, portal):
    answers, file = exported(ask)
    assert [each["status"] for each in answers] == ["PROCESSING", "PROCESSING", "COMPLETE"]
    lines = file.text.splitlines()
    company = portal.state.records["companies"].live[0]
    assert lines[0] == "hs_object_id,email,lifecyclestage,lastmodifieddate,Associated Company IDs"
    assert lines[1] == f"51,person1@umbra.example,lead,2026-11-21T03:00:00.000Z,{company}"
    assert len(lines) == 31


def test_an_export_without_internal_names_has_labels(ask):
    _, file = exported(ask, "/crm/v3/exports", exportInternalValuesOptions=[], associatedObjectType=[])
    assert file.text.splitlines()[1].split(",")[2] == "Lead"
    assert file.text.startswith("Record ID,Email,Lifecyclestage,")


def test_an_export_link_expires_and_is_given_anew(ask, clock):
    answers, _ = exported(ask)
    clock.at += timedelta(minutes=5)
    assert ask("GET", "/hubfs-exports/" + answers[-1]["result"].rpartition("/")[2]).status_code == 403


def test_an_export_may_be_of_a_part(ask):
    recent = {"filters": [does("lastmodifieddate", "GTE", "2026-11-20T00:00:00Z")], "query": "", "sorts": []}
    _, file = exported(ask, publicCrmSearchRequest=recent)
    assert len(file.text.splitlines()) == 2


def test_exports_queue_and_thirty_a_day_are_enough(ask, clock):
    path = "/crm/exports/2026-09/export/async"
    ids = [ask.post(path, EXPORT)["id"] for _ in range(30)]
    assert ask.get(f"{path}/tasks/{ids[1]}/status")["status"] == "PENDING"
    assert ask("POST", path, EXPORT).status_code == 429
    clock.at += DAY
    assert ask("POST", path, EXPORT).status_code == 202


def imported(client, portal, tmp_path, text, operation="UPDATE", column="HUBSPOT_OBJECT_ID", prop=None):
    """Import a file through the real client: the last state, and the errors."""
    file = tmp_path / "scores.csv"
    file.write_text(text, encoding="utf-8")
    key, *others = text.splitlines()[0].split(",")
    mapped = [{"columnObjectTypeId": "0-1", "columnName": key, "propertyName": prop, "columnType": column}]
    mapped += [{"columnObjectTypeId": "0-1", "columnName": each, "propertyName": each} for each in others]
    page = {"hasHeader": True, "columnMappings": mapped}
    wanted = {
        "name": "scores",
        "importOperations": {"0-1": operation} if operation else {},
        "files": [{"fileName": "scores.csv", "fileFormat": "CSV", "fileImportPage": page}],
    }
    api = client.crm.imports.core_api
    last = api.create(import_request=orjson.dumps(wanted).decode(), files=str(file))
    while last.state != "DONE":
        last = api.get_by_id(int(last.id))
    errors = client.crm.imports.public_imports_api.get_errors(int(last.id)).results
    return last, [(each.error_type, each.source_data.line_number) for each in errors]


def test_an_import_updates_by_id_and_reports_each_bad_cell(client, portal, ask, tmp_path, clock):
    one, other = only(portal, "First7"), only(portal, "First8")
    text = f"id,phone,lifecyclestage\n{one},+49,customer\n{other},,nonsense\n999,1,lead\n"
    clock.at += timedelta(minutes=1)
    last, errors = imported(client, portal, tmp_path, text)
    assert errors == [("INVALID_ENUMERATION_OPTION", 3), ("INVALID_OBJECT_ID", 4)]
    assert last.metadata.counters == {
        "TOTAL_ROWS": 3,
        "UPDATED_OBJECTS": 2,
        "ERRORS": 1,
        "PROPERTY_VALUES_EMITTED": 2,
    }
    assert stage(ask, one) == "customer"
    assert stage(ask, one, name="phone") == "+49"
    assert len(portal.state.contacts.live) == 30


@pytest.mark.parametrize(
    "wanted", [b"[]", b"true", b'{"files": true}', b'{"files": [{"fileImportPage": {"columnMappings": [7]}}]}', b"{"]
)
def test_an_import_request_of_another_form_is_refused(ask, wanted):
    head, form = {"Authorization": "Bearer sandbox-token"}, {"importRequest": (None, wanted)}
    path = f"{ask.url}/crm/imports/2026-09"
    assert ask.session.post(path, files=form, headers=head, timeout=10).status_code == 400


def test_an_import_that_does_not_say_update_creates_contacts(client, portal, tmp_path):
    imported(client, portal, tmp_path, "mail,phone\nnobody@x.example,1\n", "", "HUBSPOT_ALTERNATE_ID", "email")
    assert len(portal.state.contacts.live) == 31


def test_an_empty_cell_is_ignored_unless_the_portal_clears(client, portal, ask, tmp_path):
    contact = only(portal, "First7")
    imported(client, portal, tmp_path, f"id,jobtitle\n{contact},\n")
    assert stage(ask, contact, name="jobtitle") == "VP, IT Security"
    portal.actions["set"]({"empty_cells": "clear"})
    imported(client, portal, tmp_path, f"id,jobtitle\n{contact},\n")
    assert stage(ask, contact, name="jobtitle") is None
