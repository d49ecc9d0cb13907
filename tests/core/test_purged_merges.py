"""What a merge or conversion once said outlives the record that said it: one human stays one person."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from crmsync.cycle import run_cycle
from crmsync.model import Ref
from crmsync.store import schema
from tests.support.make import NOW, activity, contact, crm, work
from tests.support.state import rows

LEAD, A, B, C = (Ref("salesforce", kind, each) for kind, each in [("lead", "1"), *(("contact", x) for x in "abc")])
TWIN = Ref("hubspot", "contact", "9")


class Days:
    """Both CRMs and the state, a day a run."""

    def __init__(self, state):
        self.state, self.day = state, 0
        self.salesforce, self.hubspot = crm("salesforce"), crm()
        for ref in (LEAD, A, B, C):
            self.salesforce.edit(contact(ref.id, "salesforce", ref.kind, stage="lead"))
        for number in range(20, 23):  # so that neither CRM is ever empty
            self.salesforce.edit(contact(number, "salesforce"))
            self.hubspot.edit(contact(number))
        self.hubspot.edit(contact(9, links=(LEAD,)))

    def become(self, ref, **how):
        gone = "merged_into" in how
        self.salesforce.edit(replace(self.salesforce.records[ref], gone=gone, changed_at=self.now, **how))

    def purge(self, *refs):
        for ref in refs:
            (self.salesforce if ref.crm == "salesforce" else self.hubspot).records.pop(ref)

    @property
    def now(self):
        return NOW + timedelta(days=self.day)

    def run(self, *, full=False):
        self.day += 1
        return run_cycle(work(self.state, self.salesforce, self.hubspot, now=self.now), full=full, approved=True)

    def people(self, *refs):
        found = {Ref(row["crm"], row["kind"], row["ref_id"]): row["person"] for row in rows(self.state, schema.record)}
        return [found[ref] for ref in refs]

    def are_one(self, *refs):
        people = self.people(*refs)
        return None not in people and len(set(people)) == 1


@pytest.fixture
def days(state):
    made = Days(state)
    made.become(LEAD, converted_into=A)
    made.run()
    return made


def test_R18_a_converted_lead_stays_with_its_contact_when_the_one_it_became_was_purged(days):
    days.become(A, merged_into=B)
    days.run()
    assert days.are_one(LEAD, B, TWIN)
    days.purge(A)
    for full in (True, False, True):
        days.run(full=full)
        assert days.are_one(LEAD, B, TWIN)
    score = days.salesforce.records[B].current["score"]
    assert days.hubspot.records[TWIN].current["score"] == score


@pytest.mark.parametrize("order", [(A, B), (B, A), ((A, B),)], ids=["in their order", "backwards", "at once"])
def test_R18_several_merges_in_a_row_lead_on_in_whatever_order_the_records_are_purged(days, order):
    days.become(A, merged_into=B)
    days.run()
    days.become(B, merged_into=C)
    days.run()
    for gone in order:
        days.purge(*([gone] if isinstance(gone, Ref) else gone))
        days.run(full=True)
        assert days.are_one(LEAD, C, TWIN)


def test_R18_a_survivor_that_is_merged_itself_after_the_purge_leads_on(days):
    days.become(A, merged_into=B)
    days.run()
    days.purge(A)
    days.run(full=True)
    days.become(B, merged_into=C)
    days.run()
    assert days.are_one(LEAD, C, TWIN)
    days.purge(B)
    days.run(full=True)
    assert days.are_one(LEAD, C, TWIN)


def test_R18_a_converted_lead_that_was_purged_leads_whoever_names_it_to_its_contact(days):
    assert days.are_one(A, TWIN)
    days.purge(LEAD)
    days.run(full=True)
    assert days.are_one(A, TWIN)
    days.become(A, merged_into=B)
    days.run()
    days.purge(A)
    days.run(full=True)
    assert days.are_one(B, TWIN)


def test_R17_contacts_that_hubspot_merged_stay_one_when_the_losers_are_gone(days):
    days.salesforce.edit(replace(days.salesforce.records[B], links=(TWIN,)))
    days.hubspot.edit(contact(10, aliases=("9",)))
    days.purge(TWIN)
    days.run()
    new = Ref("hubspot", "contact", "10")
    assert days.are_one(new, B)
    for full in (True, True):
        days.run(full=full)
        assert days.are_one(new, B)
    days.hubspot.edit(contact(11, aliases=("10",)))  # none of HubSpot's lists of old ids is complete
    days.purge(new)
    for full in (False, True):
        days.run(full=full)
        assert days.are_one(Ref("hubspot", "contact", "11"), B)


def test_what_names_a_purged_record_counts_for_the_one_that_took_its_place(days):
    days.salesforce.happen(activity(1, contact("a", "salesforce")))
    days.run()
    before = days.salesforce.records[A].current["behavior"]
    assert before > 0
    days.become(A, merged_into=B)
    days.run()
    days.purge(A)
    days.run(full=True)
    days.salesforce.happen(activity(2, contact("a", "salesforce")))
    days.run()
    assert days.salesforce.records[B].current["behavior"] == 2 * before


def test_a_record_that_was_only_hidden_is_its_own_again(days):
    days.become(A, merged_into=B)
    days.run()
    hidden = days.salesforce.records[A]
    days.purge(A)
    days.run(full=True)
    days.salesforce.edit(replace(hidden, gone=False, merged_into=None, changed_at=days.now))
    days.run()
    assert days.are_one(LEAD, A, TWIN)
    assert days.people(B) != days.people(A)
    assert rows(days.state, schema.alias) == []


def test_C10_the_ids_of_purged_records_go_with_whoever_took_their_place(days):
    days.become(A, merged_into=B)
    days.run()
    days.purge(A)
    days.run(full=True)
    assert [(each["kind"], each["old_id"]) for each in rows(days.state, schema.alias)] == [("contact", "a")]
    days.purge(B)
    days.run(full=True)
    assert rows(days.state, schema.alias) == []
    with days.state.read() as reading:
        of_gone = select(schema.identity).join(schema.record, schema.record.c.id == schema.identity.c.record)
        assert reading.execute(of_gone.where(schema.record.c.gone)).all() == []


def test_C10_nobody_leads_on_to_a_record_that_was_erased_before(days):
    days.become(A, merged_into=B)
    days.run()
    days.purge(A, B)
    days.run(full=True)
    assert rows(days.state, schema.alias) == []
    days.run(full=True)
    assert rows(days.state, schema.alias) == []
