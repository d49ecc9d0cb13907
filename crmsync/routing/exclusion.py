"""Who is left out: neither scored nor written."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.columns import Columns
from crmsync.config.settings import Config
from crmsync.identity.matching import normal_email
from crmsync.scoring.conditions import ConditionEvaluator
from crmsync.scoring.operators import YES
from crmsync.scoring.titles import title_reader
from crmsync.scoring.values import domain_of, make_column
from crmsync.scoring.wording import describe_condition


def find_excluded(config: Config, columns: Columns, addresses: Sequence[Sequence[str]]) -> list[str]:
    """Why each person of `columns` is left out, `""` for those who are not; `addresses` are all that they have."""
    exclude = config.exclude
    named = {normal_email(each) for each in exclude.addresses}
    domains = {domain_of(each) for each in exclude.domains}
    whys = [_address_why(theirs, named, domains) for theirs in addresses]
    if exclude.when is not None:
        read = {name: make_column(columns.fields[name]) for name in exclude.when.fields() if name in columns.fields}
        evaluator = ConditionEvaluator(len(columns.people), read, config.lists, title_reader(config.titles))
        said = describe_condition(exclude.when)
        matches = (evaluator.ask(exclude.when) == YES).tolist()
        whys = [why or (said if match else "") for why, match in zip(whys, matches, strict=True)]
    return whys


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
