"""Every type of activity is in one tier of intent, and the status and the page of the model count each tier."""

from datetime import timedelta

import pytest

from crmsync.config.rules import TIERS
from crmsync.cycle import run_cycle
from crmsync.model import KINDS
from crmsync.reporting.print_status import describe_tiers
from crmsync.reporting.status import status_document
from crmsync.reporting.tiers import list_tiers
from crmsync.scoring.tiers import TIER_OF_KIND, tier_of_kind
from tests.support.make import NOW, activity, config, contact, crm, work
from tests.support.scoring import behavior_rule, model


def test_S0_10_every_kind_is_in_exactly_one_tier():
    assert set(TIER_OF_KIND) == set(KINDS)
    assert set(TIER_OF_KIND.values()) == {*TIERS.values()}
    kinds = ("email_opened", "content_downloaded", "webinar_registered", "form_submitted", "meeting_booked")
    assert [tier_of_kind(model(), each) for each in kinds] == ["low", "mid", "mid", "high", "high"]


@pytest.mark.parametrize(("written", "tier"), [("passive", "low"), ("research", "mid"), ("high", "high")])
def test_S0_11_a_rule_names_the_tier_of_its_types(written, tier):
    of = model(behavior=[behavior_rule("page_viewed", 3, tier=written), behavior_rule("own", 3, "own", tier=written)])
    assert [tier_of_kind(of, each) for each in ("page_viewed", "own")] == [tier, tier]


def test_a_rule_about_some_of_a_type_says_nothing_of_the_others():
    of = model(behavior=[behavior_rule("page_viewed", 3, tier="high", where={"url": "/pricing"})])
    assert tier_of_kind(of, "page_viewed") == "low"
    assert tier_of_kind(of, "never_heard_of") == "low"


def test_activities_of_the_last_month_are_counted_by_tier(state):
    hubspot, ada = crm("hubspot"), contact(1)
    hubspot.edit(ada)
    done = [("email_opened", 1), ("email_opened", 2), ("form_submitted", 3), ("webinar_attended", 29)]
    for number, (kind, ago) in enumerate([*done, ("meeting_held", 31), ("meeting_held", -3)]):
        hubspot.happen(activity(number, ada, kind=kind, days_ago=ago))
    settings = config()
    run_cycle(work(state, hubspot, settings=settings))
    found = {each["tier"]: each for each in status_document(settings, state, NOW)["tiers"]}
    assert {tier: each["activities"] for tier, each in found.items()} == {"high": 1, "mid": 1, "low": 2}
    assert found["low"]["kinds"]["email_opened"] == 2
    kinds = [kind for each in found.values() for kind in each["kinds"]]
    assert sorted(kinds) == sorted(set(kinds))
    assert set(KINDS) <= set(kinds)
    said = describe_tiers([*found.values()])
    assert said == "Activities of the last 30 days by intent: 1 high, 1 mid, 2 low."


def test_without_a_state_nothing_is_counted():
    found = list_tiers(config(), None, NOW + timedelta(days=1))
    assert [(each["tier"], each["activities"]) for each in found] == [("high", None), ("mid", None), ("low", None)]
    assert describe_tiers(found) == ""
