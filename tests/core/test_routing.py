"""Who gets whom: one human for all records of a person, in turn, and nobody passed over in silence."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from crmsync.config.settings import OwnerPool, Route
from crmsync.model import Holding, Owner, Ref, Standing
from crmsync.routing.assignment import Desk, Unassigned, assign_owners
from crmsync.routing.owners import owners_of, state_of
from crmsync.routing.turns import Load
from tests.support.make import NOW, owners

POOLS = [OwnerPool(name="sales", members=["ann@acme.example", "bob@acme.example"])]
ROUTE = Route(name="Sales", to="sales")
BOTH = ("hubspot", "salesforce")
TURN = "round robin in pool sales: 0 turns, the fewest of 2 available"
TURN_OF_ONE = TURN.replace("of 2", "of 1")
ANN, BOB = "ann@acme.example", "bob@acme.example"


def record(number, crm="hubspot", owner=None, kind="contact"):
    return Holding(number, Ref(crm, kind, str(number)), number, "", None, owner, {}, {}, {}, {}, 0)


def both(hubspot=None, salesforce=None):
    """One person in both CRMs, with an owner in each or none."""
    return [record(1, "hubspot", hubspot), record(2, "salesforce", salesforce)]


def somebody(crm, name, active=True):
    return Owner(crm, f"{crm}-{name}", f"{name}@acme.example", name.title(), active)


def everybody(crms=BOTH):
    return [each for crm in crms for each in owners(crm)]


def desk(pools=POOLS, standings=None, directory=None, nobody=(), promised=None, loads=None):
    found = owners_of(everybody() if directory is None else directory, nobody)
    return Desk(pools, standings or {}, loads or {}, found, promised or {}, NOW, NOW.tzinfo)


def person(number, records, *routes, **known):
    return Unassigned(number, routes or (ROUTE,), records, **known)


def given(*people, **rest):
    """What becomes of people with these records, who are numbered from 1 on."""
    return assign_owners([person(number, records) for number, records in enumerate(people, start=1)], desk(**rest))


def led(records, *routes, pools=POOLS, directory=None, loads=None, promised=None, **known):
    """What becomes of one person with these routes."""
    place = desk(pools=pools, directory=directory, loads=loads, promised=promised)
    return assign_owners([person(1, records, *routes, **known)], place)


def turns(dealt):
    """How many turns each member of the pool has."""
    return {name: each.turns for name, each in dealt.standings.get("sales", {}).items()}


def test_people_without_an_owner_are_dealt_in_turn_and_each_turn_counts():
    dealt = given(*([record(number)] for number in range(1, 4)))
    assert dealt.owner_of == {1: "hubspot-ann", 2: "hubspot-bob", 3: "hubspot-ann"}
    assert turns(dealt) == {ANN: 2, BOB: 1}
    assert dealt.waiting == {}
    assert dealt.why == {
        1: TURN,
        2: TURN,
        3: "round robin in pool sales: 1 turn, the fewest of 2 available",
    }
    assert {number: each.owner for number, each in dealt.hand_offs.items()} == {1: ANN, 2: BOB, 3: ANN}
    assert {each[1:3] for each in dealt.hand_offs.values()} == {("Sales", "sales")}


def test_turns_go_on_where_they_stood():
    standings = {"sales": {ANN: Standing(1), BOB: Standing(0)}}
    assert given([record(1)], standings=standings).owner_of == {1: "hubspot-bob"}


def test_nobody_is_taken_from_an_active_owner_and_who_has_no_route_waits():
    dealt = given([record(1, owner="hubspot-bob")])
    assert (dealt.owner_of, dealt.why, dealt.waiting, dealt.hand_offs) == ({}, {}, {}, {})
    nowhere = assign_owners([Unassigned(1, (), [record(1)])], desk())
    assert (nowhere.owner_of, nowhere.waiting) == ({}, {1: "no [[route]] matches"})


@pytest.mark.parametrize("owner", ["hubspot-eve", "hubspot-queue", None, ""])
def test_a_record_of_somebody_who_left_of_a_queue_or_of_nobody_is_free(owner):
    assert given([record(1, owner=owner)]).owner_of == {1: "hubspot-ann"}


def test_an_owner_that_stands_for_nobody_is_free_to_take_from_and_gets_nothing():
    dealt = given([record(1, owner="hubspot-ann")], nobody=[" ANN@acme.example"])
    assert dealt.owner_of == {1: "hubspot-bob"}


def test_an_owner_the_crm_does_not_list_is_left_alone():
    assert given([record(1, owner="somebody-else")]).owner_of == {}


def test_addresses_are_one_whatever_their_case_and_spaces():
    directory = [Owner("hubspot", "7", " Ann@ACME.example ", "Ann")]
    pools = [OwnerPool(name="sales", members=[" ANN@acme.example"])]
    assert given([record(1)], directory=directory, pools=pools).owner_of == {1: "7"}


# One human for all records of a person


def test_both_records_of_a_person_get_one_human():
    dealt = given(both())
    assert dealt.owner_of == {1: "hubspot-ann", 2: "salesforce-ann"}
    assert turns(dealt) == {ANN: 1, BOB: 0}


def test_an_owner_in_one_crm_is_the_owner_in_the_other():
    dealt = given(both(salesforce="salesforce-bob"))
    assert dealt.owner_of == {1: "hubspot-bob"}
    assert dealt.why == {1: "same owner as salesforce:contact:2"}
    assert turns(dealt) == {}


def test_a_record_gets_the_owner_that_the_person_has_in_the_same_crm():
    records = [record(1, "hubspot", "hubspot-ann"), record(2, "salesforce", "salesforce-bob"), record(3, "salesforce")]
    assert given(records).owner_of == {3: "salesforce-bob"}


@pytest.mark.parametrize("stranger", ["salesforce-admin", "not-even-listed"])
def test_where_their_owner_is_unknown_the_other_crm_gives_the_next_member(stranger):
    dealt = given(both(salesforce=stranger), directory=[*everybody(), somebody("salesforce", "admin")])
    assert dealt.owner_of == {1: "hubspot-ann"}
    assert dealt.why == {1: f"{TURN}; the owner in salesforce is not a user in hubspot"}
    assert turns(dealt) == {ANN: 1, BOB: 0}
    assert dealt.waiting == {}


def test_where_their_owner_is_unknown_and_nobody_is_there_they_wait():
    directory = [somebody("salesforce", "admin"), somebody("salesforce", "ann")]
    dealt = given(both(salesforce="salesforce-admin"), directory=directory)
    assert (dealt.owner_of, turns(dealt)) == ({}, {})
    assert dealt.waiting == {
        1: "the owner in salesforce is not a user in hubspot, and no member of pool sales is a user in hubspot"
    }


def test_who_is_in_both_crms_comes_before_who_is_in_one():
    directory = [somebody("hubspot", "ann"), somebody("hubspot", "bob"), somebody("salesforce", "bob")]
    assert given(both(), directory=directory).owner_of == {1: "hubspot-bob", 2: "salesforce-bob"}


def test_a_member_of_one_crm_gets_what_is_there_and_the_person_waits_for_the_other():
    dealt = given(both(), directory=[somebody("hubspot", "ann"), somebody("salesforce", "bob", active=False)])
    assert dealt.owner_of == {1: "hubspot-ann"}
    assert dealt.why == {1: TURN_OF_ONE}
    assert dealt.waiting == {
        1: "the owner in hubspot is not a user in salesforce, and no member of pool sales is active in salesforce"
    }


def test_members_of_one_crm_each_share_a_person_and_the_next_run_would_say_the_same():
    directory = [somebody("hubspot", "ann"), somebody("salesforce", "bob")]
    dealt = given(both(), directory=directory)
    assert dealt.owner_of == {1: "hubspot-ann", 2: "salesforce-bob"}
    assert dealt.why[2] == (f"{TURN_OF_ONE}; the owner in hubspot is not a user in salesforce")
    assert dealt.waiting == {}
    assert given(both("hubspot-ann", "salesforce-bob"), directory=directory).owner_of == {}


# Nobody is passed over in silence


@pytest.mark.parametrize(
    ("directory", "reason"),
    [
        ([], "no member of pool sales is a user in hubspot"),
        ([somebody("hubspot", "ann", active=False)], "no member of pool sales is active in hubspot"),
        ([somebody("salesforce", "ann")], "no member of pool sales is a user in hubspot"),
    ],
)
def test_who_can_be_given_to_nobody_waits(directory, reason):
    dealt = given([record(1)], [record(2)], directory=directory)
    assert (dealt.owner_of, turns(dealt)) == ({}, {})
    assert dealt.waiting == {1: reason, 2: reason}


def test_a_person_of_two_crms_waits_for_both():
    assert given(both(), directory=[somebody("salesforce", "ann", active=False)]).waiting == {
        1: "no member of pool sales is a user in hubspot; no member of pool sales is active in salesforce"
    }


@pytest.mark.parametrize(
    ("address", "crm", "state"),
    [
        (" ANN@acme.example", "hubspot", "active"),
        ("eve@acme.example", "hubspot", "inactive"),
        ("zoe@acme.example", "hubspot", "missing"),
        ("ann@acme.example", "salesforce", "missing"),
    ],
)
def test_what_a_crm_knows_of_an_address(address, crm, state):
    assert state_of(owners_of(owners("hubspot"), ()), crm, address) == state


# After an interruption


def test_what_an_interrupted_run_had_decided_holds_and_takes_no_turn():
    dealt = given([record(1)], [record(2)], promised={1: "hubspot-bob"})
    assert dealt.owner_of == {1: "hubspot-bob", 2: "hubspot-ann"}
    assert dealt.why[1] == "assigned before, and the CRM had not taken it"
    assert turns(dealt) == {ANN: 1, BOB: 0}


def test_what_was_decided_for_one_record_is_kept_for_the_others_of_the_person():
    assert given(both(), promised={2: "salesforce-bob"}).owner_of == {1: "hubspot-bob", 2: "salesforce-bob"}


def test_an_owner_that_a_person_has_by_now_comes_before_what_was_decided():
    dealt = given(both(salesforce="salesforce-ann"), promised={1: "hubspot-bob"})
    assert dealt.owner_of == {1: "hubspot-ann"}


@pytest.mark.parametrize("gone", ["hubspot-eve", "hubspot-queue", "unheard-of", "hubspot-zoe"])
def test_what_was_decided_for_somebody_who_left_or_is_no_member_is_decided_again(gone):
    directory = [*everybody(), somebody("hubspot", "zoe")]
    dealt = given([record(1)], directory=directory, promised={1: gone})
    assert dealt.owner_of == {1: "hubspot-ann"}
    assert dealt.why == {1: TURN}


# Where routes lead


TWO = [*POOLS, OwnerPool(name="seniors", members=["zoe@acme.example"])]
ZOE = somebody("hubspot", "zoe")


def test_a_user_is_a_place_too_and_it_is_nobodys_turn():
    dealt = led([record(1)], Route(name="To Bob", to=" BOB@acme.example"))
    assert (dealt.owner_of, dealt.why, dealt.standings) == ({1: "hubspot-bob"}, {1: "[[route]] To Bob"}, {})
    assert dealt.hand_offs[1][:3] == (BOB, "To Bob", "")


def test_a_user_who_left_is_waited_for():
    dealt = led([record(1)], Route(name="To Eve", to="eve@acme.example"), ROUTE)
    assert (dealt.owner_of, dealt.waiting) == ({}, {1: "eve@acme.example is not active in hubspot"})


@pytest.mark.parametrize(("to", "key"), [("account_owner", "account_owners"), ("colleague_owner", "colleague_records")])
def test_the_owner_of_account_or_colleagues_takes_no_turn_and_else_the_next_route_is_asked(to, key):
    routes = Route(name="Known", to=to), ROUTE
    dealt = led([record(1)], *routes, **{key: {BOB: 1}})
    assert (dealt.owner_of, turns(dealt), dealt.routes) == ({1: "hubspot-bob"}, {}, {1: "Known"})
    for unknown in ({}, {"eve@acme.example": 1}):
        dealt = led([record(1)], *routes, **{key: unknown})
        assert (dealt.owner_of, dealt.routes) == ({1: "hubspot-ann"}, {1: "Sales"})


def test_a_track_takes_who_has_no_owner_and_nobody_waits():
    dealt = led([record(1)], Route(name="Later", to="nurture"))
    assert (dealt.tracks, dealt.owner_of, dealt.waiting) == ({1: "nurture"}, {}, {})
    owned = led(both(hubspot="hubspot-ann"), Route(name="Later", to="nurture"))
    assert (owned.tracks, owned.owner_of) == ({}, {2: "salesforce-ann"})


QUEUE = Route(name="Queue", to="queue:inbound ")


def lead(owner=None):
    return record(2, "salesforce", owner, "lead")


def test_a_lead_goes_to_the_queue_and_other_records_stay_as_they_are():
    dealt = led([record(1, owner="hubspot-eve"), lead()], QUEUE)
    assert (dealt.owner_of, dealt.waiting) == ({2: "salesforce-queue"}, {})
    assert dealt.hand_offs[1].owner == "queue:inbound "


def test_a_lead_in_its_queue_is_handed_off_once():
    dealt = led([lead("salesforce-queue")], QUEUE)
    assert (dealt.owner_of, dealt.waiting, dealt.hand_offs) == ({}, {}, {})


def test_who_has_no_lead_goes_by_the_next_route_and_a_queue_that_is_not_there_is_told():
    assert led([record(1)], QUEUE, ROUTE).owner_of == {1: "hubspot-ann"}
    assert led([record(1)], QUEUE).waiting == {1: "only Salesforce leads can be in a queue"}
    assert led([lead()], Route(name="Q", to="queue:Nowhere")).waiting == {1: "salesforce has no queue Nowhere"}


# Fallback and wait


def busy(**more):
    return [OwnerPool(name="sales", members=[{"email": ANN, "daily": 1}], fallback="bob@acme.example", **more)]


FULL = {ANN: Load(today=1)}


def test_the_fallback_is_asked_where_nobody_is_available():
    assert led([record(1)], pools=busy(), loads={}).owner_of == {1: "hubspot-ann"}
    dealt = led([record(1)], pools=busy(), loads=FULL)
    assert dealt.owner_of == {1: "hubspot-bob"}
    assert dealt.why[1] == (
        "fallback bob@acme.example, because nobody of pool sales is available: ann@acme.example at the daily cap of 1"
    )
    assert turns(dealt) == {}


@pytest.mark.parametrize(("hours", "owner"), [(None, None), (1.99, None), (2, "hubspot-bob")])
def test_the_fallback_is_asked_only_after_the_wait(hours, owner):
    since = None if hours is None else int((NOW - timedelta(hours=hours)).timestamp() * 1000)
    dealt = led([record(1)], pools=busy(wait="2h"), loads=FULL, waiting_since=since)
    assert dealt.owner_of.get(1) == owner
    assert (1 in dealt.waiting) == (owner is None)
    if owner is None:
        assert dealt.waiting[1].endswith("; the fallback bob@acme.example is asked later")


def test_where_nobody_of_the_fallback_is_there_either_both_are_named():
    pools = [
        OwnerPool(name="sales", members=[{"email": ANN, "daily": 1}], fallback="more"),
        OwnerPool(name="more", members=[{"email": BOB, "daily": 2}]),
    ]
    dealt = led([record(1)], pools=pools, loads={**FULL, BOB: Load(today=2)})
    assert dealt.waiting == {
        1: "nobody of pool sales is available: ann@acme.example at the daily cap of 1; "
        "nobody of pool more is available: bob@acme.example at the daily cap of 2"
    }
    assert led([record(1)], pools=pools, loads=FULL).owner_of == {1: "hubspot-bob"}


def test_a_cap_counts_those_of_the_run_too():
    dealt = given(*([record(number)] for number in range(1, 4)), pools=busy())
    assert dealt.owner_of == {1: "hubspot-ann", 2: "hubspot-bob", 3: "hubspot-bob"}


def test_a_person_in_two_crms_counts_once():
    pools = [OwnerPool(name="sales", members=[{"email": ANN, "daily": 2}])]
    people = [[record(number), record(number + 1, "salesforce")] for number in (1, 3)]
    assert set(given(*people, pools=pools).owner_of) == {1, 2, 3, 4}


# Only reassign takes people away

TAKE = Route(name="Take", to="seniors", reassign=True)
WITH_ZOE = [*everybody(), ZOE, somebody("salesforce", "zoe")]


def taken(records, *routes, pools=TWO, directory=WITH_ZOE, **known):
    return led(records, *routes, pools=pools, directory=directory, **known)


def test_reassign_takes_all_records_of_a_person_once():
    dealt = taken(both("hubspot-ann", "salesforce-ann"), TAKE)
    assert dealt.owner_of == {1: "hubspot-zoe", 2: "salesforce-zoe"}
    assert dealt.hand_offs[1].owner == "zoe@acme.example"
    again = taken(both("hubspot-zoe", "salesforce-zoe"), TAKE)
    assert (again.owner_of, again.standings, again.hand_offs) == ({}, {}, {})


@pytest.mark.parametrize(
    ("route", "known"),
    [
        (Route(name="A", to="account_owner", reassign=True), {"account_owners": [BOB]}),
        (Route(name="C", to="colleague_owner", reassign=True), {"colleague_records": {BOB: 2}}),
        (Route(name="U", to="Bob@acme.example", reassign=True), {}),
    ],
)
def test_who_is_at_home_already_is_not_handed_off_again(route, known):
    assert taken([record(1, owner="hubspot-ann")], route, **known).owner_of == {1: "hubspot-bob"}
    again = taken([record(1, owner="hubspot-bob")], route, **known)
    assert (again.owner_of, again.hand_offs) == ({}, {})


TOGETHER = Route(name="One owner", to="colleague_owner", reassign=True)


def account(*owners):
    """People of one account, each in HubSpot with one of these owners, as a run asks about them."""
    served = []
    for number, owner in enumerate(owners, start=1):
        others = Counter(
            f"{each}@acme.example" for place, each in enumerate(owners, start=1) if each and place != number
        )
        known = {"colleague_records": others}
        colleagues = [place for place in range(1, len(owners) + 1) if place != number]
        held = owner and f"hubspot-{owner}"
        served.append(person(number, [record(number, owner=held)], TOGETHER, ROUTE, colleagues=colleagues, **known))
    return served


@pytest.mark.parametrize(
    ("owners", "moved"),
    [
        (["ann", "bob"], {2: "ann"}),
        (["bob", "ann"], {1: "ann"}),
        (["ann", "bob", "bob"], {1: "bob"}),
        (["bob", "ann", "bob", "ann"], {1: "ann", 3: "ann"}),
        (["zoe", "bob", "ann"], {1: "ann", 2: "ann"}),
        ([None, "bob", None], {1: "bob", 3: "bob"}),
        ([None, None, None], {1: "ann", 2: "ann", 3: "ann"}),
    ],
)
def test_an_account_goes_to_one_of_its_owners_whatever_the_order(owners, moved):
    served, place = account(*owners), desk(directory=[*everybody(), somebody("hubspot", "zoe")])
    for people in (served, served[::-1]):
        dealt = assign_owners(people, place)
        assert dealt.owner_of == {number: f"hubspot-{name}" for number, name in moved.items()}


def test_a_record_that_is_not_with_the_rest_of_its_account_is_taken_along():
    known = {"colleague_records": {BOB: 5}}
    dealt = taken(both("hubspot-bob", "salesforce-ann"), TOGETHER, **known)
    assert dealt.owner_of == {1: "hubspot-bob", 2: "salesforce-bob"}
    only_here = [somebody("hubspot", "bob"), *owners("salesforce")[:1]]
    stays = taken(both("hubspot-bob", "salesforce-ann"), TOGETHER, directory=only_here, **known)
    assert (stays.owner_of, stays.hand_offs) == ({}, {})


def test_who_belongs_to_the_fallback_of_a_pool_does_not_change_hands_with_each_run():
    pools = [
        OwnerPool(name="seniors", members=[{"email": "zoe@acme.example", "daily": 1}], fallback="bob@acme.example")
    ]
    given_away = taken([record(1, owner="hubspot-ann")], TAKE, pools=pools, loads={"zoe@acme.example": Load(today=1)})
    assert given_away.owner_of == {1: "hubspot-bob"}
    again = taken([record(1, owner="hubspot-bob")], TAKE, pools=pools)
    assert (again.owner_of, again.standings) == ({}, {})


def test_a_route_that_may_not_take_people_away_does_not_because_one_before_it_may():
    routes = Route(name="Account", to="account_owner", reassign=True), ROUTE
    dealt = taken([record(1, owner="hubspot-zoe")], *routes)
    assert (dealt.owner_of, dealt.waiting, dealt.standings) == ({}, {}, {})
    dealt = taken([record(1, owner="hubspot-zoe")], *routes, account_owners=["eve@acme.example"])
    assert (dealt.owner_of, dealt.waiting, dealt.standings) == ({}, {}, {})


def test_an_owner_without_the_skill_that_a_route_asks_for_is_not_at_home():
    members = [ANN, {"email": BOB, "skills": ["german"]}]
    route = Route(name="German", to="sales", skill="german", reassign=True)
    pools = [OwnerPool(name="sales", members=members)]
    assert taken([record(1, owner="hubspot-ann")], route, pools=pools).owner_of == {1: "hubspot-bob"}
    assert taken([record(1, owner="hubspot-bob")], route, pools=pools).owner_of == {}


# Laws

NAMES = ("ann", "bob", "eve", "zoe")
USERS = st.lists(st.builds(somebody, st.sampled_from(BOTH), st.sampled_from(NAMES), st.booleans()), max_size=8)
OWNER_IDS = st.one_of(st.none(), st.sampled_from([*NAMES, "stranger"]))
RECORDS = st.lists(st.tuples(st.sampled_from(BOTH), OWNER_IDS), min_size=1, max_size=4)


KIND = {"hubspot": "contact", "salesforce": "lead"}
PLACES = [
    ROUTE,
    Route(name="Take", to="sales", reassign=True),
    Route(name="Account", to="account_owner"),
    Route(name="Take to account", to="account_owner", reassign=True),
    Route(name="Zoe", to="zoe@acme.example"),
    Route(name="Queue", to="queue:inbound"),
    Route(name="Later", to="nurture"),
]
ADDRESSES = st.lists(st.sampled_from([f"{each}@acme.example" for each in NAMES]), max_size=2)
PEOPLE = st.lists(st.tuples(RECORDS, st.lists(st.sampled_from(PLACES), min_size=1, max_size=3), ADDRESSES), max_size=5)
MEMBERS = st.sets(st.sampled_from(NAMES), min_size=1)


@drawn(USERS, st.lists(RECORDS, max_size=5), MEMBERS)
def test_everybody_is_given_to_somebody_or_waits_and_the_next_run_agrees(users, people, members):
    directory = list({(each.crm, each.id): each for each in users}.values())
    pools = [OwnerPool(name="sales", members=[f"{each}@acme.example" for each in sorted(members)])]
    numbers = iter(range(1, 100))
    before = [[record(next(numbers), crm, owner and f"{crm}-{owner}") for crm, owner in records] for records in people]
    found = owners_of(directory, ())
    first = given(*before, directory=directory, pools=pools)
    after = [[each._replace(owner=first.owner_of.get(each.id, each.owner)) for each in records] for records in before]
    for number, records in enumerate(after, start=1):
        lacking = [each for each in records if found.somebody(each.ref.crm, each.owner) is None]
        assert bool(lacking) == (number in first.waiting)
    for owner_id in first.owner_of.values():
        assert any(each.id == owner_id and each.active for each in directory)
    assert set(first.why) == set(first.owner_of)
    again = given(*after, directory=directory, pools=pools, standings=first.standings)
    assert (again.owner_of, again.standings, again.waiting) == ({}, first.standings, first.waiting)
    resumed = given(*before, directory=directory, pools=pools, standings=first.standings, promised=first.owner_of)
    assert (resumed.owner_of, resumed.standings) == (first.owner_of, first.standings)
    assert resumed.waiting == first.waiting


@drawn(USERS, PEOPLE, MEMBERS)
def test_whatever_the_routes_the_next_run_gives_nobody_away_again(users, people, members):
    queue = [Owner(crm, f"{crm}-queue", "", "Inbound", kind="queue") for crm in BOTH]
    directory = [*{(each.crm, each.id): each for each in users}.values(), *queue]
    place = desk([OwnerPool(name="sales", members=[f"{each}@acme.example" for each in sorted(members)])])
    place = place._replace(owners=owners_of(directory, ()))
    numbers = iter(range(1, 100))
    served = [
        person(
            number,
            [record(next(numbers), crm, owner and f"{crm}-{owner}", KIND[crm]) for crm, owner in records],
            *routes,
            account_owners=addresses,
        )
        for number, (records, routes, addresses) in enumerate(people, start=1)
    ]
    first = assign_owners(served, place)
    after = [
        each._replace(records=[it._replace(owner=first.owner_of.get(it.id, it.owner)) for it in each.records])
        for each in served
    ]
    again = assign_owners(after, place._replace(standings=first.standings))
    assert (again.owner_of, again.hand_offs) == ({}, {})
    assert again.standings == first.standings
    takes = {each.person for each in served if any(route.reassign for route in each.routes)}
    for each in served:
        if each.person not in takes:
            owned = [it for it in each.records if place.owners.somebody(it.ref.crm, it.owner)]
            assert not any(it.id in first.owner_of for it in owned)


def test_an_owner_who_left_one_crm_is_told_apart_from_one_it_never_knew():
    directory = [*everybody(), somebody("hubspot", "dan"), somebody("salesforce", "dan", active=False)]
    dealt = given(both(hubspot="hubspot-dan"), directory=directory)
    assert dealt.why[2] == f"{TURN}; the owner in hubspot is not active in salesforce"
