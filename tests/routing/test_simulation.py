"""The people of some days come again: who gets them, who waits, and that nobody is lost."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest

from crmsync.config import config_class
from crmsync.model import Holding, Owner, Ref
from crmsync.routing.owners import owners_of
from crmsync.routing.simulation import Arrival, simulate_routing

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 11, 2, tzinfo=BERLIN)  # a Monday
END = START + timedelta(days=14, seconds=-1)
WEEK = "Mon-Fri 09:00-17:00"
ROUTES = [{"name": "all", "to": "sales"}]


def config(*members, routes=ROUTES, pools=(), sla=None, **told):
    """A config with a pool of members, and more pools."""
    spelled = [{**({"email": each} if isinstance(each, str) else each)} for each in members]
    for each in spelled:
        each["email"] += "@x.io"
    sales = {"name": "sales", "members": spelled, **told}
    return config_class()(
        schedule={"timezone": "Europe/Berlin"}, owner_pool=[sales, *pools], route=routes, tracks={"later": {}}, sla=sla
    )


USERS = ["ann", "bob", "cat", "dan", "eve", "zoe"]
OWNERS = owners_of(
    [
        *(Owner("crm", f"id-{name}", f"{name}@x.io", name) for name in USERS),
        Owner("crm", "id-queue", "", "Inbound", kind="queue"),
    ],
    (),
)


def ms(at):
    return int(at.timestamp() * 1000)


def lead(person):
    return Holding(person, Ref("crm", "lead", str(person)), person, "", None, "id-zoe", {}, {}, {}, {}, 0)


def arrival(settings, person, at, total=5_000, routes=None, **more):
    return Arrival(person, ms(at), f"p{person}@firm.example", total, routes or settings.route, [lead(person)], **more)


def spread(settings, many, seed=1, **more):
    """Arrivals at any second of the two weeks."""
    drawn = random.Random(seed)
    whole = int((END - START).total_seconds())
    return [
        arrival(settings, number, START + timedelta(seconds=drawn.randrange(whole)), drawn.randrange(10_000), **more)
        for number in range(1, many + 1)
    ]


def simulate(settings, arrivals, end=END):
    done = simulate_routing(settings, arrivals, OWNERS, START, end)
    assert len(list(arrivals)) == sum(each.leads for each in done.reps) + len(done.unrouted) + done.nurture
    assert len(done.assigned) == sum(each.leads for each in done.reps)
    return done


def leads(done):
    return {each.email.removesuffix("@x.io"): each.leads for each in done.reps}


def at(day, hour, minute=0):
    return START.replace(day=day, hour=hour, minute=minute)


def test_round_robin_is_fair_where_everybody_is_always_there():
    settings = config("ann", "bob", "cat")
    done = simulate(settings, spread(settings, 500))
    assert sorted(leads(done).values()) == [166, 167, 167]
    assert {each.waited for each in done.reps} == {0}


def test_everybody_of_a_routed_pool_is_there_in_the_order_of_the_file():
    spare = {"name": "spare", "members": ["dan@x.io"]}
    back = {"name": "back", "members": ["eve@x.io", "ann@x.io"]}
    settings = config("cat", "nobody", "ann", pools=[spare, back], fallback="back")
    done = simulate(settings, spread(settings, 3))
    assert [(each.email, each.pool, each.leads) for each in done.reps] == [
        ("cat@x.io", "sales", 2),
        ("nobody@x.io", "sales", 0),
        ("ann@x.io", "sales", 1),
        ("eve@x.io", "back", 0),
        ("ann@x.io", "back", 0),
    ]
    assert [each.open for each in done.reps] == [2, 0, 1, 0, 1]


def test_caps_are_never_exceeded():
    settings = config({"email": "ann", "daily": 3}, {"email": "bob", "daily": 4, "open": 30, "hours": WEEK})
    done = simulate(settings, spread(settings, 400))
    days = Counter((it.owner, datetime.fromtimestamp(it.at / 1000, BERLIN).date()) for it in done.assigned)
    assert max(many for (owner, _day), many in days.items() if owner == "ann@x.io") == 3
    assert max(many for (owner, _day), many in days.items() if owner == "bob@x.io") == 4
    assert leads(done) == {"ann": 14 * 3, "bob": 30}
    assert len(done.unrouted) == 400 - 42 - 30


def test_the_day_of_a_cap_is_the_members_own():
    settings = config({"email": "ann", "daily": 1, "timezone": "Asia/Tokyo"})
    # In Tokyo the next day begins at 16:00 of Berlin.
    done = simulate(settings, [arrival(settings, number, at(3, 9)) for number in (1, 2, 3)])
    assert [each.at for each in done.assigned] == [ms(at(3, 9)), ms(at(3, 16)), ms(at(4, 16))]
    assert done.reps[0].waited == 2


def test_who_comes_at_night_waits_until_somebody_is_there():
    settings = config(
        {"email": "ann", "hours": WEEK}, {"email": "bob", "hours": "Mon-Fri 09:30-12:00, Mon-Fri 13:00-17:00"}
    )
    came = [arrival(settings, number, at(3, 3, number)) for number in range(1, 5)]
    done = simulate(settings, [*came, arrival(settings, 9, at(7, 12))])
    assert [(it.person, it.owner, it.at) for it in done.assigned] == [
        *((number, "ann@x.io", ms(at(3, 9))) for number in range(1, 5)),
        (9, "ann@x.io", ms(at(9, 9))),
    ]
    assert [each.waited for each in done.reps] == [5, 0]


def test_a_lunch_break_ends_on_the_same_day():
    settings = config({"email": "bob", "hours": "Mon-Fri 09:30-12:00, Mon-Fri 13:00-17:00"})
    done = simulate(settings, [arrival(settings, 1, at(3, 12, 10))])
    assert [each.at for each in done.assigned] == [ms(at(3, 13))]


def test_those_who_waited_are_served_as_in_a_run():
    settings = config({"email": "ann", "hours": WEEK, "daily": 2})
    totals = {1: 10_00, 2: 30_00, 3: 20_00, 4: 30_00}
    came = [arrival(settings, number, at(3, 3, number), total) for number, total in totals.items()]
    done = simulate(settings, came)
    assert [(it.person, it.at) for it in done.assigned] == [
        (2, ms(at(3, 9))), (4, ms(at(3, 9))), (3, ms(at(4, 9))), (1, ms(at(4, 9))),
    ]  # fmt: skip


def test_of_those_who_come_at_once_the_hottest_is_first_and_then_the_address_decides():
    settings = config("ann", "bob", "cat")
    came = [arrival(settings, 3, at(3, 3), 10_00), arrival(settings, 2, at(3, 3), 20_00)]
    done = simulate(settings, [*came, arrival(settings, 1, at(3, 3), 10_00)])
    assert [each.person for each in done.assigned] == [2, 1, 3]


@pytest.mark.parametrize("method", ["round_robin", "least_open", "value_balanced"])
def test_the_order_of_the_input_decides_nothing(method):
    members = [{"email": name, "hours": WEEK, "daily": 5} for name in USERS[:3]]
    settings = config(*members, "dan", method=method)
    came = [each._replace(at=each.at // 3_600_000 * 3_600_000) for each in spread(settings, 300)]
    first = simulate(settings, came)
    for seed in range(3):
        random.Random(seed).shuffle(came)
        assert simulate(settings, came) == first


def test_nobody_is_lost_between_routes():
    routes = [
        {"name": "hot", "to": "sales", "when": {"field": "score", "gte": 80}},
        {"name": "queue", "to": "queue:Inbound", "when": {"field": "score", "gte": 60}},
        {"name": "zoe", "to": "zoe@x.io", "when": {"field": "score", "gte": 40}},
        {"name": "nobody", "to": "who@x.io", "when": {"field": "score", "gte": 20}},
        {"name": "rest", "to": "later"},
    ]
    settings = config({"email": "ann", "daily": 2}, routes=routes)
    found = [
        each._replace(routes=settings.route[4 - min(each.total // 2_000, 4) :]) for each in spread(settings, 1_000)
    ]
    done = simulate(settings, found)
    assert [(each.email, each.pool) for each in done.reps] == [
        ("ann@x.io", "sales"), ("queue:Inbound", ""), ("zoe@x.io", ""),
    ]  # fmt: skip
    groups = Counter(each.total // 2_000 for each in found)
    assert [each.leads for each in done.reps] == [28, groups[3], groups[2]]
    assert done.nurture == groups[0]
    assert Counter(each.why for each in done.unrouted)["who@x.io is not a user in crm"] == groups[1]
    assert len(done.unrouted) == groups[1] + groups[4] - 28
    assert [each.at for each in done.unrouted] == sorted(each.at for each in done.unrouted)


def test_the_value_of_a_pool_is_its_field_or_the_scores():
    settings = config("ann", "bob", method="value_balanced")
    came = [arrival(settings, 1, at(3, 9), 1_050), arrival(settings, 2, at(3, 10), 2_000)]
    assert [each.value for each in simulate(settings, came).reps] == [1_050, 2_000]
    came = [each._replace(worth={"sales": 77}) for each in came]
    assert [each.value for each in simulate(settings, came).reps] == [77, 77]


def test_the_fallback_is_asked_when_the_wait_is_over():
    back = {"name": "back", "members": ["eve@x.io"]}
    settings = config({"email": "ann", "hours": WEEK}, pools=[back], fallback="back", wait="2h")
    odd = at(3, 3) + timedelta(milliseconds=123)
    came = [arrival(settings, 1, odd), arrival(settings, 2, at(3, 8)), arrival(settings, 3, at(3, 10))]
    done = simulate(settings, came)
    assert [(it.person, it.owner, it.at) for it in done.assigned] == [
        (1, "eve@x.io", ms(at(3, 5)) + 1_000),
        (2, "ann@x.io", ms(at(3, 9))),
        (3, "ann@x.io", ms(at(3, 10))),
    ]
    assert {each.email: each.waited for each in done.reps} == {"ann@x.io": 1, "eve@x.io": 1}


def test_who_waits_for_a_skill_is_in_nobodys_way():
    routes = [{"name": "german", "to": "sales", "skill": "german", "when": {"field": "score", "gte": 0}}, *ROUTES]
    settings = config({"email": "ann", "skills": "german", "hours": WEEK}, "bob", routes=routes)
    came = [arrival(settings, 1, at(3, 3)), arrival(settings, 2, at(3, 4), routes=settings.route[1:])]
    done = simulate(settings, came)
    assert [(it.person, it.owner, it.at, it.waited) for it in done.assigned] == [
        (2, "bob@x.io", ms(at(3, 4)), False), (1, "ann@x.io", ms(at(3, 9)), True),
    ]  # fmt: skip


def test_the_owner_of_most_colleagues_is_who_got_them_here():
    routes = [{"name": "colleague", "to": "colleague_owner", "when": {"field": "score", "gte": 0}}, *ROUTES]
    settings = config("ann", "bob", routes=routes)
    came = [
        arrival(settings, 1, at(3, 1), colleagues=[3, 4, 99]),
        arrival(settings, 2, at(3, 2)),
        arrival(settings, 3, at(3, 3), colleagues=[1, 4, 99]),
        arrival(settings, 4, at(3, 4), colleagues=[1, 3, 99]),
        arrival(settings, 5, at(3, 5)),
    ]
    done = simulate(settings, came)
    assert [(it.owner[:3], it.route, it.pool) for it in done.assigned] == [
        ("ann", "all", "sales"),
        ("bob", "all", "sales"),
        ("ann", "colleague", ""),
        ("ann", "colleague", ""),
        ("ann", "all", "sales"),
    ]
    assert [(each.email, each.pool, each.leads, each.open) for each in done.reps] == [
        ("ann@x.io", "sales", 2, 4), ("bob@x.io", "sales", 1, 1), ("ann@x.io", "", 2, 4),
    ]  # fmt: skip


def test_who_waits_goes_where_a_colleague_goes():
    routes = [{"name": "colleague", "to": "colleague_owner", "when": {"field": "score", "gte": 0}}, *ROUTES]
    settings = config({"email": "ann", "hours": WEEK, "daily": 1}, routes=routes)
    zoe = config("ann", routes=[{"name": "zoe", "to": "zoe@x.io"}]).route
    came = [
        arrival(settings, 1, at(3, 1), 10_00, colleagues=[2, 3]),
        arrival(settings, 2, at(3, 2), colleagues=[1, 3]),
        arrival(settings, 3, at(7, 12), routes=zoe, colleagues=[1, 2]),
        arrival(settings, 4, at(7, 11), colleagues=[5]),
        arrival(settings, 5, at(7, 12), routes=zoe, colleagues=[4]),
    ]
    done = simulate(settings, came)
    assert [(it.person, it.owner[:3], it.route, it.at) for it in done.assigned] == [
        (2, "ann", "all", ms(at(3, 9))),
        (1, "ann", "colleague", ms(at(3, 9))),
        (3, "zoe", "zoe", ms(at(7, 12))),
        (5, "zoe", "zoe", ms(at(7, 12))),
        (4, "zoe", "colleague", ms(at(7, 12))),
    ]


def test_the_owner_of_the_account_is_asked_first():
    routes = [{"name": "account", "to": "account_owner", "when": {"field": "score", "gte": 0}}, *ROUTES]
    settings = config("ann", routes=routes)
    came = [arrival(settings, 1, at(3, 1), account_owners=["zoe@x.io"]), arrival(settings, 2, at(3, 1))]
    assert [(it.owner, it.route) for it in simulate(settings, came).assigned] == [
        ("zoe@x.io", "account"), ("ann@x.io", "all"),
    ]  # fmt: skip


def test_who_still_waits_at_the_end_is_told_with_the_last_reason():
    settings = config({"email": "ann", "hours": WEEK})
    done = simulate(settings, [arrival(settings, 1, at(7, 12))], end=at(8, 12))
    (left,) = done.unrouted
    assert (left.person, left.at) == (1, ms(at(7, 12)))
    assert left.why == "nobody of pool sales is available: ann@x.io outside working hours"


def test_a_day_away_passes():
    settings = config({"email": "ann", "away": "2026-11-03/2026-11-04"})
    done = simulate(settings, [arrival(settings, 1, at(3, 12))])
    assert [each.at for each in done.assigned] == [ms(at(5, 0))]


@pytest.mark.parametrize("cap", [None, 20])
def test_ten_thousand_arrivals_take_seconds(cap):
    told = {} if cap is None else {"daily": cap}
    settings = config(*({"email": f"m{number}", "hours": WEEK, **told} for number in range(12)))
    owners = owners_of([Owner("crm", str(number), f"m{number}@x.io", "") for number in range(12)], ())
    came = spread(settings, 10_000)
    begun = process_time()
    done = simulate_routing(settings, came, owners, START.astimezone(UTC), END)
    assert process_time() - begun < 20  # two on an idle desk
    assert sum(each.leads for each in done.reps) == (10_000 - len(done.unrouted))


def breaches(done):
    return {each.email.removesuffix("@x.io"): each.breaches for each in done.reps}


FOUR_HOURS = {"within": "4h"}


def touched(settings, person, came, *touches, **more):
    return arrival(settings, person, came, touches=[ms(each) for each in touches], **more)


def test_a_touch_after_the_time_is_a_breach_of_who_got_the_person_here_and_one_at_its_end_is_not():
    settings = config("ann", sla=FOUR_HOURS)
    late, just = at(3, 12) + timedelta(hours=4, seconds=1), at(3, 13) + timedelta(hours=4)
    came = [touched(settings, 1, at(3, 12), late), touched(settings, 2, at(3, 13), just)]
    assert breaches(simulate(settings, came)) == {"ann": 1}


def test_only_the_first_touch_after_the_assignment_counts():
    settings = config({"email": "ann", "hours": WEEK}, sla=FOUR_HOURS)
    night = at(2, 20)  # assigned at nine in the morning: the touch of the evening was before that
    came = [
        touched(settings, 1, night, at(2, 21), at(3, 14)),
        touched(settings, 2, night, at(2, 21), at(3, 9), at(4, 9)),
    ]
    assert breaches(simulate(settings, came)) == {"ann": 1}


def test_only_the_working_time_of_the_assigned_member_counts():
    came, touch = at(3, 16), at(4, 11)  # five hours and more by the clock, three of work
    weekly, always = config({"email": "ann", "hours": WEEK}, sla=FOUR_HOURS), config("ann", sla=FOUR_HOURS)
    assert breaches(simulate(weekly, [touched(weekly, 1, came, touch)])) == {"ann": 0}
    assert breaches(simulate(always, [touched(always, 1, came, touch)])) == {"ann": 1}


def test_without_a_touch_it_is_a_breach_once_it_was_due():
    settings = config("ann", sla=FOUR_HOURS)
    came = [touched(settings, 1, END - timedelta(hours=4, seconds=1)), touched(settings, 2, END - timedelta(hours=4))]
    assert breaches(simulate(settings, came)) == {"ann": 1}


def test_only_the_stages_of_the_sla_can_be_late_and_queues_never_are():
    settings = config("ann", sla={**FOUR_HOURS})
    narrow = settings.model_copy(update={"sla": settings.sla.model_copy(update={"stages": ["mql"]})})
    came = [touched(narrow, 1, at(3, 9), stage="lead"), touched(narrow, 2, at(3, 9), stage="mql")]
    assert breaches(simulate(narrow, came)) == {"ann": 1}
    queued = config("ann", routes=[{"name": "all", "to": "queue:Inbound"}], sla=FOUR_HOURS)
    done = simulate(queued, [touched(queued, 1, at(3, 9))])
    assert [(each.leads, each.breaches) for each in done.reps] == [(1, 0)]


def test_without_sla_there_are_no_breaches():
    settings = config("ann")
    assert breaches(simulate(settings, [touched(settings, 1, at(3, 9))])) == {"ann": 0}
