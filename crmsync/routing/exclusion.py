"""Who is left out: neither scored nor written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from crmsync.columns import Columns
from crmsync.config.settings import Config, connectors
from crmsync.identity.matching import normal_email
from crmsync.scoring.answers import YES
from crmsync.scoring.conditions import ConditionEvaluator, encode_fields, today_of
from crmsync.scoring.values import domain_of
from crmsync.scoring.wording import describe_condition


class Marks(NamedTuple):
    """What may leave a person out besides their fields: all addresses, and a list (CRM, name) that they are on."""

    addresses: Sequence[str] = ()
    on_list: tuple[str, str] | None = None


def find_excluded(config: Config, columns: Columns, marks: Sequence[Marks], now: datetime) -> list[str]:
    """Why each person of `columns` is left out as of `now` (aware), `""` for those who are not; each has `marks`."""
    exclude = config.exclude
    named = {normal_email(each) for each in exclude.addresses}
    domains = {domain_of(each) for each in exclude.domains}
    keys = {crm: module.LISTS for crm, module in connectors().items()}
    whys = [
        _address_why(each.addresses, named, domains) or (_list_why(keys, *each.on_list) if each.on_list else "")
        for each in marks
    ]
    if exclude.when is not None:
        read = encode_fields(config, columns.fields, exclude.when.fields())
        evaluator = ConditionEvaluator(len(columns.people), read, config, today_of(now, config.zone))
        said = describe_condition(exclude.when)
        matches = (evaluator.ask(exclude.when) == YES).tolist()
        whys = [why or (said if match else "") for why, match in zip(whys, matches, strict=True)]
    return whys


BY_KEY = {"lists": "on the list", "campaigns": "in the campaign"}
"""How a membership is told, by the key of `[exclude]` that names the list."""


def _list_why(keys: Mapping[str, str], crm: str, name: str) -> str:
    return f'{BY_KEY[keys[crm]]} "{name}"'


def _address_why(addresses: Sequence[str], named: set[str], domains: set[str]) -> str:
    """Why an address of somebody leaves them out: it is named itself, or its domain is, or one above that."""
    for address in map(normal_email, addresses):
        if address in named:
            return "the address is in [exclude] addresses"
        domain = domain_of(address)
        while domain:
            if domain in domains:
                return f"the domain {domain} is in [exclude] domains"
            domain = domain.partition(".")[2]
    return ""
