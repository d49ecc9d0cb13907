"""When deals close, and what their stages mean, whatever a portal keeps of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.sandbox.faults import Fault
from crmsync.model import StageEntry
from tests.support.hubspot import RENEWALS, calls, create, deals, edit_deal, refused, sell
from tests.support.sandbox_hubspot import LOST, WON, WORLD

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.fixture
def ada(sandbox):
    return create(sandbox, email="ada@acme.example")


def test_a_deal_that_is_opened_again_is_open_and_closes_when_it_closes_again(sandbox, ready, ada):
    deal = sell(sandbox, ada, dealstage="closedlost")
    for hours, stage in enumerate(("contractsent", "closedwon", "qualifiedtobuy", "closedwon"), start=1):
        sandbox.clock.advance(3600)
        edit_deal(sandbox, deal, dealstage=stage)
        found = deals(ready)[0][deal]
        state = "won" if stage == "closedwon" else "open"
        assert (found.state, found.closed_at) == (state, NOW + timedelta(hours=hours) if state == "won" else None)


def test_the_close_date_that_somebody_typed_is_not_when_a_deal_closed(sandbox, ready, ada):
    deal = sell(sandbox, ada)
    sandbox.clock.advance(3600)
    edit_deal(sandbox, deal, dealstage="closedwon", closedate="2026-10-01T00:00:00Z")
    assert deals(ready)[0][deal].closed_at == NOW + timedelta(hours=1)


def without_dates(sandbox):
    """A portal whose subscription has no properties that say when a deal came into a stage."""
    schema = sandbox.portal.state.records["deals"].schema
    for name in [each for each in schema.known if each.startswith("hs_v2_date_")]:
        sandbox.do("hubspot", "hide_property", type="deals", property=name)


def test_where_no_property_says_it_the_history_of_the_stage_says_when_a_deal_closed(sandbox, ready, ada):
    without_dates(sandbox)
    deal = sell(sandbox, ada)
    sandbox.clock.advance(3600)
    edit_deal(sandbox, deal, dealstage="closedwon", closedate="2026-10-01T00:00:00Z")
    found, cursor = deals(ready)
    assert found[deal].closed_at == NOW + timedelta(hours=1)
    assert found[deal].stages == (
        StageEntry("Qualified To Buy", NOW),
        StageEntry("Closed Won", NOW + timedelta(hours=1)),
    )
    edit_deal(sandbox, deal, amount="1")
    assert deals(ready, cursor)[0][deal] == replace(found[deal], value=1.0)


@pytest.mark.parametrize("has_present", [True, False])
def test_a_date_of_an_earlier_time_in_the_stage_is_not_when_a_deal_closed(sandbox, ready, ada, has_present):
    """Whether HubSpot keeps the first or the latest entry is not documented for every portal."""
    if not has_present:
        sandbox.do("hubspot", "hide_property", type="deals", property="hs_v2_date_entered_current_stage")
    deal = sell(sandbox, ada, dealstage="closedwon")
    for stage in ("contractsent", "closedwon"):
        sandbox.clock.advance(3600)
        edit_deal(sandbox, deal, dealstage=stage)
    edit_deal(sandbox, deal, hs_v2_date_entered_closedwon=NOW.isoformat())
    found = deals(ready)[0][deal]
    assert found.closed_at == NOW + timedelta(hours=2)
    former = [] if has_present else ["Closed Won"]
    assert [each.stage for each in found.stages] == [*former, "Contract Sent", "Closed Won"]


def test_where_nothing_else_says_it_the_close_date_does_if_it_can_be(sandbox, ready, ada):
    without_dates(sandbox)
    past = sell(sandbox, ada, dealstage="closedwon", closedate="2026-10-01T00:00:00Z")
    future = sell(sandbox, ada, dealstage="closedwon", closedate="2027-10-01T00:00:00Z")
    sandbox.faults.add(Fault(**refused(400, message="no"), path="/deals/batch/read"))
    found, _ = deals(ready)
    assert found[past].closed_at == datetime(2026, 10, 1, tzinfo=UTC)
    assert found[future].closed_at == found[future].changed_at == NOW


def test_stages_of_another_pipeline_are_read_by_their_labels(sandbox, ready, ada):
    sandbox.do("hubspot", "put_pipeline", **RENEWALS)
    won, lost = sell(sandbox, ada, dealstage="99-B7"), sell(sandbox, ada, dealstage="990012")
    found, _ = deals(ready)
    assert [(each.pipeline, each.stage, each.state) for each in (found[won], found[lost])] == [
        ("Renewals", "Renewed", "won"),
        ("Renewals", "Left", "lost"),
    ]


@pytest.mark.parametrize("name", ["hs_date_entered_99_b7", "hs_v2_date_entered_99_b7_1234567"])
def test_dates_of_stages_are_found_however_hubspot_spells_them(sandbox, ready, ada, name):
    sandbox.do("hubspot", "put_pipeline", **RENEWALS)
    without_dates(sandbox)
    schema = sandbox.portal.state.records["deals"].schema
    schema.put(schema.known["closedate"] | {"name": name})
    for other in deals(ready)[0]:  # of the world: without dates, they need their histories
        sandbox.do("hubspot", "archive", type="deals", id=other)
    deal = sell(sandbox, ada, dealstage="99-B7", **{name: "2026-11-20T10:00:00Z"})
    sandbox.calls.clear()
    assert deals(ready)[0][deal].closed_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert not calls(sandbox, "/deals/batch/read")


def test_a_deal_in_a_stage_that_is_no_more_is_what_it_says_itself(sandbox, ready, ada):
    sandbox.do("hubspot", "put_pipeline", **RENEWALS)
    won, lost = sell(sandbox, ada, dealstage="99-B7"), sell(sandbox, ada, dealstage="990012")
    sandbox.do("hubspot", "put_pipeline", id="88001", label="Renewals", stages=[])
    found, _ = deals(ready)
    assert [(found[each].state, found[each].stage) for each in (won, lost)] == [("won", "99-B7"), ("lost", "990012")]


def test_what_sales_made_of_people_comes_out_as_it_went(sandbox, ready):
    sandbox.portal.load(replace(WORLD, deals=(WON, LOST)))
    found = {each.campaign: each for each in deals(ready)[0].values() if each.state != "open"}
    won, lost = found["Autumn"], found[""]
    assert [(each.state, each.closed_at, each.value, each.source) for each in (won, lost)] == [
        ("won", WON.stages[-1][1], 12_000.0, "Webinar"),
        ("lost", LOST.stages[-1][1], None, "Paid Search"),
    ]
    assert [each.at for each in won.stages] == [at for _, at in WON.stages]
    assert (lost.lost_reason, len(won.records), bool(won.company), lost.company) == ("No budget", 2, True, "")
