"""The tables that decide: stages, routes, owner pools, tracks, and who is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from crmsync.config.conditions import Condition
from crmsync.config.mistakes import Loc, Mistake, suggest_name
from crmsync.config.tables import Duration, Table
from crmsync.config.units import _listed, check_address, check_zone
from crmsync.config.working_hours import Away, Hours, Region

Spelling = str | dict[str, str]
"""A field or value as one CRM spells it: one spelling, or one for each kind: `{lead = "Company", contact = "…"}`."""

FieldSpelling = str | list[str] | dict[str, str | list[str]]
"""The same for a field that may be mapped to several of a CRM's: the first one that has a value counts."""


def _per_crm(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(f'write the name in each CRM, for example {{ hubspot = "{value}" }}')
    return value


PerCrm = Annotated[dict[str, Spelling], BeforeValidator(_per_crm)]
"""What each CRM that has it calls a field or value."""

FieldPerCrm = Annotated[dict[str, FieldSpelling], BeforeValidator(_per_crm)]
"""The same of a field that may be mapped to several of a CRM's."""

ACCOUNT_SCORE_FIELDS = ("account.score", "account.people", "account.missing_roles")
"""What only `[account]` tells of an account."""

DECIDED_FIELDS = (
    *("email", "stage", "score", "fit", "behavior", "band", "grade", "level", "segment", "track", "owner"),
    *("source", "lead_type", "qualifications", "rules"),
    *("account.name", "account.owner", "account.active_people"),
    *ACCOUNT_SCORE_FIELDS,
)
"""What a condition of a route, stage or track may read besides `[fields]`: all that is known once a person is scored.

`owner` and `account.owner` are addresses, `qualifications` those that a person meets, `rules` those that gave them
points (so that a question may be about what somebody did), `lead_type` is `lead` or `contact` (as the CRM keeps the
record), unless `[fields]` maps something else to it.
"""

SOURCE = "source"
"""What conditions call where somebody came from; each CRM has a field for it."""


def add_source(given: Any, fields: Mapping[str, str]) -> Any:
    """What a config says, with `source` mapped to each CRM's own field (`fields`, by CRM) where a decision asks for it
    and the file maps nothing to it.
    """
    mapped = given.get("fields", {}) if isinstance(given, Mapping) else None
    if not isinstance(mapped, Mapping) or SOURCE in mapped:
        return given
    if not any(_asks_for(given.get(table), SOURCE) for table in ("stage", "route", "tracks", "account")):
        return given
    return {
        **given,
        "fields": {**mapped, SOURCE: {crm: name for crm, name in fields.items() if given.get(crm) is not None}},
    }


def _asks_for(written: Any, field: str) -> bool:
    if isinstance(written, Mapping):
        return written.get("field") == field or any(_asks_for(each, field) for each in written.values())
    return isinstance(written, list) and any(_asks_for(each, field) for each in written)


ACCOUNT_OWNER, COLLEAGUE_OWNER, QUEUE = "account_owner", "colleague_owner", "queue:"
"""Where a route may lead besides pools, tracks and users; the last one begins the name of a queue."""


class Stage(Table):
    """A lifecycle stage: its name here, its value in each CRM, and who gets it.

    The order of the stages in the file is their order; a person moves forward along it. `enter` says who gets the
    stage (`band` is short for reaching one), `exit` who leaves it again: to the stage before it in the file, or to what
    `recycle` names (a stage or a track). Whoever left does not get it again for `cool_down`.
    """

    name: str
    values: PerCrm
    band: str | None = None
    enter: Condition | None = None
    exit: Condition | None = None
    recycle: str | None = None
    cool_down: Duration | None = None

    @model_validator(mode="after")
    def _one_entrance(self) -> Stage:
        if self.band is not None and self.enter is not None:
            raise ValueError("write enter or band: band is short for an enter condition")
        if self.exit is None and (self.recycle is not None or self.cool_down is not None):
            raise ValueError("recycle and cool_down need exit, which says who leaves the stage")
        if self.exit is not None and self.exit == self.enter:
            raise ValueError("enter and exit ask the same, so that nobody could stay in the stage; change one of them")
        return self


def _cap(value: Any) -> Any:
    if value == 0 and not isinstance(value, bool):
        raise ValueError(
            "0 gives this member nobody, ever; take them out of members, or write when they are away: "
            'away = ["2026-12-24/2027-01-01"]'
        )
    return value


class Member(Table):
    """Somebody of a pool: an address in the CRMs, and when and how much they take.

    `weight` is their share beside the others', `daily` the most new people of a day, `open` the most that they own in a
    stage of `[[stage]]`. `hours` are local to `timezone` (that of `[schedule]` if left out), `holidays` a country or a
    part of it, `away` days or ranges of days.
    """

    email: str
    weight: int = Field(default=1, ge=1, le=1000)
    daily: Annotated[int | None, BeforeValidator(_cap)] = Field(default=None, ge=1)
    open: Annotated[int | None, BeforeValidator(_cap)] = Field(default=None, ge=1)
    hours: Hours | None = None
    timezone: str | None = None
    holidays: Region | None = None
    away: Annotated[list[Away], BeforeValidator(_listed, json_schema_input_type=str | list[str])] = []
    skills: Annotated[list[str], BeforeValidator(_listed, json_schema_input_type=str | list[str])] = []

    @field_validator("email")
    @classmethod
    def _address(cls, value: str) -> str:
        if "@" not in value or value.startswith(QUEUE):
            queue = f'"{_as_queue(value)}"'
            raise ValueError(
                f"{value!r} is not the e-mail address of a user; a queue cannot be a member: if one is meant, write "
                f"to = {queue} in a route, or fallback = {queue} in the pool"
            )
        return check_address(value)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return None if value is None else check_zone(value)


def _member(value: Any) -> Any:
    return {"email": value} if isinstance(value, str) else value


def _or_zero(value: Any) -> Any:
    return "0d" if value == 0 and not isinstance(value, bool) else value


class OwnerPool(Table):
    """Owners who are assigned in turn, in the order of the file.

    `method` says who is next: `round_robin`, `weighted` (by each member's `weight`), `least_open` (who owns the fewest)
    or `value_balanced` (whose people are worth least together: the score, or the number in the field `value`). Where
    nobody is available, `fallback` is asked (a pool, a user or a queue), after `wait` if that is given. An absence of
    more than five working days begins `away_lead` (working days) earlier.
    """

    name: str
    members: list[Annotated[Member, BeforeValidator(_member, json_schema_input_type=str | Member)]] = Field(
        min_length=1
    )
    method: Literal["round_robin", "weighted", "least_open", "value_balanced"] = "round_robin"
    value: str | None = None
    fallback: str | None = None
    wait: Duration | None = None
    away_lead: Annotated[Duration, BeforeValidator(_or_zero, json_schema_input_type=Literal[0] | Duration)] = timedelta(
        days=2
    )

    @field_validator("members")
    @classmethod
    def _everybody_once(cls, value: list[Member]) -> list[Member]:
        lowered = [each.email.lower() for each in value]
        if twice := [each for each in dict.fromkeys(lowered) if lowered.count(each) > 1]:
            verb = "is" if len(twice) == 1 else "are"
            raise ValueError(f"{', '.join(twice)} {verb} twice in this pool; write each address once")
        return value

    @field_validator("away_lead")
    @classmethod
    def _whole_days(cls, value: timedelta) -> timedelta:
        if value % timedelta(days=1):
            raise ValueError('write whole working days, for example "2d", or 0 for never')
        return value

    @model_validator(mode="after")
    def _fits_method(self) -> OwnerPool:
        if self.method in ("round_robin", "least_open") and any(each.weight != 1 for each in self.members):
            raise ValueError(f'weights need method = "weighted"; {self.method} counts everybody the same')
        if self.value is not None and self.method != "value_balanced":
            raise ValueError('value needs method = "value_balanced"')
        if self.wait is not None and self.fallback is None:
            raise ValueError("wait needs fallback: it says for how long a person waits before the fallback is asked")
        return self


class Route(Table):
    """Where the people go for whom `when` holds and no route before it.

    `to` is a pool, a track, a user's address, `account_owner`, `colleague_owner` or `queue:NAME`. `skill` asks for the
    members of the pool who have it. Only with `reassign` it takes people away from an owner who is active.
    """

    name: str = Field(min_length=1)
    when: Condition | None = None
    to: str
    skill: str | None = None
    reassign: bool = False


class Track(Table):
    """A nurture track: for those for whom `when` holds; one without it is given by routes and recycled stages only."""

    when: Condition | None = None


def _list_id(value: Any) -> Any:
    said = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(said, str) and not said.strip():
        raise ValueError("an empty text names nothing; write the name as the CRM shows it, or the id")
    return said.strip() if isinstance(said, str) else said


ListId = Annotated[str, BeforeValidator(_list_id, json_schema_input_type=str | int)]
"""A list or campaign by its name or its id; an id may be written as a number."""


class Exclude(Table):
    """People who are not scored and not written.

    By address, by domain (with what lies below it), because a record of theirs is on one of the HubSpot `lists` or in
    one of the Salesforce `campaigns` (each by its name or id), or because `when` holds. What stands in the CRMs stays,
    unless `clear` takes our score fields away.
    """

    addresses: list[str] = []
    domains: list[str] = []
    lists: list[ListId] = []
    campaigns: list[ListId] = []
    when: Condition | None = None
    clear: bool = False

    @field_validator("domains")
    @classmethod
    def _domains(cls, value: list[str]) -> list[str]:
        if strange := next((each for each in value if "*" in each or not each.strip()), None):
            raise ValueError(f"{strange!r}: write a domain, for example rival.example; it holds for all below it")
        return value

    @field_validator("addresses")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        if strange := next((each for each in value if "@" not in each.strip()[1:]), None):
            raise ValueError(f"{strange!r} is not an e-mail address; a whole domain belongs into domains")
        for each in value:
            check_address(each)
        return value


class Lifecycle(Table):
    """Stages that the CRM itself gives, by its own names: whoever is in one is neither moved nor routed."""

    crm_owned: list[str] = ["opportunity", "customer", "evangelist"]


class Truth(Table):
    """Which CRM leads where the two know different stages or owners: its value is carried to the other one.

    Without it nothing is carried over. Whoever changes a record `flips` times back is given way to.
    """

    stage: str | None = None
    owner: str | None = None
    flips: int = Field(default=3, ge=1)


def find_route_mistakes(
    routes: Sequence[Route], pools: Sequence[OwnerPool], tracks: Sequence[str]
) -> Iterator[Mistake]:
    """Routes that lead nowhere, or that nobody reaches."""
    named = {pool.name: pool for pool in pools}
    for number, pool in enumerate(pools):
        loc: Loc = ("owner_pool", number)
        if pool.name in tracks:
            yield Mistake((*loc, "name"), f"[[owner_pool]] and [tracks] both have the name {pool.name!r}; rename one")
        if _is_reserved(pool.name):
            yield Mistake((*loc, "name"), f"[[owner_pool]] {pool.name}: this name has a meaning of its own; rename it")
        if pool.fallback is not None and (said := _lost(pool.fallback, named, ())):
            yield Mistake((*loc, "fallback"), f"[[owner_pool]] {pool.name}: {said}")
        elif pool.fallback == pool.name:
            said = "the fallback is the pool itself; name another pool, an address or a queue, or remove it"
            yield Mistake((*loc, "fallback"), f"[[owner_pool]] {pool.name}: {said}")
    for number, route in enumerate(routes):
        for key, said in _route_mistakes(route, named, tracks, is_last=number == len(routes) - 1):
            yield Mistake(("route", number, *key), f"[[route]] {route.name}: {said}")


def _route_mistakes(
    route: Route, pools: Mapping[str, OwnerPool], tracks: Sequence[str], *, is_last: bool
) -> Iterator[tuple[Loc, str]]:
    if said := _lost(route.to, pools, (*tracks, ACCOUNT_OWNER, COLLEAGUE_OWNER)):
        yield ("to",), said
    if route.reassign and route.to in tracks:
        yield ("reassign",), "it leads to a track, which takes nobody away from an owner; remove reassign"
    if route.skill is not None and route.to not in pools:
        yield ("skill",), "a skill needs a pool to choose from"
    elif route.skill is not None and not any(route.skill in each.skills for each in pools[route.to].members):
        yield ("skill",), f"nobody of the pool {route.to} has the skill {route.skill!r}"
    # These two leave those to the next route whose account nobody owns.
    if route.when is None and not is_last and route.to not in (ACCOUNT_OWNER, COLLEAGUE_OWNER):
        yield (), "it has no when, so that nobody gets to the routes after it; move it to the end"
    if route.when is not None and is_last:
        yield (
            (),
            "it is the last route and has a when; add one without when for everybody else (it may lead to a track)",
        )


def _is_reserved(name: str) -> bool:
    return name in (ACCOUNT_OWNER, COLLEAGUE_OWNER) or name.startswith(QUEUE) or "@" in name


def _lost(to: str, pools: Mapping[str, OwnerPool], others: Sequence[str]) -> str:
    """What is wrong with a place that somebody is sent to; `""` where nothing is."""
    if to in pools or to in others or (to.startswith(QUEUE) and to.removeprefix(QUEUE).strip()):
        return ""
    if "@" in to:
        try:
            check_address(to)
        except ValueError as error:
            return str(error)
        return ""
    known = [*pools, *others]
    queue = f'"{_as_queue(to)}"' if to.removeprefix(QUEUE).strip() else f"{QUEUE}NAME"
    written = f"write a pool, an address, {queue} for a queue, or one of: {', '.join(known) or 'no pool yet'}"
    if re.match(r"(?i)queue\s*:\s*\S", to):
        return f"there is no {to!r}; did you mean {_as_queue(to)!r}?"
    return f"there is no {to!r}; {suggest_name(to, known, written)}"


def _as_queue(written: str) -> str:
    """How a queue is written that somebody named in another way: `Queue: Inbound` → `queue:Inbound`."""
    return QUEUE + re.sub(r"(?i)^\s*queue\s*:", "", written).strip()
