"""Whether each CRM is kept up to date, by its own runs, by what it takes, by what waits, and what to do where not."""

from datetime import UTC, datetime, timedelta
from functools import partial

import orjson
import pytest
from sqlalchemy import update

from crmsync.config.worker import Schedule
from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError, Unavailable
from crmsync.exit_codes import outcome_of
from crmsync.model import Ref
from crmsync.reporting import status
from crmsync.reporting.status import PastRun, is_good_for, why_refused, why_stale
from crmsync.store import schema
from tests.support import make

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
CRMS = {"hubspot": {}, "salesforce": {"instance_url": "https://acme.my.salesforce.com"}}
COUNTS = {"planned": 0, "updated": 0, "partly": 0, "rejected": 0, "edited": 0, "unknown": 0}


def ran(verdict="ok", at=START, crms=("hubspot", "salesforce"), skipped=(), problems=(), **counts):
    result = {
        "crms": {crm: {**COUNTS, **counts} for crm in crms},
        "skipped": dict.fromkeys(skipped, "the token is refused; make a new one"),
        "problems": list(problems),
    }
    return PastRun("r1", "run", verdict, at, None if verdict == "running" else at, result)


def later(**over):
    return START + timedelta(**over)


@pytest.mark.parametrize(
    ("schedule", "age", "healthy"),
    [
        (Schedule(every="15m"), timedelta(minutes=85), True),
        (Schedule(every="15m"), timedelta(minutes=95), False),
        (Schedule(every="7d"), timedelta(days=13), True),
        (Schedule(cron="0 6 * * *"), timedelta(hours=44), True),
        (Schedule(cron="0 6 * * *"), timedelta(hours=47), False),
    ],
)
def test_health_is_the_age_of_the_last_good_run_against_the_schedule(schedule, age, healthy):
    past = [ran("failed", START + age - timedelta(minutes=1)), ran()]
    assert (why_stale(schedule, "hubspot", past, START + age) == "") is healthy


@pytest.mark.parametrize(
    ("run", "good"),
    [
        (ran(), True),
        (ran("partial"), True),
        (ran("held"), True),
        (ran("failed"), False),
        (ran("running"), False),
        (ran(crms=["salesforce"]), False),
        (ran("partial", skipped=["hubspot"]), False),
        (ran("partial", skipped=["salesforce"]), True),
        (ran("partial", planned=3, rejected=3), False),
        (ran("partial", planned=3, rejected=1, unknown=2), False),
        (ran("partial", planned=3, rejected=2, updated=1), True),
        (ran("partial", planned=3, rejected=2, partly=1), True),
        (ran(planned=3, edited=3), True),
    ],
)
def test_a_run_is_good_for_a_crm_that_took_part_and_took_something(run, good):
    assert is_good_for("hubspot", run) is good


@pytest.mark.parametrize(
    ("newest", "sentence"),
    [
        (ran("partial", skipped=["hubspot"]), "Run r1 skipped it: the token is refused; make a new one"),
        (ran("failed", crms=[], problems=["it was interrupted"]), "failed: it was interrupted"),
        (ran(crms=["salesforce"]), "restart crmsync run"),
        (ran("partial", planned=3, rejected=3), "accepted none of 3 updates. To see why: crmsync status"),
    ],
)
def test_why_a_crm_is_out_of_date_is_what_kept_the_newest_run_from_it(newest, sentence):
    said = why_stale(Schedule(), "hubspot", [newest._replace(started=later(hours=3)), ran()], later(hours=4))
    assert (
        said.startswith("no successful run since 2026-11-21 09:00 UTC; one was due by 10:30 UTC. ") or "10:30" in said
    )
    assert sentence in said


def test_where_nothing_runs_any_more_the_sentence_says_so():
    assert "No run since then: check that crmsync run is running" in why_stale(
        Schedule(), "hubspot", [ran()], later(hours=4)
    )


def test_a_crm_without_any_good_run_is_not_well_once_a_run_has_ended():
    past = [ran("partial", START + timedelta(minutes=50), skipped=["hubspot"]), ran("partial", skipped=["hubspot"])]
    for age in (timedelta(minutes=51), timedelta(hours=3)):
        said = why_stale(Schedule(), "hubspot", past, START + age)
        assert said.startswith(
            "no successful run yet, since 2026-11-21 09:00 UTC. Run r1 skipped it: the token is refused"
        )
    assert why_stale(Schedule(), "hubspot", [ran(crms=["salesforce"])], later(minutes=80)) == ""
    under_way = [ran("running", START)]
    assert why_stale(Schedule(), "hubspot", under_way, later(minutes=80)) == ""
    assert "no successful run yet, since 2026-11-21 09:00 UTC" in why_stale(
        Schedule(), "hubspot", under_way, later(hours=3)
    )


@pytest.mark.parametrize(
    ("refused", "on_hold", "records", "healthy"),
    [(3_025, 3_025, 3_100, False), (3, 3, 4, False), (1, 1, 300, True), (12, 12, 300, False), (12, 0, 300, True)],
)
def test_a_crm_that_takes_nothing_is_not_well_though_nothing_is_planned_any_more(refused, on_hold, records, healthy):
    past = [ran(), ran("partial", planned=refused, rejected=refused), ran(planned=5, updated=5)]
    assert (why_refused("hubspot", past, {"on_hold": on_hold, "records": records}) == "") is healthy
    assert why_refused("hubspot", [ran(planned=2, updated=2), *past], {"on_hold": on_hold, "records": records}) == ""


def test_what_somebody_must_mend_is_told_at_once_until_it_is_mended():
    refused = ran("partial", later(minutes=15), skipped=["hubspot"])
    refused = refused._replace(result={**refused.result, "needs_action": ["hubspot"]})
    said = why_stale(Schedule(), "hubspot", [refused, ran()], later(minutes=16))
    assert (
        said == "no successful run since 2026-11-21 09:00 UTC. Run r1 skipped it: the token is refused; make a new one"
    )
    assert why_stale(Schedule(), "salesforce", [refused, ran()], later(minutes=16)) == ""
    under_way = ran("running", later(minutes=30))
    assert why_stale(Schedule(), "hubspot", [under_way, refused, ran()], later(minutes=31)) == said
    assert why_stale(Schedule(), "hubspot", [ran(at=later(minutes=30)), refused], later(minutes=31)) == ""


# With a state


@pytest.fixture
def work(state):
    hubspot, salesforce = make.crm("hubspot"), make.crm("salesforce")
    for number in (1, 2):
        hubspot.edit(make.contact(number))
        salesforce.edit(make.contact(number, "salesforce", "lead"))
    return make.work(state, hubspot, salesforce, settings=make.config(make.MODEL, **CRMS))


def at(work, **over):
    return work._replace(now=work.now + timedelta(**over))


def healthy(work, **over):
    return status.health_document(work.config, work.store, work.now + timedelta(**over))


def test_a_crm_that_is_skipped_for_hours_is_not_healthy_and_the_other_is(work):
    run_cycle(work)
    assert healthy(work) == {
        "healthy": True,
        "crms": {"hubspot": {"healthy": True, "why": ""}, "salesforce": {"healthy": True, "why": ""}},
        "health": [],
        "events": {},
        "paused": None,
    }

    def refused():
        raise Unavailable("hubspot", "HubSpot does not accept the token: create a new service key")

    work.crms["hubspot"].account = refused
    for hour in (1, 2, 3):
        assert run_cycle(at(work, hours=hour)).verdict == "partial"
    said = healthy(work, hours=3)
    assert (said["healthy"], said["crms"]["salesforce"]["healthy"]) == (False, True)
    assert "create a new service key" in said["crms"]["hubspot"]["why"]
    assert said["health"] == [f"hubspot: {said['crms']['hubspot']['why']}"]
    assert status.status_document(work.config, work.store, at(work, hours=3).now)["crms"]["hubspot"]["healthy"] is False


def test_a_refused_log_in_is_not_healthy_at_once(work):
    run_cycle(work)

    def refused():
        raise ConfigError("HubSpot does not accept the token: create a new service key")

    work.crms["hubspot"].account = refused
    result = run_cycle(at(work, minutes=15))
    assert (result.verdict, result.needs_action) == ("partial", ["hubspot"])
    said = healthy(work, minutes=16)
    assert (said["healthy"], said["crms"]["salesforce"]["healthy"]) == (False, True)
    assert said["health"] == [
        "hubspot: no successful run since 2026-11-21 12:00 UTC. "
        f"Run {result.run} skipped it: HubSpot does not accept the token: create a new service key"
    ]


def test_the_only_run_failed_and_that_is_not_healthy(work):
    def down(crm):
        raise Unavailable(crm, f"{crm} is down")

    for name, crm in work.crms.items():
        crm.account = partial(down, name)
    with pytest.raises(Unavailable) as raised:
        run_cycle(work)
    assert outcome_of(raised.value, kept=True).said == (
        "hubspot could not be used: hubspot is down.",
        "salesforce could not be used: salesforce is down.",
        "Everything that was pulled is kept.",
    )
    assert "Everything that was pulled is kept." not in outcome_of(raised.value).said
    said = healthy(work, minutes=1)
    assert not said["healthy"]
    assert all("no successful run yet, since " in each and "is down" in each for each in said["health"])


def test_every_crm_is_named_where_one_is_down_and_one_refuses(work):
    def down():
        raise Unavailable("salesforce", "it is down")

    def refused():
        raise ConfigError("HubSpot does not accept the token")

    work.crms["hubspot"].account, work.crms["salesforce"].account = refused, down
    with pytest.raises(ConfigError) as raised:
        run_cycle(work)
    assert raised.value.problems == (
        "hubspot: HubSpot does not accept the token", "salesforce could not be used: it is down."
    )  # fmt: skip


def test_a_crm_that_refuses_every_write_is_not_healthy(work):
    hubspot = work.crms["hubspot"]
    hubspot.refusing = dict.fromkeys(hubspot.records, "a rule says no")
    run_cycle(work)
    run_cycle(at(work, minutes=15))
    run_cycle(at(work, minutes=30))
    said = healthy(work, minutes=31)
    assert said["crms"]["salesforce"]["healthy"]
    why = said["crms"]["hubspot"]["why"]
    assert why.startswith("since 2026-11-21 12:00 UTC it accepts none of our updates; 2 records on hold")
    hubspot.refusing = {}
    run_cycle(at(work, days=2))
    assert healthy(work, days=2)["healthy"]


def test_a_crm_of_which_one_record_is_refused_is_healthy(work):
    for number in range(3, 40):
        work.crms["hubspot"].edit(make.contact(number))
    work.crms["hubspot"].refusing = {Ref("hubspot", "contact", "1"): "a rule says no"}
    run_cycle(work)
    assert healthy(work)["healthy"]


def test_a_plan_that_waits_for_longer_than_a_day_is_a_fault(work):
    settings = make.config(make.MODEL, **CRMS, guard={"first_run": 1})
    waiting = work._replace(config=settings)
    held = run_cycle(waiting).held
    assert healthy(waiting, minutes=5)["healthy"]
    for hour in range(1, 26):
        run_cycle(at(waiting, hours=hour))
    said = healthy(waiting, hours=25)
    assert not said["healthy"]
    assert said["health"] == [
        f"Plan {held.run} has waited for approval since 2026-11-21 12:00 UTC. To see and approve it: crmsync apply "
        f"{held.run}"
    ]
    (plan,) = status.status_document(settings, work.store, at(work, hours=25).now)["waiting"]
    assert (plan["run"], plan["kind"], plan["next"]) == (held.run, "data", f"crmsync apply {held.run}")
    assert plan["reasons"]
    assert plan["records"]["hubspot"]["records"] == 2


def test_a_run_that_was_killed_is_not_under_way_for_ever(work):
    run_cycle(work)
    run_cycle(at(work, minutes=15))
    with work.store.begin() as tx:
        tx.execute(update(schema.run).values(verdict="running", ended=None, result="{}"))
    with work.store.writer("crmsync run"):
        runs = status.status_document(work.config, work.store, at(work, minutes=16).now)["runs"]
    assert [each["verdict"] for each in runs] == ["running", "failed"]
    runs = status.status_document(work.config, work.store, at(work, minutes=16).now)["runs"]
    assert [(each["verdict"], each["problems"]) for each in runs] == [
        ("failed", ["it was interrupted"]),
        ("failed", ["it was interrupted"]),
    ]
    assert not healthy(work, hours=3)["healthy"]


def test_before_the_first_run_nothing_is_healthy_and_the_next_step_is_a_plan(work):
    for said in (
        status.health_document(work.config, None, work.now),
        status.health_document(work.config, work.store, work.now),
        status.status_document(work.config, None, work.now),
        status.status_document(work.config, work.store, work.now),
    ):
        assert (said["healthy"], said["health"]) == (False, ["No run yet. Next: crmsync plan"])
        assert set(said["crms"]) == {"hubspot", "salesforce"}


def test_the_document_is_json(work):
    run_cycle(work)
    without, whole = (
        status.status_document(work.config, None, work.now),
        status.status_document(work.config, work.store, work.now),
    )
    assert set(without) == set(whole)
    assert {crm: set(each) for crm, each in without["crms"].items()} == {
        crm: set(each) for crm, each in whole["crms"].items()
    }
    assert orjson.loads(orjson.dumps(whole)) == whole
