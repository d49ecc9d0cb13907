"""Who gets whom: the routes of each person in turn, until somebody can own them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime, tzinfo
from itertools import islice, takewhile
from typing import NamedTuple

from crmsync.config.deciding import ACCOUNT_OWNER, COLLEAGUE_OWNER, QUEUE, OwnerPool, Route
from crmsync.identity.matching import normal_email
from crmsync.model import Holding, Ref, Standing
from crmsync.routing.owners import Owners, state_of
from crmsync.routing.turns import Load, next_turn


class Unassigned(NamedTuple):
    """Somebody who may need an owner: the person, the routes that match (the first one first), and their records.

    `worth` is what they count in a pool that balances values (hundredths, by the name of the pool), `waiting_since`
    when they first had to wait (milliseconds); the account's owners are addresses, the best one first; `colleagues` are
    people of the same account, `colleague_records` how many of their records each owner (address) has, `late` the owner
    who was not in touch in time and is replaced if somebody else is there.
    """

    person: int
    routes: Sequence[Route]
    records: Sequence[Holding]
    worth: Mapping[str, int] = {}
    account_owners: Sequence[str] = ()
    waiting_since: int | None = None
    colleagues: Sequence[int] = ()
    colleague_records: Mapping[str, int] = {}
    late: str = ""


class HandOff(NamedTuple):
    """That a person got an owner: an address or a queue; `pool` is `""` where it was nobody's turn, `rerouted` says
    that the owner before was not in touch in time.
    """

    owner: str
    route: str
    pool: str
    why: str
    rerouted: bool = False


class TakenTurn(NamedTuple):
    """Whom somebody (an address or a queue) is to get: what the person is worth in the pool (hundredths), and by the
    row id of each record the owner's id and the one before. `pool` is `""` where it was nobody's turn.
    """

    person: int
    pool: str
    member: str
    worth: int
    records: Mapping[int, tuple[str, str]]


class Assignment(NamedTuple):
    """Who got whom.

    By the row id of a record the owner's id and why; the standings of each pool; by person why they wait, the track of
    a route, the route that decided, and the hand-off; and what is to be given back of it where no CRM takes it.
    """

    owner_of: Mapping[int, str]
    why: Mapping[int, str]
    standings: Mapping[str, Mapping[str, Standing]]
    waiting: Mapping[int, str]
    tracks: Mapping[int, str]
    routes: Mapping[int, str]
    hand_offs: Mapping[int, HandOff]
    turns: Sequence[TakenTurn] = ()


NO_ASSIGNMENT = Assignment({}, {}, {}, {}, {}, {}, {})
"""Nobody was to be given to anybody."""


class Desk(NamedTuple):
    """What assigning rests on besides people and routes.

    `loads` are those of each address at the start of the run, `promised` whom an earlier run had decided on and the
    CRM had not taken (the owner's id by the row id of a record), `at` the instant of the run. The owner of the CRM that
    `leads` is carried to the others; `""` where none does.
    """

    pools: Sequence[OwnerPool]
    standings: Mapping[str, Mapping[str, Standing]]
    loads: Mapping[str, Load]
    owners: Owners
    promised: Mapping[int, str]
    at: datetime
    zone: tzinfo
    leads: str = ""


def assign_owners(people: Iterable[Unassigned], desk: Desk) -> Assignment:
    """Give an owner to the records that have none, of the people in the order given.

    A record gets the human who owns another record of the person; else the one that an earlier run had promised,
    which takes no turn; else the first route that leads to somebody decides. Where that human is unknown to a CRM, the
    next one there gets the record: a second owner is better than nobody. A record with an active owner is touched only
    by a route with `reassign`, and whoever lacks an owner in some CRM afterwards is `waiting`.
    """
    assigner = _Assigner(desk)
    for person in people:
        assigner.serve(person)
    return Assignment(
        assigner.owner_of,
        assigner.why,
        assigner.standings,
        assigner.waiting,
        assigner.tracks,
        assigner.routes,
        assigner.hand_offs,
        assigner.turns,
    )


class _Lacking(NamedTuple):
    """Why a route led to nobody, and whether the next route is asked."""

    why: str
    goes_on: bool = False


class _Assigner:
    """An assignment in the making."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.owners = desk, desk.owners
        self.pools = {pool.name: pool for pool in desk.pools}
        self.members = {pool.name: [normal_email(each.email) for each in pool.members] for pool in desk.pools}
        self.standings = {pool: dict(members) for pool, members in desk.standings.items()}
        self.loads = dict(desk.loads)
        self.owner_of: dict[int, str] = {}
        self.why: dict[int, str] = {}
        self.waiting: dict[int, str] = {}
        self.tracks: dict[int, str] = {}
        self.routes: dict[int, str] = {}
        self.hand_offs: dict[int, HandOff] = {}
        self.given_to: dict[int, str] = {}
        self.turns: list[TakenTurn] = []

    def serve(self, person: Unassigned) -> None:
        """Give each record of a person that has no owner one, or say why not."""
        humans = {each.ref: self.owners.somebody(each.ref.crm, each.owner) for each in person.records}
        held = {ref: human for ref, human in humans.items() if human is not None}
        if person.routes:
            self.routes[person.person] = person.routes[0].name
        kept: Mapping[Ref, str] = {}
        if held and (taking := self._taking_routes(person, held)):
            person, kept, held = person._replace(routes=taking), held, {}
        free = [each for each in person.records if each.ref not in held]
        if not free:
            return
        was_owned = bool(held)
        promises = {each.ref: email for each in free if (email := self._promise(each, person)) is not None}
        known = [each for each in free if self._give_known(each, held, promises)]
        held |= {each.ref: self._human(each) for each in known}
        rest = [each for each in free if each not in known]
        if rest:
            left = self._follow_routes(person, rest, held, was_owned=was_owned or bool(promises))
            self._leave_with_owners(person, left, kept, moved=len(left) < len(rest))
        if person.late:
            self.waiting.pop(person.person, None)  # they keep the owner they have
            for each in rest:
                if each.id in self.why:
                    self.why[each.id] = f"{_said_late(person)}; {self.why[each.id]}"

    def _follow_routes(
        self, person: Unassigned, free: Sequence[Holding], held: dict[Ref, str], *, was_owned: bool
    ) -> Sequence[Holding]:
        """Ask the routes in their order until every record has an owner or one of them says that the person waits; the
        records that got none.
        """
        rest, lacking = list(free), _Lacking("no [[route]] matches")
        for route in person.routes:
            self.routes[person.person] = route.name
            if not self._is_place(route.to):
                # Somebody who has an owner in one CRM is not nurtured because of the other.
                if not held:
                    self.tracks[person.person] = route.to
                return rest
            while rest:
                given = self._give_by(route, person, rest, held, count=not was_owned)
                if isinstance(given, _Lacking):
                    lacking = given
                    break
                held |= {each.ref: self._human(each) for each in given if each.id in self.owner_of}
                rest = [each for each in rest if each not in given]
                was_owned = True
            if not rest:
                return rest
            if not lacking.goes_on:
                break
        self.waiting[person.person] = lacking.why
        return rest

    def _leave_with_owners(
        self, person: Unassigned, left: Sequence[Holding], kept: Mapping[Ref, str], *, moved: bool
    ) -> None:
        """Of somebody whom a route takes away: what it cannot take stays with its owners, and so does what has none."""
        stays = {each.ref: kept[each.ref] for each in left if each.ref in kept}
        lone = [each for each in left if each.ref not in kept and not self._give_known(each, stays, {})]
        if moved and stays and not lone:
            self.waiting.pop(person.person, None)

    def _is_place(self, to: str) -> bool:
        return to in self.pools or to in (ACCOUNT_OWNER, COLLEAGUE_OWNER) or to.startswith(QUEUE) or "@" in to

    def _taking_routes(self, person: Unassigned, held: Mapping[Ref, str]) -> Sequence[Route]:
        """The routes that take a person away from an active owner, as far as they come before any that does not."""
        taking = list(takewhile(lambda route: self._takes(route, person), person.routes))
        crms = {each.ref.crm for each in person.records}
        for place, route in enumerate(taking):
            home = self._home_of(route, person)
            if self._is_astray(route, held, home):
                can_own = any((crm, human) in self.owners.by_email for crm in crms for human in home)
                if can_own or route.to in self.pools or route.to.startswith(QUEUE):
                    return taking[place:]
            else:
                return ()
        return ()

    def _takes(self, route: Route, person: Unassigned) -> bool:
        return self._is_place(route.to) if person.late else route.reassign

    def _rank_colleagues(self, person: Unassigned) -> list[str]:
        """Who owns people of the account, this person among them: the same order for all of them."""
        held = (self.owners.somebody(each.ref.crm, each.owner) for each in person.records)
        own = Counter(each for each in held if each is not None)
        records = Counter(person.colleague_records) + own
        return sorted(records, key=lambda each: (-records[each], each))

    def _is_astray(self, route: Route, held: Mapping[Ref, str], home: Set[str]) -> bool:
        """Whether somebody belongs to none of those to whom a route leads, or a record of theirs could and does not."""
        if route.to in self.pools or home.isdisjoint(held.values()):
            return home.isdisjoint(held.values())
        others = (ref.crm for ref, human in held.items() if human not in home)
        return any((crm, human) in self.owners.by_email for crm in others for human in home)

    def _home_of(self, route: Route, person: Unassigned) -> set[str]:
        """To whom a route may lead a person: who belongs to one of them already is not taken away."""
        if route.to == COLLEAGUE_OWNER:
            # One of them only, or an account of several owners would stay so.
            crms = {each.ref.crm for each in person.records}
            ranked = [each for each in self._rank_colleagues(person) if each != person.late]
            return set(islice((each for each in ranked if any((crm, each) in self.owners.by_email for crm in crms)), 1))
        if route.to not in self.pools:
            return {*self._reached_by(person._replace(routes=[route]))} - {person.late}
        pool = self.pools[route.to]
        able = [each for each in pool.members if route.skill is None or route.skill in each.skills]
        last = normal_email(pool.fallback or "")
        home = {*(normal_email(each.email) for each in able), *self.members.get(pool.fallback or "", [last])}
        return home - {person.late}

    def _human(self, record: Holding) -> str:
        owner = self.owners.by_id[record.ref.crm, self.owner_of[record.id]]
        return normal_email(owner.email) or owner.id

    def _promise(self, record: Holding, person: Unassigned) -> str | None:
        """Whom an earlier run had decided on for a record, if the person's routes still lead to them."""
        owner = self.owners.by_id.get((record.ref.crm, self.desk.promised.get(record.id, "")))
        email = normal_email(owner.email) if owner else ""
        usable = (record.ref.crm, email) in self.owners.by_email
        return email if usable and email in self._reached_by(person) else None

    def _reached_by(self, person: Unassigned) -> Iterator[str]:
        for route in person.routes:
            if route.to in self.pools:
                pool = self.pools[route.to]
                yield from self.members[route.to]
                yield from self.members.get(pool.fallback or "", [normal_email(pool.fallback or "")])
            elif route.to == ACCOUNT_OWNER:
                yield from person.account_owners
            elif route.to == COLLEAGUE_OWNER:
                yield from person.colleague_records
            else:
                yield normal_email(route.to)

    def _give_known(self, record: Holding, held: Mapping[Ref, str], promises: Mapping[Ref, str]) -> bool:
        """Give a record to whom the person belongs already, or was promised; those of the same CRM come first."""
        crm = record.ref.crm
        candidates = [(ref, human, f"same owner as {ref}") for ref, human in _same_crm_first(held, crm)]
        promised = _same_crm_first(promises, crm)
        candidates += [(ref, human, "assigned before, and the CRM had not taken it") for ref, human in promised]
        for _ref, human, why in candidates:
            if (crm, human) in self.owners.by_email:
                self._give(record, self.owners.by_email[crm, human], why)
                return True
        return False

    def _give_by(
        self, route: Route, person: Unassigned, free: Sequence[Holding], held: Mapping[Ref, str], *, count: bool
    ) -> Sequence[Holding] | _Lacking:
        """The records that somebody got by a route; `count` says that this is a hand-off."""
        if route.to in self.pools:
            return self._give_turn(route, person, free, held, count=count)
        if route.to.startswith(QUEUE):
            return self._give_queue(route.to, route, person, free, count=count)
        # Colleagues who got somebody in this run count, too: an account that arrives as a whole goes to one owner.
        theirs = [self.given_to[each] for each in person.colleagues if each in self.given_to]
        known = {ACCOUNT_OWNER: person.account_owners, COLLEAGUE_OWNER: [*self._rank_colleagues(person), *theirs]}
        whom = known.get(route.to)
        what = {ACCOUNT_OWNER: "the owner of the account", COLLEAGUE_OWNER: "the owner of most colleagues"}
        why = what.get(route.to, f"[[route]] {route.name}")
        for human in [normal_email(route.to)] if whom is None else whom:
            given = () if human == person.late else self._give_human(human, why, free, held)
            if given:
                self._note(person, HandOff(human, route.name, "", why), given, count=count)
                return given
        if whom is not None:
            return _Lacking(f"{why} is not known or not active", goes_on=True)
        return _Lacking(self._lack(free, held, [normal_email(route.to)], route.to))

    def _give_human(self, human: str, why: str, free: Sequence[Holding], held: Mapping[Ref, str]) -> Sequence[Holding]:
        if not self._can_lead(human, free):
            return ()
        given = [each for each in free if (each.ref.crm, human) in self.owners.by_email]
        for each in given:
            said = "; ".join((why, *self._strangers(held, each.ref.crm)))
            self._give(each, self.owners.by_email[each.ref.crm, human], said)
        return given

    def _can_lead(self, human: str, free: Sequence[Holding]) -> bool:
        """Whether somebody can own what leads of the records: else its owner would be carried over theirs in each run,
        and they would get the rest again in the next one.
        """
        return all((each.ref.crm, human) in self.owners.by_email for each in self._leading(free))

    def _leading(self, free: Sequence[Holding]) -> Sequence[Holding]:
        return [
            each
            for each in free
            if each.ref.crm == self.desk.leads and self.owners.somebody(each.ref.crm, each.owner) is not None
        ]

    def _give_turn(
        self, route: Route, person: Unassigned, free: Sequence[Holding], held: Mapping[Ref, str], *, count: bool
    ) -> Sequence[Holding] | _Lacking:
        """The records that the next member got; those who are in the most of the CRMs are asked first."""
        pool = self.pools[route.to]
        given, why = self._take_turn(pool, route, person, free, held, count=count)
        if given or pool.fallback is None:
            return given or _Lacking(why)
        waited = 0 if person.waiting_since is None else self.desk.at.timestamp() * 1000 - person.waiting_since
        is_there = any(each.owner == self.owners.queue_of(each.ref.crm, pool.fallback) for each in free if each.owner)
        # Whoever is in the queue of the fallback has waited already.
        if pool.wait is not None and not is_there and waited < pool.wait.total_seconds() * 1000:
            return _Lacking(f"{why}; the fallback {pool.fallback} is asked later")
        instead = f"fallback {pool.fallback}, because {why}"
        if pool.fallback in self.pools:
            given, other = self._take_turn(self.pools[pool.fallback], route, person, free, held, count=count)
            return given or _Lacking(f"{why}; {other}")
        if pool.fallback.startswith(QUEUE):
            return self._give_queue(pool.fallback, route, person, free, count=count)
        last = normal_email(pool.fallback)
        given = () if last == person.late else self._give_human(last, instead, free, held)
        if not given:
            return _Lacking(f"{why}; {self._lack(free, held, [last], pool.fallback)}")
        self._note(person, HandOff(last, route.name, "", instead), given, count=count)
        return given

    def _take_turn(
        self,
        pool: OwnerPool,
        route: Route,
        person: Unassigned,
        free: Sequence[Holding],
        held: Mapping[Ref, str],
        *,
        count: bool,
    ) -> tuple[Sequence[Holding], str]:
        crms = {each.ref.crm for each in free}
        places = {
            member: {crm for crm in crms if (crm, member) in self.owners.by_email}
            for member in self.members[pool.name]
            if member != person.late and self._can_lead(member, free)
        }
        lack = self._lack(free, held, self.members[pool.name], f"pool {pool.name}")
        for many in sorted({len(here) for here in places.values() if here}, reverse=True):
            able = frozenset(each for each, here in places.items() if len(here) == many)
            turn = next_turn(
                pool,
                self.standings.get(pool.name, {}),
                self.loads,
                self.desk.at,
                self.desk.zone,
                able,
                skill=route.skill if route.to == pool.name else None,
                worth=person.worth.get(pool.name, 0),
            )
            if turn.member is not None:
                self.standings[pool.name] = dict(turn.standings)
                given = self._give_human(turn.member, turn.why, free, held)
                self._note(person, HandOff(turn.member, route.name, pool.name, turn.why), given, count=count)
                return given, turn.why
            lack = turn.why
        return (), lack

    def _give_queue(
        self, to: str, route: Route, person: Unassigned, free: Sequence[Holding], *, count: bool
    ) -> Sequence[Holding] | _Lacking:
        """The leads go to a queue; the person's other records stay as they are."""
        name = to.removeprefix(QUEUE)
        leads = [each for each in free if each.ref.kind == "lead"]
        if not leads:
            return _Lacking("only Salesforce leads can be in a queue", goes_on=True)
        queue = self.owners.queue_of(leads[0].ref.crm, to)
        if queue is None:
            return _Lacking(f"{leads[0].ref.crm} has no queue {name}")
        fresh = [each for each in leads if each.owner != queue]
        for each in fresh:
            self._give(each, queue, f"queue {name}")
        if fresh:
            self._note(person, HandOff(to, route.name, "", f"queue {name}"), fresh, count=count)
        return free

    def _give(self, record: Holding, owner_id: str, why: str) -> None:
        self.owner_of[record.id] = owner_id
        self.why[record.id] = why

    def _note(self, person: Unassigned, hand_off: HandOff, given: Sequence[Holding], *, count: bool) -> None:
        """Count a person for whoever got them: once, though they may have records in two CRMs."""
        records = {each.id: (self.owner_of[each.id], each.owner or "") for each in given}
        worth = person.worth.get(hand_off.pool, 0)
        self.turns.append(TakenTurn(person.person, hand_off.pool, hand_off.owner, worth, records))
        if count:
            if person.late:
                hand_off = hand_off._replace(why=f"{_said_late(person)}; {hand_off.why}", rerouted=True)
            self.hand_offs[person.person] = hand_off
            self.given_to[person.person] = hand_off.owner
            load = self.loads.get(hand_off.owner, Load())
            self.loads[hand_off.owner] = Load(load.today + 1, load.open + 1)

    def _strangers(self, held: Mapping[Ref, str], crm: str) -> Iterator[str]:
        """That the owner whom the person has elsewhere cannot own a record in a CRM."""
        for ref, human in sorted(held.items()):
            if (crm, human) not in self.owners.by_email:
                unknown = state_of(self.owners, crm, human) == "missing"
                yield f"the owner in {ref.crm} is {'not a user' if unknown else 'not active'} in {crm}"
                return

    def _lack(self, free: Sequence[Holding], held: Mapping[Ref, str], whom: Sequence[str], what: str) -> str:
        """Why nobody can be given the records, in few distinct sentences: they are counted."""
        return "; ".join(
            ", and ".join((*self._strangers(held, crm), self._absence(crm, whom, what)))
            for crm in sorted({each.ref.crm for each in self._leading(free) or free})
        )

    def _absence(self, crm: str, whom: Sequence[str], what: str) -> str:
        known = any(state_of(self.owners, crm, each) != "missing" for each in whom)
        nobody = f"no member of {what} is" if what.startswith("pool ") else f"{what} is not"
        return f"{nobody} active in {crm}" if known else f"{nobody} a user in {crm}"


def _said_late(person: Unassigned) -> str:
    return f"{person.late} was not in touch in time"


def _same_crm_first(humans: Mapping[Ref, str], crm: str) -> Sequence[tuple[Ref, str]]:
    return sorted(humans.items(), key=lambda each: each[0].crm != crm)
