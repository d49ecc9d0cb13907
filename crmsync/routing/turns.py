"""Whose turn it is in a pool of owners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from math import lcm
from typing import NamedTuple

from crmsync.config.deciding import Member, OwnerPool
from crmsync.counts import count_of
from crmsync.identity.matching import normal_email
from crmsync.model import Standing
from crmsync.routing.calendar import absence_of, was_away

_address = lru_cache(maxsize=16_384)(normal_email)


class Load(NamedTuple):
    """What a member has: new people on this day of theirs, and people whom they own."""

    today: int = 0
    open: int = 0


class Turn(NamedTuple):
    """Whose turn it is (`None`: nobody's) and why, why each other got nothing, and what everybody of the pool has now.

    `absent` and `standings` are by address; `absent` has only those who could have had the turn.
    """

    member: str | None
    why: str
    absent: Mapping[str, str]
    standings: Mapping[str, Standing]


class _Seat(NamedTuple):
    """A member of a pool, at their place in the file.

    `share` is what one turn counts, so that `turns * share` can be compared between members of any weight without
    fractions. `out` says why they are not available, `excused` that they make up for what they miss meanwhile.
    """

    place: int
    address: str
    member: Member
    share: int
    load: Load
    out: str
    excused: bool


class _Level(NamedTuple):
    """What the lowest of those have who are level, by weight: turns and value."""

    turns: int
    value: int


def next_turn(
    pool: OwnerPool,
    standings: Mapping[str, Standing],
    loads: Mapping[str, Load],
    at: datetime,
    zone: tzinfo,
    able: frozenset[str],
    *,
    skill: str | None = None,
    worth: int = 0,
) -> Turn:
    """Whose turn it is in a pool, and what everybody has after it.

    `standings`, `loads` and `able` (who can own the records) are by address as `normal_email` has it. `worth`
    (hundredths) is what the person counts for whoever gets them.
    """
    whole = lcm(*(member.weight for member in pool.members))
    seats = [_seat_of(place, member, whole, pool, loads, at, zone, able) for place, member in enumerate(pool.members)]
    had = _welcome(seats, standings, whole)
    available = [seat for seat in seats if not seat.out]
    asked = [seat for seat in seats if skill is None or skill in seat.member.skills]
    candidates = [seat for seat in asked if not seat.out]
    absent = {seat.address: seat.out for seat in asked if seat.out}
    if not candidates:
        return Turn(None, _explain_nobody(pool, absent, skill), absent, had)

    mark = _behind_mark(available, had)
    behind = {seat.address for seat in available if _is_behind(seat, had, mark, pool, at, zone)}
    # After a turn that was made up comes somebody else: neither the one who got it nor another who is behind.
    others = [seat for seat in candidates if seat.address not in behind and not had[seat.address].made_up]
    is_after_made_up = any(each.made_up for each in had.values())
    choice = others if is_after_made_up and others else candidates
    chosen = min(choice, key=lambda seat: _order_of(seat, had[seat.address], pool.method))
    made_up = chosen.address in behind
    why = _explain(pool, chosen, had[chosen.address], len(choice), skill, made_up=made_up)

    after = {address: each._replace(made_up=False) if each.made_up else each for address, each in had.items()}
    own = after[chosen.address]
    after[chosen.address] = Standing(own.turns + 1, own.value + worth, made_up)
    if missing := [seat for seat in seats if seat.out and not seat.excused]:
        level = [seat for seat in available if seat.address not in behind]
        before, now = _lowest(level, had), _lowest(level, after)
        for seat in missing:
            since = before if _is_behind(seat, had, mark, pool, at, zone) else None
            after[seat.address] = _lift(after[seat.address], seat.member.weight, whole, since, now)
    return Turn(chosen.address, why, absent, after)


def _seat_of(
    place: int,
    member: Member,
    whole: int,
    pool: OwnerPool,
    loads: Mapping[str, Load],
    at: datetime,
    zone: tzinfo,
    able: frozenset[str],
) -> _Seat:
    address = _address(member.email)
    load = loads.get(address, _NOTHING)
    out, excused = "", False
    if address not in able:
        out = "not an active user"
    elif (absence := absence_of(member, at, zone, pool.away_lead)) is not None:
        out, excused = absence.why, absence.kind != "hours"
    elif member.daily is not None and load.today >= member.daily:
        out = f"at the daily cap of {member.daily}"
    elif member.open is not None and load.open >= member.open:
        out = f"at the cap of {member.open} open"
    return _Seat(place, address, member, whole // member.weight, load, out, excused)


_NOTHING = Load()


def _welcome(seats: Sequence[_Seat], standings: Mapping[str, Standing], whole: int) -> dict[str, Standing]:
    """The standings of a pool as it is now: who left is gone, who is new begins with as many turns as the lowest.

    The lowest of those available, if there are any, and not of those who have turns to make up: nobody else should.
    """
    known = [seat for seat in seats if seat.address in standings]
    if len(known) == len(seats):
        return {seat.address: standings[seat.address] for seat in seats}
    measure = [seat for seat in known if not seat.out] or known
    lowest = _Level(0, 0)
    if measure:
        mark = _behind_mark(measure, standings)
        lowest = _lowest([each for each in measure if _counted(each, standings) >= mark], standings)
    return {
        seat.address: standings[seat.address]
        if seat.address in standings
        else _lift(Standing(), seat.member.weight, whole, None, lowest)
        for seat in seats
    }


def _counted(seat: _Seat, standings: Mapping[str, Standing]) -> int:
    return standings[seat.address].turns * seat.share


def _behind_mark(available: Sequence[_Seat], standings: Mapping[str, Standing]) -> int:
    """Whoever has less is behind: less than the member in the middle had before their last turn.

    As long as everybody is there, nobody has: each turn goes to the one with the least. The middle, since neither
    several who come back together nor one who is far ahead (by a skill that only they have) should set the measure.
    """
    counted = sorted((_counted(seat, standings), seat.share) for seat in available)
    turns, share = counted[len(counted) // 2]
    return turns - share


def _is_behind(
    seat: _Seat, standings: Mapping[str, Standing], mark: int, pool: OwnerPool, at: datetime, zone: tzinfo
) -> bool:
    """Whether a member has turns to make up: they have fewer than the others, and days away that can have been why."""
    return _counted(seat, standings) < mark and was_away(seat.member, at, zone, pool.away_lead)


def _order_of(seat: _Seat, standing: Standing, method: str) -> tuple[int, int, int]:
    """What the methods compare; the smallest gets the turn."""
    turns = standing.turns * seat.share
    if method == "least_open":
        return seat.load.open, turns, seat.place
    if method == "value_balanced":
        return standing.value * seat.share, turns, seat.place
    return turns, seat.place, 0


def _lowest(seats: Sequence[_Seat], standings: Mapping[str, Standing]) -> _Level:
    return _Level(
        min(standings[seat.address].turns * seat.share for seat in seats),
        min(standings[seat.address].value * seat.share for seat in seats),
    )


def _lift(own: Standing, weight: int, whole: int, before: _Level | None, now: _Level) -> Standing:
    """The standing of somebody who misses a turn that is not made up: as much as the lowest has, rounded up.

    With `before`, they have days away to make up for: they keep their distance to the lowest instead.
    """
    if before is None:
        return Standing(
            max(own.turns, -(-now.turns * weight // whole)), max(own.value, -(-now.value * weight // whole))
        )
    return Standing(
        own.turns + now.turns * weight // whole - before.turns * weight // whole,
        own.value + now.value * weight // whole - before.value * weight // whole,
    )


def _explain(pool: OwnerPool, chosen: _Seat, had: Standing, count: int, skill: str | None, *, made_up: bool) -> str:
    turns = count_of(had.turns, "turn")
    if made_up:
        return f"makes up for days away in pool {pool.name}: {turns}, fewer than the others"
    weight = f" at weight {chosen.member.weight}" if chosen.member.weight != 1 else ""
    what = {
        "least_open": f"{chosen.load.open} open, the fewest",
        "value_balanced": f"worth {had.value // 100}.{had.value % 100:02}{weight}, the least",
    }.get(pool.method, f"{turns}{weight}, the fewest")
    able = f"{count} available" + (f" with the skill {skill}" if skill is not None else "")
    return f"{pool.method.replace('_', ' ')} in pool {pool.name}: {what} of {able}"


def _explain_nobody(pool: OwnerPool, absent: Mapping[str, str], skill: str | None) -> str:
    who = f"nobody of pool {pool.name}" + (f" with the skill {skill}" if skill is not None else "")
    return f"{who} is available: {', '.join(f'{address} {out}' for address, out in absent.items()) or 'there is none'}"
