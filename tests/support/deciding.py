"""One person as a run decides about them, and the plan in the making, without a state or a CRM."""

from crmsync.model import Holding, Ref
from crmsync.planning.desk import Setting
from crmsync.planning.person_plan import PlanBuilder
from crmsync.planning.scored_people import Scored
from crmsync.routing.assignment import NO_ASSIGNMENT
from crmsync.routing.decisions import RoutingDecision
from crmsync.routing.feedback import TagOutcome
from crmsync.routing.lifecycle import StageMove, StageState
from crmsync.routing.owners import owners_of
from crmsync.store.sql import to_ms
from crmsync.work import Work
from tests.support.make import MODEL, NOW, config, owners

HUBSPOT, SALESFORCE = BOTH = ("hubspot", "salesforce")
MS, DAY = to_ms(NOW), 86_400_000


def desk(crms=BOTH, takes=lambda _person, _crm: True, judged=None, model=MODEL, tables=None, **setting):
    """A plan in the making; CRMs besides `crms` are skipped in this run."""
    everybody = owners_of([*owners(HUBSPOT), *owners(SALESFORCE)], ())
    given = Setting(crms, everybody, {(HUBSPOT, "contact"): ("lead", "marketingqualifiedlead")}, **setting)
    work = Work(config(model, **(tables or {})), None, dict.fromkeys(BOTH), NOW)
    return PlanBuilder(work, given, "run", takes, judged or {})


def held(**over):
    given = {
        "id": 1, "ref": Ref("hubspot", "contact", "1"), "person": 1, "group": "", "stage": None, "owner": None,
        "current": {}, "last_written": {}, "overrides": {}, "on_hold": {}, "attempts": 0, **over,
    }  # fmt: skip
    return Holding(**given)


def lead(**over):
    return held(**{"id": 2, "ref": Ref(SALESFORCE, "lead", "00Q1"), **over})


def decision(stage="lead", wanted=None, why="stays", routes=(), tag=None, leaves="", track=""):
    move = StageMove(StageState(stage), wanted, why, leaves)
    return RoutingDecision(move, track, routes, tag or TagOutcome())


def scored(**over):
    given = {
        "person": 1, "total": 6500, "band": "mql", "email": "ada@x.example", "score_fields": {"score": 65},
        "because": "65 points", "edited": (), "is_new": False, "before": None, "decision": decision(), **over,
    }  # fmt: skip
    return Scored(**given)


def decide(at, person, *records, given=NO_ASSIGNMENT):
    """What is stored of a person when they are decided about."""
    at.decide_all(person, records, given)
    return at.decided[-1]


def written(at):
    """The values to write, by row id."""
    return {row: dict(change.after) for row, change in at.changes}
