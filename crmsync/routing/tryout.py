"""Where a test lead would go."""

from __future__ import annotations

from typing import NamedTuple

from crmsync.config.model import Golden
from crmsync.config.settings import Config
from crmsync.identity.matching import normal_email
from crmsync.model import Holding, Owner, Ref
from crmsync.routing.assignment import Desk, Unassigned, assign_owners
from crmsync.routing.decisions import PersonState, decide_people
from crmsync.routing.lifecycle import RecordStage, StageState
from crmsync.routing.owners import owners_of
from crmsync.scoring.golden import GOLDEN_NOW, score_golden


class Destination(NamedTuple):
    """The stage, owner (an address) and track of a test lead, `None` where there is none, and why."""

    stage: str | None
    owner: str | None
    track: str | None
    why: str


def try_lead(config: Config, test: Golden) -> Destination:
    """Route a test lead where nobody had a turn yet and everybody whom the file names is an active user.

    Raises `ConfigError` where it is not written right.
    """
    now = test.at or GOLDEN_NOW
    scores, columns = score_golden(config, test, config.zone)
    given = {name: normal_email(str(value)) for name, value in test.given.items() if name.endswith("owner")}
    stage = test.given.get("stage")
    records = [RecordStage(str(stage))] if stage is not None else []
    missing = test.given.get("account_missing_roles")
    state = PersonState(
        StageState(),
        records,
        given.get("owner"),
        account_owner=given.get("account_owner"),
        account_score=test.given.get("account_score"),
        account_people=test.given.get("account_people"),
        missing_roles=None if missing is None else tuple(missing),
    )
    now_ms = int(now.timestamp() * 1000)
    (decision,) = decide_people(config, scores, columns, [0], [state], now_ms)
    moved = decision.move.state.stage or None
    if "owner" in given:
        return Destination(moved, given["owner"], decision.track or None, "keeps the owner")
    names = [each.email for pool in config.owner_pool for each in pool.members]
    names += [each for route in config.route for each in (route.to,) if "@" in each]
    names += [each.fallback for each in config.owner_pool if each.fallback and "@" in each.fallback]
    users = {normal_email(each): Owner("crm", normal_email(each), each, each) for each in (*names, *given.values())}
    lead = Holding(1, Ref("crm", "lead", "1"), 1, "", None, None, {}, {}, {}, {}, 0)
    person = Unassigned(
        1,
        decision.routes,
        [lead],
        {pool.name: 0 for pool in config.owner_pool},
        [given["account_owner"]] if "account_owner" in given else [],
        colleague_records={given["colleague_owner"]: 1} if "colleague_owner" in given else {},
    )
    desk = Desk(config.owner_pool, {}, {}, owners_of(users.values(), ()), {}, now, config.zone)
    found = assign_owners([person], desk)
    route = found.routes.get(1)
    why = f"[[route]] {route}" if route else decision.move.why
    return Destination(moved, found.owner_of.get(1), found.tracks.get(1, decision.track) or None, why)
