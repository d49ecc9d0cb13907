"""The HubSpot side of a world: its contacts, companies, owners and everything its people did."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connectors.sandbox.as_written import (
    choose_size,
    roll,
    write_address,
    write_company,
    write_count,
    write_country,
    write_name,
    write_phone,
    write_revenue,
    write_size,
    write_title,
)
from connectors.sandbox.hubspot.activity_effects import record_activity
from connectors.sandbox.hubspot.catalog import option_of
from connectors.sandbox.hubspot.lead_scores import add_own_scores
from connectors.sandbox.hubspot.records import StoredRecord
from connectors.sandbox.hubspot.state import PortalOwner, PortalState
from connectors.sandbox.hubspot.wire import iso, milliseconds
from connectors.sandbox.world import DEAL_STAGES, Deal, Firm, Human, Rep, World, message_id, salesforce_id

_YEAR = 365 * 86_400_000

_STAGES = dict(
    zip(
        DEAL_STAGES,
        ("qualifiedtobuy", "presentationscheduled", "contractsent", "closedwon", "closedlost"),
        strict=True,
    )
)
_FIRST_STAGES = ("appointmentscheduled", "qualifiedtobuy", "contractsent")


def load_portal(state: PortalState, world: World) -> None:
    """Fill a portal."""
    now = milliseconds(world.now)
    state.owners |= {each.id: each for each in (_owner(rep, now) for rep in world.reps)}
    owner_ids = {rep.number: str(_owner_id(rep)) for rep in world.reps}
    _add_industries(state, world.firms)
    _add_sources(state, world.deals)
    companies = {firm.number: _company(state, firm, owner_ids, now, world.seed) for firm in world.firms}
    state.tracking.form("Newsletter", now - 3 * _YEAR, "captured")
    state.tracking.form("Blog comments", now - 3 * _YEAR, "blog_comment")
    contact_ids: dict[int, int] = {}
    for human in sorted(world.humans, key=lambda each: (each.created_at, each.number)):
        contacts = list(_contacts(state, human, owner_ids, world.seed))
        for contact in contacts:
            if human.firm:
                _link_company(state, contact, companies[human.firm.number])
        if contacts:
            contact_ids[human.number] = contacts[0].id
            if not world.deals:
                _sell(state, contacts[0], human, now)
            _live(state, contacts, human, now)
    company_ids = {number: company.id for number, company in companies.items()}
    for deal in sorted(world.deals, key=lambda each: (each.stages[0][1], each.number)):
        if "hubspot" in deal.seen_by:
            _add_deal(state, deal, owner_ids, contact_ids, company_ids)
    add_own_scores(state, now)


def _owner_id(rep: Rep) -> int:
    return 41_629_700 + rep.number


def _owner(rep: Rep, now: int) -> PortalOwner:
    return PortalOwner(
        _owner_id(rep), 9_000_100 + rep.number, rep.email, rep.first, rep.last, now - 2 * _YEAR, archived=not rep.active
    )


def _code(industry: str) -> str:
    return re.sub(r"\W+", "_", industry).strip("_").upper()


def _add_industries(state: PortalState, firms: tuple[Firm, ...]) -> None:
    schema = state.records["companies"].schema
    names = sorted({firm.industry for firm in firms})
    schema.put(
        schema.known["industry"] | {"options": [option_of(_code(name), name, at) for at, name in enumerate(names)]}
    )


def _add_sources(state: PortalState, deals: tuple[Deal, ...]) -> None:
    """The sources of deals that HubSpot does not ship with."""
    schema = state.records["deals"].schema
    known = schema.known["hs_analytics_source"]
    options = {each["value"]: each for each in known["options"]}
    for source in sorted({deal.source for deal in deals if deal.source}):
        options.setdefault(_code(source), option_of(_code(source), source, len(options)))
    schema.put(known | {"options": list(options.values())})


def _company(state: PortalState, firm: Firm, owner_ids: dict[int, str], now: int, seed: int | None) -> StoredRecord:
    def rolled(field: str) -> int:
        return roll(seed, "hubspot company", firm.number, field)

    employees = write_count(firm.employees, rolled("employees"))
    revenue = write_count(firm.revenue, rolled("revenue"))
    values = {
        "name": firm.name,
        "domain": firm.domain,
        "website": firm.domain,
        "industry": _code(firm.industry),
        "country": write_country(firm.country, rolled("country")),
        "numberofemployees": "" if employees is None else str(employees),
        "annualrevenue": "" if revenue is None else str(revenue),
        "hubspot_owner_id": "" if firm.owner is None else owner_ids[firm.owner],
    }
    return state.make("companies", values, now - 3 * _YEAR + firm.number, "CRM_UI")


def _contacts(state: PortalState, human: Human, owner_ids: dict[int, str], seed: int | None) -> Iterator[StoredRecord]:
    """The contacts of a human. HubSpot has one contact for an address, so a shared mailbox is one contact for all."""
    created = milliseconds(human.created_at)
    for copy in range(human.in_hubspot):
        email = _address(human.email, copy)
        shared = state.contacts.by_unique("email", email) if email else None
        if shared:
            yield shared
            continue
        values = {
            "email": email,
            **_typed_values(human, seed, copy),
            "lifecyclestage": _stage(human),
            "hubspot_owner_id": "" if human.owner is None else owner_ids[human.owner],
            **(_salesforce_ids(human) if human.native_link and copy == 0 else {}),
        }
        yield state.make("contacts", values, created + copy * 86_400_000, "CRM_UI" if human.owner else "FORM")


def _typed_values(human: Human, seed: int | None, copy: int) -> dict[str, str]:
    """What a person or a form filled in."""

    def rolled(field: str) -> int:
        return roll(seed, "hubspot", human.number, copy, field)

    firm = human.firm
    employees, revenue = (firm.employees, firm.revenue) if firm else (None, None)
    return {
        "firstname": write_name(human.first, rolled("first")),
        "lastname": write_name(human.last, rolled("last")),
        "jobtitle": write_title(human.title, human.country, rolled("title")),
        "company": write_company(firm.name if firm else None, rolled("company")),
        "country": write_country(human.country, rolled("country")),
        "phone": write_phone(human.country, rolled("phone")),
        "company_size": write_size(employees, rolled("size")),
        "numemployees": choose_size(employees, rolled("number")),
        "annualrevenue": write_revenue(revenue, rolled("revenue")),
        "work_email": write_address(human.email, f"{human.first} {human.last}", rolled("work")) if firm else "",
        "hs_marketable_status": "true" if rolled("marketable") % 100 < 70 else "false",
    }


def _address(email: str | None, copy: int) -> str:
    """The address of a copy: a duplicate is somebody who came again under a variant of it."""
    if not email or not copy:
        return (email or "").lower()
    local, _, domain = email.lower().partition("@")
    return f"{local}+{copy + 1}@{domain}"


def _stage(human: Human) -> str:
    if "converted" in human.in_salesforce:
        return "opportunity"
    done = sum(each.kind != "email_auto_replied" for each in human.happenings)
    return "lead" if human.owner or done > 2 else "subscriber"


def _salesforce_ids(human: Human) -> dict[str, str]:
    """What HubSpot's own Salesforce sync leaves on a contact: the id of the contact there, or else of the lead."""
    found = {"salesforcelastsynctime": iso(milliseconds(human.created_at))}
    for place, kind in enumerate(human.in_salesforce):
        name, prefix = ("salesforcecontactid", "003") if kind == "contact" else ("salesforceleadid", "00Q")
        found.setdefault(name, salesforce_id(prefix, human.number * 4 + place))
    if "salesforcecontactid" in found:
        found.pop("salesforceleadid", None)
        if human.firm:
            found["salesforceaccountid"] = salesforce_id("001", human.firm.number)
    return found


def _link_company(state: PortalState, contact: StoredRecord, company: StoredRecord) -> None:
    state.links.add(("contacts", "companies"), contact.id, company.id, main=True)
    contact.properties["associatedcompanyid"] = str(company.id)


def _sell(state: PortalState, contact: StoredRecord, human: Human, now: int) -> None:
    """The open deal of somebody whose lead was converted."""
    if "converted" not in human.in_salesforce:
        return
    at = now - (human.number % 60 + 1) * 86_400_000
    values = {
        "dealname": f"{human.firm.name if human.firm else human.last} {human.number}",
        "amount": str(1_000 * (human.number % 50 + 5)),
        "dealstage": _FIRST_STAGES[human.number % 3],
        "pipeline": "default",
        "closedate": iso(at + 90 * 86_400_000),
        "hubspot_owner_id": contact.properties.get("hubspot_owner_id", ""),
    }
    deal = state.make("deals", values, max(at, contact.created), "CRM_UI")
    state.links.add(("deals", "contacts"), deal.id, contact.id)
    contact.properties["num_associated_deals"] = "1"
    for company in state.links.of(("contacts", "companies"), contact.id):
        state.links.add(("deals", "companies"), deal.id, company, main=True)


def _add_deal(
    state: PortalState, deal: Deal, owner_ids: dict[int, str], contact_ids: dict[int, int], company_ids: dict[int, int]
) -> None:
    """A deal, moved through its stages as it was; the close date stays the one that the rep expects."""
    (first, began), *later = [(_STAGES[name], milliseconds(at)) for name, at in deal.stages]
    expected = {"closedate": f"{deal.expected.isoformat()}T00:00:00.000Z"}
    values = {
        "dealname": deal.name,
        "amount": "" if deal.amount is None else str(deal.amount),
        "deal_currency_code": "EUR",
        "dealstage": first,
        "hubspot_owner_id": owner_ids[deal.owner],
        "hs_analytics_source": _code(deal.source),
        "hs_campaign": deal.campaign,
        **expected,
    }
    made = state.make("deals", values, began, "CRM_UI")
    contacts = [contact_ids[number] for number in deal.contacts if number in contact_ids]
    for contact in dict.fromkeys(contacts):
        state.links.add(("deals", "contacts"), made.id, contact)
        count = len(state.links.of(("contacts", "deals"), contact))
        state.contacts.by_id[contact].properties["num_associated_deals"] = str(count)
    if deal.firm is not None:
        state.links.add(("deals", "companies"), made.id, company_ids[deal.firm], main=True)
    for stage, at in later:
        lost = {"closed_lost_reason": deal.lost_reason} if stage == _STAGES["Closed Lost"] else {}
        state.change("deals", made, {"dealstage": stage, **expected, **lost}, at)


def _live(state: PortalState, contacts: list[StoredRecord], human: Human, now: int) -> None:
    """Everything the human did, spread over their contacts, as HubSpot came to know it."""
    known = {contact.id: contact.updated for contact in contacts}
    for place, each in enumerate(happening for happening in human.happenings if "hubspot" in happening.seen_by):
        contact, at = contacts[place % len(contacts)], milliseconds(each.at)
        known_at = min(at, now)
        mail = {"message_id": message_id(human, each)} if each.kind.startswith("email_") else {}
        about = {**mail, **each.attributes}
        contact.properties |= record_activity(state, contact, each.kind, at, about, known_at)
        known[contact.id] = max(known[contact.id], known_at)
    for contact in contacts:
        if known[contact.id] != contact.updated:
            state.contacts.stamp(contact, known[contact.id])
