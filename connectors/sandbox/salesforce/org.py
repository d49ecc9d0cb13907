"""The Salesforce of the sandbox: one org that answers on `/services/…` as the real one does."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.sandbox.salesforce import auth, bulk, bulk1, composite, records, tooling
from connectors.sandbox.salesforce.actions import list_org_actions
from connectors.sandbox.salesforce.load import furnish_org, load_org
from connectors.sandbox.salesforce.state import OrgState
from connectors.sandbox.salesforce.values import SalesforceRefusal
from connectors.sandbox.salesforce.wire import Answer, Handle, SalesforceCall, refuse, resource_not_found
from connectors.sandbox.world import World

LONGEST_URL = 16_384
_Table: TypeAlias = list[tuple[re.Pattern[str], dict[str, Handle]]]
_METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"]


class SandboxOrg:
    """A stateful org. `clock` gives the present, aware; `rate_limits` gives it an Enterprise Edition's quota."""

    def __init__(self, clock: Callable[[], datetime], *, rate_limits: bool = False) -> None:
        self._clock, self._rate_limits = clock, rate_limits
        self.actions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self._empty()

    def _empty(self) -> None:
        self.state = OrgState(self._clock)
        self.switches = self.state.switches
        if self._rate_limits:
            self.switches.max_usage = 100_000
        self.sessions = auth.Sessions()
        self.locators = records.Locators()
        self.jobs, self.old_jobs = bulk.Jobs(), bulk1.LegacyJobs()
        furnish_org(self.state)
        self.state.forget()
        self.actions |= list_org_actions(self.state, self.sessions)
        self._table, self._old_table = _compiled(self._handles()), _compiled(self._old_handles())

    def load(self, world: World) -> None:
        """Start over with this world's people."""
        self._empty()
        load_org(self.state, world)
        self.state.forget()

    def snapshot(self) -> dict[str, Any]:
        """Every record of every object as it is, stamps included, in a stable order."""
        tables = self.state.tables.values()
        return {
            table.sobject.name: {
                table.ids[row]: dict(sorted(table.record(row).items()))
                for row in sorted(range(len(table)), key=table.ids.__getitem__)
            }
            for table in tables
        }

    # --- which call goes where ---------------------------------------------------------------------------------------

    def _handles(self) -> dict[str, dict[str, Handle]]:
        query, more = partial(_query, self.locators), partial(_more, self.locators)
        with_jobs, inner = partial(partial, _with_jobs, self.jobs), self.dispatch
        r = records
        return {
            "": {"GET": r.list_resources},
            "limits": {"GET": r.show_limits},
            "limits/recordCount": {"GET": r.record_count},
            "sobjects": {"GET": r.describe_all},
            r"sobjects/(\w+)": {"GET": r.show_object, "POST": r.create_row},
            r"sobjects/(\w+)/describe": {"GET": r.describe_one},
            r"sobjects/(\w+)/(updated|deleted)": {"GET": r.list_changed},
            r"sobjects/(\w+)/(\w+)": {"GET": r.get_row, "PATCH": r.update_row, "DELETE": r.delete_row},
            r"sobjects/(\w+)/(\w+)/(.+)": {"GET": r.get_by_field, "PATCH": r.upsert_row},
            r"(query|queryAll)": {"GET": query},
            r"(?:query|queryAll)/([\w-]+)": {"GET": more},
            "composite": {"POST": partial(_composite, composite.run_composite, inner)},
            "composite/batch": {"POST": partial(_composite, composite.run_batch, inner)},
            r"composite/tree/(\w+)": {"POST": composite.create_tree},
            "composite/sobjects": {"PATCH": r.update_many, "POST": r.create_many, "DELETE": r.delete_many},
            r"composite/sobjects/(\w+)": {"GET": r.retrieve_many, "POST": r.retrieve_many},
            r"composite/sobjects/(\w+)/(\w+)": {"PATCH": r.upsert_many},
            "jobs/(ingest)": {"GET": with_jobs(bulk.list_jobs), "POST": with_jobs(_create_ingest)},
            "jobs/(query)": {"GET": with_jobs(bulk.list_jobs), "POST": with_jobs(_create_query)},
            r"jobs/(ingest|query)/(\w+)": {
                "GET": with_jobs(bulk.show_job),
                "PATCH": with_jobs(bulk.change_job),
                "DELETE": with_jobs(bulk.delete_job),
            },
            r"jobs/ingest/(\w+)/batches": {"PUT": with_jobs(bulk.upload_rows)},
            r"jobs/ingest/(\w+)/(successfulResults|failedResults|unprocessedrecords)": {
                "GET": with_jobs(bulk.job_results)
            },
            r"jobs/query/(\w+)/results": {"GET": with_jobs(bulk.query_results)},
            "tooling/sobjects/CustomField": {"POST": tooling.create_field},
            r"tooling/sobjects/CustomField/(\w+)": {
                "GET": tooling.get_field,
                "PATCH": tooling.update_field,
                "DELETE": tooling.delete_field,
            },
            "tooling/query": {"GET": tooling.query_tooling},
        }

    def _old_handles(self) -> dict[str, dict[str, Handle]]:
        with_jobs = partial(partial, _with_old_jobs, self.old_jobs)
        return {
            "job": {"POST": with_jobs(bulk1.create_job)},
            r"job/(\w+)": {"GET": with_jobs(bulk1.look_job), "POST": with_jobs(bulk1.change_legacy_job)},
            r"job/(\w+)/batch": {"GET": with_jobs(bulk1.list_batches), "POST": with_jobs(bulk1.add_batch)},
            r"job/(\w+)/batch/(\w+)": {"GET": with_jobs(bulk1.look_batch)},
            r"job/(\w+)/batch/(\w+)/result": {"GET": with_jobs(bulk1.list_results)},
            r"job/(\w+)/batch/(\w+)/result/(\w+)": {"GET": with_jobs(bulk1.batch_result)},
        }

    def dispatch(self, call: SalesforceCall) -> Answer:
        """Answer one REST call."""
        try:
            return _handled(self.state, self._table, call)
        except SalesforceRefusal as error:
            return refuse(error)

    # --- HTTP --------------------------------------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """Everything the org answers, for a Starlette application."""
        return [
            Route("/services/oauth2/{what}", self._served(self._oauth), methods=["GET", "POST"]),
            Route("/services/Soap/{kind}/{version:path}", self._served(self._soap), methods=["POST"]),
            Route("/services/data", self._served(self._versions), methods=["GET"]),
            Route("/services/data/", self._served(self._versions), methods=["GET"]),
            Route("/services/data/v{version}", self._served(self._rest), methods=_METHODS),
            Route("/services/data/v{version}/{path:path}", self._served(self._rest), methods=_METHODS),
            Route("/services/async/{version}/{path:path}", self._served(self._old_bulk), methods=["GET", "POST"]),
            Route("/id/{org}/{user}", self._served(self._identity), methods=["GET", "POST"]),
        ]

    def _served(self, answer: Callable[[Request, bytes], Answer]) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            return self._sent(answer(request, await request.body()))

        return serve

    def _sent(self, answer: Answer) -> Response:
        """An answer with its header names written as Salesforce writes them: some clients are particular about that."""
        content, headers = answer.content(), {"Date": _http_date(self._clock())} | dict(answer.headers)
        if answer.status not in (204, 304):
            headers |= {"Content-Type": answer.type, "Content-Length": str(len(content))}
        response = Response(content, answer.status)
        response.raw_headers = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return response

    def _oauth(self, request: Request, body: bytes) -> Answer:
        what, address = request.path_params["what"], _address(request)
        if what == "token":
            return auth.grant_token(self.state, self.sessions, body, request.headers, address)
        if what == "introspect":
            return auth.introspect_token(self.sessions, body)
        if what == "userinfo":
            return self._identity(request, body)
        if what == "revoke":
            self.sessions.calls.pop(request.query_params.get("token", ""), None)
            return Answer(200)
        return refuse(resource_not_found())

    def _identity(self, request: Request, body: bytes) -> Answer:
        try:
            auth.admit_request(self.state, self.sessions, request.headers)
        except SalesforceRefusal as error:
            return refuse(error)
        return Answer(200, auth.identify_user(self.state, _address(request)))

    def _soap(self, request: Request, body: bytes) -> Answer:
        return auth.soap_refused(request.path_params["version"])

    def _versions(self, request: Request, body: bytes) -> Answer:
        return Answer(200, records.list_versions())

    def _rest(self, request: Request, body: bytes) -> Answer:
        url = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        if len(url) > LONGEST_URL:
            return Answer(
                414, b"<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", type="text/html;charset=iso-8859-1"
            )
        try:
            records.check_version(request.path_params["version"])
            auth.admit_request(self.state, self.sessions, request.headers)
        except SalesforceRefusal as error:
            return self._counted(refuse(error))
        return self._counted(self.dispatch(_call(request, body)))

    def _old_bulk(self, request: Request, body: bytes) -> Answer:
        call = _call(request, body)
        try:
            auth.admit_request(self.state, self.sessions, request.headers)
            return _handled(self.state, self._old_table, call)
        except SalesforceRefusal as error:
            return bulk1.refuse_legacy(error, call)

    def _counted(self, answer: Answer) -> Answer:
        usage = f"api-usage={self.state.usage}/{self.switches.max_usage}"
        return Answer(answer.status, answer.body, {**answer.headers, "Sforce-Limit-Info": usage}, answer.type)


def _call(request: Request, body: bytes) -> SalesforceCall:
    return SalesforceCall(
        method="GET" if request.method == "HEAD" else request.method,
        path=unquote(request.path_params.get("path", "")).strip("/"),
        version=request.path_params["version"],
        params=request.query_params,
        headers=request.headers,
        body=body,
    )


def _compiled(table: dict[str, dict[str, Handle]]) -> _Table:
    return [(re.compile(pattern), handles) for pattern, handles in table.items()]


def _handled(state: OrgState, table: _Table, call: SalesforceCall) -> Answer:
    for pattern, handles in table:
        if match := pattern.fullmatch(call.path):
            if call.method not in handles:
                raise _wrong_method(call.method, list(handles))
            return handles[call.method](state, call, *match.groups())
    raise resource_not_found()


def _http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)


def _address(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _wrong_method(method: str, allowed: list[str]) -> SalesforceRefusal:
    message = f"HTTP Method '{method}' not allowed. Allowed are {','.join(allowed)}"
    return SalesforceRefusal("METHOD_NOT_ALLOWED", message, status=405)


def _query(locators: records.Locators, state: OrgState, call: SalesforceCall, which: str) -> Answer:
    return records.query_records(state, locators, call, which == "queryAll")


def _more(locators: records.Locators, state: OrgState, call: SalesforceCall, locator: str) -> Answer:
    return records.query_more(state, locators, call, locator)


def _with_jobs(
    jobs: bulk.Jobs, answer: Callable[..., Answer], state: OrgState, call: SalesforceCall, *parts: str
) -> Answer:
    return answer(state, jobs, call, *parts)


def _with_old_jobs(
    jobs: bulk1.LegacyJobs, answer: Callable[..., Answer], state: OrgState, call: SalesforceCall, *parts: str
) -> Answer:
    return answer(state, jobs, call, *parts)


def _create_ingest(state: OrgState, jobs: bulk.Jobs, call: SalesforceCall, _: str) -> Answer:
    return bulk.create_ingest(state, jobs, call)


def _create_query(state: OrgState, jobs: bulk.Jobs, call: SalesforceCall, _: str) -> Answer:
    return bulk.create_query(state, jobs, call)


def _composite(
    answer: Callable[..., Answer], dispatch: Callable[[SalesforceCall], Answer], state: OrgState, call: SalesforceCall
) -> Answer:
    return answer(state, call, dispatch)
