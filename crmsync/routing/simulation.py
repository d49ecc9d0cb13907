"""What routes and pools do with the people of a period: everybody comes again, and nobody had a turn yet."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from heapq import heapify, heappop, heappush
from itertools import count
from typing import NamedTuple

from crmsync.config.deciding import COLLEAGUE_OWNER, QUEUE, OwnerPool, Route
from crmsync.config.settings import Config
from crmsync.identity.matching import normal_email
from crmsync.model import HandedOver, Holding, Standing
from crmsync.routing.assignment import Desk, Unassigned, assign_owners
from crmsync.routing.calendar import find_shift_starts, local_day
from crmsync.routing.owners import Owners
from crmsync.routing.sla import find_breaches
from crmsync.routing.turns import Load


class Arrival(NamedTuple):
    """Somebody who comes at an instant (milliseconds), and all that decides who gets them; who owns them does not.

    `total` is their score, `worth` what they count in the pools that balance values (both in hundredths);
    `account_owners` are addresses, the best one first, `colleagues` people of the same account; `touches` are the
    instants (milliseconds, ascending) at which anybody got in touch with them, as it really was.
    """

    person: int
    at: int
    email: str
    total: int
    routes: Sequence[Route]
    records: Sequence[Holding]
    worth: Mapping[str, int] = {}
    account_owners: Sequence[str] = ()
    colleagues: Sequence[int] = ()
    stage: str = ""
    touches: Sequence[int] = ()


class Assigned(NamedTuple):
    """Who got somebody and when (milliseconds): an address or a queue; `pool` is `""` where it was nobody's turn.

    `worth` (hundredths) is what the person counts for them, `waited` says that nobody could have them at once.
    """

    person: int
    at: int
    owner: str
    route: str
    pool: str
    worth: int
    waited: bool


class Unrouted(NamedTuple):
    """Somebody who came at an instant (milliseconds) and waits at the end, and why."""

    person: int
    at: int
    why: str


class RepTally(NamedTuple):
    """What somebody got by a pool (`""`: by no turn), `value` in hundredths; `open` is all they have at the end."""

    email: str
    pool: str
    leads: int
    value: int
    open: int
    waited: int
    breaches: int


class Simulation(NamedTuple):
    """Where everybody went. The leads of all `reps`, the `unrouted` and the `nurture` together are the arrivals.

    Of `reps` everybody in a pool that a route leads to comes first, in the order of the file.
    """

    reps: Sequence[RepTally]
    assigned: Sequence[Assigned]
    unrouted: Sequence[Unrouted]
    nurture: int


def simulate_routing(
    config: Config, arrivals: Iterable[Arrival], owners: Owners, start: datetime, end: datetime
) -> Simulation:
    """Route the people of a period, each as they come; who has to wait is tried again until its `end` (aware).

    It is tried whenever a member of a pool that may get them comes to work, when the patience of a pool ends, and when
    a colleague gets an owner, where a route asks for that. Those for whom it is tried at one instant are served as in a
    run: the hottest first, then who came first, then by address.
    """
    # The order of the input decides nothing.
    ranked = sorted(arrivals, key=lambda each: (-each.total, each.at, each.email, each.person))
    replay = _Replay(config, owners, ranked)
    replay.play(start, end)
    late = find_late(config, replay.arrivals, replay.assigned, end)
    return Simulation(
        _tally_reps(config, replay.assigned, late), replay.assigned, replay.find_unrouted(), replay.nurture
    )


def find_late(
    config: Config, arrivals: Mapping[int, Arrival], assigned: Iterable[Assigned], end: datetime
) -> frozenset[int]:
    """The people whom nobody touched within `[sla]` of the working time of who got them; by `end`, it was due.

    Whoever touched them counts for the one who got them here: it was mostly somebody else, and nobody knows when this
    one would have. Queues have no time.
    """
    if config.sla is None:
        return frozenset()
    handed = [
        HandedOver(each.person, each.owner, arrivals[each.person].stage, each.at, None, touched, owned=True)
        for each in assigned
        if not each.owner.startswith(QUEUE)
        for touched in [_first_touch(arrivals[each.person], each.at)]
    ]
    deadlines = find_breaches(config.sla, config.owner_pool, handed, end.astimezone(UTC), config.zone)
    return frozenset(each.hand_off.person for each in deadlines if each.breached)


def _first_touch(person: Arrival, at: int) -> int | None:
    # Touches are kept in whole seconds.
    place = bisect_left(person.touches, at // 1000 * 1000)
    return person.touches[place] if place < len(person.touches) else None


class _Kind(NamedTuple):
    """What decides whether anybody can get a person: when one has to wait, so have the others of their kind.

    `patient` are the pools whose fallback is not asked yet.
    """

    routes: tuple[str, ...]
    places: frozenset[tuple[str, str]]
    account_owners: tuple[str, ...]
    colleague_owners: tuple[str, ...]
    pools: frozenset[str]
    patient: frozenset[str]


class _Replay:
    """A period that is played again."""

    def __init__(self, config: Config, owners: Owners, ranked: Sequence[Arrival]) -> None:
        self.config, self.owners = config, owners
        self.arrivals = {each.person: each for each in ranked}
        self.ranks = {each.person: rank for rank, each in enumerate(ranked)}
        self.zone = config.zone
        self.pools = {pool.name: pool for pool in config.owner_pool}
        self.members = {normal_email(each.email): each for pool in config.owner_pool for each in pool.members}
        self.standings: Mapping[str, Mapping[str, Standing]] = {}
        self.opens: Counter[str] = Counter()
        self.todays: Counter[tuple[str, date]] = Counter()
        # Who waits, by kind and the hottest first. Whoever is of another kind by now is still there, and passed over.
        self.lines: dict[_Kind, list[tuple[int, Arrival]]] = {}
        self.kinds: dict[int, _Kind] = {}
        self.whys: dict[_Kind, str] = {}
        self.owner_of: dict[int, str] = {}
        self.assigned: list[Assigned] = []
        self.nurture = 0

    def play(self, start: datetime, end: datetime) -> None:
        """Go from instant to instant at which somebody comes, or something may have changed for who waits."""
        arriving: dict[int, list[Arrival]] = {}
        for each in self.arrivals.values():
            arriving.setdefault(each.at, []).append(each)
        opened = self._find_openings(start, end)
        tired: dict[int, list[Arrival]] = {}
        agenda, last = [*arriving, *opened], _to_ms(end)
        heapify(agenda)
        while agenda and agenda[0] <= last:
            at = heappop(agenda)
            kinds = {kind for kind in self.lines if not kind.pools.isdisjoint(opened.get(at, ()))}
            for each in tired.pop(at, ()):
                if each.person in self.kinds:
                    kinds.add(self._queue_up(each, at))
            for each in arriving.pop(at, ()):
                kinds.add(self._queue_up(each, at))
                for then in self._patience_ends(each):
                    tired.setdefault(then, []).append(each)
                    heappush(agenda, then)
            self._serve(kinds, at)

    def find_unrouted(self) -> list[Unrouted]:
        """Who waits at the end, in the order in which they came."""
        left = sorted((each for each in self.arrivals.values() if each.person in self.kinds), key=lambda each: each.at)
        return [Unrouted(each.person, each.at, self.whys[self.kinds[each.person]]) for each in left]

    def _find_openings(self, start: datetime, end: datetime) -> dict[int, set[str]]:
        """The instants at which somebody of a pool comes to work, and which pools: their new day begins there, too."""
        found: dict[int, set[str]] = {}
        for pool in find_routed_pools(self.config):
            for member in pool.members:
                for instant in find_shift_starts(member, start, end, self.zone, pool.away_lead):
                    found.setdefault(_to_ms(instant), set()).add(pool.name)
        return found

    def _patience_ends(self, person: Arrival) -> set[int]:
        """When the fallbacks of pools may be asked for somebody."""
        named = (self.pools[each.to] for each in person.routes if each.to in self.pools)
        ends = (person.at + int(pool.wait.total_seconds() * 1000) for pool in named if pool.wait is not None)
        # Whole seconds, since fractions of one are not exact in a time stamp.
        return {-(-each // 1000) * 1000 for each in ends}

    def _queue_up(self, person: Arrival, at: int) -> _Kind:
        """Let somebody wait behind those of their kind who are hotter."""
        named = [self.pools[each.to] for each in person.routes if each.to in self.pools]
        kind = _Kind(
            tuple(each.name for each in person.routes),
            frozenset((each.ref.crm, each.ref.kind) for each in person.records),
            tuple(person.account_owners),
            tuple(self._colleague_owners(person)),
            frozenset(name for pool in named for name in (pool.name, pool.fallback) if name in self.pools),
            frozenset(it.name for it in named if it.wait and at - person.at < it.wait.total_seconds() * 1000),
        )
        self.kinds[person.person] = kind
        heappush(self.lines.setdefault(kind, []), (self.ranks[person.person], person))
        return kind

    def _serve(self, kinds: Collection[_Kind], at: int) -> None:
        """Serve who waits, until nobody of these kinds can be."""
        heads = [(front[0], kind) for kind in kinds if (front := self._front(kind)) is not None]
        heapify(heads)
        while heads:
            _rank, kind = heappop(heads)
            front = self._front(kind)
            if front is None or not self._settle(front[1], kind, at):
                continue
            for each in (kind, *self._move_colleagues(front[1], at)):
                if (front := self._front(each)) is not None:
                    heappush(heads, (front[0], each))

    def _colleague_owners(self, person: Arrival) -> list[str]:
        """Who got somebody's colleagues so far, the most of them first; asked only where a route does."""
        if not _asks_colleagues(person):
            return []
        many = Counter(self.owner_of[each] for each in person.colleagues if each in self.owner_of)
        return sorted(many, key=lambda owner: (-many[owner], owner))

    def _move_colleagues(self, person: Arrival, at: int) -> list[_Kind]:
        """Those who wait and could have the owner of a colleague, now that this one has an owner."""
        if person.person not in self.owner_of:
            return []
        waiting = (self.arrivals[each] for each in person.colleagues if each in self.kinds)
        return [self._queue_up(each, at) for each in waiting if _asks_colleagues(each)]

    def _front(self, kind: _Kind) -> tuple[int, Arrival] | None:
        """Who is the first of a kind; `None` where nobody is left."""
        line = self.lines.get(kind, [])
        while line and self.kinds.get(line[0][1].person) != kind:
            heappop(line)
        if not line:
            self.lines.pop(kind, None)
        return line[0] if line else None

    def _settle(self, person: Arrival, kind: _Kind, at: int) -> bool:
        """Find somebody's owner or track; `False` if they have to wait."""
        who, waited = person.person, person.at if at > person.at else None
        asked = Unassigned(
            who,
            person.routes,
            [each._replace(owner=None) for each in person.records],
            person.worth,
            person.account_owners,
            waiting_since=waited,
            colleague_records=dict(zip(reversed(kind.colleague_owners), count(1))),
        )
        now = datetime.fromtimestamp(at / 1000, UTC)
        found = assign_owners(
            [asked],
            Desk(self.config.owner_pool, self.standings, self._loads(now), self.owners, {}, now, self.zone),
        )
        self.standings = found.standings
        hand_off = found.hand_offs.get(who)
        if hand_off is not None:
            worth = person.worth.get(hand_off.pool, person.total)
            got = Assigned(who, at, hand_off.owner, hand_off.route, hand_off.pool, worth, waited is not None)
            self.assigned.append(got)
            self.owner_of[who] = hand_off.owner
            self._note(hand_off.owner, now)
        elif who in found.tracks:
            self.nurture += 1
        else:
            self.whys[kind] = found.waiting.get(who, "no record that could be given to anybody")
            return False
        del self.kinds[who]
        return True

    def _note(self, owner: str, now: datetime) -> None:
        self.opens[owner] += 1
        if owner in self.members:
            self.todays[owner, local_day(self.members[owner], now, self.zone)] += 1

    def _loads(self, now: datetime) -> dict[str, Load]:
        """How much everybody has who has anything; what they got today is asked only where there is a cap."""
        return {
            owner: Load(0 if member.daily is None else self.todays[owner, local_day(member, now, self.zone)], many)
            for owner, many in self.opens.items()
            if (member := self.members.get(owner)) is not None
        }


def _asks_colleagues(person: Arrival) -> bool:
    return any(each.to == COLLEAGUE_OWNER for each in person.routes)


def find_routed_pools(config: Config) -> list[OwnerPool]:
    """The pools that a route leads to, and their fallbacks, in the order of the file."""
    named = {pool.name: pool for pool in config.owner_pool}
    reached = {route.to for route in config.route if route.to in named}
    reached |= {str(named[each].fallback) for each in reached}
    return [pool for pool in config.owner_pool if pool.name in reached]


def _tally_reps(config: Config, assigned: Iterable[Assigned], late: Collection[int]) -> list[RepTally]:
    by_rep: dict[tuple[str, str], list[Assigned]] = {
        (pool.name, normal_email(each.email)): [] for pool in find_routed_pools(config) for each in pool.members
    }
    others: dict[tuple[str, str], list[Assigned]] = {}
    opens: Counter[str] = Counter()
    for each in assigned:
        key = each.pool, each.owner
        (by_rep[key] if key in by_rep else others.setdefault(key, [])).append(each)
        opens[each.owner] += 1
    return [
        RepTally(
            owner,
            pool,
            len(theirs),
            sum(each.worth for each in theirs),
            opens[owner],
            sum(each.waited for each in theirs),
            sum(each.person in late for each in theirs),
        )
        for (pool, owner), theirs in (*by_rep.items(), *sorted(others.items()))
    ]


def _to_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
