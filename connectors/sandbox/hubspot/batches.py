"""What every batch has in common: its inputs, the ids that lead nowhere, and the envelope of the answer."""

from __future__ import annotations

from connectors.sandbox.hubspot.records import RecordTable
from connectors.sandbox.hubspot.state import PortalState
from connectors.sandbox.hubspot.wire import HubspotCall, Json, Reply, bad_request, iso, objects_of_body

BATCH = 100


def inputs_of(body: Json, most: int) -> list[Json]:
    """The inputs of a batch. A body without any is answered as an empty batch, as HubSpot does."""
    inputs = objects_of_body(body, "inputs")
    if any(not isinstance(each.get("idProperty") or "", str) for each in [body, *inputs]):
        raise bad_request("Invalid input JSON on line 1, column 1: idProperty must be a name")
    if len(inputs) > most:
        raise bad_request(f"The maximum number of inputs supported in a batch request is {most}.")
    return inputs


def ids_of(inputs: list[Json]) -> list[str]:
    """The ids of the inputs of a batch, each of which must have one."""
    if any(each.get("id") is None for each in inputs):
        raise bad_request("Some required fields were not set: [id]")
    return [str(each["id"]) for each in inputs]


def missing_ids(records: RecordTable, ids: list[str]) -> list[Json]:
    """The one error that names every id without a record."""
    if not ids:
        return []
    word = records.kind.singular.upper()
    message = f"Could not get some {word} objects, they may be deleted or not exist. Check that ids are valid."
    return [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": ids}}]


def fail_reads(state: PortalState, ids: list[str], named: str) -> tuple[list[str], list[Json]]:
    """The ids that fail in this batch while others are read, and an error for each, which holds it under `named`."""
    failing = state.switches.failed_reads
    failed = [each for each in ids if failing.get(each, 0) > 0]
    for each in failed:
        failing[each] -= 1
    return failed, [
        {
            "status": "error",
            "category": "INTERNAL_ERROR",
            "message": "There was a problem with the request.",
            "context": {named: [each]},
        }
        for each in failed
    ]


def batch_reply(
    state: PortalState, call: HubspotCall, results: list[Json], errors: list[Json], status: int = 200
) -> Reply:
    """The envelope of a batch; with errors it is a 207, unless this portal's 2026-09 no longer sends those."""
    body: Json = {"status": "COMPLETE", "startedAt": iso(call.now), "completedAt": iso(call.now), "results": results}
    if not errors:
        return Reply(status, body)
    body |= {"errors": errors, "numErrors": len(errors)}
    quiet = call.version.startswith("2026-09") and state.switches.partial_failures == "ok"
    return Reply(status if quiet else 207, body)
