"""What people ask of the state, on both databases: who somebody is, why they have their score, how things stand."""

from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal

import pytest

from crmsync import checking, explain, health
from crmsync.cycle import cycle
from crmsync.errors import ConfigError
from crmsync.model import Ref
from crmsync.review import review
from crmsync.store import asked, journal

from . import make


@pytest.fixture
def work(state):
    """Two CRMs and three people, pulled and scored: one in both CRMs and hot, one cold, one on a shared mailbox."""
    hubspot, salesforce = make.crm("hubspot"), make.crm("salesforce")
    hot = make.contact(1, name="Ann Able", fields={"title": "VP Sales", "employees": 900})
    twin = make.contact(2, "salesforce", "lead", emails=hot.emails, aliases=("00Q_old",))
    cold = make.contact(3, emails=("cold@firm.example",))
    shared = [make.contact(each, emails=("info@firm.example",)) for each in (4, 5)]
    for crm, records in ((hubspot, [hot, cold, *shared]), (salesforce, [twin])):
        for record in records:
            crm.edit(record)
    hubspot.happen(make.activity(1, hot))
    made = make.work(state, hubspot, salesforce)
    cycle(made)
    return made


def found(work, who):
    with work.store.read() as reading:
        return {each.person for each in asked.find_contacts(reading, who)}


@pytest.mark.parametrize(
    "who", ["person1@firm.example", " Person1@FIRM.example ", "hubspot:contact:1", "salesforce:lead:2", "00Q_old"]
)
def test_somebody_is_found_by_whatever_they_are_known(work, who):
    (person,) = found(work, who)
    assert found(work, f"person:{person}") == {person}


@pytest.mark.parametrize("who", ["nobody@firm.example", "hubspot:lead:1", "person:0", "%", "", "x:y", "9" * 30])
def test_nobody_is_found(work, who):
    assert found(work, who) == set()


def test_an_explanation_sums_to_the_total(work):
    said = explain.explain(work.config, work.store, "person1@firm.example", work.now)
    assert said["refs"] == ["hubspot:contact:1", "salesforce:lead:2"]
    assert said["name"] == "Ann Able"
    assert sum(Decimal(str(line["points"])) for line in said["lines"]) == said["total"] == said["written"]["total"]
    assert said["history"][0]["state"] == "updated"


def test_a_value_that_counts_as_unknown_is_told(work, monkeypatch):
    (hubspot,) = [each for each in work.crms.values() if each.name == "hubspot"]
    hubspot.edit(make.contact(3, emails=("cold@firm.example",), fields={"employees": 1e300}))
    later = work._replace(now=work.now + timedelta(minutes=15))
    cycle(later)
    said = explain.explain(later.config, later.store, "cold@firm.example", later.now)
    assert said["warnings"] == ["employees: the value is a number too large to be true, so it counts as unknown"]
    monkeypatch.setattr(checking, "has_state", lambda _config: True)
    monkeypatch.setattr(checking, "opened_state", lambda _config: nullcontext(later.store))
    odd = checking.checked(later.config, later.now, None)["warnings"]
    assert "employees: 1 person has a value that is a number too large to be true; it counts as unknown" in odd


def test_an_explanation_of_what_cannot_be_told_apart(work):
    with pytest.raises(ConfigError, match="cannot be told apart"):
        explain.explain(work.config, work.store, "info@firm.example", work.now)


def test_an_explanation_of_several_names_them(work):
    with work.store.read() as reading:
        people = sorted(each for each in found(work, "person1@firm.example") | found(work, "cold@firm.example"))
        assert len(people) == 2
        hottest = explain.hottest(work.config, reading, work.now, 5)
    assert [each["person"] for each in hottest] == people
    assert "Asked for a demo" in hottest[0]["reason"]


def test_the_status_counts(work):
    said = health.status(work.config, work.store, work.now)
    assert said["crms"]["hubspot"]["records"] == 4
    assert said["crms"]["hubspot"]["ambiguous"] == 2
    assert said["crms"]["salesforce"]["open_changes"] == 0
    assert said["feeds"] == [
        {"crm": "hubspot", "kind": "form_submitted", "activities": 1, "last": "2026-11-20 12:00 UTC"}
    ]
    assert said["bands"] == {"cold": 1, "mql": 1}
    assert said["healthy"]


def test_the_status_names_what_a_crm_refuses(work):
    hubspot = work.crms["hubspot"]
    hubspot.refusing[Ref("hubspot", "contact", "3")] = "the title is locked"
    hubspot.edit(make.contact(3, emails=("cold@firm.example",), fields={"title": "CEO"}))
    later = work._replace(now=work.now + timedelta(minutes=15))
    cycle(later)
    (parked,) = health.status(later.config, later.store, later.now)["parked"]
    assert parked["ref"] == "hubspot:contact:3"
    assert "the title is locked" in parked["reason"]


def test_who_writes_is_told(state):
    assert asked.held_by(state) is None
    with state.writer("crmsync sync"):
        assert asked.held_by(state)
    assert asked.held_by(state) is None


def test_a_review_counts_moves_and_names_the_largest(work):
    with work.store.read() as reading:
        (run,) = journal.recent_runs(reading, 1)
        told = review(journal.rows_of(reading, run.id)).as_json({})
    assert told["records"] == {"hubspot": 2, "salesforce": 1}
    assert {"crm": "hubspot", "from": None, "to": "mql", "records": 1} in told["bands"]
    assert {"crm": "salesforce", "from": None, "to": "mql", "records": 1} in told["stages"]
    assert told["movers"][0]["moved"] == told["movers"][0]["to"] == 65


def test_the_name_of_somebody_is_that_of_the_newest_record(work):
    hubspot, mail = work.crms["hubspot"], ("cold@firm.example",)
    for number in (9, 10):
        hubspot.edit(make.contact(number, emails=mail, name=f"Name {number}", changed_at=make.NOW))
    cycle(work._replace(now=work.now + timedelta(minutes=15)))
    said = explain.explain(work.config, work.store, mail[0], work.now)
    assert (said["name"], said["refs"]) == ("Name 10", ["hubspot:contact:10", "hubspot:contact:9", "hubspot:contact:3"])
