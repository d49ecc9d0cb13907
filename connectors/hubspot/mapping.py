"""How a HubSpot contact, with its company, becomes a Contact."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from connectors.http import site_host
from connectors.hubspot.errors import CRM, KIND, stamp_of, text_of
from connectors.hubspot.properties import Definition, instant_of, number_of, read_value
from crmsync.connector import FieldMap
from crmsync.errors import ConfigError
from crmsync.model import Company, Contact, Counter, Ref, Scalar, long_id

CHANGED = "lastmodifieddate"
"""The property that moves with every change of a contact; `hs_lastmodifieddate` is the other kinds'."""

CREATED = "createdate"
STAGE, OWNER, COMPANY = "lifecyclestage", "hubspot_owner_id", "associatedcompanyid"
COMPANY_PREFIX = "company."

COMPANY_FACTS = ("name", "domain", OWNER)
"""What is read of a company where somebody's company decides who gets them."""

ASKED = "asked"
"""Under this name a record carries the id it was asked for, which may be one that it had before a merge."""

COMPANY_ID, COMPANY_VALUES = "company_id", "company"
"""Under these names a contact's record carries its company's id and values, once they were looked up; the values are
`None` if they cannot be read, and the id is "" where there is no company."""

LINKS = {"salesforceleadid": "lead", "salesforcecontactid": "contact"}
"""Properties in which HubSpot's own Salesforce sync keeps the other record's id."""

MERGED = "hs_merged_object_ids"
MERGES = (MERGED, "hs_calculated_merged_vids", "hs_all_contact_vids")
"""Ids that were merged into this one; none of the lists is complete (airbytehq/airbyte#11178, 2026-11-21)."""

NAMES = ("firstname", "lastname")
ADDITIONAL = "hs_additional_emails"
EMAILS = ("email", ADDITIONAL)


class Count(NamedTuple):
    """A property that counts activities of a kind, the one that says when the latest was, and what else is known."""

    kind: str
    total: str
    last_at: str = ""
    attributes: Mapping[str, str] = {}


COUNTS = (
    Count("email_opened", "hs_email_open", "hs_email_last_open_date"),
    Count("email_clicked", "hs_email_click", "hs_email_last_click_date"),
    Count("email_bounced", "hs_email_bounce"),
    Count("email_unsubscribed", "hs_email_optout"),
    Count(
        "form_submitted", "num_conversion_events", "recent_conversion_date", {"form": "recent_conversion_event_name"}
    ),
    Count(
        "page_viewed", "hs_analytics_num_page_views", "hs_analytics_last_timestamp", {"url": "hs_analytics_last_url"}
    ),
)


@dataclass(frozen=True)
class Reading:
    """What to ask for and how to read it, given how this portal defines its properties.

    `contact` and `company` map canonical names to the definitions of their properties; names whose property the portal
    does not have (any longer) are in neither, but in `unread`. `companies` is that of the `FieldMap`,
    `no_companies` says that the portal was asked for the properties of companies and knows no such thing.
    """

    contact: Mapping[str, Definition]
    company: Mapping[str, Definition]
    score_fields: Mapping[str, Definition]
    stages: Mapping[str, str]
    counts: tuple[Count, ...]
    properties: tuple[str, ...]
    unread: frozenset[str] = frozenset()
    companies: bool = False
    no_companies: bool = False

    @property
    def company_properties(self) -> tuple[str, ...]:
        """The company properties to read: what some field is mapped to, and what `companies` asks for."""
        mapped = (each.name for each in self.company.values())
        return tuple(dict.fromkeys((*mapped, *(COMPANY_FACTS if self.companies else ()))))


def name_stages(names: FieldMap) -> dict[str, str]:
    """The config's name of each value of the stage; of several stages with one value the first gives the name."""
    return {value: name for name, value in reversed(FieldMap.spelled(names.stages, KIND).items())}


def plan_reading(
    names: FieldMap,
    contacts: Mapping[str, Definition],
    companies: Callable[[], Mapping[str, Definition]],
    kinds_to_count: Collection[str],
) -> Reading:
    """Work out what to ask for. `companies` is only asked when a field is mapped to one of their properties.

    Raises `ConfigError` as `refuse_hidden` does.
    """
    refuse_hidden(contacts)
    spelled = FieldMap.spelled(names.fields, KIND)
    of_company = {name: prop for name, prop in spelled.items() if prop.startswith(COMPANY_PREFIX)}
    known = companies() if of_company else {}
    fields = {name: contacts[prop] for name, prop in spelled.items() if prop in contacts}
    score_fields = {
        name: contacts[prop] for name, prop in FieldMap.spelled(names.score_fields, KIND).items() if prop in contacts
    }
    counts = tuple(each for each in COUNTS if each.kind in kinds_to_count and each.total in contacts)
    wanted = [CHANGED, CREATED, *EMAILS, *NAMES, STAGE, OWNER, *LINKS, *MERGES]
    wanted += [COMPANY] if of_company or names.companies else []
    wanted += [each.name for each in (*fields.values(), *score_fields.values())]
    for count in counts:
        wanted += [count.total, count.last_at, *count.attributes.values()]
    company = {
        name: known[short] for name, prop in of_company.items() if (short := prop.removeprefix(COMPANY_PREFIX)) in known
    }
    return Reading(
        contact=fields,
        company=company,
        score_fields=score_fields,
        stages=name_stages(names),
        counts=counts,
        properties=tuple(dict.fromkeys(each for each in wanted if each in contacts)),
        unread=frozenset(spelled) - fields.keys() - company.keys(),
        companies=names.companies,
        no_companies=bool(of_company) and not known,
    )


def refuse_hidden(contacts: Collection[str]) -> None:
    """Raise `ConfigError` where this token does not see how people are matched and whose they are: it would be taken
    for empty.
    """
    for name in (EMAILS[0], OWNER):
        if name not in contacts:
            raise ConfigError(f"this HubSpot token cannot see the property {name!r}: restore it in HubSpot")


def contact_of(record: Mapping[str, Any], how: Reading) -> Contact:
    """Read one record."""
    contact_id, values, company = record["id"], record["properties"], record.get(COMPANY_VALUES, {})
    stage, former = values.get(STAGE) or None, (*merged_ids(values), record.get(ASKED, ""))
    return Contact(
        ref=Ref(CRM, KIND, contact_id),
        changed_at=changed_at(record),
        emails=tuple(dict.fromkeys(_emails(values))),
        unread=how.unread | (frozenset(how.company) if company is None else frozenset()),
        fields=_typed(how.contact, values) | _typed(how.company, company or {}),
        counters={count.kind: found for count in how.counts if (found := _counter(count, values))},
        stage=how.stages.get(stage, stage) if stage else None,
        owner=values.get(OWNER) or None,
        current=_typed(how.score_fields, values),
        name=" ".join(part for each in NAMES if (part := values.get(each))),
        aliases=tuple(dict.fromkeys(each for each in former if each and each != contact_id)),
        links=tuple(Ref("salesforce", kind, long_id(sf)) for prop, kind in LINKS.items() if (sf := values.get(prop))),
        gone=bool(record.get("archived")),
        company=_company(record) if how.companies else None,
        created_at=instant_of(values.get(CREATED)) or instant_of(record.get("createdAt")),
    )


def _company(record: Mapping[str, Any]) -> Company | None:
    if not (company_id := record.get(COMPANY_ID)):
        return None
    name, domain, owner = (text_of((record.get(COMPANY_VALUES) or {}).get(each)) for each in COMPANY_FACTS)
    return Company(company_id, name, site_host(domain), owner)


def changed_at(record: Mapping[str, Any]) -> datetime:
    """When the record last changed; long ago if HubSpot does not say."""
    return stamp_of(record) or datetime(1970, 1, 1, tzinfo=UTC)


def merged_ids(values: Mapping[str, Any]) -> Iterator[str]:
    """The ids a record had before merges."""
    for prop in MERGES:
        for part in str(values.get(prop) or "").split(";"):
            yield part.partition(":")[0].strip()


def _emails(values: Mapping[str, Any]) -> Iterator[str]:
    for prop in EMAILS:
        yield from (part.strip() for part in str(values.get(prop) or "").split(";") if part.strip())


def _typed(definitions: Mapping[str, Definition], values: Mapping[str, Any]) -> dict[str, Scalar]:
    typed = ((name, read_value(values.get(of.name), of)) for name, of in definitions.items())
    return {name: value for name, value in typed if value is not None}


def _counter(of: Count, values: Mapping[str, Any]) -> Counter | None:
    """A count above zero; a yes counts as one."""
    said = str(values.get(of.total) or "")
    count = 1 if said == "true" else number_of(said)
    if not isinstance(count, int) or count <= 0:
        return None
    attributes = {name: text for name, prop in of.attributes.items() if (text := values.get(prop))}
    return Counter(count, instant_of(values.get(of.last_at)) if of.last_at else None, attributes)
