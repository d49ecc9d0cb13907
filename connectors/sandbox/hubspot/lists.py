"""Lists of the portal: what clients may find out about them, and what people do to them."""

from __future__ import annotations

from connectors.sandbox.hubspot.state import MemberList, PortalState
from connectors.sandbox.hubspot.wire import HubspotCall, Json, iso, not_found, page_size, paging_of

_MOST_FOUND, _MOST_MEMBERS = 500, 250
_FIRST_ID = 11


def search_lists(state: PortalState, call: HubspotCall) -> Json:
    """`POST /crm/lists/{version}/search`: by ids or by a part of the name."""
    body = call.json()
    ids, words = [str(each) for each in body.get("listIds") or ()], str(body.get("query") or "").casefold()
    found = [each for each in state.lists.values() if (not ids or each.id in ids) and words in each.name.casefold()]
    start, count = int(body.get("offset") or 0), page_size(body.get("count") or 20, _MOST_FOUND)
    shown = found[start : start + count]
    told = state.switches.list_moves == "told"
    return {
        "lists": [_shown(each) | ({"additionalProperties": _moves(each)} if told else {}) for each in shown],
        "hasMore": start + count < len(found),
        "offset": start + len(shown),
        "total": len(found),
    }


def show_list(state: PortalState, call: HubspotCall) -> Json:
    """`GET /crm/lists/{version}/{id}`."""
    return {"list": _shown(_found(state, call.params["id"]))}


def list_memberships(state: PortalState, call: HubspotCall) -> Json:
    """`GET /crm/lists/{version}/{id}/memberships`: by record id."""
    found, limit = _found(state, call.params["id"]), call.limit(100, _MOST_MEMBERS)
    live = set(state.contacts.live)
    members = sorted(each for each in found.members if found.type != "0-1" or each in live)
    after = call.number("after", -1)
    rest = [each for each in members if each > after]
    results = [{"recordId": str(each), "membershipTimestamp": iso(found.members[each])} for each in rest[:limit]]
    answer: Json = {"results": results, "total": len(members)}
    return answer | {"paging": paging_of(call, str(rest[limit - 1]))} if len(rest) > limit else answer


def put_on_list(state: PortalState, now: int, body: Json) -> Json:
    """Make the list `name` or `id` if there is none, and put `add` on it and take `remove` off it; all are ids."""
    found = next((each for each in state.lists.values() if body.get("id") == each.id), None)
    if found is None:
        named = [each for each in state.lists.values() if each.name == body.get("name") and not body.get("twin")]
        found = named[0] if named else _made(state, now, str(body["name"]), str(body.get("type", "0-1")))
    found.name, found.status = str(body.get("name", found.name)), str(body.get("status", found.status))
    for each in map(int, body.get("add", ())):
        found.members.setdefault(each, now)
        found.added_at = now
    for each in map(int, body.get("remove", ())):
        if found.members.pop(each, None) is not None:
            found.removed_at = now
    return {"id": found.id}


def delete_list(state: PortalState, now: int, body: Json) -> Json:
    """Delete the list `id`."""
    if state.lists.pop(str(body.get("id")), None) is None:
        raise ValueError(f"there is no list {body.get('id')!r}")
    return {}


def _made(state: PortalState, now: int, name: str, type_: str) -> MemberList:
    number = str(max((int(each) for each in state.lists), default=_FIRST_ID - 1) + 1)
    state.lists[number] = MemberList(number, name, type_, now)
    return state.lists[number]


def _found(state: PortalState, list_id: str) -> MemberList:
    if list_id not in state.lists:
        raise not_found(f"List does not exist with ID {list_id}.")
    return state.lists[list_id]


def _shown(each: MemberList) -> Json:
    return {
        "listId": each.id,
        "listVersion": 1,
        "name": each.name,
        "objectTypeId": each.type,
        "processingStatus": each.status,
        "processingType": "MANUAL",
        "createdAt": iso(each.created),
        "updatedAt": iso(each.created),
        "size": len(each.members),
    }


def _moves(each: MemberList) -> Json:
    return {
        "hs_list_size": str(len(each.members)),
        "hs_last_record_added_at": str(each.added_at) if each.added_at else None,
        "hs_last_record_removed_at": str(each.removed_at) if each.removed_at else None,
        "hs_list_reference_count": "0",
        "hs_folder_name": None,
    }
