"""What people and workflows do in the portal while an integration runs: the sandbox's control over its HubSpot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal, get_args, get_origin, get_type_hints

from connectors.sandbox.hubspot import activity_effects, writes
from connectors.sandbox.hubspot.catalog import option_of, stage_date
from connectors.sandbox.hubspot.deal_stages import DealPipeline, DealStage
from connectors.sandbox.hubspot.lead_scores import delete_lead_score, put_lead_score, recalculate_scores
from connectors.sandbox.hubspot.lists import delete_list, put_on_list
from connectors.sandbox.hubspot.pipelines import put_deal_pipeline
from connectors.sandbox.hubspot.records import RecordTable, StoredRecord, write_properties
from connectors.sandbox.hubspot.schema import as_text
from connectors.sandbox.hubspot.state import PortalOwner, PortalState, PortalSwitches
from connectors.sandbox.hubspot.wire import HubspotRefusal, Json, milliseconds

Action = Callable[[Json], Json]
ActionHandler = Callable[[PortalState, int, Json], Json]


def list_actions(state: PortalState, now: Callable[[], int]) -> dict[str, Action]:
    """Every action by name; each takes and gives a JSON object.

    Records are named by `type` (contacts, unless said otherwise) and `id`. Raises `ValueError` with a sentence for what
    cannot be done.
    """

    def acting(act: ActionHandler) -> Action:
        def do(body: Json) -> Json:
            try:
                return act(state, now(), body)
            except HubspotRefusal as refusal:
                answer: Any = refusal.reply.body
                raise ValueError(
                    answer["message"] if isinstance(answer, dict) else "there is no such thing"
                ) from refusal

        return do

    return {name: acting(act) for name, act in _ACTS.items()}


def _records(state: PortalState, body: Json) -> RecordTable:
    return state.records_of(str(body.get("type", "contacts")))


def _record(state: PortalState, body: Json, name: str = "id", archived: bool = False) -> StoredRecord:
    record = _records(state, body).find(str(body.get(name, "")))
    if record is None or (record.archived_at is not None) != archived:
        raise ValueError(f"{body.get('type', 'contacts')} have no such record: {body.get(name)!r}")
    return record


def _values(records: RecordTable, body: Json) -> dict[str, str]:
    """The properties of an action. Unlike a client's they may set what only HubSpot sets."""
    values = {name: as_text(value) for name, value in (body.get("properties") or {}).items()}
    unknown = [name for name in values if name not in records.schema.known]
    if unknown:
        raise ValueError(f"{records.kind.name} have no property {', '.join(unknown)}")
    return values


def _create(state: PortalState, now: int, body: Json) -> Json:
    records = _records(state, body)
    record = state.make(records.kind.name, _values(records, body), now, "CRM_UI")
    return {"id": str(record.id)}


def _update(state: PortalState, now: int, body: Json) -> Json:
    """`source` says who: a person (`CRM_UI`, `user` is their id), a workflow (`AUTOMATION_PLATFORM`), another tool."""
    records, record = _records(state, body), _record(state, body)
    source, user = str(body.get("source", "CRM_UI")), body.get("user")
    source_id = f"userId:{user}" if user else ""
    return {"changed": state.change(records.kind.name, record, _values(records, body), now, source, source_id)}


def _bulk_edit(state: PortalState, now: int, body: Json) -> Json:
    """Change many records in the same millisecond: those of `ids`, or the first `count`, or all."""
    records = _records(state, body)
    values = _values(records, body)
    ids = [int(each) for each in body["ids"]] if "ids" in body else records.live[: body.get("count", len(records.live))]
    for record in [records.by_id[each] for each in ids]:
        state.remember(record, now)
        write_properties(record, values, now, "BATCH_UPDATE", "")
        records.stamp(record, now)
    return {"changed": len(ids)}


def _archive(state: PortalState, now: int, body: Json) -> Json:
    _records(state, body).archive(_record(state, body), now)
    return {}


def _restore(state: PortalState, now: int, body: Json) -> Json:
    _records(state, body).restore(_record(state, body, archived=True), now)
    return {}


def _merge(state: PortalState, now: int, body: Json) -> Json:
    """`id` and `other` become a record with a new id; the values of `id` win."""
    main, other = _record(state, body), _record(state, body, "other")
    return {"id": str(writes.apply_merge(state, _records(state, body), main, other, now).id)}


def _gdpr_delete(state: PortalState, now: int, body: Json) -> Json:
    writes.delete_for_privacy(state, _records(state, body), _record(state, body))
    return {}


def _add_activity(state: PortalState, now: int, body: Json) -> Json:
    """The contact `id` did `kind`, at `at` (ISO 8601, now unless said), with `attributes`."""
    contact = _record(state, {"id": body.get("id")})
    at = milliseconds(datetime.fromisoformat(body["at"])) if "at" in body else now
    values = activity_effects.record_activity(state, contact, str(body["kind"]), at, body.get("attributes") or {}, now)
    state.touch(contact, values, now)
    return {}


def _associate(state: PortalState, now: int, body: Json) -> Json:
    """Link record `id` with record `other` of type `to`; `primary` makes that company the main one."""
    to = state.records_of(str(body["to"]))
    record, other = _record(state, body), to.find(str(body["other"]))
    if other is None:
        raise ValueError(f"{to.kind.name} have no such record: {body['other']!r}")
    pair = (_records(state, body).kind.name, to.kind.name)
    state.link(pair, record.id, other.id, now, bool(body.get("primary")))
    return {}


def _dissociate(state: PortalState, now: int, body: Json) -> Json:
    to = state.records_of(str(body["to"]))
    pair = (_records(state, body).kind.name, to.kind.name)
    state.links.drop(pair, _record(state, body).id, int(body["other"]))
    return {}


def _definition(state: PortalState, body: Json) -> Json:
    found: Json | None = _records(state, body).schema.known.get(str(body.get("property")))
    if found is None:
        raise ValueError(f"{body.get('type', 'contacts')} have no property {body.get('property')!r}")
    return found


def _add_option(state: PortalState, now: int, body: Json) -> Json:
    found, value = _definition(state, body), str(body["value"])
    options = [*found["options"], option_of(value, str(body.get("label", value)), len(found["options"]))]
    _records(state, body).schema.put(found | {"options": options})
    return {}


def _remove_option(state: PortalState, now: int, body: Json) -> Json:
    found = _definition(state, body)
    options = [each for each in found["options"] if each["value"] != body["value"]]
    _records(state, body).schema.put(found | {"options": options})
    return {}


def _add_stage(state: PortalState, now: int, body: Json) -> Json:
    """A lifecycle stage of the admin's own: `id` (a number in text), `label`, and the stage it comes `before`."""
    value, schema = str(body["id"]), state.contacts.schema
    found = schema.known["lifecyclestage"]
    values = [each["value"] for each in found["options"]]
    place = values.index(body["before"]) if "before" in body else len(values)
    options = [*found["options"][:place], option_of(value, str(body["label"])), *found["options"][place:]]
    schema.put(found | {"options": [each | {"displayOrder": order} for order, each in enumerate(options)]})
    schema.put(stage_date(value))
    return {}


def _put_pipeline(state: PortalState, now: int, body: Json) -> Json:
    """Add a pipeline of deals, or change the one with its `id`: its `label` and `stages`.

    A stage has `id`, `label`, `probability` and, where it is, `closed`.
    """
    stages = tuple(
        DealStage(str(each["id"]), str(each["label"]), float(each["probability"]), bool(each.get("closed")))
        for each in body["stages"]
    )
    put_deal_pipeline(state, DealPipeline(str(body["id"]), str(body["label"]), stages))
    return {}


def _hide_property(state: PortalState, now: int, body: Json) -> Json:
    """Archive a property, as an admin does: clients no longer see it."""
    _definition(state, body)
    _records(state, body).schema.drop(str(body["property"]))
    return {}


def _show_property(state: PortalState, now: int, body: Json) -> Json:
    schema = _records(state, body).schema
    schema.put(schema.archived.pop(str(body["property"])))
    return {}


def _lock_property(state: PortalState, now: int, body: Json) -> Json:
    """Make a property read-only for clients."""
    found = _definition(state, body)
    metadata = found["modificationMetadata"] | {"readOnlyValue": bool(body.get("locked", True))}
    _records(state, body).schema.put(found | {"modificationMetadata": metadata})
    return {}


def _owner(state: PortalState, body: Json) -> PortalOwner:
    for each in state.owners.values():
        if str(each.id) == str(body.get("id")) or each.email == body.get("email"):
            return each
    raise ValueError(f"there is no owner {body.get('id') or body.get('email')!r}")


def _archive_owner(state: PortalState, now: int, body: Json) -> Json:
    """Deactivate a user, by owner `id` or `email`."""
    found = _owner(state, body)
    state.owners[found.id] = found._replace(archived=True)
    return {"id": str(found.id)}


def _add_owner(state: PortalState, now: int, body: Json) -> Json:
    number = max(state.owners, default=41_629_700) + 1
    first, last = str(body.get("first", "New")), str(body.get("last", "Owner"))
    state.owners[number] = PortalOwner(number, number - 32_629_600, str(body["email"]), first, last, now)
    return {"id": str(number)}


def _lock(state: PortalState, now: int, body: Json) -> Json:
    """Answer 423 to the next `times` writes of each of `ids`."""
    state.locked |= {int(each): int(body.get("times", 1)) for each in body["ids"]}
    return {}


def _issue_token(state: PortalState, now: int, body: Json) -> Json:
    """Accept `token` for `seconds`, or for ever."""
    until = now + int(body["seconds"] * 1000) if "seconds" in body else None
    state.gate.expires[str(body["token"])] = until
    return {}


def _revoke_token(state: PortalState, now: int, body: Json) -> Json:
    """Refuse an access or refresh `token` from here on."""
    state.gate.expires.pop(str(body["token"]), None)
    state.gate.refresh.discard(str(body["token"]))
    return {}


def _set(state: PortalState, now: int, body: Json) -> Json:
    """Turn switches; answers all of them."""
    known = {each.name for each in fields(PortalSwitches)}
    if unknown := sorted(set(body) - known):
        raise ValueError(f"there is no switch {', '.join(unknown)}; there is {', '.join(sorted(known))}")
    hints = get_type_hints(PortalSwitches)
    for name, value in body.items():
        choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
        if choices and value not in choices:
            raise ValueError(f"{name} is {' or '.join(choices)}, not {value!r}")
    for name, value in body.items():
        setattr(state.switches, name, value)
    for records in state.records.values():
        records.version += 1
    return {name: getattr(state.switches, name) for name in sorted(known)}


_ACTS: dict[str, ActionHandler] = {
    "create": _create,
    "update": _update,
    "bulk_edit": _bulk_edit,
    "archive": _archive,
    "restore": _restore,
    "merge": _merge,
    "gdpr_delete": _gdpr_delete,
    "add_activity": _add_activity,
    "associate": _associate,
    "dissociate": _dissociate,
    "add_option": _add_option,
    "remove_option": _remove_option,
    "add_stage": _add_stage,
    "put_pipeline": _put_pipeline,
    "hide_property": _hide_property,
    "show_property": _show_property,
    "lock_property": _lock_property,
    "archive_owner": _archive_owner,
    "add_owner": _add_owner,
    "put_on_list": put_on_list,
    "delete_list": delete_list,
    "put_lead_score": put_lead_score,
    "delete_lead_score": delete_lead_score,
    "recalculate_scores": recalculate_scores,
    "lock": _lock,
    "issue_token": _issue_token,
    "revoke_token": _revoke_token,
    "set": _set,
}
