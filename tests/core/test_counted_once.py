"""Whatever the state counts people in, each person counts once, and nobody without a record that is there."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError
from crmsync.model import Ref
from crmsync.reporting.person import explain_person
from crmsync.reporting.status import status_document
from crmsync.store import schema
from crmsync.store.queries import count_scores, find_hottest, waiting_bands
from crmsync.store.scores import band_counts
from tests.support.make import NOW, activity, config, contact, crm, work
from tests.support.state import rows

BANDS = ["cold", "warm", "mql"]
HOT = {"title": "VP Sales", "employees": 500}
LEAD = contact(1, "salesforce", "lead", stage="Open", fields=HOT)
UNSEEN = Ref("salesforce", "contact", "77")


@pytest.fixture
def crms():
    """Somebody hot who is in both CRMs, and three who are cold."""
    both = crm("salesforce"), crm("hubspot")
    for made, somebody in zip(both, (LEAD, contact(1, fields=HOT, stage="lead")), strict=True):
        made.edit(somebody)
        made.happen(activity(1, somebody))
        for number in range(20, 23):
            made.edit(contact(number, made.name, stage="Lead" if made.name == "salesforce" else "lead"))
    return both


def day(state, crms, number):
    return run_cycle(work(state, *crms, now=NOW + timedelta(days=number)), approved=True)


def counts(state, number):
    status = status_document(config(), state, NOW + timedelta(days=number))
    with state.read() as reading:
        return {
            "status": sum(status["bands"].values()),
            "bands": sum(band_counts(reading).values()),
            "points": sum(count_scores(reading).values()),
            "hottest": len(find_hottest(reading, BANDS, 99)),
            **{each["field"]: each["entered"] for each in status["qualified"]},
        }


@pytest.mark.parametrize("how", ["converted", "merged", "its contact was deleted"])
def test_a_record_that_became_one_that_nobody_sees_counts_nobody(state, crms, how):
    salesforce, _ = crms
    day(state, crms, 0)
    assert counts(state, 0) == {"status": 4, "bands": 4, "points": 4, "hottest": 4, "band": 1, "stage": 1}
    if how == "merged":
        salesforce.edit(replace(LEAD, gone=True, merged_into=Ref("salesforce", "lead", "77")))
    else:
        salesforce.edit(replace(salesforce.records[LEAD.ref], converted_into=UNSEEN))
    if how == "its contact was deleted":
        salesforce.edit(contact(77, "salesforce", fields=HOT))
        day(state, crms, 1)
        salesforce.edit(contact(77, "salesforce", gone=True))
    for number in (2, 3):
        assert sum(day(state, crms, number).bands.values()) == 4
        assert counts(state, number) == {"status": 4, "bands": 4, "points": 4, "hottest": 4, "band": 1, "stage": 1}
    with pytest.raises(ConfigError, match=r"into salesforce:(contact|lead):77, which crmsync does not see"):
        explain_person(config(), state, str(LEAD.ref), NOW + timedelta(days=3))


def test_a_converted_lead_is_somebody_again_when_its_contact_is_seen(state, crms):
    salesforce, _ = crms
    day(state, crms, 0)
    salesforce.edit(replace(salesforce.records[LEAD.ref], converted_into=UNSEEN))
    day(state, crms, 1)
    salesforce.edit(contact(77, "salesforce", emails=("person1@firm.example",), fields=HOT))
    day(state, crms, 2)
    whose = {row["person"] for row in rows(state, schema.record) if row["ref_id"] in ("1", "77")}
    assert len(whose) == 1
    assert None not in whose
    assert counts(state, 2)["bands"] == 4
    assert salesforce.records[UNSEEN].current["score"] == 65  # with what happened to the lead


def test_whom_two_crms_hold_in_two_bands_is_in_the_higher_one(state, crms):
    for made in crms:
        made.refusing = dict.fromkeys(made.records, "a rule says no") if made.name == "hubspot" else {}
    salesforce, hubspot = crms
    for each in (LEAD.ref, *(Ref("salesforce", "contact", str(number)) for number in range(20, 23))):
        salesforce.edit(replace(salesforce.records[each], current={"band": "warm"}))
    for each in [*hubspot.records]:
        hubspot.edit(replace(hubspot.records[each], current={"band": "cold"}))
    day(state, crms, 0)
    found = status_document(config(), state, NOW)
    assert found["bands"] == {"cold": 3, "mql": 1}
    assert found["bands_waiting"] == {}


def test_whom_several_changes_would_bring_to_bands_waits_for_the_higher_one(state, crms):
    day(state, crms, 0)
    with state.begin() as tx:
        its = [row for row in rows(state, schema.record) if row["ref_id"] == "1"]
        for row, band in zip(its, ("warm", "mql"), strict=True):
            values = {"record": row["id"], "crm": row["crm"], "kind": row["kind"], "ref_id": row["ref_id"]}
            values |= {"run": "r9", "before": "{}", "after": f'{{"band":"{band}"}}', "because": "", "state": "planned"}
            tx.execute(schema.change.insert().values(**values, at=1))
    with state.read() as reading:
        assert waiting_bands(reading, BANDS) == {"mql": 1}
