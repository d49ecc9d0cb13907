"""A plan shows what a run would write, whatever its connectors have learned before."""

from crmsync.model import Ref
from crmsync.store.copy import copy_state
from crmsync.store.cursors import StoredNotes
from crmsync.store.odd_records import read_odd_records, update_odd_records

ADA = Ref("hubspot", "contact", "51")


def test_a_copy_knows_all_that_is_known_but_nothing_that_is_under_way(state):
    notes = StoredNotes(state, "hubspot")
    notes.update({"hubspot.delivered": '{"forms":["form_submitted"]}', "hubspot.import": "{}"})
    with state.begin() as writing:
        update_odd_records(writing, "hubspot", add=[ADA])
    with copy_state(state) as copy, copy.read() as reading:
        assert read_odd_records(reading, "hubspot") == [ADA]  # asked for again in each run, and in each preview
        assert set(StoredNotes(copy, "hubspot")) == {"hubspot.delivered", "odd_records"}


def test_a_preview_counts_nothing_that_a_feed_delivered_already(runs):
    """Whoever changes in HubSpot comes with counters, too: only a connector that knows its feeds leaves them out."""
    runs.run("hubspot", "salesforce")
    counted = [each["ref_id"] for each in runs.rows() if each["crm"] == "hubspot" and each["kind"] == "contact"]
    for contact in counted:
        runs.do("hubspot", "update", id=contact, properties={"city": "Ghent"})
    planned = runs.preview("hubspot", "salesforce")
    written = runs.run("hubspot", "salesforce")
    for crm in ("hubspot", "salesforce"):
        assert (planned.crms[crm].scored, planned.crms[crm].planned) == (0, 0)
        assert (written.crms[crm].scored, written.crms[crm].planned) == (0, 0)
