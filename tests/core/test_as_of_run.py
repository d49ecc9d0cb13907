"""As of any past instant: what was known then, what nobody can know any more, and that nothing later moves a score."""

import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from crmsync.connector import PastFields, PastValue
from crmsync.cycle import run_cycle
from crmsync.errors import Cancelled, ConfigError, Unavailable
from crmsync.model import Opportunity, Ref
from crmsync.planning.people_columns import ask_past
from crmsync.pull_history import pull_history
from crmsync.reporting.past_person import explain_person_at
from crmsync.scoring import score_as_of
from crmsync.store import schema
from crmsync.store.past import read_past_columns
from tests.core.test_cycle import STAGE_RULE
from tests.support import make
from tests.support.cycles import two_crms
from tests.support.make import MODEL, NOW, activity, config, contact, crm, work
from tests.support.state import rows

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MAIL = ("ada@x.example",)
FIELDS = {"title": "VP Sales", "employees": 500}
MAIL_RULE = """
[[fit]]
name = "Of our own"
points = 7
when = { field = "email", is = "ada@x.example" }
"""
RULES = config(MODEL + STAGE_RULE + MAIL_RULE)
ADA, LEAD, TWIN = contact(1).ref, Ref("salesforce", "lead", "00Q1"), contact(5).ref


def run(state, *crms, at=NOW, settings=RULES):
    return run_cycle(work(state, *crms, now=at, settings=settings), approved=True)


def seconds(at):
    return int(at.timestamp())


def past_of(state, at, now=None, settings=RULES, person=1):
    with state.read() as reading:
        asked = ask_past(settings, now or at)
        return read_past_columns(reading, [person], np.array([seconds(at)], dtype=np.int64), asked)


def fields_at(state, at, **how):
    past = past_of(state, at, **how)
    return {name: values[0] for name, values in past.columns.fields.items()}


def unknown_at(state, at, **how):
    return {name for name, lacks in past_of(state, at, **how).unknown.items() if lacks[0]}


def score_at(state, at, **how):
    past = past_of(state, at, **how)
    return int(score_as_of(RULES, past.columns, np.array([seconds(at)], dtype=np.int64), RULES.zone).total[0])


def total(state, person=1):
    with state.read() as reading:
        return reading.scalar(select(schema.person.c.total).where(schema.person.c.id == person))


# The law


def people():
    """Ada in both CRMs, twice in HubSpot."""
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    hubspot.edit(contact(1, emails=MAIL, fields=FIELDS, stage="lead"))
    hubspot.edit(contact(5, emails=MAIL, fields={"title": "Clerk"}))
    salesforce.edit(contact("00Q1", "salesforce", "lead", emails=MAIL, fields={"title": "CEO"}, stage="lead"))
    return hubspot, salesforce


def edit_title(hubspot, salesforce, at, number):
    which = (hubspot, ADA) if number % 2 else (salesforce, LEAD)
    edit(*which, fields=[{}, {"title": "Clerk"}, {"title": "VP", "employees": 20}, FIELDS][number % 4])


def edit(where, ref, **values):
    if ref in where.records and not where.records[ref].gone:
        where.edit(replace(where.records[ref], **values))


def move_stage(hubspot, _salesforce, _at, number):
    edit(hubspot, ADA, stage=["lead", "mql", None][number % 3])


def change_address(hubspot, _salesforce, _at, number):
    edit(hubspot, TWIN, emails=(f"ada{number}@x.example", *MAIL))


def do_something(hubspot, _salesforce, at, number):
    made = replace(activity(f"{at:%d}{number}", contact(1)), at=at - HOUR)
    hubspot.happen(made)


def join_later(hubspot, salesforce, at, number):
    later = contact(f"003{number}", "salesforce", emails=MAIL, fields={"title": "CFO"}, created_at=at)
    salesforce.edit(later)


def merge_twin(hubspot, _salesforce, _at, _number):
    if TWIN in hubspot.records:
        del hubspot.records[TWIN]
        edit(hubspot, ADA, aliases=("5",))


def convert_lead(hubspot, salesforce, _at, _number):
    if not salesforce.records[LEAD].converted_into:
        became = contact("0039", "salesforce", emails=MAIL, fields={"title": "President"}, created_at=_at)
        salesforce.edit(became)
        edit(salesforce, LEAD, converted_into=became.ref)


def sell(hubspot, _salesforce, at, number):
    hubspot.sell(Opportunity(Ref("hubspot", "deal", str(number)), at, "won", at, at, (ADA,)))


ACTS = (edit_title, move_stage, change_address, do_something, join_later, merge_twin, convert_lead, sell)
Days = st.lists(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 9)), max_size=3), min_size=1, max_size=3)


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(before=Days, after=Days)
def test_law_12_nothing_after_an_instant_changes_a_score_at_that_instant(before, after):
    with tempfile.TemporaryDirectory() as folder, closing(make.store(folder)) as state:
        hubspot, salesforce = people()
        at, scores = NOW, {}
        for day in (*before, *after):
            for act, number in day:
                act(hubspot, salesforce, at, number)
            run(state, hubspot, salesforce, at=at)
            # What a run found is what is found of it later, since it saw what is known of it.
            scores[at] = total(state)
            for then, points in scores.items():
                assert score_at(state, then, now=at) == points
            at += DAY


def test_what_was_edited_later_counts_as_it_was_and_the_present_as_it_is(state):
    hubspot = crm()
    hubspot.edit(contact(1, emails=MAIL, fields=FIELDS))
    hubspot.happen(activity(1, contact(1)))
    run(state, hubspot)
    edit(hubspot, ADA, fields={"title": "Clerk"}, stage="lead", emails=("new@x.example", *MAIL))
    run(state, hubspot, at=NOW + DAY)
    then, now = fields_at(state, NOW + HOUR), fields_at(state, NOW + DAY)
    assert then == {"title": "VP Sales", "employees": 500, "stage": "mql", "email": MAIL[0]}
    assert now == {"title": "Clerk", "employees": None, "stage": "lead", "email": "new@x.example"}
    assert unknown_at(state, NOW + HOUR) == set()


def test_before_a_record_was_seen_nothing_of_it_is_known_but_what_is_stable(state):
    hubspot = crm()
    hubspot.edit(contact(1, fields=FIELDS, created_at=NOW - 30 * DAY))
    run(state, hubspot)
    edit(hubspot, ADA, fields={"title": "Clerk", "employees": 3})
    run(state, hubspot, at=NOW + DAY)
    then = NOW - 10 * DAY
    assert unknown_at(state, then) == {"title", "employees", "stage", "email"}
    assert set(fields_at(state, then).values()) == {None}
    stable = config(MODEL + '[outcome]\nstable = ["employees"]\n')
    # The earliest value that is known, and no later one.
    assert fields_at(state, then, settings=stable)["employees"] == 500
    assert unknown_at(state, then, settings=stable) == {"title", "stage", "email"}
    past = past_of(state, then, settings=stable)
    assert past.count_unknown(["title", "employees", "no such"]) == (1, 2)


def test_before_they_came_there_was_nobody(state):
    hubspot = crm()
    hubspot.edit(contact(1, fields=FIELDS, created_at=NOW - 30 * DAY))
    run(state, hubspot)
    assert past_of(state, NOW - 31 * DAY).there.tolist() == [False]
    assert past_of(state, NOW - 29 * DAY).there.tolist() == [True]


def test_a_field_that_is_mapped_later_is_unknown_until_everything_was_read_by_it(state):
    hubspot = crm()
    hubspot.edit(contact(1, fields={"title": "VP"}))
    run(state, hubspot)
    edit(hubspot, ADA, fields={"title": "VP", "country": "DE"})
    more = config(MODEL.replace("[fields]", '[fields]\ncountry = { hubspot = "country" }'))
    run(state, hubspot, at=NOW + DAY, settings=more)
    assert unknown_at(state, NOW + HOUR, settings=more) == {"country"}
    assert fields_at(state, NOW + HOUR, settings=more)["title"] == "VP"
    assert fields_at(state, NOW + DAY, settings=more)["country"] == "DE"
    assert unknown_at(state, NOW + DAY, settings=more) == set()


def test_what_is_older_than_the_state_keeps_is_unknown(state):
    hubspot = crm()
    hubspot.edit(contact(1, fields=FIELDS))
    run(state, hubspot)
    kept = RULES.state.keep
    assert unknown_at(state, NOW + HOUR, now=NOW + kept) == set()
    assert unknown_at(state, NOW + HOUR, now=NOW + kept + DAY) == {"title", "employees", "stage", "email"}


def test_of_a_deleted_record_and_one_merged_into_it_nothing_former_stays(state):
    hubspot = crm()
    hubspot.edit(contact(1, emails=MAIL, fields=FIELDS))
    hubspot.edit(contact(5, emails=MAIL, fields={"title": "Clerk"}))
    run(state, hubspot)
    del hubspot.records[TWIN]
    edit(hubspot, ADA, aliases=("5",), fields={"title": "CEO"})
    run(state, hubspot, at=NOW + DAY)
    assert {row["value"] for row in rows(state, schema.past_field)} >= {'"Clerk"', '"VP Sales"'}
    edit(hubspot, ADA, gone=True)
    run(state, hubspot, at=NOW + 2 * DAY)
    assert rows(state, schema.past_field) == []


# The history that a CRM keeps


class Keeping:
    """A memory CRM with a history of its fields, which it tells some records at a time."""

    def __init__(self, of, pages, fail_after=None):
        self._of, self._pages, self.asked, self.fail_after = of, pages, [], fail_after

    def __getattr__(self, name):
        return getattr(self._of, name)

    def past_fields(self, refs):
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise Cancelled("stopped")
        self.asked.append(list(refs))
        yield from self._pages(refs)


def pages_of(values, **since):
    def pages(refs):
        mine = [PastValue(ref, *rest) for ref, *rest in values if ref in refs]
        yield PastFields(mine, {"contact": since})

    return pages


def test_what_the_crm_remembers_is_known_as_far_back_as_it_reaches(state):
    hubspot = crm()
    for number in (1, 2):
        hubspot.edit(contact(number, fields=FIELDS, created_at=NOW - 300 * DAY))
    run(state, hubspot)
    values = [(ADA, "title", "Clerk", NOW - 50 * DAY), (ADA, "employees", 10, NOW - 20 * DAY)]
    keeping = Keeping(hubspot, pages_of(values, title=None, employees=NOW - 40 * DAY))
    result = pull_history(work(state, keeping, now=NOW + HOUR))
    assert (result.crms["hubspot"].records, result.crms["hubspot"].values) == (2, 2)
    assert result.crms["hubspot"].fields == ["employees", "title"]
    long_ago, lately = NOW - 60 * DAY, NOW - 30 * DAY
    assert fields_at(state, long_ago)["title"] == "Clerk"
    assert unknown_at(state, long_ago) == {"employees", "stage", "email"}
    assert (fields_at(state, lately)["title"], fields_at(state, lately)["employees"]) == ("VP Sales", 10)
    # Of another record, about which nothing came, what it has now was always so.
    assert fields_at(state, long_ago, person=2)["title"] == "VP Sales"
    before = rows(state, schema.past_field)
    pull_history(work(state, keeping, now=NOW + 2 * HOUR))
    assert rows(state, schema.past_field) == before


def test_a_history_says_when_a_value_changed_and_our_pulls_only_when_they_noticed(state):
    hubspot = crm()
    hubspot.edit(contact(1, fields={"title": "Clerk"}))
    run(state, hubspot)
    edit(hubspot, ADA, fields={"title": "VP"})
    run(state, hubspot, at=NOW + 2 * DAY)
    assert fields_at(state, NOW + DAY + HOUR)["title"] == "Clerk"
    pull_history(
        work(state, Keeping(hubspot, pages_of([(ADA, "title", "Clerk", NOW + DAY)], title=None)), now=NOW + 3 * DAY)
    )
    assert fields_at(state, NOW + DAY + HOUR)["title"] == "VP"
    assert fields_at(state, NOW + HOUR)["title"] == "Clerk"


def test_a_record_whose_history_is_cut_off_is_unknown_before_and_others_are_not(state):
    hubspot = crm()
    for number in (1, 2):
        hubspot.edit(contact(number, fields={"title": "VP"}, created_at=NOW - 300 * DAY))
    run(state, hubspot)

    def pages(_refs):
        yield PastFields([PastValue(ADA, "title", "Clerk", NOW - 5 * DAY)], {"contact": {"title": NOW - 10 * DAY}})
        yield PastFields([], {"contact": {"title": None}})

    pull_history(work(state, Keeping(hubspot, pages), now=NOW + HOUR))
    assert "title" in unknown_at(state, NOW - 11 * DAY)
    assert fields_at(state, NOW - 9 * DAY)["title"] == "Clerk"
    assert fields_at(state, NOW - 11 * DAY, person=2)["title"] == "VP"


def test_a_reading_that_was_cut_off_goes_on_and_records_that_come_later_are_not_in_it(state, monkeypatch):
    monkeypatch.setattr("crmsync.pull_history.RECORDS_AT_ONCE", 1)
    hubspot = crm()
    for number in (1, 2, 3):
        hubspot.edit(contact(number, fields=FIELDS, created_at=NOW - 300 * DAY))
    run(state, hubspot)
    keeping = Keeping(hubspot, pages_of([], title=None), fail_after=2)
    with pytest.raises(Cancelled):
        pull_history(work(state, keeping, now=NOW + HOUR))
    assert "title" in unknown_at(state, NOW - DAY)
    keeping.fail_after = None
    result = pull_history(work(state, keeping, now=NOW + 2 * HOUR))
    assert [[ref.id for ref in refs] for refs in keeping.asked] == [["1"], ["2"], ["3"]]
    assert result.crms["hubspot"].records == 1
    assert "title" not in unknown_at(state, NOW - DAY)
    hubspot.edit(contact(4, fields=FIELDS, created_at=NOW - 300 * DAY))
    run(state, hubspot, at=NOW + DAY)
    (late,) = [row["person"] for row in rows(state, schema.record) if row["ref_id"] == "4"]
    assert "title" in unknown_at(state, NOW - DAY, person=late)


def test_a_crm_that_keeps_no_history_is_named_and_one_that_is_down_leaves_the_other(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)

    def down(_refs):
        raise Unavailable("hubspot", "it does not answer")
        yield

    result = pull_history(work(state, Keeping(hubspot, down), Keeping(salesforce, pages_of([])), now=NOW + HOUR))
    assert result.problems == ["hubspot: it does not answer"]
    assert result.crms["salesforce"].records == 2
    result = pull_history(work(state, hubspot, salesforce, now=NOW + HOUR))
    assert result.notes == [
        f"{each} keeps no history of fields that crmsync could read" for each in ("hubspot", "salesforce")
    ]
    with pytest.raises(Unavailable):
        pull_history(work(state, Keeping(hubspot, down), now=NOW + HOUR))


# explain --at


def test_somebody_is_explained_as_of_then_by_nothing_of_today(state):
    hubspot, salesforce = two_crms()
    run(state, hubspot, salesforce)
    then = explain_person_at(RULES, state, "ada@x.example", NOW + HOUR, NOW + HOUR)
    edit(hubspot, ADA, fields={"title": "Clerk", "employees": 3}, stage="lead", name="Ada")
    hubspot.happen(replace(activity(7, contact(1), form="demo"), at=NOW + 2 * HOUR))
    run(state, hubspot, salesforce, at=NOW + DAY)
    later = explain_person_at(RULES, state, "ada@x.example", NOW + HOUR, NOW + 2 * DAY)
    assert later == {**then, "name": "Ada"}
    assert (later["total"], later["band"], later["stage"]) == (67, "mql", "mql")
    assert later["at"] == "2026-11-21T13:00:00+00:00"
    assert (later["entered"]["total"], later["entered"]["owner"]) == (72, "ann@acme.example")
    assert {each["rule"] for each in later["lines"]} >= {"VP or above", "Demo requested"}
    assert orjson.dumps(later)


def test_what_was_not_known_then_is_said(state):
    hubspot = crm()
    hubspot.edit(contact(1, fields=FIELDS, created_at=NOW - 30 * DAY))
    run(state, hubspot)
    said = explain_person_at(RULES, state, "person1@firm.example", NOW - DAY, NOW + HOUR)
    assert said["unknown_then"] == ["email", "employees", "stage", "title"]
    assert (said["total"], said["entered"], said["stage"]) == (0, None, None)
    assert any(gap.startswith("title") for gap in said["gaps"])


def test_an_instant_to_come_or_before_they_came_is_refused(state):
    hubspot = crm()
    hubspot.edit(contact(1, created_at=NOW - 30 * DAY))
    run(state, hubspot)
    with pytest.raises(ConfigError, match="is still to come"):
        explain_person_at(RULES, state, "person1@firm.example", NOW + DAY, NOW)
    with pytest.raises(ConfigError, match="no record of this person was there at"):
        explain_person_at(RULES, state, "person1@firm.example", NOW - 40 * DAY, NOW)
    with pytest.raises(ConfigError, match="No run yet"):
        explain_person_at(RULES, None, "x", NOW, NOW)
