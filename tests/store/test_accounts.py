"""Accounts in the state: what is read around somebody is what the list of all says of them."""

import tempfile
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from crmsync.identity.matching import match_people
from crmsync.model import Company
from crmsync.store import schema
from crmsync.store.accounts import COLUMNS, find_account_people, read_people_names, read_scored_accounts
from crmsync.store.activities import save_activities
from crmsync.store.people import refresh_people
from tests.support import make
from tests.support.make import NOW, activity, contact
from tests.support.state import save

SINCE = int((NOW - timedelta(days=7)).timestamp())
BLANK = {"due": 0, "scored_at": 0, "model": "", "plan": "", "scored_run": "r1", "ledger": b""}


def fill(state, *contacts, activities=(), excluded=()):
    """Records as pulled, and everybody scored: with 100 points for each id below them."""
    save(state, *contacts)
    with state.begin() as tx:
        save_activities(tx, activities)
        refresh_people(tx, partial(match_people, shared_address_limit=5, shared_mailboxes=()))
        people = tx.scalars(select(schema.record.c.person).distinct().where(schema.LIVE)).all()
        for each in people:
            why = "because" if each in excluded else ""
            scored = {"fit": each, "behavior": -each, "total": 100 * each, "band": f"b{each}", "track": "t"}
            tx.execute(schema.person.insert(), {"id": each, **BLANK, **scored, "excluded": why})
    return people


def read(state, around=None):
    """Each account with its people: id, score, whether they are active."""
    with state.read() as reading:
        accounts, people, *_members = read_scored_accounts(reading, SINCE, (), around)
    members = [[] for _ in accounts]
    for person, number, total, active in zip(*(each.tolist() for each in people[:4]), strict=True):
        members[number].append((person, total, active))
    return [(each, some) for each, some in zip(accounts, members, strict=True) if some]


def hs(number, address, company=None, **over):
    return contact(number, emails=(address,), company=company, **over)


def sf(number, address, company=None, **over):
    return contact(number, "salesforce", emails=(address,), company=company, **over)


@st.composite
def companies(draw):
    number = draw(st.integers(0, 3))
    domain = draw(st.sampled_from(["", "a.example", "b.example", "c.example"]))
    return Company(str(number), draw(st.sampled_from(["", "One", "Two"])), domain, draw(st.sampled_from(["", "7"])))


RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["hubspot", "salesforce"]),
        st.sampled_from([f"{name}@{host}" for name in "vw" for host in ("a.example", "b.example", "gmail.com")]),
        st.none() | companies(),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=20, deadline=None)
@given(RECORDS)
def test_what_is_read_around_somebody_is_what_the_list_of_all_says(records):
    made = [
        contact(number, crm, emails=(address,), company=company)
        for number, (crm, address, company) in enumerate(records)
    ]
    with tempfile.TemporaryDirectory() as folder, closing(make.store(folder)) as state:
        people = fill(state, *made)
        everything = read(state)
        told = sorted(member[0] for _, members in everything for member in members)
        assert len(told) == len(set(told))
        for person in people:
            whole = [each for each in everything if any(member[0] == person for member in each[1])]
            around = [each for each in read(state, [person]) if any(member[0] == person for member in each[1])]
            assert around == whole


def test_what_is_asked_of_people_comes_in_their_order(state):
    people = fill(state, hs(1, "p@a.example"), hs(2, "q@a.example"), hs(3, "r@gmail.com"))
    with state.read() as reading:
        found = read_scored_accounts(reading, SINCE, COLUMNS).people
    one, other = sorted(people)[:2]
    assert found.columns == {
        "fit": [one, other],
        "behavior": [-one, -other],
        "band": [f"b{one}", f"b{other}"],
        "stage": ["", ""],
        "track": ["t", "t"],
    }


def test_who_is_excluded_is_not_there_and_who_did_something_lately_is_active(state):
    vera, bo, cy = (hs(number, f"p{number}@a.example") for number in range(3))
    acts = [activity(1, vera, days_ago=3), activity(2, bo, days_ago=8)]
    people = fill(state, vera, bo, cy, activities=acts, excluded=[3])
    ((account, members),) = read(state)
    assert (account.name, account.domain, account.owners) == ("", "a.example", {})
    assert members == [(people[0], 100, True), (people[1], 200, False)]


def test_a_company_has_the_name_and_the_owner_of_its_best_known_part(state):
    acme = Company("1", "Acme", "a.example", "7")
    fill(state, hs(1, "p@a.example", acme), sf(1, "p@a.example", Company("001", "Acme AG", "", "005")))
    ((account, _members),) = read(state)
    assert account == ("Acme", "a.example", {"hubspot": "7", "salesforce": "005"})


@pytest.mark.parametrize(("name", "domain", "many"), [("acme", "", 2), ("x", "a.example", 1), ("x", "z.example", 0)])
def test_accounts_are_found_by_name_and_domain(state, name, domain, many):
    fill(
        state,
        hs(1, "p@a.example", Company("1", "Acme", "a.example")),
        hs(2, "q@b.example", Company("2", "ACME")),
        hs(3, "r@c.example"),
    )
    with state.read() as reading:
        assert len(find_account_people(reading, name, domain)) == many


def test_people_are_called_by_their_records(state):
    (person,) = fill(state, hs(1, "p@a.example"), sf(1, "p@a.example", name="Vera"))
    with state.read() as reading:
        assert read_people_names(reading, [person]) == {person: ("Vera", ["p@a.example"])}


def test_all_accounts_take_a_few_queries_however_many_there_are(state):
    fill(state, *(hs(number, f"p@x{number}.example", Company(str(number), "X")) for number in range(60)))
    said = []
    event.listen(state.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    assert len(read(state)) == 60
    assert len([each for each in said if each.startswith("SELECT")]) == 4
