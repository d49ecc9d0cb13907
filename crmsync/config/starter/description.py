"""What a first config is to say, before it is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from crmsync.config.deciding import Spelling

Size = Literal["small", "standard", "full"]

CRMS = ("hubspot", "salesforce")

OWN_STAGE = "Crmsync_Stage__c"
"""The pick list for stages that `crmsync setup` makes in Salesforce."""

OWN_STAGE_FIELD = {"lead": OWN_STAGE, "contact": OWN_STAGE}

STAGE_VALUES = {
    "lead": "Lead",
    "mql": "MQL",
    "sql": "SQL",
    "opportunity": "Opportunity",
    "customer": "Customer",
}
"""What that pick list says for the usual stages."""

HUBSPOT_STAGES = {
    "subscriber": "subscriber",
    "lead": "lead",
    "mql": "marketingqualifiedlead",
    "sql": "salesqualifiedlead",
    "opportunity": "opportunity",
    "customer": "customer",
    "evangelist": "evangelist",
    "other": "other",
}
"""The stages of a new portal."""

STANDARD_FIELDS: Mapping[str, Mapping[str, Spelling]] = {
    "title": {"hubspot": "jobtitle", "salesforce": "Title"},
    "employees": {
        "hubspot": "company.numberofemployees",
        "salesforce": {"lead": "NumberOfEmployees", "contact": "Account.NumberOfEmployees"},
    },
    "industry": {
        "hubspot": "company.industry",
        "salesforce": {"lead": "Industry", "contact": "Account.Industry"},
    },
    "country": {"hubspot": "country", "salesforce": {"lead": "Country", "contact": "MailingCountry"}},
}
"""The fields that the rules of a first config read, and where each CRM keeps them."""


class StarterStage(NamedTuple):
    """A lifecycle stage: its name and its value by CRM. Whoever reaches the band is `handed_over` to sales in it."""

    name: str
    values: Mapping[str, Spelling]
    handed_over: bool = False


@dataclass(frozen=True, slots=True)
class Starter:
    """A first config. `customers` has, for a field, the values that people have who are like the customers.

    `members` are the addresses of the users who get new people; nobody is routed without any. `has_schema` says whether
    the JSON schema stands beside the file.
    """

    size: Size = "standard"
    crms: tuple[str, ...] = CRMS
    instance_url: str = ""
    fields: Mapping[str, Mapping[str, Spelling]] = field(default_factory=lambda: STANDARD_FIELDS)
    customers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    stages: Sequence[StarterStage] = ()
    stage_field: Mapping[str, str] = field(default_factory=lambda: OWN_STAGE_FIELD)
    members: Sequence[str] = ()
    has_schema: bool = True

    def mapped_fields(self) -> dict[str, dict[str, Spelling]]:
        """The fields that the CRMs of the file have, each with where they keep it."""
        mapped = {
            name: {crm: spelling for crm, spelling in value.items() if crm in self.crms}
            for name, value in self.fields.items()
        }
        return {name: value for name, value in mapped.items() if value}


def usual_stages(crms: Sequence[str]) -> list[StarterStage]:
    """The stages of a new portal, and those that `crmsync setup` makes in Salesforce."""
    found = []
    for name, value in HUBSPOT_STAGES.items():
        values: dict[str, Spelling] = {}
        if "hubspot" in crms:
            values["hubspot"] = value
        if "salesforce" in crms and name in STAGE_VALUES:
            values["salesforce"] = STAGE_VALUES[name]
        if values:
            found.append(StarterStage(name, values, handed_over=name == "mql"))
    return found
