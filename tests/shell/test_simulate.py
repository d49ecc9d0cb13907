"""What `crmsync simulate --routing` says of a state, in JSON and in words; how it is found out: tests/routing."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, make_url, select, update

from crmsync.cycle import run_cycle
from crmsync.model import Activity
from crmsync.reporting.print_simulation import print_simulation
from crmsync.store.activities import save_activities
from crmsync.store.arrivals import find_arrivals
from crmsync.store.database import open_store
from crmsync.store.schema import record
from crmsync.store.sql import from_ms, to_ms
from tests.conftest import NOW
from tests.shell.test_console import printed
from tests.support import make
from tests.support.commands import crmsync, settings_alone

CRMS = '\n[hubspot]\n[salesforce]\ninstance_url = "https://acme.my.salesforce.com"\n'
HOT = {"title": "VP Sales", "employees": 900}


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def path(tmp_path, state_url):
    made = tmp_path / "crmsync.toml"
    url = make_url(state_url).render_as_string(hide_password=False)
    made.write_text(f'{make.MODEL}{CRMS}\n[state]\nurl = "{url}"\n')
    return made


@pytest.fixture
def filled(path, state_url):
    """Twelve people who came on the last twelve days, one on each, the odd ones hot; and two of whom that is unknown.

    The third is in both CRMs, and first in the other one; the fifth is a customer.
    """
    store = open_store(state_url)
    hubspot, salesforce = make.crm("hubspot"), make.crm("salesforce")
    for number in range(1, 15):
        hot = HOT if number % 2 else {}
        one = make.contact(number, fields=hot, owner="hubspot-eve", stage="customer" if number == 5 else None)
        hubspot.edit(one)
        if number % 2:
            hubspot.happen(make.activity(number, one))
    salesforce.edit(make.contact(3, "salesforce", "lead"))
    run_cycle(make.work(store, hubspot, salesforce, now=NOW), approved=True)
    with store.begin() as tx:
        for number in range(1, 13):
            days = timedelta(days=number - 0.5)
            came = update(record).where(record.c.ref_id == str(number), record.c.crm == "hubspot")
            tx.execute(came.values(created_at=to_ms(NOW - days)))
        earlier = update(record).where(record.c.crm == "salesforce")
        tx.execute(earlier.values(created_at=to_ms(NOW - timedelta(days=20))))
    yield store
    store.close()


def simulated(path, *words):
    ended = crmsync("simulate", "--routing", "-c", path, "--json", *words)
    assert ended.code == 0, ended.out
    found = ended.json
    assert found["arrivals"] == sum(each["leads"] for each in found["reps"]) + len(found["unrouted"]) + found["nurture"]
    return found


def by_rep(document):
    return {each["email"]: each["leads"] for each in document["reps"]}


def test_the_arrivals_are_those_of_the_days(path, filled):
    found = simulated(path, "--days", 30)
    assert (found["days"], found["arrivals"], found["nurture"]) == (30, 11, 6)
    assert by_rep(found) == {"ann@acme.example": 3, "bob@acme.example": 2}
    assert found["unrouted"] == []
    # The third came twenty days ago, so that they were the first.
    assert [each["email"].split("@")[0] for each in found["assignments"]] == ["ann", "bob", "ann", "bob", "ann"]
    assert {each["rule"] for each in found["assignments"]} == {"Sales"}
    assert {each["pool"] for each in found["assignments"]} == {"sales"}
    times = [each["at"] for each in found["assignments"]]
    assert times == sorted(times)
    assert times[0].startswith("2026-11-01T")
    few = simulated(path, "--days", 4)
    assert (few["arrivals"], few["nurture"]) == (3, 2)
    assert few["from"] < few["to"]


def test_who_is_no_arrival_is_counted_in_a_note(path, filled):
    path.write_text(
        path.read_text() + '[exclude]\naddresses = ["person7@firm.example"]\n[lifecycle]\ncrm_owned = ["customer"]\n'
    )
    found = simulated(path)
    assert found["arrivals"] == 10
    notes = "\n".join(found["notes"])
    assert "scored as known today" in notes
    assert "2 people are not arrivals: no CRM said when they were created." in notes
    assert "1 person came whom [exclude] leaves out." in notes
    assert "1 person came who are in a stage that the CRM itself gives." in notes


def test_a_list_that_no_run_has_read_is_told(path, filled):
    path.write_text(path.read_text() + '[exclude]\nlists = ["Customers"]\n')
    said = "[exclude]: crmsync has not read the list 'Customers' of hubspot yet, so that its members are arrivals here."
    assert said in simulated(path)["notes"]


def test_an_edited_file_is_tried_without_a_run(path, filled, tmp_path):
    edited = tmp_path / "edited.toml"
    edited.write_text(
        path.read_text().replace(
            'members = ["ann@acme.example", "bob@acme.example"]',
            'members = [{ email = "bob@acme.example", open = 1 }, "eve@acme.example"]',
        )
    )
    with filled.read() as reading:
        before = list(reading.execute(select(record)))
    found = simulated(edited)
    assert by_rep(found) == {"bob@acme.example": 1, "eve@acme.example": 0}
    assert len(found["unrouted"]) == 4
    assert found["unrouted"][0]["why"].endswith(
        "bob@acme.example at the cap of 1 open, eve@acme.example not an active user"
    )
    assert any("eve@acme.example is not an active user of a CRM" in note for note in found["notes"])
    with filled.read() as reading:
        assert list(reading.execute(select(record))) == before


def test_the_value_is_in_points(path, filled):
    found = simulated(path)
    assert {each["email"]: each["value"] for each in found["reps"]} == {
        "ann@acme.example": 195,
        "bob@acme.example": 130,
    }


def test_touches_of_the_state_tell_who_was_late(path, filled):
    assert {each["breaches"] for each in simulated(path)["reps"]} == {0}
    with filled.read() as reading:
        came = find_arrivals(reading, ["hubspot", "salesforce"], to_ms(NOW - timedelta(days=30)), to_ms(NOW)).at
        owned = dict(reading.execute(select(record.c.person, record.c.ref_id).where(record.c.crm == "hubspot")).all())
    path.write_text(path.read_text() + '\n[sla]\nwithin = "4h"\n')
    found = simulated(path)
    hot = [each["person"] for each in found["assignments"]]
    assert sum(each["breaches"] for each in found["reps"]) == len(hot) == 5
    assert "Breaches go by the touches as they really were, whoever made them." in found["notes"]
    calls = [
        Activity(
            make.contact(owned[who]).ref, f"call:{who}", "call_completed", from_ms(came[who]) + timedelta(hours=then)
        )
        for who, then in zip(hot, (1, 3.9, 4.1, -1, 4), strict=True)
    ]
    with filled.begin() as tx:
        save_activities(tx, calls)
    assert sum(each["breaches"] for each in simulated(path)["reps"]) == 2
    assert max(map(len, printed(print_simulation, simulated(path)))) <= 80
    assert any("breaches" in line for line in printed(print_simulation, simulated(path)))


def test_what_is_printed_fits_on_a_terminal(path, filled):
    found = simulated(path)
    found["unrouted"] = [
        {"person": 1, "at": found["to"], "why": f"nobody of pool sales: {n // 2} of them"} for n in range(30)
    ]
    lines = printed(print_simulation, found)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "11 arrivals from 2026-10-22" in text
    (ann,) = [line.split() for line in lines if line.startswith("ann@")]
    assert ann == ["ann@acme.example", "sales", "3", "195", "120%", "0"]
    assert "30 people wait for an owner at the end:" in text
    assert "  2: nobody of pool sales: 0 of them" in text
    assert "and 5 other reasons: see --json" in text


def test_it_ends_with_the_next_command(path, filled):
    ended = crmsync("simulate", "--routing", "-c", path)
    assert ended.code == 0
    assert ended.out.endswith(f"crmsync plan --config {path}\n")
    assert "Nobody waits for an owner at the end." in ended.out
    assert "6 people on a track" in ended.out


def test_without_a_state_there_is_nobody_to_route(tmp_path):
    path = tmp_path / "crmsync.toml"
    path.write_text(make.MODEL + CRMS)
    ended = crmsync("simulate", "--routing", "-c", path, "--json")
    assert ended.code == 2
    assert ended.json["problems"] == ["No run yet, so there are no people to route"]
    assert ended.json["next"] == f"crmsync plan --config {path}"
    assert [each.name for each in Path(tmp_path).iterdir()] == ["crmsync.toml"]


def test_routing_goes_with_its_own_options_alone(path):
    ended = crmsync("simulate", "--routing", "--capacity", "80", "-c", path)
    assert ended.code == 2
    assert "--routing" in ended.err


def test_without_a_route_there_is_nothing_to_simulate(path, filled):
    text = path.read_text()
    path.write_text(text[: text.index("[[route]]")] + text[text.index("[tracks]") :])
    ended = crmsync("simulate", "--routing", "-c", path, "--json")
    assert ended.code == 2
    assert "the file has no [[route]]" in ended.json["problems"][0]


def test_a_record_of_a_crm_that_the_file_does_not_have_says_nothing(filled):
    with filled.read() as reading:
        everybody = find_arrivals(reading, ["hubspot", "salesforce"], 0, to_ms(NOW))
        third = reading.scalar(select(record.c.person).where(record.c.crm == "salesforce"))
        assert (len(everybody.at), everybody.undated) == (12, 2)
        assert everybody.at[third] == to_ms(NOW - timedelta(days=20))
        alone = find_arrivals(reading, ["hubspot"], 0, to_ms(NOW))
        assert alone.at[third] == to_ms(NOW - timedelta(days=2.5))
        assert find_arrivals(reading, [], 0, to_ms(NOW)) == ({}, 0)
        assert reading.scalar(select(func.count()).select_from(record)) == 15
