"""Opportunities of both CRMs over real HTTP: read by runs, and held against the scores."""

from __future__ import annotations

from collections import Counter

import pytest

from crmsync.evaluation.cases import LOST, OPEN, WON
from crmsync.reporting.cases import StateTally, read_state_cases
from crmsync.store import schema

CRMS = ("hubspot", "salesforce")
MORE_CONFIG = "\n[outcome]\n"
KINDS = {"hubspot": "deal", "salesforce": "opportunity"}


def kept(runs, crm):
    return {row["id"]: row["state"] for row in runs.rows(schema.opportunity) if row["crm"] == crm}


def outcomes(runs):
    tally = StateTally()
    parts = list(read_state_cases(runs.config, runs.state, runs.sandbox.clock(), None, None, tally))
    return Counter(each for part in parts for each in part.outcome.tolist()), tally


@pytest.fixture
def pulled(runs):
    assert runs.run(*CRMS).problems == []
    return runs


def test_what_both_crms_hold_of_the_deals_of_the_world_is_what_is_kept(pulled):
    for crm in CRMS:
        wanted = [deal for deal in pulled.sandbox.world.deals if crm in deal.seen_by]
        ends = {"Closed Won": "won", "Closed Lost": "lost"}
        states = Counter(ends.get(deal.stages[-1][0], "open") for deal in wanted)
        assert Counter(kept(pulled, crm).values()) == states
    found, tally = outcomes(pulled)
    assert found[WON] > 0
    assert found[LOST] + found[OPEN] > found[WON]
    assert 0 < tally.unknown_then <= 1


def test_a_second_run_reads_none_and_changes_nothing(pulled):
    before = {crm: kept(pulled, crm) for crm in CRMS}
    again = pulled.run(*CRMS)
    assert {crm: each.opportunities for crm, each in again.crms.items()} == {"hubspot": 0, "salesforce": 0}
    assert {crm: kept(pulled, crm) for crm in CRMS} == before


def test_incremental_runs_end_where_a_full_pull_does(pulled):
    hubspot, salesforce = (sorted(kept(pulled, crm)) for crm in CRMS)
    pulled.do("hubspot", "archive", type="deals", id=hubspot[0])
    pulled.do("salesforce", "delete", id=salesforce[0])
    won = next(each for each, state in kept(pulled, "salesforce").items() if state == "lost" and each != salesforce[0])
    pulled.do("salesforce", "reopen_opportunity", id=won)
    pulled.sandbox.clock.advance(90_000)  # HubSpot's recycle bin is looked into once a day
    pulled.run(*CRMS)
    changed = {crm: kept(pulled, crm) for crm in CRMS}
    assert hubspot[0] not in changed["hubspot"]
    assert salesforce[0] not in changed["salesforce"]
    assert changed["salesforce"][won] == "open"
    pulled.run(*CRMS, full=True)
    assert {crm: kept(pulled, crm) for crm in CRMS} == changed


@pytest.mark.parametrize("crm", CRMS)
def test_each_opportunity_comes_once_well_formed_and_from_any_page(runs, crm):
    made = runs.connect(crm)
    pages = list(made.outcomes(None))
    found = [each for page in pages for each in page.items]
    assert len({each.ref for each in found}) == len(found) > 0
    for each in found:
        assert each.ref.crm == crm
        assert each.ref.kind == KINDS[crm]
        assert (each.closed_at is None) == (each.state == "open")
        instants = [
            each.created_at,
            *(stage.at for stage in each.stages),
            *([each.closed_at] if each.closed_at else []),
        ]
        assert all(at is not None and at.tzinfo is not None for at in instants)
        assert instants == sorted(instants)
        assert [stage.at for stage in each.stages] == sorted(stage.at for stage in each.stages)
    assert {each for page in made.outcomes(pages[-1].cursor) for each in page.items} == set()
    made.close()
