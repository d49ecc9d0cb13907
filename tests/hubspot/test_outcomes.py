"""Deals as opportunities of the contacts they are associated with."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.sandbox.faults import Fault
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Opportunity, Ref, StageEntry
from tests.support.hubspot import NAMES, RENEWALS, calls, create, deals, edit_deal, hubspot, join_deal, refused, sell
from tests.support.pages import pulled

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DAY = 86_400
READS_DEALS = replace(NAMES, outcomes=True)


def contact_refs(*ids):
    return tuple(Ref("hubspot", "contact", each) for each in ids)


@pytest.fixture
def ada(sandbox):
    return create(sandbox, email="ada@acme.example")


def test_a_deal_is_what_hubspot_says_of_it(sandbox, ready, ada):
    grace = create(sandbox, email="grace@acme.example")
    company = str(sandbox.portal.state.records["companies"].live[0])
    owner = str(next(iter(sandbox.portal.state.owners)))
    deal = sell(
        sandbox, ada, grace, company=company, hubspot_owner_id=owner, hs_analytics_source="PAID_SEARCH",
        hs_campaign="Autumn", deal_currency_code="USD", closedate="2027-01-31T00:00:00Z",
    )  # fmt: skip
    sandbox.clock.advance(DAY)
    edit_deal(sandbox, deal, dealstage="contractsent")
    sandbox.clock.advance(DAY)
    edit_deal(sandbox, deal, dealstage="closedlost", closed_lost_reason="No budget")
    found, _ = deals(ready)
    assert found[deal] == Opportunity(
        ref=Ref("hubspot", "deal", deal),
        changed_at=NOW + timedelta(days=2),
        state="lost",
        created_at=NOW,
        closed_at=NOW + timedelta(days=2),
        records=contact_refs(ada, grace),
        company=company,
        pipeline="Sales Pipeline",
        stage="Closed Lost",
        stages=(
            StageEntry("Qualified To Buy", NOW),
            StageEntry("Contract Sent", NOW + timedelta(days=1)),
            StageEntry("Closed Lost", NOW + timedelta(days=2)),
        ),
        value=9000.0,
        currency="USD",
        owner=owner,
        lost_reason="No budget",
        source="Paid Search",
        campaign="Autumn",
    )


def test_an_open_deal_has_no_closing_and_the_portals_currency(sandbox, ready, ada):
    deal = sell(sandbox, ada, closedate="2026-11-01T00:00:00Z", amount="")
    found = deals(ready)[0][deal]
    assert (found.state, found.closed_at, found.currency, found.value) == ("open", None, "EUR", None)


@pytest.mark.parametrize("api_version", ["2026-09", "2026-03", "v3"])
def test_all_deals_come_first_whatever_version_is_spoken(sandbox, ready, ada, api_version):
    deal = sell(sandbox, ada)
    found, _ = deals(hubspot(sandbox, api_version=api_version))
    assert found.keys() == {str(each) for each in sandbox.portal.state.records["deals"].live}
    assert found[deal].records == contact_refs(ada)


def test_what_changed_comes_by_cursor_with_one_search_and_the_pipelines(sandbox, ready, ada):
    deal = sell(sandbox, ada)
    _, cursor = deals(ready)
    sandbox.clock.advance(3600)
    edit_deal(sandbox, deal, dealstage="closedwon")
    sandbox.calls.clear()
    found, cursor = deals(ready, cursor)
    assert {each: one.state for each, one in found.items()} == {deal: "won"}
    assert found[deal].closed_at == NOW + timedelta(hours=1)
    # What changed within the look-back before a pull comes with the next one, too.
    sandbox.clock.advance(3600)
    found, cursor = deals(ready, cursor)
    assert found.keys() == {deal}
    sandbox.clock.advance(3600)
    sandbox.calls.clear()
    assert deals(ready, cursor)[0] == {}
    assert Counter(each.path for each in calls(sandbox, "/deals")) == {
        "/crm/pipelines/2026-09/deals": 1,
        "/crm/objects/2026-09/deals/search": 1,
    }


def test_a_change_that_the_search_index_does_not_know_yet_is_not_lost(sandbox, ready, ada):
    deal = sell(sandbox, ada)
    sandbox.clock.advance(3600)
    _, cursor = deals(ready)
    sandbox.portal.switches.index_lag = 120.0
    edit_deal(sandbox, deal, dealstage="closedwon")
    sandbox.clock.advance(60)
    found, cursor = deals(ready, cursor)
    sandbox.clock.advance(60)
    found |= deals(ready, cursor)[0]
    assert found[deal].state == "won"


def test_more_deals_than_a_search_pages_through_all_come(sandbox, ready, monkeypatch):
    monkeypatch.setattr("connectors.sandbox.hubspot.search.CEILING", 40)
    monkeypatch.setattr("connectors.hubspot.paging.SEARCH_PAGE", 20)
    monkeypatch.setattr("connectors.hubspot.paging.LIST_PAGE", 20)
    _, cursor = deals(ready)
    made = {
        sandbox.do("hubspot", "create", type="deals", properties={"dealstage": "closedwon"})["id"] for _ in range(90)
    }
    found, _ = deals(ready, cursor)
    assert made <= found.keys()
    assert made <= deals(hubspot(sandbox))[0].keys()


@pytest.mark.parametrize("deal_links", ["silent", "modify"])
def test_a_contact_that_is_added_later_counts_within_a_day(sandbox, ready, ada, deal_links):
    sandbox.portal.switches.deal_links = deal_links
    deal = sell(sandbox)
    sandbox.clock.advance(3600)
    found, cursor = deals(ready)
    assert found[deal].records == ()
    join_deal(sandbox, deal, ada)
    sandbox.clock.advance(DAY + 3600)
    assert deals(ready, cursor)[0][deal].records == contact_refs(ada)


def test_a_contact_that_is_added_within_the_look_back_counts_at_once(sandbox, ready, ada):
    deal = sell(sandbox)
    _, cursor = deals(ready)
    join_deal(sandbox, deal, ada)
    sandbox.clock.advance(60)
    assert deals(ready, cursor)[0][deal].records == contact_refs(ada)


def test_a_deleted_deal_is_gone_within_a_day_and_comes_back_when_it_is_restored(sandbox, ready, ada):
    deal = sell(sandbox, ada)
    _, cursor = deals(ready)
    sandbox.do("hubspot", "archive", type="deals", id=deal)
    sandbox.clock.advance(DAY + 3600)
    found, cursor = deals(ready, cursor)
    assert [each for each, one in found.items() if one.gone] == [deal]
    assert deals(hubspot(sandbox))[0][deal].gone
    sandbox.do("hubspot", "restore", type="deals", id=deal)
    sandbox.clock.advance(60)
    assert not deals(ready, cursor)[0][deal].gone


def test_deals_that_are_merged_are_gone_and_their_contacts_belong_to_the_one_that_remains(sandbox, ready, ada):
    first, second = sell(sandbox, ada), sell(sandbox, create(sandbox, email="grace@acme.example"))
    _, cursor = deals(ready)
    merged = sandbox.do("hubspot", "merge", type="deals", id=first, other=second)["id"]
    sandbox.clock.advance(60)
    found, _ = deals(ready, cursor)
    assert {each for each, one in found.items() if one.gone} == {first, second}
    assert len(found[merged].records) == 2


def test_a_stage_that_comes_to_mean_won_brings_its_deals_again(sandbox, ready, ada):
    sandbox.do("hubspot", "put_pipeline", **RENEWALS)
    deal = sell(sandbox, ada, dealstage="990010")
    sandbox.clock.advance(3600)
    _, cursor = deals(ready)
    first, *others = RENEWALS["stages"]
    meant = {**RENEWALS, "stages": [{**first, "probability": 1.0, "closed": True, "label": "Signed"}, *others]}
    sandbox.do("hubspot", "put_pipeline", **meant)
    sandbox.clock.advance(3600)
    found, cursor = deals(ready, cursor)
    assert (found[deal].state, found[deal].stage) == ("won", "Signed")
    assert deals(ready, cursor)[0] == {}


def test_pipelines_in_another_order_bring_no_deal_again(sandbox, ready, ada):
    sandbox.do("hubspot", "put_pipeline", **RENEWALS)
    sell(sandbox, ada)
    sandbox.clock.advance(3600)
    _, cursor = deals(ready)
    sandbox.do("hubspot", "put_pipeline", **{**RENEWALS, "stages": RENEWALS["stages"][::-1]})
    assert deals(ready, cursor)[0] == {}


def test_another_property_may_say_what_a_deal_is_worth(sandbox, ready, ada):
    schema = sandbox.portal.state.records["deals"].schema
    schema.put(schema.known["amount"] | {"name": "yearly_value"})
    deal = sell(sandbox, ada, yearly_value="120.5")
    sandbox.clock.advance(3600)
    found, cursor = deals(ready)
    assert found[deal].value == 9000
    yearly = hubspot(sandbox, replace(NAMES, opportunity_value="yearly_value"))
    assert deals(yearly, cursor)[0][deal].value == 120.5


def test_a_value_that_the_portal_does_not_have_is_a_sentence(sandbox, ready):
    names = replace(READS_DEALS, opportunity_value="yearly_value")
    connector = hubspot(sandbox, names)
    with pytest.raises(ConfigError, match=r"no deal property 'yearly_value'.*correct .outcome."):
        pulled(connector.outcomes(None))
    assert [each for each in connector.check().problems if "yearly_value" in each]


def test_the_primary_company_is_the_one_of_a_deal(sandbox, ready, ada):
    first, second, third = map(str, sandbox.portal.state.records["companies"].live[:3])
    deal = sell(sandbox, ada)
    for company in (first, second, third):
        primary = company == second
        sandbox.do("hubspot", "associate", type="deals", id=deal, to="companies", other=company, primary=primary)
    found, cursor = deals(ready)
    assert found[deal].company == second
    sandbox.clock.advance(60)
    assert deals(ready, cursor)[0][deal] == found[deal]


NO_DEALS = ["crm.objects.contacts.read", "crm.schemas.contacts.read", "crm.objects.companies.read"]


@pytest.mark.parametrize("is_named", [True, False])
def test_without_the_scope_a_sentence_names_it_and_all_else_goes_on(sandbox, ready, is_named):
    _, cursor = deals(ready)
    sandbox.portal.switches.scopes = NO_DEALS
    if not is_named:
        sandbox.faults.add(Fault(**refused(403, message="no"), path="/deals"))
    for begun in (None, cursor):
        with pytest.raises(ConfigError, match=r"crm\.objects\.deals\.read"):
            pulled(ready.outcomes(begun))
    assert pulled(ready.contacts(None))[0]


def test_the_check_names_the_scope_only_where_outcomes_are_read(sandbox, ready):
    sandbox.portal.switches.scopes = NO_DEALS
    named = [
        [each for each in hubspot(sandbox, names).check().problems if "crm.objects.deals.read" in each]
        for names in (READS_DEALS, NAMES)
    ]
    assert [len(each) for each in named] == [1, 0]


def test_a_deal_that_cannot_be_read_is_left_out_and_named(sandbox, ready, ada):
    fine, odd = sell(sandbox, ada), sell(sandbox, ada)
    answer = {
        "results": [
            {"id": odd, "properties": None, "archived": False},
            {
                "id": fine,
                "properties": {
                    "hs_lastmodifieddate": "2026-11-20T09:00:00Z", "dealstage": "closedwon", "amount": "a lot",
                    "createdate": "yesterday", "hs_v2_date_entered_closedwon": "soon", "pipeline": None,
                },
                "archived": False,
            },
        ]
    }  # fmt: skip
    sandbox.faults.add(Fault(do="answer", status=200, body=answer, path="/objects/2026-09/deals$", nth=1))
    pages = list(ready.outcomes(None))
    found = {each.ref.id: each for page in pages for each in page.items}
    assert odd not in found
    assert [each.what for page in pages for each in page.odd] == [f"deals {odd}"]
    assert (found[fine].value, found[fine].state, found[fine].pipeline) == (None, "won", "")
    assert found[fine].records == contact_refs(ada)
    assert found[fine].closed_at <= found[fine].changed_at


@pytest.mark.parametrize("body", [{"results": None}, {"results": ["a"]}, []])
def test_pipelines_that_cannot_be_read_are_a_sentence(sandbox, ready, body):
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path="/pipelines/"))
    with pytest.raises(Unavailable, match="pipelines of deals"):
        pulled(ready.outcomes(None))


def test_of_odd_pipelines_the_rest_is_read(sandbox, ready, ada):
    deal = sell(sandbox, ada, dealstage="closedwon")
    sold = {"id": "closedwon", "label": "Sold", "metadata": {"probability": "1"}}
    body = {"results": [{"id": None, "stages": [{"id": {}}, "x", {}, sold]}, {"id": 7, "stages": 7, "label": []}]}
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path="/pipelines/"))
    found, _ = deals(ready)
    assert (found[deal].state, found[deal].stage, found[deal].pipeline) == ("won", "closedwon", "default")


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
def test_a_first_pull_that_was_interrupted_goes_on_where_it_stood(sandbox, ready, ada, monkeypatch, stopped_after):
    monkeypatch.setattr("connectors.hubspot.paging.LIST_PAGE", 10)
    made = {sell(sandbox, ada) for _ in range(60)}
    first = ready.outcomes(None)
    pages = [next(first) for _ in range(stopped_after)]
    first.close()
    other = hubspot(sandbox)
    sandbox.calls.clear()
    rest, _ = deals(other, pages[-1].cursor)
    seen = {each.ref.id for page in pages for each in page.items}
    assert made <= seen | rest.keys()
    assert not seen & rest.keys()


def test_a_cursor_from_hubspots_future_is_not_believed(sandbox, ready, ada):
    deal = sell(sandbox, ada)
    sandbox.clock.advance(100 * DAY)
    _, cursor = deals(ready)
    sandbox.clock.advance(-50 * DAY)
    assert deal in deals(hubspot(sandbox), cursor)[0]


def test_a_search_that_skips_is_followed_by_a_pull_of_all(sandbox, ready, monkeypatch):
    monkeypatch.setattr("connectors.hubspot.paging.SEARCH_PAGE", 5)
    _, cursor = deals(ready)
    sandbox.portal.switches.id_order = "text"
    sandbox.portal.state.records["deals"].next_id = 999_999_999_990
    made = {
        sandbox.do("hubspot", "create", type="deals", properties={"dealstage": "closedwon"})["id"] for _ in range(30)
    }
    assert made <= deals(hubspot(sandbox), cursor)[0].keys()


STAGES = ("qualifiedtobuy", "contractsent", "closedwon", "closedlost", "990010", "99-B7")


def happen(sandbox, rng, made, people):
    """Something that somebody does to deals."""
    live, archived = (getattr(sandbox.portal.state.records["deals"], each) for each in ("live", "archived"))
    deal, other = (str(each) for each in rng.sample(live, 2))
    person = rng.choice(people)
    what = rng.choice(["sell", "move", "move", "move", "join", "leave", "archive", "restore", "merge", "rename"])
    if what == "sell":
        sell(sandbox, person, dealstage=rng.choice(STAGES))
    elif what == "move":
        edit_deal(sandbox, deal, dealstage=rng.choice(STAGES))
    elif what == "join":
        join_deal(sandbox, deal, person)
    elif what == "leave":
        sandbox.do("hubspot", "dissociate", type="deals", id=deal, to="contacts", other=person)
    elif what == "archive":
        sandbox.do("hubspot", "archive", type="deals", id=deal)
    elif what == "restore" and archived:
        sandbox.do("hubspot", "restore", type="deals", id=str(rng.choice(archived)))
    elif what == "merge":
        sandbox.do("hubspot", "merge", type="deals", id=deal, other=other)
    elif what == "rename":
        first, *rest = RENEWALS["stages"]
        sandbox.do("hubspot", "put_pipeline", **RENEWALS | {"stages": [{**first, "label": f"Talk {made}"}, *rest]})


@pytest.mark.parametrize("seed", range(4))
def test_what_came_step_by_step_is_what_comes_at_once(sandbox, seed):
    rng, connector = random.Random(seed), hubspot(sandbox)
    sandbox.portal.switches.index_lag = rng.choice([0.0, 90.0])
    sandbox.do("hubspot", "put_pipeline", **RENEWALS)
    people = [create(sandbox, email=f"guest{number}@acme.example") for number in range(4)]
    for person in people * 2:
        sell(sandbox, person)
    known, cursor = deals(connector)
    for made in range(60):
        happen(sandbox, rng, made, people)
        sandbox.clock.advance(rng.choice([1, 30, 900, 7_200]))
        if rng.random() < 0.5:
            found, cursor = deals(connector, cursor)
            known |= found
    sandbox.clock.advance(DAY + 3600)
    known |= deals(connector, cursor)[0]
    live, at_once = (
        {each: one for each, one in found.items() if not one.gone} for found in (known, deals(hubspot(sandbox))[0])
    )
    assert live == at_once
    assert live.keys() == {str(each) for each in sandbox.portal.state.records["deals"].live}
