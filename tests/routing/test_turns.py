"""Whose turn it is in a pool."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from crmsync.config.deciding import OwnerPool
from crmsync.config.working_hours import holidays_of
from crmsync.model import Standing
from crmsync.routing.calendar import absence_of, local_day
from crmsync.routing.turns import Load, next_turn
from tests.support.reference_turns import DAY, Game, Someone

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 12, 2, 12, tzinfo=BERLIN)
NIGHT = datetime(2026, 12, 2, 3, tzinfo=BERLIN)
WEEK = "Mon-Fri 09:00-17:00"
ALWAYS = frozenset(f"{name}@x.io" for name in ["ann", "bob", "cat", "dan", "eve"])


def pool_of(*members, **told) -> OwnerPool:
    spelled = [{**({"email": each} if isinstance(each, str) else each)} for each in members]
    for each in spelled:
        each["email"] += "@x.io"
    return OwnerPool.model_validate({"name": "sales", "members": spelled, **told})


def have(**turns) -> dict[str, Standing]:
    return {f"{name}@x.io": each if isinstance(each, Standing) else Standing(each) for name, each in turns.items()}


def ask(pool, standings, *, loads=None, at=NOON, able=ALWAYS, **told):
    loaded = {f"{name}@x.io": load for name, load in (loads or {}).items()}
    return next_turn(pool, standings, loaded, at, BERLIN, able, **told)


def run(pool, standings, count, **told) -> tuple[str, dict[str, Standing]]:
    got = ""
    for _ in range(count):
        turn = ask(pool, standings, **told)
        got, standings = got + (turn.member or "-")[0], dict(turn.standings)
    return got, standings


def test_round_robin_goes_by_the_order_of_the_file():
    got, standings = run(pool_of("cat", "ann", "bob"), {}, 7)
    assert got == "cabcabc"
    assert standings == have(cat=3, ann=2, bob=2)


def test_weights_share_the_turns():
    pool = pool_of({"email": "ann", "weight": 3}, {"email": "bob", "weight": 1}, method="weighted")
    assert Counter(run(pool, {}, 400)[0]) == {"a": 300, "b": 100}
    assert run(pool, {}, 8)[0] == "abaaabaa"


def test_ratios_are_compared_exactly():
    big = 10**17
    pool = pool_of({"email": "ann", "weight": 3}, {"email": "bob", "weight": 1}, method="weighted")
    assert ask(pool, have(ann=3 * big + 1, bob=big)).member == "bob@x.io"
    assert ask(pool, have(ann=3 * big, bob=big)).member == "ann@x.io"


def test_why_it_is_their_turn():
    assert ask(pool_of("ann", "bob"), have(ann=4, bob=3)).why == (
        "round robin in pool sales: 3 turns, the fewest of 2 available"
    )
    weighted = pool_of({"email": "ann", "weight": 2}, "bob", method="weighted")
    assert ask(weighted, have(ann=1, bob=1)).why == (
        "weighted in pool sales: 1 turn at weight 2, the fewest of 2 available"
    )


def test_addresses_are_compared_as_everywhere():
    pool = pool_of("Ann", "BOB")
    turn = ask(pool, have(ann=2, bob=1))
    assert turn.member == "bob@x.io"
    assert list(turn.standings) == ["ann@x.io", "bob@x.io"]


def test_nobody_is_available():
    pool = pool_of(
        {"email": "ann", "daily": 5},
        {"email": "bob", "away": "2026-12-01/2026-12-05"},
        {"email": "cat", "open": 1},
        "dan",
    )
    before = have(ann=9, bob=Standing(2, 7, True), cat=0, dan=1)
    turn = ask(pool, before, loads={"ann": Load(5, 5), "cat": Load(0, 1)}, able=ALWAYS - {"dan@x.io"})
    assert turn.member is None
    assert turn.why == (
        "nobody of pool sales is available: ann@x.io at the daily cap of 5, bob@x.io away until 2026-12-05, "
        "cat@x.io at the cap of 1 open, dan@x.io not an active user"
    )
    assert list(turn.absent) == ["ann@x.io", "bob@x.io", "cat@x.io", "dan@x.io"]
    assert turn.standings == before


def test_least_open_and_its_ties():
    pool = pool_of("ann", "bob", "cat", method="least_open")
    loads = {"ann": Load(0, 4), "bob": Load(0, 3), "cat": Load(0, 3)}
    assert ask(pool, have(ann=0, bob=2, cat=1), loads=loads).member == "cat@x.io"
    assert ask(pool, have(ann=0, bob=1, cat=1), loads=loads).member == "bob@x.io"
    assert ask(pool, have(ann=0, bob=1, cat=1), loads=loads).why == (
        "least open in pool sales: 3 open, the fewest of 3 available"
    )


def test_value_balanced_counts_what_people_are_worth():
    pool = pool_of({"email": "ann", "weight": 2}, "bob", method="value_balanced")
    turn = ask(pool, have(ann=Standing(5, 3000), bob=Standing(1, 2000)), worth=250)
    assert turn.member == "ann@x.io"
    assert turn.standings == have(ann=Standing(6, 3250), bob=Standing(1, 2000))
    assert turn.why == "value balanced in pool sales: worth 30.00 at weight 2, the least of 2 available"
    assert ask(pool, have(ann=Standing(5, 4000), bob=Standing(1, 2000))).member == "bob@x.io"


def test_only_those_with_the_skill_are_asked():
    pool = pool_of({"email": "ann", "skills": "german"}, "bob", {"email": "cat", "skills": "german", "hours": WEEK})
    turn = ask(pool, have(ann=8, bob=1, cat=2), at=NIGHT, skill="german")
    assert turn.member == "ann@x.io"
    assert turn.absent == {"cat@x.io": "outside working hours"}
    assert turn.standings["bob@x.io"] == Standing(1)
    assert turn.why == "round robin in pool sales: 8 turns, the fewest of 1 available with the skill german"
    assert ask(pool, {}, skill="greek").why == "nobody of pool sales with the skill greek is available: there is none"


def test_whoever_was_passed_over_for_a_skill_gets_the_next_ones():
    pool = pool_of({"email": "ann", "skills": "german"}, "bob")
    standings = run(pool, {}, 4, skill="german")[1]
    assert run(pool, standings, 5)[0] == "bbbba"


def test_the_daily_cap_is_of_the_members_own_day():
    member = pool_of({"email": "ann", "daily": 1, "timezone": "America/New_York"}).members[0]
    late = datetime(2026, 12, 2, 23, 30, tzinfo=UTC)
    days = [local_day(member, late + timedelta(hours=hours), BERLIN) for hours in (0, 5, 6)]
    assert days == [date(2026, 12, 2), date(2026, 12, 2), date(2026, 12, 3)]


@pytest.mark.parametrize(
    ("who", "told", "loads", "able"),
    [
        ({"hours": "Mon-Fri 14:00-17:00"}, {}, {}, ALWAYS),
        ({"daily": 3}, {}, {"bob": Load(3, 0)}, ALWAYS),
        ({"open": 3}, {}, {"bob": Load(0, 3)}, ALWAYS),
        ({}, {}, {}, ALWAYS - {"bob@x.io"}),
        ({"hours": "Mon-Fri 14:00-17:00", "holidays": "DE"}, {}, {}, ALWAYS),
    ],
)
def test_turns_missed_for_hours_caps_or_being_inactive_are_not_made_up(who, told, loads, able):
    pool = pool_of("ann", {"email": "bob", **who}, "cat")
    got, standings = run(pool, have(ann=10, bob=10, cat=10), 20, loads=loads, able=able)
    assert got == "ac" * 10
    assert standings == have(ann=20, bob=20, cat=20)
    assert run(pool, standings, 6, at=NOON.replace(hour=15))[0] == "abcabc"


def test_turns_missed_while_away_are_made_up_every_second_time():
    pool = pool_of("ann", {"email": "bob", "away": "2026-12-02"}, "cat")
    got, standings = run(pool, have(ann=10, bob=10, cat=10), 10)
    assert got == "acacacacac"
    assert standings == have(ann=15, bob=10, cat=15)
    back = NOON + timedelta(days=1)
    turn = ask(pool, standings, at=back)
    assert turn.why == "makes up for days away in pool sales: 10 turns, fewer than the others"
    assert turn.standings["bob@x.io"] == Standing(11, 0, True)
    second = ask(pool, turn.standings, at=back)
    assert (second.member, second.standings["bob@x.io"].made_up) == ("ann@x.io", False)
    got, standings = run(pool, standings, 30, at=back)
    assert max(standings.values()).turns - min(standings.values()).turns <= 1
    assert got[:13] == "babcbabcbabcb"  # then level


def test_before_they_are_level_nobody_gets_two_in_a_row():
    pool = pool_of("ann", {"email": "bob", "away": "2026-12-01"}, "cat")
    standings = have(ann=30, bob=10, cat=30)
    last = ""
    while True:
        turn = ask(pool, standings)
        if standings["bob@x.io"].turns >= min(standings["ann@x.io"].turns, standings["cat@x.io"].turns):
            break
        assert (last, turn.member) != ("bob@x.io", "bob@x.io")
        last, standings = turn.member, turn.standings


def test_a_holiday_is_made_up_too():
    pool = pool_of("ann", {"email": "bob", "holidays": "DE-BY"}, "cat")
    epiphany = datetime(2026, 1, 6, 12, tzinfo=BERLIN)
    got, standings = run(pool, have(ann=0, bob=0, cat=0), 10, at=epiphany)
    assert got == "acacacacac"
    assert ask(pool, standings, at=epiphany + DAY).why.startswith("makes up for days away")


def test_nights_do_not_take_away_what_is_to_be_made_up_nor_add_to_it():
    pool = pool_of("ann", {"email": "bob", "away": "2026-12-01", "hours": WEEK}, "cat")
    _, standings = run(pool, have(ann=5, bob=5, cat=5), 20, at=NOON - DAY)
    assert standings == have(ann=15, bob=5, cat=15)
    _, standings = run(pool, standings, 20, at=NIGHT)
    assert standings == have(ann=25, bob=15, cat=25)


def test_several_who_come_back_share_every_second_turn():
    back = {"away": "2026-12-01"}
    pool = pool_of("ann", {"email": "bob", **back}, {"email": "cat", **back}, "dan", "eve")
    got, _ = run(pool, have(ann=20, bob=10, cat=10, dan=20, eve=20), 12)
    assert got == "bacdbeca" + got[8:]
    assert sum(got.count(name) for name in "bc") == 6


def test_in_a_pool_of_two_the_other_goes_on_getting_every_second_turn():
    pool = pool_of("ann", {"email": "bob", "away": "2026-12-01"})
    assert run(pool, have(ann=20, bob=0), 10)[0] == "ba" * 5


def test_nobody_is_said_to_make_up_for_days_away_who_had_none():
    turn = ask(pool_of("ann", "bob", "cat"), have(ann=20, bob=0, cat=20))
    assert turn.member == "bob@x.io"
    assert not turn.standings["bob@x.io"].made_up


def test_who_is_new_begins_with_the_lowest():
    pool = pool_of(
        "ann", "bob", {"email": "cat", "weight": 2}, {"email": "dan", "away": "2026-12-01"}, method="weighted"
    )
    standings = have(ann=Standing(12, 50), bob=Standing(11, 70), dan=Standing(2), gone=Standing(1, 0, True))
    turn = ask(pool, standings)
    assert turn.standings["cat@x.io"].turns == 22
    assert "gone@x.io" not in turn.standings
    # Also where nobody is available, and where nobody else is there to compare with.
    assert ask(pool, standings, able=frozenset()).standings["cat@x.io"].turns == 22
    assert ask(pool, {}, able=frozenset()).standings == have(ann=0, bob=0, cat=0, dan=0)


PEOPLE = {
    "ann": {"zone": "Europe/Berlin"},
    "bob": {"zone": "America/New_York"},
    "cat": {"zone": "Europe/Berlin", "weight": 3, "hours": (["Mon", "Tue", "Wed", "Thu", "Fri"], "09:00-17:00")},
    "dan": {"zone": "America/New_York", "hours": (["Mon", "Tue", "Wed", "Thu", "Fri"], "08:30-16:00"), "daily": 20},
    "eve": {"zone": "Asia/Tokyo", "away": [(date(2026, 3, 17), date(2026, 3, 26))]},
    "fay": {"zone": "Asia/Tokyo", "weight": 2, "cap": 300, "away": [(date(2026, 3, 9), date(2026, 3, 10))]},
    "gus": {
        "zone": "Europe/Berlin",
        "hours": (["Tue", "Wed", "Thu", "Sat"], "10:00-18:00"),
        "away": [(date(2026, 3, 7), date(2026, 3, 11))],
        "holidays": "DE-BE",
    },
}


def both_ways():
    told, people = [], []
    begin = date(2025, 1, 1)
    for name, each in PEOPLE.items():
        days, clock = each.get("hours", (None, None))
        region = each.get("holidays")
        away = each.get("away", [])
        entry = {"email": name, "timezone": each["zone"], "weight": each.get("weight", 1), "holidays": region}
        entry |= {"daily": each.get("daily"), "open": each.get("cap"), "away": [f"{a}/{b}" for a, b in away]}
        entry |= {"hours": ", ".join(f"{day} {clock}" for day in days) if days else None}
        told.append(entry)
        free = [begin + DAY * n for n in range(500) if begin + DAY * n in holidays_of(region)] if region else []
        people.append(
            Someone(
                f"{name}@x.io",
                each["zone"],
                weight=entry["weight"],
                daily=entry["daily"],
                cap=entry["open"],
                days=days,
                clock=clock,
                away=away,
                holidays=free,
            )
        )
    return pool_of(*told, method="weighted"), people


def simulate(pool, give, count=10_000):
    """Who gets each of the people who arrive within 30 days; some of those owned are closed again."""
    chance = random.Random(7)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    minutes = sorted(chance.randrange(30 * 24 * 60) for _ in range(count))
    today, days, owned, got = Counter(), {}, Counter(), []
    for minute in minutes:
        at = start + timedelta(minutes=minute)
        for member in pool.members:
            day = local_day(member, at, UTC)
            if days.get(member.email) != day:
                days[member.email], today[member.email] = day, 0
        if owned and chance.random() < 0.1:
            owned[chance.choice(sorted(owned))] -= 1
            owned = +owned
        who = give(at, today, owned)
        got.append((at, who))
        if who is not None:
            today[who] += 1
            owned[who] += 1
    return got


def by_product(pool, *, shuffled=False):
    standings = {each.email: Standing() for each in pool.members}
    able = frozenset(standings)
    spreads = []

    def give(at, today, owned):
        nonlocal standings
        names = sorted(standings, reverse=shuffled)
        loads = {name: Load(today[name], owned[name]) for name in names}
        turn = next_turn(pool, {name: standings[name] for name in names}, loads, at, UTC, able)
        standings = turn.standings
        spreads.append(abs(standings["ann@x.io"].turns - standings["bob@x.io"].turns))
        return turn.member

    return simulate(pool, give), spreads


def test_a_month_of_leads_is_as_the_reference_has_it():
    pool, people = both_ways()
    got, spreads = by_product(pool)
    assert got == simulate(pool, Game(people).give)
    assert got == by_product(pool, shuffled=True)[0]
    assert max(spreads) <= 1  # of those who are always there

    members = {member.email: member for member in pool.members}
    a_day = Counter((who, local_day(members[who], at, UTC)) for at, who in got if who)
    assert max(count for (who, _), count in a_day.items() if who == "dan@x.io") == 20
    assert all(absence_of(members[who], at, UTC, pool.away_lead) is None for at, who in got if who)
    assert set(Counter(who for _, who in got)) == set(members)
    for name in ("ann@x.io", "bob@x.io"):
        assert len({at.date() for at, who in got if who == name}) == 30
