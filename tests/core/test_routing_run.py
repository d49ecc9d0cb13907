"""Routing through whole runs: nobody falls through, and a second run has nothing to add."""

import tempfile
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.cycle import preview_run
from crmsync.errors import Unavailable
from crmsync.model import Owner, Ref
from crmsync.store import schema
from tests.support import make
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, held, run, two_crms
from tests.support.make import activity, contact, crm, work
from tests.support.state import rows

BARE = NEVER_FADES[: NEVER_FADES.index("[[owner_pool]]")] + NEVER_FADES[NEVER_FADES.index("[fields]") :]
SALES = {"name": "sales", "members": ["ann@acme.example", "bob@acme.example"]}
MQL = {"field": "band", "is": "mql"}
ROUTES = [{"name": "MQLs", "when": MQL, "to": "sales"}, {"name": "Rest", "to": "nurture"}]
HOT = {"title": "VP Sales", "employees": 500}
PARTS = ("owned", "routed", "nurture", "excluded", "waiting")


def go(state, *crms, at=DAYS[0], routes=ROUTES, pools=(SALES,), **tables):
    tables = {"tracks": {"nurture": {}}, "guard": {"owners": 1, "scores": 1, "bands": 1, "stages": 1}, **tables}
    result = run(state, *crms, at=at, model=BARE, route=list(routes), owner_pool=list(pools), **tables)
    assert result.routing["in"] == sum(result.routing[part] for part in PARTS)
    assert sum(result.routing["reasons"].values()) == result.routing["waiting"] == result.waiting_for_owner["count"]
    return result


def counted(result):
    return {name: result.routing[name] for name in PARTS if result.routing[name]}


def join(of, number, kind="contact", *, demo=True, mail=None, **values):
    """Somebody who is hot, unless they asked for no demo."""
    mails = (mail or f"p{number}@firm.example",)
    made = contact(number, of.name, kind, **{"emails": mails, "fields": HOT, **values})
    of.edit(made)
    if demo:
        of.happen(activity(str(number), made))
    return made


def owners(of):
    """Who owns whom, by address."""
    return {record.emails[0].split("@")[0]: record.owner for record in of.records.values()}


def turns(state):
    return {(row["pool"], row["member"].split("@")[0]): row["turns"] for row in rows(state, schema.turn)}


@pytest.fixture
def hubspot():
    return crm("hubspot")


def test_everybody_is_somewhere_and_a_second_run_has_nothing_to_add(state, hubspot):
    for number in (1, 2, 3):
        join(hubspot, number)
    join(hubspot, 4, demo=False)
    join(hubspot, 5, owner="hubspot-bob")
    join(hubspot, 6, mail="spy@rival.example")
    exclude = {"domains": ["rival.example"]}
    first = go(state, hubspot, exclude=exclude)
    assert counted(first) == {"owned": 1, "routed": 3, "nurture": 1, "excluded": 1}
    was, written = turns(state), len(hubspot.writes)
    assert sum(was.values()) == 3
    for later in (DAYS[1], DAYS[2]):
        again = go(state, hubspot, at=later, exclude=exclude)
        assert counted(again) == {"owned": 4, "nurture": 1, "excluded": 1}
        assert again.crms["hubspot"].planned == 0
    assert (turns(state), len(hubspot.writes)) == (was, written)
    assert len(rows(state, schema.hand_off)) == 3


def test_a_route_to_a_track_sets_it_and_an_owner_ends_it(state, hubspot):
    join(hubspot, 1, demo=False)
    fields = {"score": {"hubspot": "s"}, "track": {"hubspot": "t"}}
    go(state, hubspot, write={"fields": fields})
    assert hubspot.records[Ref("hubspot", "contact", "1")].current["track"] == "nurture"
    assert [row["track"] for row in rows(state, schema.person)] == ["nurture"]
    assert go(state, hubspot, at=DAYS[1], write={"fields": fields}).crms["hubspot"].planned == 0
    hubspot.happen(activity("later", hubspot.records[Ref("hubspot", "contact", "1")]))
    go(state, hubspot, at=DAYS[2], write={"fields": fields})
    record = hubspot.records[Ref("hubspot", "contact", "1")]
    assert (record.owner, record.current.get("track")) == ("hubspot-ann", None)


def test_who_is_left_out_gets_no_write_and_is_counted_with_the_reason(state, hubspot):
    join(hubspot, 1, mail="spy@mail.rival.example", current={"score": 3, "band": "cold"})
    join(hubspot, 2)
    result = go(state, hubspot, exclude={"domains": ["rival.example"]})
    assert counted(result) == {"routed": 1, "excluded": 1}
    assert {change.ref.id for change in hubspot.writes} == {"2"}
    assert hubspot.records[Ref("hubspot", "contact", "1")].current == {"score": 3, "band": "cold"}
    assert result.crms["hubspot"].skipped == {"excluded": 1}
    assert [row["excluded"] for row in rows(state, schema.person)] == [
        "the domain rival.example is in [exclude] domains",
        "",
    ]
    assert result.bands == {"mql": 1}


def test_clear_takes_our_score_fields_away_and_then_is_quiet(state, hubspot):
    join(hubspot, 1)
    join(hubspot, 2)
    go(state, hubspot)
    spy = Ref("hubspot", "contact", "1")
    assert hubspot.records[spy].current["score"] == 65
    exclude = {"addresses": ["P1@firm.example"]}
    assert go(state, hubspot, at=DAYS[1], exclude=exclude).crms["hubspot"].planned == 0
    assert hubspot.records[spy].current["score"] == 65
    cleared = go(state, hubspot, at=DAYS[2], exclude={**exclude, "clear": True})
    assert cleared.crms["hubspot"].updated == 1
    record = hubspot.records[spy]
    assert (record.current, record.stage, record.owner) == ({}, "mql", "hubspot-ann")
    assert go(state, hubspot, at=DAYS[3], exclude={**exclude, "clear": True}).crms["hubspot"].planned == 0
    go(state, hubspot, at=DAYS[4])
    assert hubspot.records[spy].current["score"] == 65


def test_the_fallback_gets_who_waited_long_enough_and_no_sooner(state, hubspot):
    pool = {"name": "sales", "members": [{"email": "ann@acme.example", "away": ["2026-11-01/2027-03-01"]}]}
    pool |= {"fallback": "bob@acme.example", "wait": "2h"}
    join(hubspot, 1)
    for hours in (0, 1.9):
        waits = go(state, hubspot, at=DAYS[0] + timedelta(hours=hours), pools=[pool])
        assert counted(waits) == {"waiting": 1}
        (reason,) = waits.routing["reasons"]
        assert reason.startswith("nobody of pool sales is available: ann@acme.example away until 2027-03-01; ")
        assert owners(hubspot) == {"p1": None}
    late = go(state, hubspot, at=DAYS[0] + timedelta(hours=2), pools=[pool])
    assert (counted(late), owners(hubspot)) == ({"routed": 1}, {"p1": "hubspot-bob"})
    assert counted(go(state, hubspot, at=DAYS[1], pools=[pool])) == {"owned": 1}


def test_whoever_comes_back_gets_who_waited(state, hubspot):
    members = [{"email": "ann@acme.example", "hours": "Mon-Fri 09:00-17:00"}]
    join(hubspot, 1)
    saturday, monday = make.NOW, make.NOW + timedelta(days=2)
    assert counted(go(state, hubspot, at=saturday, pools=[{"name": "sales", "members": members}])) == {"waiting": 1}
    assert counted(go(state, hubspot, at=monday, pools=[{"name": "sales", "members": members}])) == {"routed": 1}


def test_whose_records_are_partly_out_of_sight_waits_unless_somebody_has_them(state, hubspot):
    salesforce = crm("salesforce")
    for number, owner in ((1, None), (2, "bob")):
        for each in (hubspot, salesforce):
            join(each, number, demo=False, owner=owner and f"{each.name}-{owner}")
    go(state, hubspot, salesforce)

    def down():
        raise Unavailable("salesforce", "it does not answer")

    salesforce.account = down
    for number, record in enumerate(list(hubspot.records.values()), 1):
        hubspot.happen(activity(str(number), record))
    ran = go(state, hubspot, salesforce, at=DAYS[1])
    assert ran.waiting_for_owner["reasons"] == {"salesforce is skipped in this run": 1}
    assert owners(hubspot) == {"p1": None, "p2": "hubspot-bob"}


def test_a_lead_in_the_queue_of_a_later_route_or_of_a_pool_is_owned(state):
    salesforce = crm("salesforce")
    join(salesforce, 1, "lead")
    routes = [
        {"name": "Account", "when": MQL, "to": "account_owner"},
        {"name": "Queue", "when": MQL, "to": "queue:Inbound"},
        ROUTES[-1],
    ]
    assert counted(go(state, salesforce, routes=routes)) == {"routed": 1}
    assert owners(salesforce) == {"p1": "salesforce-queue"}
    edit(salesforce, Ref("salesforce", "lead", "1"), name="Ada")
    again = go(state, salesforce, at=DAYS[1], routes=routes)
    assert (counted(again), again.crms["salesforce"].planned) == ({"owned": 1}, 0)
    away = {"email": "ann@acme.example", "hours": "Sun 03:00-03:30"}
    pool = {"name": "sales", "members": [away], "fallback": "queue:inbound"}
    moved = go(state, salesforce, at=DAYS[2], pools=[pool])
    assert (counted(moved), moved.crms["salesforce"].planned) == ({"owned": 1}, 0)
    assert len(rows(state, schema.hand_off)) == 1


def test_a_queue_takes_leads_only_and_the_hubspot_owner_stays(state, hubspot):
    salesforce = crm("salesforce")
    join(salesforce, 1, "lead", mail="ada@x.example")
    join(hubspot, 1, demo=False, mail="ada@x.example", owner="hubspot-eve")
    routes = [{"name": "Queue", "when": MQL, "to": "queue:Inbound"}, ROUTES[-1]]
    go(state, hubspot, salesforce, routes=routes)
    assert (owners(salesforce), owners(hubspot)) == ({"ada": "salesforce-queue"}, {"ada": "hubspot-eve"})


def test_only_reassign_takes_somebody_from_an_active_owner(state, hubspot):
    pool = {"name": "sales", "members": ["bob@acme.example"]}
    join(hubspot, 1, owner="hubspot-ann")
    assert counted(go(state, hubspot, pools=[pool])) == {"owned": 1}
    assert owners(hubspot) == {"p1": "hubspot-ann"}
    routes = [{**ROUTES[0], "reassign": True}, ROUTES[1]]
    assert counted(go(state, hubspot, at=DAYS[1], pools=[pool], routes=routes)) == {"routed": 1}
    assert owners(hubspot) == {"p1": "hubspot-bob"}
    edit(hubspot, Ref("hubspot", "contact", "1"), name="Ada")
    again = go(state, hubspot, at=DAYS[2], pools=[pool], routes=routes)
    assert (counted(again), again.crms["hubspot"].planned, turns(state)) == ({"owned": 1}, 0, {("sales", "bob"): 1})


def test_a_users_own_choice_is_not_reassigned_while_it_holds(state, hubspot):
    pool = {"name": "sales", "members": ["bob@acme.example"]}
    routes = [{**ROUTES[0], "reassign": True}, ROUTES[1]]
    join(hubspot, 1)
    go(state, hubspot, pools=[pool], routes=routes)
    edit(hubspot, Ref("hubspot", "contact", "1"), owner="hubspot-ann")
    for day, owner, turns_of_bob in ((1, "hubspot-ann", 1), (10, "hubspot-ann", 1), (16, "hubspot-bob", 2)):
        result = go(state, hubspot, at=DAYS[day], pools=[pool], routes=routes)
        assert counted(result) == ({"routed": 1} if day == 16 else {"owned": 1})
        assert (owners(hubspot), turns(state)) == ({"p1": owner}, {("sales", "bob"): turns_of_bob})


@pytest.mark.parametrize("waited", [False, True])
def test_the_order_in_which_people_came_decides_nothing(tmp_path, waited):
    dealt = []
    for turn, order in enumerate(([1, 2, 3, 4, 5], [5, 3, 1, 4, 2])):
        hubspot = crm("hubspot")
        with closing(make.store(tmp_path / str(turn) if (tmp_path / str(turn)).mkdir() is None else "")) as state:
            for place, number in enumerate(order):
                join(hubspot, 10 * turn + place, mail=f"p{number}@firm.example")
            if waited:
                off = {"email": "ann@acme.example", "hours": "Sun 03:00-03:30"}
                go(state, hubspot, pools=[{**SALES, "members": [off]}])
            go(state, hubspot, at=DAYS[1])
            dealt.append(owners(hubspot))
    assert dealt[0] == dealt[1]
    assert dealt[0]["p1"] == "hubspot-ann"
    assert dealt[0]["p2"] == "hubspot-bob"


def test_the_hottest_are_served_first(state, hubspot):
    pool = {"name": "sales", "members": [{"email": "ann@acme.example", "daily": 1}]}
    join(hubspot, 1)
    join(hubspot, 2)
    hubspot.happen(activity("more", hubspot.records[Ref("hubspot", "contact", "2")], kind="page_viewed", url="pricing"))
    go(state, hubspot, pools=[pool])
    assert owners(hubspot) == {"p1": None, "p2": "hubspot-ann"}


def test_a_daily_cap_holds_across_the_runs_of_a_day(state, hubspot):
    pool = {"name": "sales", "members": [{"email": "ann@acme.example", "daily": 2, "timezone": "Asia/Tokyo"}]}
    for number in (1, 2, 3):
        join(hubspot, number)
    noon = DAYS[0]  # 21:00 in Tokyo
    assert counted(go(state, hubspot, at=noon, pools=[pool])) == {"routed": 2, "waiting": 1}
    join(hubspot, 4)
    same_day = go(state, hubspot, at=noon + timedelta(hours=2.9), pools=[pool])
    assert counted(same_day) == {"owned": 2, "waiting": 2}
    assert same_day.routing["reasons"] == {
        "nobody of pool sales is available: ann@acme.example at the daily cap of 2": 2
    }
    assert counted(go(state, hubspot, at=noon + timedelta(hours=3), pools=[pool])) == {"owned": 2, "routed": 2}


def test_a_cap_of_open_people_counts_those_that_others_gave(state, hubspot):
    pool = {"name": "sales", "members": [{"email": "ann@acme.example", "open": 2}]}
    join(hubspot, 1, owner="hubspot-ann")
    for number in (2, 3):
        join(hubspot, number)
    assert counted(go(state, hubspot, pools=[pool])) == {"owned": 1, "routed": 1, "waiting": 1}
    assert counted(go(state, hubspot, at=DAYS[1], pools=[pool])) == {"owned": 2, "waiting": 1}
    edit(hubspot, Ref("hubspot", "contact", "1"), stage="customer")
    assert counted(go(state, hubspot, at=DAYS[2], pools=[pool])) == {"owned": 2, "routed": 1}


def test_a_preview_takes_no_turn(state, hubspot):
    join(hubspot, 2, demo=False, owner="hubspot-bob")
    go(state, hubspot)
    join(hubspot, 1)
    tables = {"route": ROUTES, "owner_pool": [SALES], "tracks": {"nurture": {}}}
    settings_of = make.config(BARE, **tables)
    for _ in range(2):
        shown = preview_run(work(state, hubspot, now=DAYS[1], settings=settings_of))
        assert counted(shown) == {"owned": 1, "routed": 1}
        assert (turns(state), rows(state, schema.hand_off), owners(hubspot)["p1"]) == ({}, [], None)
    go(state, hubspot, at=DAYS[1])
    assert owners(hubspot)["p1"] == "hubspot-ann"


def test_without_a_route_nobody_gets_an_owner_and_everybody_is_counted(state, hubspot):
    join(hubspot, 1)
    join(hubspot, 2, owner="hubspot-ann")
    assert counted(go(state, hubspot, routes=(), pools=())) == {"owned": 1, "nurture": 1}
    assert owners(hubspot) == {"p1": None, "p2": "hubspot-ann"}


def test_a_run_that_may_not_write_owners_takes_no_turn(state, hubspot):
    join(hubspot, 1)
    result = go(state, hubspot, write={"owner": False, "fields": {"score": {"hubspot": "s"}}})
    assert result.routing["in"] == 1
    assert result.routing["routed"] == 0
    assert turns(state) == {}


# Nobody falls through, whoever there is and whatever the routes are

PERSON = st.fixed_dictionaries(
    {
        "crms": st.sampled_from([("hubspot",), ("salesforce",), ("hubspot", "salesforce")]),
        "demo": st.booleans(),
        "owner": st.sampled_from([None, "ann", "eve", "queue", "stranger"]),
        "stage": st.sampled_from([None, "lead", "mql", "customer", "of their own"]),
        "domain": st.sampled_from(["firm.example", "rival.example"]),
    }
)
TO = st.sampled_from(["sales", "nurture", "bob@acme.example", "eve@acme.example", "account_owner", "queue:Inbound"])
WHEN = st.sampled_from(
    [MQL, {"field": "score", "gte": 35}, {"field": "stage", "is": "lead"}, {"field": "owner", "missing": True}]
)
ROUTE = st.tuples(WHEN, TO, st.booleans())
MEMBERS = st.sampled_from(
    [
        ["ann@acme.example", "bob@acme.example"],
        ["eve@acme.example"],
        [{"email": "ann@acme.example", "daily": 1}],
        [{"email": "ann@acme.example", "hours": "Mon-Fri 09:00-17:00"}, {"email": "bob@acme.example", "open": 1}],
    ]
)


@settings(max_examples=12, deadline=None)
@given(st.lists(PERSON, min_size=1, max_size=5), st.lists(ROUTE, max_size=2), TO, MEMBERS)
def test_everybody_who_comes_in_is_counted_in_one_place(people, asked, last, members):
    crms = {name: crm(name) for name in ("hubspot", "salesforce")}
    for number, each in enumerate(people, start=1):
        for name in each["crms"]:
            owner = each["owner"] and f"{name}-{each['owner']}"
            kind = "lead" if name == "salesforce" else "contact"
            mail = f"p{number}@{each['domain']}"
            join(crms[name], number, kind, demo=each["demo"], mail=mail, owner=owner, stage=each["stage"])
    routes = [
        # A track takes nobody away from an owner.
        {"name": str(number), "when": when, "to": to, "reassign": takes and to != "nurture"}
        for number, (when, to, takes) in enumerate(asked)
    ]
    routes.append({"name": "last", "to": last})
    given_by = {"routes": routes, "pools": [{"name": "sales", "members": members}]}
    exclude = {"domains": ["rival.example"]}
    with tempfile.TemporaryDirectory() as folder, closing(make.store(folder)) as state:
        first = go(state, *crms.values(), exclude=exclude, **given_by)
        assert first.routing["in"] == len(people)
        assert first.routing["excluded"] >= sum(each["domain"] == "rival.example" for each in people)
        was, dealt = turns(state), [owners(each) for each in crms.values()]
        later = go(state, *crms.values(), at=DAYS[0] + timedelta(minutes=1), exclude=exclude, **given_by)
        assert later.routing["in"] == len(people)
        assert later.routing["routed"] == 0
        assert later.routing["owned"] == first.routing["owned"] + first.routing["routed"]
        assert [each.planned for each in later.crms.values()] == [0, 0]
        assert [owners(each) for each in crms.values()] == dealt
        assert turns(state) == was


def test_whoever_came_into_the_queue_of_a_fallback_does_not_begin_to_wait_again(state):
    salesforce = crm("salesforce")
    join(salesforce, 1, "lead")
    pool = {"name": "sales", "members": [{"email": "ann@acme.example", "hours": "Sun 03:00-03:30"}]}
    pool |= {"fallback": "queue:Inbound", "wait": "2h"}
    assert counted(go(state, salesforce, pools=[pool])) == {"waiting": 1}
    assert counted(go(state, salesforce, at=DAYS[0] + timedelta(hours=2), pools=[pool])) == {"routed": 1}
    edit(salesforce, Ref("salesforce", "lead", "1"), name="Ada")
    again = go(state, salesforce, at=DAYS[1], pools=[pool])
    assert (counted(again), again.crms["salesforce"].planned) == ({"owned": 1}, 0)


@pytest.mark.parametrize(
    ("leads", "owners"), [("salesforce", {"hubspot-bob"}), ("hubspot", {"hubspot-zoe"}), (None, {"hubspot-zoe"})]
)
def test_nobody_is_taken_away_where_the_owner_of_the_crm_that_leads_would_come_back(state, leads, owners):
    hubspot, salesforce = two_crms()
    hubspot.people = [*hubspot.people, Owner("hubspot", "hubspot-zoe", "zoe@acme.example", "Zoe")]
    edit(hubspot, ADA, owner="hubspot-bob")
    edit(salesforce, Ref("salesforce", "lead", "00Q1"), owner="salesforce-bob")
    model = NEVER_FADES.replace('to = "sales"', 'to = "sales"\nreassign = true')
    model = model.replace('members = ["ann@acme.example", "bob@acme.example"]', 'members = ["zoe@acme.example"]')
    seen, handed = [], []
    for day in range(4):
        edit(hubspot, ADA, name=f"Ada {day}")
        truth = {"truth": {"owner": leads}} if leads else {}
        done = run(state, hubspot, salesforce, at=DAYS[day], model=model, **truth)
        seen.append(held(hubspot)["1"][2])
        handed.append(done.routing["by_owner"])
    assert {*seen} == owners
    assert held(salesforce)["00Q1"][2] == "salesforce-bob"
    if leads == "salesforce":
        assert not any(handed)
        assert done.routing["reasons"] == {"no member of pool sales is a user in salesforce": 1}
