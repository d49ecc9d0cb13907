"""Whether owners got in touch with the people they were given in time, and how soon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from crmsync.config.deciding import Member, OwnerPool
from crmsync.config.sla import Sla
from crmsync.config.tables import spelled_duration
from crmsync.counts import count_of
from crmsync.identity.matching import normal_email
from crmsync.model import HandedOver
from crmsync.routing.calendar import add_working_time, working_time_between


class Deadline(NamedTuple):
    """Until when a person had to be contacted, when they were, and after how much of the owner's working time.

    `breached` says that it was too late, or is by now.
    """

    hand_off: HandedOver
    due: datetime
    touched: datetime | None
    breached: bool
    took: timedelta | None


class Speed(NamedTuple):
    """How soon an owner gets in touch: of how many people, and after how many minutes of working time."""

    owner: str
    leads: int
    median_minutes: float
    p90_minutes: float


class GroupSpeed(NamedTuple):
    """The hand-offs of a group by what came of them: `open` and `touched` are all, `breached` those of both too late.

    Minutes are those of the owners' working time, `None` where nobody was contacted.
    """

    name: str
    open: int
    touched: int
    breached: int
    median_minutes: float | None
    p90_minutes: float | None


def index_members(pools: Iterable[OwnerPool]) -> dict[str, Member]:
    """The members of all pools by address; of somebody in several pools, as the first one says it."""
    members: dict[str, Member] = {}
    for pool in pools:
        for each in pool.members:
            members.setdefault(normal_email(each.email), each)
    return members


def find_breaches(
    sla: Sla, pools: Iterable[OwnerPool], hand_offs: Iterable[HandedOver], now: datetime, zone: tzinfo
) -> list[Deadline]:
    """The deadline of each hand-off that has one, in the order given.

    It begins with the later of hand-off and ownership, and only the owner's working time counts; whoever is in no pool
    works around the clock. Without a touch none is left where somebody else owns the person by now, or nobody yet.
    """
    members, found = index_members(pools), []
    for each in hand_offs:
        if (sla.stages is not None and each.stage not in sla.stages) or (each.touched is None and not each.owned):
            continue
        member = members.get(each.owner)
        start = _instant(max(each.at, each.owned_at or each.at))
        due = add_working_time(member, start, sla.within, zone)
        touched = None if each.touched is None else _instant(each.touched)
        took = None if touched is None else working_time_between(member, start, touched, zone)
        found.append(Deadline(each, due, touched, (touched or now) > due, took))
    return found


def owners_to_replace(sla: Sla | None, breaches: Iterable[Deadline]) -> dict[int, str]:
    """By person the owner (address) who is to be replaced: not of those who were given to somebody else before."""
    reroutes = sla is not None and sla.reroute
    return {each.hand_off.person: each.hand_off.owner for each in breaches if reroutes and not each.hand_off.rerouted}


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def measure_speed(deadlines: Iterable[Deadline]) -> list[Speed]:
    """How soon each owner gets in touch, by address; only those who did are counted."""
    groups = measure_groups(deadlines, lambda each: each.hand_off.owner)
    return [
        Speed(each.name, each.touched, each.median_minutes, each.p90_minutes)
        for each in groups
        if each.median_minutes is not None and each.p90_minutes is not None
    ]


def measure_groups(deadlines: Iterable[Deadline], name_group: Callable[[Deadline], str]) -> list[GroupSpeed]:
    """How soon people are contacted by whatever `name_group` says of them, by name."""
    grouped: dict[str, list[Deadline]] = {}
    for each in deadlines:
        grouped.setdefault(name_group(each), []).append(each)
    found = []
    for name, theirs in sorted(grouped.items()):
        took = [each.took.total_seconds() / 60 for each in theirs if each.took is not None]
        median, p90 = (round(_percentile(took, share), 1) for share in (0.5, 0.9)) if took else (None, None)
        late = sum(1 for each in theirs if each.breached)
        found.append(GroupSpeed(name, len(theirs) - len(took), len(took), late, median, p90))
    return found


def _percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of all lies, between the two nearest ones by how near each is."""
    ordered, place = sorted(values), share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def describe_breaches(sla: Sla, deadlines: Sequence[Deadline]) -> str:
    """That people still wait for their owner although the time is over; `""` where none does."""
    many = sum(1 for each in deadlines if each.breached and each.touched is None)
    if not many:
        return ""
    who = f"{count_of(many, 'person')} {'was' if many == 1 else 'were'}"
    return f"{who} not contacted within {spelled_duration(sla.within)}: crmsync status"
