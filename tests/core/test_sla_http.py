"""Whose a touch is, as both CRMs say it over HTTP: the owner's own counts, and so does one of whom they say nothing."""

from datetime import timedelta

import pytest

from crmsync.config.deciding import Route
from crmsync.config.sla import Sla
from crmsync.planning.deadlines import read_deadlines
from crmsync.store import schema
from tests.support.runs import alone


def log_call(runs, crm, ref_id, owner):
    """A call that this user logs on a record."""
    if crm == "salesforce":
        runs.do(crm, "add_activity", who=ref_id, fields={"TaskSubtype": "Call", "OwnerId": owner})
        return
    at = runs.sandbox.clock().isoformat().replace("+00:00", "Z")
    call = runs.do(crm, "create", type="calls", properties={"hs_timestamp": at, "hubspot_owner_id": owner})["id"]
    runs.do(crm, "associate", type="calls", id=call, to="contacts", other=ref_id)


def touched(runs, person):
    with runs.state.read() as reading:
        (found,) = read_deadlines(reading, runs.config, runs.sandbox.clock(), person)
    return found.touched


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
def test_only_a_call_of_the_owner_is_a_touch(runs, crm):
    everybody = Route(name="Everybody", to=runs.config.owner_pool[0].name)
    update = {"sla": Sla(within=timedelta(hours=4)), "route": [everybody]}
    runs.config = runs.config.model_copy(update=update)
    runs.run("hubspot", "salesforce")
    handed = {row["person"]: row["owner"] for row in runs.rows(schema.hand_off)}
    ids = [each for kind in ("lead", "contact") for each in alone(runs, crm, kind, None)]
    row = next(each for each in runs.rows() if each["person"] in handed and each["ref_id"] in ids)
    users = [
        each for each in runs.rows(schema.owner) if each["crm"] == crm and each["active"] and each["kind"] == "user"
    ]
    owner = next(each["id"] for each in users if each["email"].lower() == handed[row["person"]])
    other = next(each["id"] for each in users if each["id"] != owner)
    assert row["owner"] == owner
    log_call(runs, crm, row["ref_id"], other)
    runs.run("hubspot", "salesforce")
    assert touched(runs, row["person"]) is None
    log_call(runs, crm, row["ref_id"], owner)
    runs.run("hubspot", "salesforce")
    assert touched(runs, row["person"]) is not None
