"""What deciding about people rests on besides the config: where they stand, and how much every owner has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import NamedTuple

import numpy as np
import orjson
from sqlalchemy import Connection

from crmsync.columns import Columns
from crmsync.config import Config
from crmsync.config.deciding import Route
from crmsync.identity.matching import normal_email
from crmsync.model import Holding, Scalar
from crmsync.planning.accounts import WEEK, AccountScore, AccountScores, read_account_scores
from crmsync.planning.approval import Approval
from crmsync.planning.changes import noticed_at
from crmsync.routing.assignment import Desk, Unassigned
from crmsync.routing.calendar import local_day
from crmsync.routing.decisions import PersonState
from crmsync.routing.exclusion import Marks
from crmsync.routing.feedback import TagState
from crmsync.routing.lifecycle import RecordStage, StageMove, StageReason, StageState, find_entry
from crmsync.routing.owners import Owners
from crmsync.routing.turns import Load
from crmsync.scoring import Scores
from crmsync.scoring.values import make_column
from crmsync.scoring.wording import to_points
from crmsync.store import companies, hand_offs
from crmsync.store.journal import ReadOnly
from crmsync.store.memberships import lists_of_people
from crmsync.store.scores import StoredScore, read_addresses


class Setting(NamedTuple):
    """What a plan is made under besides the config.

    `crms` take part; `orders` are their own orders of stages by (crm, kind); `edited` are CRMs that were last planned
    for with another config; `unread` are CRMs of which nothing was ever read; `unlisted` are CRMs with a list of
    `[exclude]` that was never read; `unguarded` says that nobody has to be asked; `read_only` are fields that crmsync's
    user cannot edit at present.
    """

    crms: Sequence[str]
    owners: Owners
    orders: Mapping[tuple[str, str], Sequence[str]]
    edited: Collection[str] = ()
    approval: Approval = Approval()
    unread: Sequence[str] = ()
    unlisted: Sequence[str] = ()
    unguarded: bool = False
    read_only: ReadOnly = {}


class Account(NamedTuple):
    """What routing knows of a person's account: addresses of active owners, the best one first.

    `colleague_records` is how many records of the others each of them owns; `score` is what conditions ask of it.
    """

    name: str = ""
    owners: Sequence[str] = ()
    active_people: int = 0
    colleagues: Sequence[int] = ()
    colleague_records: Mapping[str, int] = {}
    score: AccountScore | None = None


NO_ACCOUNT = Account()


def read_marks(tx: Connection, config: Config, people: Sequence[int]) -> list[Marks]:
    """For each of these people (ascending) what `[exclude]` may go by besides fields, as far as the config asks."""
    exclude = config.exclude
    addresses = read_addresses(tx, people) if exclude.addresses or exclude.domains else {}
    lists = lists_of_people(tx, people, config.excluded_lists())
    return [Marks(addresses.get(each, ()), lists.get(each)) for each in people]


def read_account_views(
    tx: Connection,
    config: Config,
    owners: Owners,
    people: Sequence[int],
    now: datetime,
    scored: AccountScores | None = None,
) -> dict[int, Account]:
    """The accounts of people (ascending); nothing is read where no decision asks about accounts.

    `scored` are their scores where these are not to be those that are stored now.
    """
    if not config.asks_about_accounts() or not people:
        return {}
    facts = companies.read_accounts(tx, people)
    theirs = companies.colleague_owners(tx, people)
    scored = read_account_scores(tx, config, people) if scored is None else scored
    active = companies.active_people(tx, people, int(now.timestamp()) - WEEK)
    order = {crm: place for place, crm in enumerate(config.identity.source_of_truth)}
    views = {}
    for person, account in facts.items():
        owned = sorted(account.owners.items(), key=lambda each: order.get(each[0], len(order)))
        views[person] = Account(
            account.name,
            _addresses(owners, owned),
            active.get(person, 0),
            account.colleagues,
            _count_by_address(owners, theirs.get(person, ())),
            scored.get(person),
        )
    return views


def _addresses(owners: Owners, ids: Sequence[tuple[str, str]]) -> list[str]:
    """The addresses of those who can own records, each once."""
    found = (owners.somebody(crm, owner) for crm, owner in ids)
    return [*dict.fromkeys(each for each in found if each is not None and "@" in each)]


def _count_by_address(owners: Owners, owned: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    """How many records each of those owns who can own records, in whatever CRM."""
    records: Counter[str] = Counter()
    for crm, owner, many in owned:
        records.update(dict.fromkeys(_addresses(owners, [(crm, owner)]), many))
    return records


def owner_of_person(owners: Owners, records: Sequence[Holding]) -> str | None:
    """The address of the first active user who owns a record of a person, `None` where nobody does."""
    humans = (owners.somebody(it.ref.crm, it.owner) for it in records)
    return next((each for each in humans if each is not None), None)


def state_of_person(
    owners: Owners, before: StoredScore | None, records: Sequence[Holding], account: Account = NO_ACCOUNT
) -> PersonState:
    """What decisions rest on besides scores and fields."""
    stage = StageState()
    if before is not None:
        cool_downs = {} if before.cool_downs == "{}" else orjson.loads(before.cool_downs)
        stage = StageState(before.stage, before.stage_since, before.stage_left, cool_downs)
    stages = [
        RecordStage(it.stage, noticed_at(it.overrides["stage"]) if "stage" in it.overrides else None) for it in records
    ]
    tag = TagState() if before is None else TagState(before.feedback, before.feedback_since, before.feedback_left)
    return PersonState(
        stage,
        stages,
        owner_of_person(owners, records),
        account.name or None,
        next(iter(account.owners), None),
        account.active_people,
        tag,
        ("lead" if any(it.ref.kind == "lead" for it in records) else "contact") if records else None,
        *((to_points(account.score.total), account.score.people, account.score.missing) if account.score else ()),
    )


def entry_of_person(
    zone: tzinfo,
    crm_owned: Collection[str],
    before: StoredScore | None,
    move: StageMove,
    stages: Sequence[RecordStage],
    records: Sequence[Holding],
) -> StageReason:
    """How a person came into the stage of a `move`; of a stage that no run decided, what their records say of it."""
    known, since = StageReason(), None
    if before is not None:
        known, since = StageReason(before.stage, before.stage_reason, before.stage_entered), before.stage_since
    written = StageReason()
    if not known.reason:
        said = (it for it in records if it.stage == move.state.stage and it.current.get("stage_reason"))
        if (it := next(said, None)) is not None:
            at = _midnight(zone, it.current.get("stage_since"))
            written = StageReason(move.state.stage, str(it.current["stage_reason"]), at)
    return find_entry(crm_owned, known, since, move, stages, written)


def _midnight(zone: tzinfo, day: Scalar | None) -> int | None:
    try:
        return int(datetime.combine(date.fromisoformat(str(day)), time(), zone).timestamp() * 1000)
    except ValueError:
        return None


def ask_owner(
    person: int,
    routes: Sequence[Route],
    records: Sequence[Holding],
    worth: Mapping[str, int],
    account: Account,
    before: StoredScore | None,
    *,
    is_chosen: bool,
    late: str = "",
) -> Unassigned:
    """What is asked for a person who may need an owner; `is_chosen` says that a user chose one of theirs, `late` is the
    owner who was not in touch in time.
    """
    if is_chosen:  # a user's own choice is not taken back by a rule
        late = ""
        routes = [each.model_copy(update={"reassign": False}) if each.reassign else each for each in routes]
    since = before.waiting_since if before is not None else None
    return Unassigned(
        person, routes, records, worth, account.owners, since, account.colleagues, account.colleague_records, late,
    )  # fmt: skip


def worth_in_pools(config: Config, columns: Columns, scores: Scores, row: int) -> dict[str, int]:
    """What a person counts in each pool that balances values (hundredths): the score, or the number in a field."""
    worth = {}
    for pool in config.owner_pool:
        if pool.method == "value_balanced":
            value = columns.fields[pool.value][row] if pool.value else int(scores.total[row]) / 100
            number = make_column([value]).spelled_numbers(config.values.decimal_mark)[0]
            worth[pool.name] = 0 if np.isnan(number) else round(float(number) * 100)
    return worth


def read_desk(tx: Connection, config: Config, owners: Owners, promised: Mapping[int, str], now: datetime) -> Desk:
    """What assigning rests on: turns so far, and how much everybody has at `now` (aware)."""
    now_ms = int(now.timestamp() * 1000)
    members = {normal_email(each.email): each for pool in config.owner_pool for each in pool.members}
    todays: dict[str, int] = {}
    if any(each.daily is not None for each in members.values()):
        # No day anywhere began earlier than this.
        for owner, at in hand_offs.hand_offs_since(tx, now_ms - 48 * 3_600_000):
            member = members.get(owner)
            then = datetime.fromtimestamp(at / 1000, UTC)
            if member is not None and local_day(member, then, config.zone) == local_day(member, now, config.zone):
                todays[owner] = todays.get(owner, 0) + 1
    opens: Mapping[str, int] = {}
    if any(each.open is not None for each in members.values()) or any(
        pool.method == "least_open" for pool in config.owner_pool
    ):
        ids = {where: normal_email(it.email) for where, it in owners.by_id.items() if normal_email(it.email) in members}
        opens = hand_offs.count_open(tx, ids, config.crm_owned)
    loads = {each: Load(todays.get(each, 0), opens.get(each, 0)) for each in {*todays, *opens}}
    leads = config.truth.owner or ""
    return Desk(config.owner_pool, hand_offs.read_standings(tx), loads, owners, promised, now, config.zone, leads)
