"""Who is on HubSpot lists: looked up by name or id, and read again only where somebody may have joined or left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connectors.hubspot.client import Api
from connectors.hubspot.errors import CRM, KIND, Forbidden, id_of, object_in, text_of, unreadable
from connectors.hubspot.schema import list_all
from crmsync.connector import ListMembers
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref

SCOPE = "crm.lists.read"

CONTACTS = "0-1"
"""The type of the lists that are of contacts."""

PAGE, FOUND_AT_ONCE = 250, 500

BUILDING = ("INITIALIZING", "PROCESSING")
"""States of a list that HubSpot has not filled to its end."""

SIZE = "hs_list_size"
MOVES = ("hs_last_record_added_at", "hs_last_record_removed_at")
"""When somebody last joined and left, among the properties that HubSpot gives of a list unasked."""


def read_list_members(api: Api, known: Mapping[str, str]) -> Iterator[ListMembers]:
    """The members of lists of contacts; `known` has the version of each that was read last, `""` for none."""
    for asked, before in known.items():
        found = _find_list(api, asked)
        if isinstance(found, str):
            yield ListMembers(asked, problem=found)
            continue
        list_id, name = id_of(found.get("listId")), text_of(found.get("name"))
        if text_of(found.get("processingStatus")).upper() in BUILDING:
            # What is there may be half of it.
            if before:
                yield ListMembers(asked, list_id, name, before)
            else:
                said = f"HubSpot is still filling the list {name!r}; crmsync reads it in the next run"
                yield ListMembers(asked, problem=said)
            continue
        version = _version_of(api, found)
        members = None if version == before else _read_members(api, list_id)
        yield ListMembers(asked, list_id, name, version, members)


def find_list_problems(api: Api, asked: Sequence[str]) -> Iterator[str]:
    """What is wrong with the lists that `[exclude]` names, a sentence for each."""
    try:
        yield from (found for each in asked if isinstance(found := _find_list(api, each), str))
    except ConfigError as error:
        yield from error.problems
    except Unavailable as error:
        yield str(error)


def _find_list(api: Api, asked: str) -> Mapping[str, Any] | str:
    """The list that is meant, or a sentence that says why there is none."""
    if asked.isascii() and asked.isdecimal():
        by_id = [each for each in _search(api, {"listIds": [asked]}) if id_of(each.get("listId")) == asked]
        if by_id:
            return by_id[0] if by_id[0].get("objectTypeId") == CONTACTS else _of_others(asked)
    named = [each for each in _search(api, {"query": asked.strip()}) if _folded(each.get("name")) == _folded(asked)]
    ours = [each for each in named if each.get("objectTypeId") == CONTACTS]
    if len(ours) > 1:
        ids = " or ".join(sorted(id_of(each.get("listId")) for each in ours))
        return f"HubSpot has {len(ours)} lists with the name {asked!r}; write the id into [exclude] lists: {ids}"
    if ours:
        return ours[0]
    if named:
        return _of_others(asked)
    return (
        f"HubSpot has no list {asked!r}, or the token may not see it; if it was renamed or deleted, correct "
        "[exclude] lists"
    )


def _of_others(asked: str) -> str:
    return f"the HubSpot list {asked!r} is not of contacts; name a list of contacts in [exclude] lists"


def _folded(name: Any) -> str:
    return text_of(name).strip().casefold()


def _search(api: Api, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    offset = 0
    while True:
        body = {**asked, "count": FOUND_AT_ONCE, "offset": offset, "additionalProperties": [SIZE, *MOVES]}
        try:
            answer = api.post(api.place("lists"), body)
        except Forbidden as error:
            raise _forbidden(error) from error
        found = answer.get("lists")
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise unreadable("find lists")
        if not all(id_of(each.get("listId")) for each in found):
            raise unreadable("find lists")
        yield from found
        offset += len(found)
        if not answer.get("hasMore") or not found:
            return


def _version_of(api: Api, found: Mapping[str, Any]) -> str:
    """What changes with every member, and once a day; every hour where HubSpot does not say when somebody moved."""
    more = object_in(found, "additionalProperties")
    moves = [text_of(more.get(name)) for name in MOVES]
    size = text_of(more.get(SIZE)) or text_of(found.get("size"))
    told = [id_of(found.get("listId")), size, *moves, text_of(found.get("updatedAt"))]
    return " ".join([*told, f"{api.server_time:%Y-%m-%d}" if any(moves) else f"{api.server_time:%Y-%m-%dT%H}"])


def _read_members(api: Api, list_id: str) -> frozenset[Ref]:
    where = api.place("members", id=list_id)
    try:
        ids = [id_of(each.get("recordId")) for each in list_all(api, where, [("limit", str(PAGE))])]
    except Forbidden as error:
        raise _forbidden(error) from error
    if not all(ids):
        raise unreadable(where.words)
    return frozenset(Ref(CRM, KIND, each) for each in ids)


def _forbidden(error: Forbidden) -> ConfigError:
    return ConfigError(f"{error}; [exclude] lists needs the scope {SCOPE}") if SCOPE not in error.scopes else error
