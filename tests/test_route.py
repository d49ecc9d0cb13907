"""Stages by band, and whose turn it is."""

import pytest

from crmsync.config import OwnerPool, Route, Stage
from crmsync.model import Holding, Ref
from crmsync.route import assign, next_member, owners_of, stage_of_band
from tests.make import owners

POOLS = [OwnerPool(name="sales", members=["ann@acme.example", "bob@acme.example"])]
ROUTES = [Route(bands=["mql"], pool="sales")]


def record(number, crm="hubspot", owner=None):
    return Holding(number, Ref(crm, "contact", str(number)), number, "", None, owner, {}, {}, {}, {}, 0)


def given(*people, pointers=None, crms=("hubspot", "salesforce"), nobody=()):
    directory = owners_of([each for crm in crms for each in owners(crm)], nobody)
    return assign(people, ROUTES, POOLS, pointers or {}, directory)


def test_a_band_earns_the_furthest_stage_it_reaches():
    stages = [
        Stage(name="lead", values={}, band="cold"),
        Stage(name="x", values={}),
        Stage(name="mql", values={}, band="warm"),
    ]
    assert stage_of_band(stages, ["bottom", "cold", "warm", "hot"]) == {"cold": "lead", "warm": "mql", "hot": "mql"}


@pytest.mark.parametrize(
    ("last", "available", "turn"),
    [(None, "abc", "a"), ("a", "abc", "b"), ("c", "abc", "a"), ("a", "ac", "c"), ("gone", "bc", "b"), ("a", "", None)],
)
def test_turns_go_round(last, available, turn):
    assert next_member(["A", "b", "c"], last, frozenset(available)) == turn


def test_people_without_an_owner_are_dealt_in_turn_and_the_pointer_stands_at_the_last():
    dealt = given(*(("mql", [record(number)]) for number in range(1, 4)))
    assert dealt.owner_of == {1: "hubspot-ann", 2: "hubspot-bob", 3: "hubspot-ann"}
    assert dealt.pointers == {"sales": "ann@acme.example"}


def test_the_rotation_goes_on_where_it_stood():
    assert given(("mql", [record(1)]), pointers={"sales": "ann@acme.example"}).owner_of == {1: "hubspot-bob"}


def test_nobody_is_taken_from_an_active_owner_and_a_band_without_a_route_gets_nobody():
    assert given(("mql", [record(1, owner="hubspot-bob")]), ("warm", [record(2)])).owner_of == {}


@pytest.mark.parametrize("owner", ["hubspot-eve", "hubspot-queue", None, ""])
def test_a_record_of_somebody_who_left_of_a_queue_or_of_nobody_is_free(owner):
    assert given(("mql", [record(1, owner=owner)])).owner_of == {1: "hubspot-ann"}


def test_an_owner_that_stands_for_nobody_is_free_to_take_from():
    assert given(("mql", [record(1, owner="hubspot-bob")]), nobody=["BOB@acme.example"]).owner_of == {1: "hubspot-ann"}


def test_an_owner_the_crm_does_not_list_is_left_alone():
    assert given(("mql", [record(1, owner="somebody-else")])).owner_of == {}


def test_both_records_of_a_person_get_one_human():
    both = [record(1, "hubspot"), record(2, "salesforce")]
    assert given(("mql", both)).owner_of == {1: "hubspot-ann", 2: "salesforce-ann"}


def test_an_owner_in_one_crm_is_the_owner_in_the_other():
    both = [record(1, "hubspot"), record(2, "salesforce", owner="salesforce-bob")]
    dealt = given(("mql", both))
    assert dealt.owner_of == {1: "hubspot-bob"}
    assert dealt.pointers == {}
