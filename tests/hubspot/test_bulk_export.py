"""All contacts as one file, and the list wherever no file can be trusted."""

import pytest

from connectors.hubspot import Settings, client, connect
from connectors.sandbox.faults import Fault
from crmsync.errors import Unavailable
from tests.support.hubspot import NAMES, calls, contacts, create, crowd, hubspot, refused, update
from tests.support.stop import Hurried


def test_an_export_brings_what_the_list_brings(sandbox, ready):
    notes = {}
    exporting = hubspot(sandbox, backfill="export", notes=notes)
    assert contacts(exporting)[0] == contacts(ready)[0]
    assert len(calls(sandbox, "export/async")) == 4
    assert notes == {}


@pytest.mark.parametrize("times", ["iso", "milliseconds"])
def test_a_large_export_is_an_archive(sandbox, ready, times):
    sandbox.portal.switches.export_times = times
    sandbox.between_requests(lambda: crowd(sandbox, 2_000))
    update(sandbox, sandbox.portal.state.contacts.live[7], jobtitle='Line\r\nbreak \u2028 "quoted" ' + "x" * 200_000)
    for contact_id in sandbox.portal.state.contacts.live[8:20]:
        update(sandbox, contact_id, jobtitle="y" * 200_000)
    assert contacts(hubspot(sandbox, backfill="export"))[0] == contacts(ready)[0]


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://api.hubapi.com", "http://127.0.0.1:1/x"),
        ("https://api.hubapi.com", "https://127.0.0.1:1/x"),
        ("https://api.hubapi.com", "https://169.254.169.254/latest"),
        ("http://127.0.0.1:1", "https://10.0.0.1/x"),
        ("http://127.0.0.1:1", "http://8.8.8.8/x"),
    ],
)
def test_a_file_is_not_fetched_from_inside_the_network(base, address, tmp_path):
    made = connect(Settings(base_url=base, token="x"), NAMES, {}, Hurried())
    with (tmp_path / "file").open("wb") as file, pytest.raises(Unavailable, match="gave a file address"):
        made._api.download(address, file)
    assert made.calls == 0


def test_an_export_that_never_ends_is_replaced_by_the_list(sandbox, ready):
    sandbox.faults.add(Fault(do="answer", status=200, body={"status": "PENDING"}, path="tasks/.*/status$"))
    found, _ = contacts(hubspot(sandbox, backfill="export"))
    assert {str(contact_id) for contact_id in sandbox.portal.state.contacts.live} == set(found)


def test_a_file_without_end_is_given_up(sandbox, ready, monkeypatch):
    monkeypatch.setattr(client, "MOST_FILE", 1_000)
    with pytest.raises(Unavailable, match="export file is larger than"):
        contacts(hubspot(sandbox, backfill="export"))


def test_an_export_that_was_asked_for_is_waited_for_by_the_next_process(sandbox, ready):
    notes = {}
    sandbox.faults.add(Fault(do="answer", status=503, path="export/async/tasks"))
    with pytest.raises(Unavailable):
        contacts(hubspot(sandbox, backfill="export", notes=notes))
    assert "hubspot.export" in notes
    sandbox.faults.clear()
    assert contacts(hubspot(sandbox, backfill="export", notes=notes))[0] == contacts(ready)[0]
    assert len([each for each in calls(sandbox, "export/async") if each.method == "POST"]) == 1


def left_export(sandbox, notes):
    """An export that a process asked for and did not come to read."""
    sandbox.faults.add(Fault(do="answer", status=503, path="export/async/tasks"))
    with pytest.raises(Unavailable):
        contacts(hubspot(sandbox, backfill="export", notes=notes))
    sandbox.faults.clear()


@pytest.mark.parametrize("seen", ["at once", "later", "by the next pull"])
def test_an_edit_made_while_an_export_waited_is_not_lost(sandbox, ready, seen, monkeypatch):
    notes, edited = {}, create(sandbox, email="late@acme.example", jobtitle="Before")
    connector = hubspot(sandbox, backfill="export", notes=notes)
    left_export(sandbox, notes)
    (made,) = sandbox.portal.state.exports
    status = connector._api.place("export_status", id=made)
    while connector._api.get(status)["status"] != "COMPLETE":
        pass
    sandbox.portal.switches.index_lag = 300.0 if seen == "later" else 0.0
    sandbox.clock.advance(7_200)
    update(sandbox, edited, jobtitle="After")
    sandbox.clock.advance(60)
    with monkeypatch.context() as patched:
        if seen == "by the next pull":
            patched.setattr("connectors.hubspot.contacts.WORTH_COUNTING", 0)
            patched.setattr("connectors.hubspot.contacts.LIST_IS_QUICKER", 0)
        found, cursor = contacts(connector)
    sandbox.clock.advance(7_200)
    later, _ = contacts(connector, cursor)
    assert (found | later)[edited].fields["title"] == "After"
    assert (found[edited].fields["title"] == "After") is (seen == "at once")


def test_a_file_that_breaks_off_is_fetched_again(sandbox, ready):
    sandbox.faults.add(Fault(do="short", path="hubfs-exports", nth=1))
    assert contacts(hubspot(sandbox, backfill="export"))[0] == contacts(ready)[0]


@pytest.mark.parametrize(
    "fault",
    [
        refused(403, category="MISSING_SCOPES", message="no") | {"path": "export/async$"},
        refused(429, category="RATE_LIMITS", message="the limit of 30 exports in 24 hours") | {"path": "export/async$"},
        {"do": "answer", "status": 200, "body": {"status": "CANCELED"}, "path": "export/async/tasks"},
        {"do": "answer", "status": 200, "body": "Record ID,Job\n1,CTO\n", "path": "hubfs-exports"},
        {"do": "answer", "status": 200, "body": "hs_object_id,jobtitle\n51,CTO\n", "path": "hubfs-exports"},
    ],
)
def test_without_an_export_to_be_trusted_the_list_is_read(sandbox, ready, fault):
    sandbox.faults.add(Fault(**fault))
    found = contacts(hubspot(sandbox, backfill="export"))[0]
    assert {str(contact_id) for contact_id in sandbox.portal.state.contacts.live} <= set(found)
