"""Worlds of leadforge as people with outcomes, beside the truth that made them: what a learned card is held against.

    make_world(seed, leads=1500) -> World

Each lead is a line of `crmsync score --input` with `outcome` and `outcome_at`, handed off `HANDED_OFF` days after it
came: activities end there, and who was won before is not among them. `truth` is the daily chance of being won that
the world itself reckons with, out of traits that nobody sees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from leadforge.api.generator import Generator
from leadforge.core.rng import RNGRoot
from leadforge.mechanisms.policies import assign_mechanisms

RECIPE = "b2b_saas_procurement_v1"
HANDED_OFF = 30
LOST_AFTER = 91

FIELDS = ("industry", "region", "employees", "revenue", "maturity", "role", "seniority", "buyer", "domain", "source")


class World(NamedTuple):
    """Its people by the instant of their hand-off, and by id the truth about them."""

    people: list[dict[str, Any]]
    truth: Mapping[str, float]


CARD = """
[bands]
cold = {}
warm = 20
mql = 40

[[fit]]
name = "C-level or VP"
points = 15
when = { field = "seniority", in = ["c_suite", "vp"] }

[[fit]]
name = "Large company"
points = 10
when = { field = "employees", in = ["1000-1999", "2000+"] }

[[fit]]
name = "Economic buyer"
points = 10
when = { field = "buyer", is = "economic_buyer" }

[[fit]]
name = "Came by themselves"
points = 10
when = { field = "source", is = "inbound_marketing" }

[[behavior]]
name = "Touch"
points = 1
on = "touched"
cap = 40

[[behavior]]
name = "Visit of the site"
points = 2
on = "page_viewed"
cap = 20

[[behavior]]
name = "Met by sales"
points = 2
on = "met"
cap = 20
"""
"""A card as somebody would write it who knows nothing of the world."""


def write_world_config() -> str:
    """A config with the card and the fields."""
    return "[fields]\n" + "".join(f'{name} = {{ hubspot = "{name}" }}\n' for name in FIELDS) + CARD


def make_world(seed: int, leads: int = 1500) -> World:
    """A world of so many leads. Equal arguments make equal worlds."""
    made = Generator.from_recipe(RECIPE, seed=seed, difficulty="intro").generate(
        n_leads=leads, n_contacts=leads, n_accounts=leads // 2, latent_touch_intensity=True
    )
    found = made.simulation_result
    activities = _activities(found)
    accounts = {each.account_id: each for each in made.population.accounts}
    contacts = {each.contact_id: each for each in made.population.contacts}
    hazard = assign_mechanisms(
        made.world_graph.motif_family,
        RNGRoot(seed).child("mechanisms"),
        latent_touch_intensity=True,
        difficulty_params=made.spec.config.difficulty_params,
    ).conversion_hazard
    people, truth = [], {}
    for lead in sorted(found.leads, key=lambda each: (each.lead_created_at, each.lead_id)):
        came = _noon(lead.lead_created_at)
        handed_off = came + timedelta(days=HANDED_OFF)
        won_at = _noon(lead.conversion_timestamp) if lead.converted_within_90_days else None
        if won_at is not None and won_at <= handed_off:
            continue
        account, contact = accounts[lead.account_id], contacts[lead.contact_id]
        people.append(
            {
                "id": lead.lead_id,
                "fields": _fields(lead, account, contact),
                "activities": [each for each in activities[lead.lead_id] if each["at"] < handed_off.isoformat()],
                "created_at": came.isoformat(),
                "handed_off_at": handed_off.isoformat(),
                "outcome": "lost" if won_at is None else "won",
                "outcome_at": (won_at or came + timedelta(days=LOST_AFTER)).isoformat(),
            }
        )
        truth[lead.lead_id] = hazard.daily_probability(_traits(made.population.latent_state, lead))
    return World(people, truth)


def _fields(lead: Any, account: Any, contact: Any) -> dict[str, Any]:
    values = (
        *(account.industry, account.region, account.employee_band, account.estimated_revenue_band),
        *(account.process_maturity_band, contact.role_function, contact.seniority, contact.buyer_role),
        *(contact.email_domain_type, lead.lead_source),
    )
    return {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}


def _activities(found: Any) -> Mapping[str, list[dict[str, Any]]]:
    by_lead = defaultdict(list)
    for lead, day, kind in _dated(found):
        by_lead[lead].append({"id": len(by_lead[lead]), "kind": kind, "at": _noon(day).isoformat()})
    return by_lead


def _dated(found: Any) -> Iterator[tuple[str, str, str]]:
    yield from ((each.lead_id, each.touch_timestamp, "touched") for each in found.touches)
    yield from ((each.lead_id, each.session_timestamp, "page_viewed") for each in found.sessions)
    yield from ((each.lead_id, each.activity_timestamp, "met") for each in found.sales_activities)


def _traits(latent: Any, lead: Any) -> dict[str, float]:
    return {
        **latent.account_latents.get(lead.account_id, {}),
        **latent.contact_latents.get(lead.contact_id, {}),
        **latent.lead_latents.get(lead.lead_id, {}),
    }


def _noon(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day[:10]), time(12), UTC)
