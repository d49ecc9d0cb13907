"""Whose turn it is where the state is lost: as the CRMs' owners tell it, and never much else than before."""

from contextlib import closing

import pytest
from sqlalchemy import select

from crmsync.store import schema
from crmsync.store.hand_offs import read_standings
from tests.support.cycles import DAYS, NEVER_FADES, edit, run
from tests.support.make import activity, contact, crm, store

VALUED = NEVER_FADES.replace('name = "sales"', 'name = "sales"\nmethod = "value_balanced"\nvalue = "employees"')
WEIGHTED = NEVER_FADES.replace(
    'members = ["ann@acme.example", "bob@acme.example"]',
    'method = "weighted"\nmembers = [{ email = "ann@acme.example", weight = 2 }, "bob@acme.example"]',
)


def opened(folder, name):
    (folder / name).mkdir()
    return closing(store(folder / name))


def come(hubspot, *numbers, **more):
    for number in numbers:
        each = contact(number, fields={"title": "VP", "employees": 300 + 100 * number}, stage="lead", **more)
        hubspot.edit(each)
        hubspot.happen(activity(number, each))


def owners(hubspot):
    return {ref.id: each.owner for ref, each in hubspot.records.items()}


def standings(state):
    with state.read() as reading:
        found = read_standings(reading).get("sales", {})
    return {address.partition("@")[0]: (each.turns, each.value) for address, each in found.items()}


@pytest.mark.parametrize("model", [NEVER_FADES, VALUED, WEIGHTED])
@pytest.mark.parametrize("people", [1, 2, 3, 5, 7])
def test_whoever_would_have_been_next_is_next_in_a_new_state(tmp_path, model, people):
    ends = []
    for is_lost in (False, True):
        hubspot = crm("hubspot")
        with opened(tmp_path, f"first-{is_lost}") as state:
            for number in range(1, people + 1):
                come(hubspot, number)
                run(state, hubspot, at=DAYS[number], model=model)
            before = standings(state)
            if not is_lost:
                come(hubspot, 50)
                run(state, hubspot, at=DAYS[20], model=model)
        if is_lost:
            with opened(tmp_path, "second") as state:
                run(state, hubspot, at=DAYS[20], model=model)
                assert standings(state) == before
                come(hubspot, 50)
                run(state, hubspot, at=DAYS[21], model=model)
        ends.append(owners(hubspot))
    assert ends[0] == ends[1]


def test_who_comes_in_the_first_run_of_the_new_state_goes_to_the_next_one_too(tmp_path):
    hubspot = crm("hubspot")
    come(hubspot, 1)
    with opened(tmp_path, "first") as state:
        run(state, hubspot, at=DAYS[0])
    assert owners(hubspot) == {"1": "hubspot-ann"}
    come(hubspot, 2)
    with opened(tmp_path, "second") as state:
        run(state, hubspot, at=DAYS[1])
        assert owners(hubspot)["2"] == "hubspot-bob"
        assert standings(state) == {"ann": (1, 0), "bob": (1, 0)}


def test_where_crmsync_begins_nobody_had_a_turn_whoever_owns_people(tmp_path):
    hubspot = crm("hubspot")
    come(hubspot, *range(1, 6), owner="hubspot-ann")
    come(hubspot, 10, 11)
    with opened(tmp_path, "first") as state:
        run(state, hubspot, at=DAYS[0])
    assert {owners(hubspot)[each] for each in ("10", "11")} == {"hubspot-ann", "hubspot-bob"}


def test_people_from_before_crmsync_flood_nobody_when_the_state_is_lost(tmp_path):
    hubspot = crm("hubspot")
    come(hubspot, *range(1, 31), owner="hubspot-ann")
    with opened(tmp_path, "first") as state:
        run(state, hubspot, at=DAYS[0])
    come(hubspot, *range(40, 50))
    with opened(tmp_path, "second") as state:
        run(state, hubspot, at=DAYS[1])
        assert {address: turns for address, (turns, _value) in standings(state).items()} in (
            {"ann": 35, "bob": 34},
            {"ann": 34, "bob": 35},
            {"ann": 35, "bob": 35},
        )
    new = [owner for ref, owner in owners(hubspot).items() if int(ref) >= 40]
    assert sorted(map(new.count, ("hubspot-ann", "hubspot-bob"))) in ([5, 5], [4, 6])


def test_the_order_of_the_records_decides_nothing(tmp_path):
    found = []
    for name, order in (("up", 1), ("down", -1)):
        hubspot = crm("hubspot")
        with opened(tmp_path, name) as state:
            for number in range(1, 6):
                come(hubspot, number)
                run(state, hubspot, at=DAYS[number], model=VALUED)
        hubspot.records = dict(list(hubspot.records.items())[::order])
        with opened(tmp_path, f"{name}-again") as state:
            run(state, hubspot, at=DAYS[9], model=VALUED)
            found.append(standings(state))
    assert found[0] == found[1]


def test_who_has_no_turn_counted_is_in_no_pool_or_on_a_track(tmp_path):
    hubspot = crm("hubspot")
    come(hubspot, 1, 2)
    with opened(tmp_path, "first") as state:
        run(state, hubspot, at=DAYS[0])
    edit(hubspot, contact(2).ref, fields={})
    hubspot.happened.clear()
    come(hubspot, 3, owner="hubspot-queue")
    edit(hubspot, contact(1).ref, owner="hubspot-bob")
    with opened(tmp_path, "second") as state:
        run(state, hubspot, at=DAYS[1])
        with state.read() as reading:
            given = reading.execute(select(schema.hand_off.c.owner)).scalars().all()
    assert given == ["ann@acme.example"]
