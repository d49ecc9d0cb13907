"""Calls that carry calls: composite, batch and tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from connectors.sandbox.salesforce.records import hand, table_of
from connectors.sandbox.salesforce.state import OrgState
from connectors.sandbox.salesforce.values import SalesforceRefusal
from connectors.sandbox.salesforce.wire import Answer, SalesforceCall
from connectors.sandbox.salesforce.writes import create_record, delete_record

Dispatch: TypeAlias = Callable[[SalesforceCall], Answer]

MOST_CALLS = 25
MOST_QUERIES = 5
"""Of the calls in a composite so many may be queries or Collections."""

_COUNTED = re.compile(r"(query|queryAll)(/.*)?|composite/sobjects(/.*)?")


def _inner(call: SalesforceCall, method: str, url: str, body: Any, headers: Mapping[str, str]) -> SalesforceCall:
    return call.within(method, _path(url), dict(parse_qsl(urlsplit(url).query)), body, headers)


def _path(url: str) -> str:
    return unquote(re.sub(r"^(/services/data)?/?v[\d.]+/", "", urlsplit(url).path)).strip("/")


def _referred(value: Any, answers: Mapping[str, Any]) -> Any:
    """A value in which `@{name.field}` stands for what an earlier call answered."""
    if isinstance(value, dict):
        return {key: _referred(each, answers) for key, each in value.items()}
    if isinstance(value, list):
        return [_referred(each, answers) for each in value]
    if not isinstance(value, str) or "@{" not in value:
        return value
    return re.sub(r"@\{([^}]+)\}", lambda match: str(_looked_up(match[1], answers)), value)


def _looked_up(path: str, answers: Mapping[str, Any]) -> Any:
    found: Any = answers
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SalesforceRefusal(
                "PROCESSING_HALTED", f"Invalid reference specified. No value for {path} found"
            ) from None
    return found


def run_composite(state: OrgState, call: SalesforceCall, dispatch: Dispatch) -> Answer:
    """`POST /composite`: up to 25 calls, later ones may refer to earlier ones."""
    body = call.record()
    requests = body.get("compositeRequest", [])
    if len(requests) > MOST_CALLS:
        raise SalesforceRefusal("LIMIT_EXCEEDED", f"Maximum number of subrequests exceeded: at most {MOST_CALLS}")
    paths = [_path(str(each.get("url", ""))) for each in requests]
    if sum(_COUNTED.fullmatch(path) is not None for path in paths) > MOST_QUERIES:
        raise SalesforceRefusal(
            "LIMIT_EXCEEDED", f"Maximum number of query or Collections subrequests exceeded: {MOST_QUERIES}"
        )
    answers: dict[str, Any] = {}
    told = []
    for each in requests:
        if not {"method", "url", "referenceId"} <= each.keys():
            raise SalesforceRefusal("INVALID_INPUT", "A subrequest must have a method, a url and a referenceId")
        try:
            url, inner = _referred(each["url"], answers), _referred(each.get("body"), answers)
            answer = dispatch(_inner(call, each["method"].upper(), url, inner, each.get("httpHeaders") or {}))
        except SalesforceRefusal as error:
            answer = Answer(400, [{"errorCode": error.code, "message": error.message}])
        answers[each["referenceId"]] = answer.body
        shown = {"body": answer.body, "httpHeaders": dict(answer.headers), "httpStatusCode": answer.status}
        told.append(shown | {"referenceId": each["referenceId"]})
    return Answer(200, {"compositeResponse": told})


def run_batch(state: OrgState, call: SalesforceCall, dispatch: Dispatch) -> Answer:
    """`POST /composite/batch`: up to 25 calls that know nothing of each other."""
    requests = call.record().get("batchRequests", [])
    if len(requests) > MOST_CALLS:
        raise SalesforceRefusal("LIMIT_EXCEEDED", f"Maximum number of subrequests exceeded: at most {MOST_CALLS}")
    results = []
    for each in requests:
        answer = dispatch(_inner(call, each["method"].upper(), each["url"], each.get("richInput"), {}))
        results.append({"statusCode": answer.status, "result": answer.body})
    return Answer(200, {"hasErrors": any(each["statusCode"] >= 400 for each in results), "results": results})


def create_tree(state: OrgState, call: SalesforceCall, name: str) -> Answer:
    """`POST /composite/tree/X`: records with their children, all or none."""
    made: list[tuple[str, str]] = []
    try:
        for record in call.record().get("records", []):
            _plant(state, call, name, record, None, made)
    except SalesforceRefusal as error:
        for _, id_ in reversed(made):
            found = state.locate(id_)
            assert found
            delete_record(state, found[0], found[1], hand(call))
        told = [{"statusCode": error.code, "message": error.message, "fields": list(error.fields)}]
        reference = (record.get("attributes") or {}).get("referenceId")
        return Answer(400, {"hasErrors": True, "results": [{"referenceId": reference, "errors": told}]})
    return Answer(
        201, {"hasErrors": False, "results": [{"referenceId": reference, "id": id_} for reference, id_ in made]}
    )


def _plant(
    state: OrgState,
    call: SalesforceCall,
    name: str,
    record: Mapping[str, Any],
    parent: tuple[str, str] | None,
    made: list[tuple[str, str]],
) -> None:
    table = table_of(state, name)
    below = {key: each for key, each in record.items() if isinstance(each, dict) and "records" in each}
    own = {key: each for key, each in record.items() if key not in below and key != "attributes"}
    id_ = create_record(state, table, own | ({parent[0]: parent[1]} if parent else {}), hand(call))
    made.append((str((record.get("attributes") or {}).get("referenceId")), id_))
    relations = {relationship: (child, key) for child, key, relationship in state.children(table.sobject.name)}
    for relationship, each in below.items():
        if relationship not in relations:
            raise SalesforceRefusal("INVALID_FIELD", f"No such relation '{relationship}' on {table.sobject.name}")
        child, key = relations[relationship]
        for inner in each["records"]:
            _plant(state, call, child, inner, (key, id_), made)
