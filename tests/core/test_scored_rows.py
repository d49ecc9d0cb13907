"""What a run stores of each score, and what of whom it hands on to be decided about."""

from datetime import UTC, datetime

import pytest

from crmsync.cycle import run_cycle
from crmsync.dead_feeds import DeadFeed
from crmsync.model import Ref
from crmsync.planning.desk import NO_ACCOUNT, Setting
from crmsync.planning.scored_people import score_changed_people, store_scores
from crmsync.routing.lifecycle import StageReason
from crmsync.routing.owners import owners_of
from crmsync.store import schema
from crmsync.store.sql import to_ms
from crmsync.store.undone import hold_undone
from tests.support import make
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, hot, run
from tests.support.make import config, contact, work
from tests.support.state import ledgers, rows

POINTS = ("fit", "behavior", "total", "band")
META = ("model", "plan", "scored_at", "scored_run")
LINES = (("VP or above", 2000), ("Over 200 employees", 1500), ("Demo requested", 3000))
"""Ada's: 20 and 15 points for who she is, 30 for what she did; in hundredths."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LISTS = {"hubspot": {}, "exclude": {"lists": ["Customers"]}}


def people(state, *columns):
    """Some columns of everybody's score, by the id of their record."""
    ids = {row["person"]: row["ref_id"] for row in rows(state, schema.record)}
    return {ids[row["id"]]: tuple(row[name] for name in columns) for row in rows(state, schema.person)}


def meta(settings, at, run_id):
    return (settings.model_hash(), settings.plan_hash(), to_ms(at), run_id)


def lines(state):
    found = ledgers(state)
    return {row["ref_id"]: found[row["person"]] for row in rows(state, schema.record)}


@pytest.fixture
def hubspot():
    """Ada, and somebody who has no points."""
    made = hot()
    made.edit(contact(2))
    made.lists["Customers"] = set()
    return made


# What is stored


def test_each_score_is_stored_with_its_lines_what_it_rests_on_and_the_run_that_made_it(state, hubspot):
    first = run(state, hubspot, at=DAYS[0])
    assert people(state, *POINTS) == {"1": (3500, 3000, 6500, "mql"), "2": (0, 0, 0, "cold")}
    assert lines(state) == {"1": LINES, "2": ()}
    by_first = meta(config(NEVER_FADES), DAYS[0], first.run)
    assert people(state, *META) == {"1": by_first, "2": by_first}
    # Of whom there is no news nothing is stored again.
    edit(hubspot, ADA, fields={"title": "VP Sales"})
    second = run(state, hubspot, at=DAYS[1])
    assert people(state, *POINTS) == {"1": (2000, 3000, 5000, "mql"), "2": (0, 0, 0, "cold")}
    assert people(state, *META) == {"1": meta(config(NEVER_FADES), DAYS[1], second.run), "2": by_first}
    assert lines(state)["1"] == (LINES[0], LINES[2])


def test_of_whoever_is_left_out_no_points_lines_and_band_are_stored_but_why(state, hubspot):
    run(state, hubspot, at=DAYS[0], **LISTS)
    hubspot.lists["Customers"] = {ADA}
    ran = run(state, hubspot, at=DAYS[1], **LISTS)
    left_out = 'on the list "Customers"'
    assert people(state, *POINTS, "excluded") == {"1": (0, 0, 0, "", left_out), "2": (0, 0, 0, "cold", "")}
    assert lines(state) == {"1": (), "2": ()}
    assert people(state, *META)["1"] == meta(config(NEVER_FADES, **LISTS), DAYS[1], ran.run)


def test_whoever_fulfils_the_condition_of_exclude_is_left_out_in_a_run(state, hubspot):
    run(state, hubspot, at=DAYS[0], exclude={"when": {"field": "title", "is": "VP Sales"}})
    assert people(state, "total", "excluded") == {"1": (0, "title is VP Sales"), "2": (0, "")}


def test_whoever_is_scored_again_beside_somebody_who_is_not_ends_no_run(state, hubspot):
    hubspot.edit(contact(3))
    run(state, hubspot, at=DAYS[0])
    first, between, last = sorted(row["person"] for row in rows(state, schema.record))
    for row in rows(state, schema.record):
        if row["person"] in (first, last):
            edit(hubspot, Ref("hubspot", "contact", row["ref_id"]), fields={"title": "VP", "employees": 500})
    run(state, hubspot, at=DAYS[1])
    scored = {row["id"]: row["fit"] for row in rows(state, schema.person)}
    assert (scored[first], scored[last]) == (3500, 3500)
    assert between in scored


def test_what_a_new_rule_changes_of_the_day_alone_ends_on_that_day(state, hubspot):
    run(state, hubspot, at=DAYS[0], model=make.MODEL)
    sooner = make.MODEL.replace('window = "60d"', 'window = "30d"')  # the form was submitted a day before
    run(state, hubspot, at=DAYS[1], model=sooner)
    run(state, hubspot, at=DAYS[31], model=sooner)
    assert people(state, "total")["1"] == (3500,)


@pytest.mark.parametrize("has_next", [False, True])
def test_fading_that_no_whole_point_shows_scores_nobody_again_unless_next_is_written(state, hubspot, has_next):
    # Of 3 points 2.8 are left a day after, and 2.6 another day after: whole points say 3.
    model = NEVER_FADES.replace("points = 30\n", 'points = 3\ndecay = { half_life = "10d" }\n')
    if has_next:
        model += 'next = { hubspot = "crmsync_next" }\n'
    run(state, hubspot, at=DAYS[0], model=model)
    told = []
    later = work(state, hubspot, now=DAYS[1], settings=config(model))
    run_cycle(later._replace(progress=lambda *said: told.append(said)))
    assert [each for each in told if each[0] == "scored"] == [("scored", "", 1)] * has_next


def test_without_bands_a_score_has_none(state, hubspot):
    model = NEVER_FADES[: NEVER_FADES.index("[bands]")] + NEVER_FADES[NEVER_FADES.index("[[fit]]") :]
    model = model[: model.index("[[stage]]")] + model[model.index("[fields]") :]
    run(
        state,
        hubspot,
        at=DAYS[0],
        model=model.replace('band = { hubspot = "crmsync_band", salesforce = "Crmsync_Band__c" }\n', ""),
    )
    assert people(state, *POINTS) == {"1": (3500, 3000, 6500, ""), "2": (0, 0, 0, "")}


def test_a_band_is_kept_down_to_where_it_is_dropped_by_whoever_had_it_and_by_nobody_else(state, hubspot):
    model = NEVER_FADES.replace("mql = 50", "mql = { at = 50, drop_below = 25 }")
    run(state, hubspot, at=DAYS[0], model=model)
    edit(hubspot, ADA, fields={})
    other = hubspot.records[Ref("hubspot", "contact", "2")]
    hubspot.happen(make.activity(2, other))
    run(state, hubspot, at=DAYS[1], model=model)
    assert people(state, "total", "band") == {"1": (3000, "mql"), "2": (3000, "warm")}


def test_scores_can_be_stored_with_nothing_decided_about_anybody(state, hubspot):
    first = run(state, hubspot, at=DAYS[0])
    before = {row["id"]: row for row in rows(state, schema.person)}
    settings = config(NEVER_FADES.replace("points = 30", "points = 12"))
    later = work(state, hubspot, now=DAYS[1], settings=settings)
    with state.begin() as tx:
        store_scores(later, tx, "r2", [], sorted(before))
    assert people(state, *POINTS) == {"1": (3500, 1200, 4700, "warm"), "2": (0, 0, 0, "cold")}
    assert people(state, *META)["1"] == meta(settings, DAYS[1], "r2")
    assert lines(state)["1"] == (*LINES[:2], ("Demo requested", 1200))
    with state.begin() as tx:
        store_scores(later, tx, "r3", [], sorted(before))
    assert people(state, "scored_run") == {"1": ("r2",), "2": (first.run,)}  # no news
    decided = ("destination", "route", "stage", "stage_since", "owner_why", "stage_why", "track", "waiting")
    for row in rows(state, schema.person):
        assert [row[name] for name in decided] == [before[row["id"]][name] for name in decided]


@pytest.mark.parametrize(("is_held", "points"), [(True, 3000), (False, 1500)])
def test_scores_are_stored_with_the_clocks_of_dead_feeds_standing(state, hubspot, is_held, points):
    settings = config(NEVER_FADES.replace("points = 30\n", 'points = 30\ndecay = { half_life = "10d" }\n'))
    run(state, hubspot, at=DAYS[0])
    submitted = (DAYS[0] - EPOCH).days - 1
    holds = [DeadFeed("hubspot", "form_submitted", 9, 1, submitted)] if is_held else []
    # Ten days after the form one half-life has passed: of 30 points 15 are left.
    with state.begin() as tx:
        store_scores(work(state, hubspot, now=DAYS[9], settings=settings), tx, "r2", holds, [1])
    assert people(state, "behavior")["1"] == (points,)


def test_it_is_told_how_many_were_scored_in_no_crm_of_their_own(state, hubspot):
    told = []
    run_cycle(work(state, hubspot, now=DAYS[0])._replace(progress=lambda *said: told.append(said)))
    assert [each for each in told if each[0] == "scored"] == [("scored", "", 2)]


# What is handed on


def handed_on(state, hubspot, at, settings=None, **over):
    """By record: the person as the plan gets them, and their records."""
    made = work(state, hubspot, now=at, settings=settings or config(NEVER_FADES))
    setting = Setting(["hubspot"], owners_of(make.owners("hubspot"), ()), {})
    given = {"holds": [], "without": (), "only": None, "accounts": {}, **over}
    with state.begin() as tx:
        found = list(score_changed_people(made, tx, setting, "r2", *given.values()))
    return {records[0].ref.id: (person, records) for person, records in found}


def test_of_whom_there_is_news_all_is_handed_on_that_a_plan_needs(state, hubspot):
    run(state, hubspot, at=DAYS[0])
    edit(hubspot, ADA, fields={"title": "VP Sales"})
    seen = handed_on(state, hubspot, DAYS[1])
    assert seen == {}  # it was not pulled
    settings = config(NEVER_FADES.replace("points = 30", "points = 12"))
    seen = handed_on(state, hubspot, DAYS[1], settings)
    assert list(seen) == ["1"]
    person, records = seen["1"]
    assert (person.total, person.band, person.email, person.is_new) == (4700, "warm", "ada@x.example", False)
    assert {name: person.score_fields[name] for name in ("score", "fit", "behavior", "band")} == {
        "score": 47, "fit": 35, "behavior": 12, "band": "warm",
    }  # fmt: skip
    assert person.because == person.score_fields["reason"] != ""
    assert person.before.band == "mql"
    assert (person.excluded, person.account, person.worth) == ("", NO_ACCOUNT, {})
    assert [each.to for each in person.decision.routes] == ["nurture"]
    assert person.entry == StageReason("mql", "enters mql: the band is mql", to_ms(DAYS[0]))
    assert [each.ref for each in records] == [ADA]


def test_whoever_is_left_out_is_handed_on_with_no_score_and_why(state, hubspot):
    run(state, hubspot, at=DAYS[0], **LISTS)
    hubspot.lists["Customers"] = {ADA}
    with_lists = config(NEVER_FADES, **LISTS)
    run(state, hubspot, at=DAYS[1], **LISTS)
    with state.begin() as tx:
        tx.execute(schema.record.update().values(dirty=True))
    person, records = handed_on(state, hubspot, DAYS[2], with_lists)["1"]
    left_out = 'on the list "Customers"'
    assert (person.total, person.band, person.email) == (0, "", "")
    assert (person.excluded, person.because) == (left_out, f"excluded: {left_out}")
    assert person.score_fields == dict.fromkeys(("score", "fit", "behavior", "band", "reason"))
    assert (person.decision, person.is_new, person.before.excluded) == (None, False, left_out)
    assert [each.ref for each in records] == [ADA]


def test_of_what_was_undone_only_that_waits_which_this_config_had_decided(state, hubspot):
    run(state, hubspot, at=DAYS[0])
    settings = config(NEVER_FADES)
    row = next(each["id"] for each in rows(state, schema.record) if each["ref_id"] == "1")
    with state.begin() as tx:
        hold_undone(tx, {row: {"owner": "hubspot-ann"}}, "r1", [settings.decision_hash(), "another"])
        hold_undone(tx, {row: {"stage": "mql"}}, "r1", ["another"])
        tx.execute(schema.record.update().values(dirty=True))
    _person, (held,) = handed_on(state, hubspot, DAYS[1])["1"]
    assert {name: each["value"] for name, each in held.undone.items()} == {"owner": "hubspot-ann"}
