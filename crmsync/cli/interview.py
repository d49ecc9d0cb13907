"""What `crmsync init` asks on a terminal, and what it takes without one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from crmsync.cli.questions import ask_yes, choose_one, choose_some, say
from crmsync.config.deciding import Spelling
from crmsync.config.starter import Starter
from crmsync.config.starter.description import STANDARD_FIELDS
from crmsync.config.starter.offers import (
    KINDS,
    STAGE_FIELDS,
    Choice,
    CrmFacts,
    choose_stage_field,
    find_shared_users,
    join_spelling,
    list_choices,
    make_stages,
    offer_field,
    offer_fields,
    offer_handed_over,
    offer_members,
    rank_fields,
    spell_choices,
)
from crmsync.counts import count_of

NAMES = {"hubspot": "HubSpot", "salesforce": "Salesforce"}

MEANINGS = {
    "title": "the job title",
    "employees": "the number of employees of the company",
    "industry": "the industry of the company",
    "country": "the country",
}


def take_offers(start: Starter, facts: Mapping[str, CrmFacts]) -> Starter:
    """The config with what the CRMs offer, without a question.

    Users get people where every CRM of the file knows them and they own somebody already; in a small file nobody does.
    """
    handed = {crm: offer_handed_over(each.stage_choices()) for crm, each in facts.items()}
    is_routed = start.size != "small" and facts.keys() == set(start.crms)
    users = find_shared_users(facts.values()) if is_routed else []
    return replace(
        start,
        fields=offer_fields(facts.values(), start.crms),
        stages=make_stages(start.crms, facts, handed),
        stage_field=choose_stage_field(handed.get("salesforce")),
        members=[users[each].email.strip() for each in offer_members(facts.values(), users)],
    )


def ask_for_choices(start: Starter, facts: Mapping[str, CrmFacts]) -> Starter:
    """The config with what somebody chose from what the CRMs offer."""
    if not facts:
        return take_offers(start, facts)
    handed = _ask_for_stages(start, facts)
    fields = _ask_for_fields(start, facts)
    mapped = replace(start, fields=fields).mapped_fields()
    customers = {name: found for name in ("industry", "country") if (found := _ask_for_customers(name, mapped, facts))}
    return replace(
        start,
        fields=fields,
        customers=customers,
        stages=make_stages(start.crms, facts, handed),
        stage_field=choose_stage_field(handed.get("salesforce")),
        members=[] if start.size == "small" else _ask_for_members(facts),
    )


def _ask_for_stages(start: Starter, facts: Mapping[str, CrmFacts]) -> dict[str, int | None]:
    """For each CRM which of its own stages means that marketing hands somebody to sales."""
    say("\nWhoever is likely to buy is handed from marketing to sales: a marketing qualified lead (MQL).")
    known = {crm: each.stage_choices() for crm, each in facts.items() if each.stage_choices()}
    handed: dict[str, int | None] = {}
    for crm, choices in known.items():
        _kind, field = STAGE_FIELDS[crm]
        own = "none of these: `crmsync setup` makes a field for the stage" if crm == "salesforce" else "none of these"
        labels = [f"{label} ({value})" if label != value else label for value, label in choices]
        question = f"Which {'lead status' if crm == 'salesforce' else 'lifecycle stage'} of {NAMES[crm]} says that?"
        handed[crm] = choose_one(f"{question} (the field {field})", labels, offer_handed_over(choices), own)
    return handed


def _ask_for_fields(start: Starter, facts: Mapping[str, CrmFacts]) -> dict[str, dict[str, Spelling]]:
    """Where each CRM keeps what rules read: the offers as a whole, or one after the other."""
    offered = offer_fields(facts.values(), start.crms)
    say("\nThe rules read these fields:")
    for name in STANDARD_FIELDS:
        for crm in start.crms:
            filled = _show_filled(facts[crm], name) if crm in facts else ""
            say(f"  {name:<10}{NAMES[crm]:<12}{_show_spelling(offered[name].get(crm))}{filled}")
    is_whole = all(crm in offered[name] for name in STANDARD_FIELDS for crm in facts)
    question = "Are these the right ones?" if is_whole else "Are these the right ones (n: choose others)?"
    if ask_yes(question, offer=is_whole):
        return offered
    for name in STANDARD_FIELDS:
        for crm in (crm for crm in start.crms if crm in facts and facts[crm].fields):
            chosen = {kind: _ask_for_field(facts[crm], name, kind) for kind in KINDS[crm]}
            spelling = join_spelling(chosen)
            offered[name].pop(crm, None)
            if spelling is not None:
                offered[name][crm] = spelling
    return offered


def _show_spelling(spelling: Spelling | None) -> str:
    if spelling is None:
        return "(nothing found)"
    return spelling if isinstance(spelling, str) else ", ".join(f"{name} ({kind})" for kind, name in spelling.items())


def _show_filled(facts: CrmFacts, name: str) -> str:
    """Of how many of the first records the usual field is filled, for each kind that was seen."""
    counts = [(kind, *facts.count_filled(name, kind)) for kind in KINDS[facts.crm]]
    seen = [f"{filled:,} of {read:,} {kind}s" for kind, filled, read in counts if read]
    return f"; filled for {' and '.join(seen)}" if seen else ""


def _ask_for_field(facts: CrmFacts, name: str, kind: str) -> str:
    """The field of one kind; `""` where there is none."""
    candidates = rank_fields(facts, name, kind)
    if not candidates:
        return ""
    offer = None if offer_field(facts, name, kind) is None else 0
    labels = [f"{each.label} ({each.name})" for each in candidates]
    of = f" of a {kind}" if len(KINDS[facts.crm]) > 1 else ""
    chosen = choose_one(f"\n{NAMES[facts.crm]}: which field{of} has {MEANINGS[name]}?", labels, offer, "none of these")
    return "" if chosen is None else candidates[chosen].name


def _ask_for_customers(
    name: str, mapped: Mapping[str, Mapping[str, Spelling]], facts: Mapping[str, CrmFacts]
) -> list[str]:
    """The values that people have who are like the customers, as the CRMs spell them."""
    choices = list_choices(facts.values(), mapped.get(name, {}))
    if not choices:
        return []
    labels = [_label_choice(each, len([crm for crm in mapped[name] if crm in facts])) for each in choices]
    question = f"\nWhich values of {name} do your customers have? They become a rule that gives points."
    return spell_choices(choices[each] for each in choose_some(question, labels, [], "no such rule"))


def _label_choice(choice: Choice, crms: int) -> str:
    """The label of a value and, where there are two CRMs, how each of them spells it, side by side."""
    if crms < 2:
        return choice.label
    sides = [f"{NAMES[crm]} {' / '.join(values)}" for crm, values in choice.values.items()]
    return f"{choice.label}: {', '.join(sides)}"


def _ask_for_members(facts: Mapping[str, CrmFacts]) -> list[str]:
    """The addresses of the users who get new people."""
    users = find_shared_users(facts.values())
    if not users:
        return []
    labels = [f"{each.name or each.email} <{each.email}>" for each in users]
    where = " and ".join(NAMES[crm] for crm in facts)
    question = (
        f"\nWho gets new MQLs that nobody owns, one after the other? ({count_of(len(users), 'active user')} of {where})"
    )
    offered = offer_members(facts.values(), users)
    return [users[each].email.strip() for each in choose_some(question, labels, offered, "nobody")]
