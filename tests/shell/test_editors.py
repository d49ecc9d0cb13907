"""Who else changed somebody's stage and owner, asked of HubSpot over real HTTP by who looks at their history."""

from datetime import UTC, datetime, timedelta

import pytest

from connectors.sandbox.faults import Fault
from connectors.sandbox.server import serve
from crmsync.connector import FieldEdit
from crmsync.model import Ref
from crmsync.reporting import editors
from crmsync.reporting.editors import find_edits
from tests.conftest import NOW
from tests.shell.test_plan_report import ready
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import SECRETS


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, SECRETS):
        yield


@pytest.fixture
def sandbox():
    with serve(people=30, seed=1, now=NOW) as made:
        yield made


@pytest.fixture
def path(tmp_path, sandbox):
    return ready(tmp_path, sandbox)


def owned(sandbox):
    """A contact with an owner whom crmsync wrote a score for, and another active owner."""
    contacts = sandbox.snapshot("hubspot")["contacts"]
    record = next(number for number, each in contacts.items() if each.get("hubspot_owner_id"))
    owners = sandbox.portal.state.owners.values()
    other = next(
        each for each in owners if not each.archived and str(each.id) != contacts[record]["hubspot_owner_id"]
    )  # fmt: skip
    return record, other


def change_owner(path, sandbox, **by):
    record, other = owned(sandbox)
    sandbox.clock.advance(60)
    properties = {"hubspot_owner_id": str(other.id)}
    sandbox.do("hubspot", "update", type="contacts", id=record, properties=properties, **by)
    sandbox.clock.advance(60)
    assert crmsync("sync", "-c", path).code == 0
    return f"hubspot:contact:{record}", other


def told(path, who):
    ended = crmsync("history", who, "-c", path, "--json")
    assert ended.code == 0, ended.out
    (row,) = [row for row in ended.json["history"] if row["by"] != "crmsync"]
    return row, ended.json["notes"]


def test_who_changed_an_owner_in_hubspot_is_named_with_the_instant(path, sandbox):
    boss = next(each for each in sandbox.portal.state.owners.values() if each.archived)  # and has left since
    who, other = change_owner(path, sandbox, user=boss.user_id)
    before = len(sandbox.calls.writes())
    row, notes = told(path, who)
    assert (row["by"], row["owner"]) == (boss.email, other.email)
    assert row["why"] == "changed in hubspot on 2026-11-21 09:01 UTC; this is when it was noticed"
    assert notes == []
    assert len(sandbox.calls.writes()) == before
    assert f", changed by {boss.email}\n  owner {other.email}" in crmsync("history", who, "-c", path).out


@pytest.mark.parametrize(
    ("by", "said"), [({"source": "AUTOMATION_PLATFORM"}, "a workflow"), ({}, "user"), ({"user": 1}, "user")]
)
def test_what_is_no_user_that_hubspot_lists_is_told_by_its_kind(path, sandbox, by, said):
    who, _other = change_owner(path, sandbox, **by)
    assert told(path, who)[0]["by"] == said


def test_a_crm_that_cannot_be_asked_is_a_note_and_the_rest_is_told(path, sandbox, monkeypatch):
    monkeypatch.setattr("connectors.http.PATIENCE", 0.0)
    who, other = change_owner(path, sandbox, user=1)
    sandbox.faults.add(Fault(do="answer", vendor="hubspot", status=401))
    row, (note,) = told(path, who)
    assert (row["by"], row["owner"]) == ("user", other.email)
    assert note.startswith("Who changed records in hubspot is not known: HubSpot does not accept the token")
    sandbox.faults.clear()
    monkeypatch.setattr(editors, "PATIENCE", 0.5)
    sandbox.faults.add(Fault(do="silence", vendor="hubspot"))
    assert told(path, who)[1] == ["Who changed records in hubspot is not known: it did not answer within 0.5 seconds"]


def test_nobody_is_asked_where_nobody_else_changed_anything(path, sandbox):
    record, _other = owned(sandbox)
    sandbox.calls.clear()
    assert crmsync("history", f"hubspot:contact:{record}", "-c", path).code == 0
    assert sandbox.calls.of("hubspot") == []


REF = Ref("hubspot", "contact", "1")
AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def test_an_edit_is_the_last_one_to_the_value_before_it_was_noticed():
    def edit(minutes, value="7", field="owner", ref=REF):
        return FieldEdit(ref, field, value, AT + timedelta(minutes=minutes), f"at {minutes}")

    until = int(AT.timestamp() * 1000)
    other = [edit(0, field="stage"), edit(0, value="8"), edit(0, ref=REF._replace(id="2"))]
    given = [*other, edit(-60), edit(-20), edit(90)]
    assert [each.by for each in find_edits(given, REF, {"owner": "7"}, until)] == ["at -20"]
    assert find_edits(given, REF, {"owner": None}, until) == []
    cleared = edit(-5, value=None)
    assert find_edits([cleared], REF, {"owner": ""}, until) == [cleared]
