"""Who is in Salesforce campaigns: looked up by name or id, and read again only where a member came, changed or went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connectors.salesforce.client import Org
from connectors.salesforce.errors import CRM, HIDDEN, RequestRefused, is_id, text_of, unreadable
from connectors.salesforce.paging import id_lists
from connectors.salesforce.schema import OBJECTS
from crmsync.connector import ListMembers
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref

CAMPAIGN_PREFIX, SHORT_ID = "701", 15

MEMBER_OF = {kind: f"{name}Id" for kind, name in OBJECTS.items()}
"""By kind of record the field of a campaign member that names it."""


class Campaign(NamedTuple):
    """A campaign as the org has it."""

    id: str
    name: str


def read_campaign_members(org: Org, known: Mapping[str, str]) -> Iterator[ListMembers]:
    """The members of campaigns; `known` has the version of each that was read last, `""` for none."""
    found = _find_campaigns(org, list(known))
    usable = {asked: each for asked, each in found.items() if isinstance(each, Campaign)}
    versions = _versions_of(org, sorted({each.id for each in usable.values()}))
    for asked, before in known.items():
        each = found[asked]
        if isinstance(each, str):
            yield ListMembers(asked, problem=each)
            continue
        version = versions[each.id]
        members = None if version == before else _read_members(org, each.id)
        yield ListMembers(asked, each.id, each.name, version, members)


def find_campaign_problems(org: Org, asked: Sequence[str]) -> Iterator[str]:
    """What is wrong with the campaigns that `[exclude]` names, a sentence for each."""
    try:
        yield from (each for each in _find_campaigns(org, asked).values() if isinstance(each, str))
    except (ConfigError, Unavailable) as error:
        yield str(error)


def _find_campaigns(org: Org, asked: Sequence[str]) -> dict[str, Campaign | str]:
    """By how the config names each the campaign that is meant, or a sentence that says why there is none."""
    if not asked:
        return {}
    ids = [each for each in asked if is_id(each) and each.startswith(CAMPAIGN_PREFIX)]
    there = {each.id[:SHORT_ID]: each for each in _campaigns(org, "Id", ids)}
    by_name: dict[str, list[Campaign]] = {}
    for each in _campaigns(org, "Name", [each for each in asked if each[:SHORT_ID] not in there]):
        by_name.setdefault(_folded(each.name), []).append(each)
    return {each: there.get(each[:SHORT_ID]) or _only_one(each, by_name.get(_folded(each), [])) for each in asked}


def _only_one(asked: str, named: Sequence[Campaign]) -> Campaign | str:
    if len(named) == 1:
        return named[0]
    if named:
        ids = " or ".join(sorted(each.id for each in named))
        said = f"Salesforce has {len(named)} campaigns with the name {asked!r}; write the id into [exclude] campaigns:"
        return f"{said} {ids}"
    return (
        f"Salesforce has no campaign {asked!r}, or the integration user may not see it; if it was renamed or deleted, "
        "correct [exclude] campaigns"
    )


def _folded(name: str) -> str:
    return name.strip().casefold()


def _campaigns(org: Org, field: str, values: Sequence[str]) -> Iterator[Campaign]:
    for listed in id_lists(values):
        soql = f"SELECT Id, Name FROM Campaign WHERE IsDeleted = false AND {field} IN {listed}"
        rows = _rows(org, soql, standing=True)
        if not all(is_id(row.get("Id")) for row in rows):
            raise unreadable("campaigns")
        yield from (Campaign(text_of(row["Id"]), text_of(row.get("Name"))) for row in rows)


def _versions_of(org: Org, ids: Sequence[str]) -> dict[str, str]:
    """What changes with every member, and once an hour: a member that was purged leaves no trace.

    A deleted member counts until then, since its stamp says when it went.
    """
    hour = f"{org.now():%Y-%m-%dT%H}"
    versions = {each: f"{each} 0 {hour}" for each in ids}
    for listed in id_lists(ids):
        rows = _rows(
            org,
            "SELECT CampaignId, COUNT(Id) many, MAX(SystemModstamp) latest FROM CampaignMember "
            f"WHERE CampaignId IN {listed} GROUP BY CampaignId",
            standing=True,
        )
        for row in rows:
            if row.get("CampaignId") not in versions:
                raise unreadable("campaign members")
            told = f"{text_of(row.get('many'))} {text_of(row.get('latest'))}"
            versions[row["CampaignId"]] = f"{row['CampaignId']} {told} {hour}"
    return versions


def _read_members(org: Org, campaign: str) -> frozenset[Ref]:
    (listed,) = id_lists([campaign])
    columns = ", ".join(MEMBER_OF.values())
    rows = _rows(org, f"SELECT {columns} FROM CampaignMember WHERE IsDeleted = false AND CampaignId IN {listed}")
    named = [(kind, row.get(column)) for row in rows for kind, column in MEMBER_OF.items()]
    if not all(id_ is None or is_id(id_) for _kind, id_ in named):
        raise unreadable("campaign members")
    return frozenset(Ref(CRM, kind, id_) for kind, id_ in named if id_)


def _rows(org: Org, soql: str, *, standing: bool = False) -> list[dict[str, Any]]:
    try:
        return org.rows(soql, standing=standing)
    except RequestRefused as error:
        if error.code not in HIDDEN:
            raise
        said = "[exclude] campaigns: the integration user may not read campaigns; give its permission set 'Read' and"
        raise ConfigError(f"{said} 'View All' on Campaign ({error.code})") from error
