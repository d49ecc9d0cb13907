"""How few API calls, how little time and how little memory the Salesforce connector needs.

    python benchmarks/salesforce.py --leads 200000 --tasks 1000000

The sandbox runs in a process of its own; each piece of work in another, so that CPU and peak memory are its alone.
The same work is done in an org of a tenth of the size, to see what grows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

sys.path[:] = [each for each in sys.path if not each.endswith("benchmarks")]  # this file is called like the package

from simple_salesforce.api import Salesforce

from connectors.salesforce import Settings
from connectors.salesforce.connector import SalesforceConnector
from crmsync.connector import FieldMap
from crmsync.model import Change, Ref
from crmsync.planning.apply import AT_ONCE

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LEAST_OF_A_JOB = 3
"""Calls of a query job that is done at the first look: no document limits the rows of a page of results (2026-11)."""

LEAST_OF_AN_UPLOAD = 4
"""Calls of a job that writes: to make it, to send the rows (up to 100 MB), to begin it, and to look at it once."""

NAMES = FieldMap(
    fields={
        "title": "Title",
        "industry": {"lead": "Industry", "contact": "Account.Industry"},
        "country": {"lead": "Country"},
    },
    score_fields={"score": {"lead": "Crmsync_Score__c"}, "band": {"lead": "Crmsync_Band__c"}},
)
SUBTYPES = ("Call", "Task", "Task", "Task", "Email")


class Measured(NamedTuple):
    """What a piece of work took; `least` is the fewest calls that Salesforce's limits leave for it."""

    name: str
    rows: int
    calls: int
    least: float
    seconds: float
    cpu: float
    peak_mb: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leads", type=int, default=200_000)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--written", type=int, default=50_000)
    given = parser.parse_args()
    for scale in (10, 1):
        leads, tasks, written = given.leads // scale, given.tasks // scale, given.written // scale
        print(f"{leads:,} leads, {tasks:,} tasks, {written:,} scores written\n")
        print(f"{'':38}{'rows':>10}{'calls':>8}{'least':>8}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}")
        with an_org(leads, tasks) as url:
            for work in WORKS:
                for each in alone(work, url, written):
                    show(each)
        print(flush=True)


def show(it: Measured) -> None:
    """One line."""
    print(
        f"{it.name:38}{it.rows:>10,}{it.calls:>8,}{it.least:>8,.0f}{it.seconds:>9.1f}{it.cpu:>8.1f}{it.peak_mb:>9.0f}",
        flush=True,
    )


def alone(work: Callable[[str, int], list[Measured]], url: str, written: int) -> list[Measured]:
    """Do a piece of work in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (url, written))


def connector(url: str) -> SalesforceConnector:
    """A connector to the sandbox."""
    settings = Settings(instance_url=url, client_id="sandbox", client_secret="sandbox", api_share=1.0)  # type: ignore[arg-type]
    return SalesforceConnector(settings, NAMES, {}, threading.Event())


def measured(name: str, crm: SalesforceConnector, least: Callable[[int], float], work: Callable[[], int]) -> Measured:
    """Do the work, which returns its rows, and say what it took."""
    begun, cpu, calls = time.monotonic(), time.process_time(), crm.calls
    rows = work()
    took, used = time.monotonic() - begun, time.process_time() - cpu
    return Measured(name, rows, crm.calls - calls, least(rows), took, used, peak())


def peak() -> float:
    """The most memory this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def count(name: str, pages: Iterator[Any], cursors: dict[str, str]) -> int:
    """Read to the end and keep nothing but the cursor."""
    rows = 0
    for page in pages:
        rows += len(page.items)
        cursors[name] = page.cursor
    return rows


def reading(url: str, written: int) -> list[Measured]:
    """Everybody, everything they did, and a cycle in which nothing has changed; the peak is of all of it so far."""
    crm = connector(url)
    crm.account()
    crm.missing_fields()
    crm.owners()
    cursors: dict[str, str] = {}

    def people() -> int:
        return count("contacts", crm.contacts(cursors.get("contacts")), cursors)

    def doings() -> int:
        return count("activities", crm.activities(cursors.get("activities")), cursors)

    def idle() -> int:
        crm.missing_fields()
        found = people() + doings()
        crm.owners()
        return found

    return [
        measured("full pull of leads", crm, by_bulk, people),
        measured("full pull of tasks", crm, by_bulk, doings),
        # Five queries to a composite: two streams of people, four of what they did, users, queues.
        measured("idle run over both", crm, lambda rows: 2, idle),
    ]


def by_bulk(rows: int) -> float:
    """Calls for so many rows by the way that takes fewer."""
    return min(-(-rows // 2_000), LEAST_OF_A_JOB)


def writing(url: str, written: int) -> list[Measured]:
    """New scores for many leads, handed over as the core does it."""
    crm = connector(url)
    found = [row["Id"] for row in crm._org.rows(f"SELECT Id FROM Lead ORDER BY Id LIMIT {written}")]
    changes = [Change(Ref("salesforce", "lead", id_), {"score": None}, {"score": 42, "band": "warm"}) for id_ in found]
    # As the core hands them to a connector.
    parts = [changes[start : start + AT_ONCE] for start in range(0, len(changes), AT_ONCE)]

    def work() -> int:
        return sum(receipt.ok for part in parts for receipt in crm.write(part))

    return [measured("write of scores", crm, lambda rows: LEAST_OF_AN_UPLOAD, work)]


def by_query_all_iter(url: str, written: int) -> list[Measured]:
    """The same rows as a script would read them, keeping nothing either."""
    crm = connector(url)
    crm.account()
    client: Salesforce = crm._org._client
    leads = "SELECT Id, SystemModstamp, Email, Name, OwnerId, Company, Status, Title, Industry, Country FROM Lead"
    tasks = "SELECT Id, SystemModstamp, WhoId, TaskSubtype, IsClosed, CompletedDateTime, CreatedDate, Subject FROM Task"

    def work() -> int:
        return sum(1 for soql in (leads, tasks) for _ in client.query_all_iter(soql, include_deleted=True))

    return [measured("query_all_iter over both", crm, lambda rows: rows / 2000, work)]


WORKS: tuple[Callable[[str, int], list[Measured]], ...] = (reading, writing, by_query_all_iter)


@contextmanager
def an_org(leads: int, tasks: int) -> Iterator[str]:
    """A Salesforce of this size in another process."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_org, args=(leads, tasks, there), daemon=True)
    server.start()
    try:
        yield here.recv()
    finally:
        server.terminate()
        server.join()


def serve_org(leads: int, tasks: int, there: Connection) -> None:
    """Fill a sandbox and serve it until the end."""
    from connectors.sandbox.server import serve

    with serve(people=1, seed=1, now=NOW) as sandbox:
        for field, type_ in (("Crmsync_Score__c", "double"), ("Crmsync_Band__c", "string")):
            sandbox.do("salesforce", "add_field", object="Lead", field=field, type=type_, size=18)
        fill(sandbox.org, leads, tasks)
        there.send(sandbox.url)
        threading.Event().wait()


def fill(org: Any, leads: int, tasks: int) -> None:
    """Plain records, each with a stamp of its own minute."""
    from connectors.sandbox.world import salesforce_id

    owner = org.state.of("User").ids[0]
    ids = [salesforce_id("00Q", 1_000 + number) for number in range(leads)]
    org.state.of("Lead").extend([lead(id_, number, owner) for number, id_ in enumerate(ids)], after=leads + 2_000)
    for start in range(0, tasks, 50_000):
        numbers = range(start, min(start + 50_000, tasks))
        records = [task(salesforce_id("00T", 1_000 + each), each, ids[each % leads], owner) for each in numbers]
        org.state.of("Task").extend(records, after=tasks + 2_000)


def stamp(number: int) -> str:
    """An instant some minutes before now."""
    return (NOW - timedelta(days=2, seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def audit(number: int) -> dict[str, Any]:
    """What every record carries."""
    at = stamp(number)
    return {"CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at, "IsDeleted": False}


def lead(id_: str, number: int, owner: str) -> dict[str, Any]:
    """One lead."""
    return {
        "Id": id_,
        "Name": f"Person {number}",
        "Email": f"person{number}@firm{number // 20}.example",
        "Company": f"Firm {number // 20}",
        "Title": "Head of Sales",
        "Industry": "Energy",
        "Country": "Germany",
        "Status": "Open - Not Contacted",
        "OwnerId": owner,
        **audit(number),
    }


def task(id_: str, number: int, who: str, owner: str) -> dict[str, Any]:
    """One closed task."""
    return {
        "Id": id_,
        "WhoId": who,
        "Subject": f"Talked about topic {number % 50}",
        "TaskSubtype": SUBTYPES[number % len(SUBTYPES)],
        "Status": "Completed",
        "IsClosed": True,
        "CompletedDateTime": stamp(number),
        "OwnerId": owner,
        **audit(number),
    }


if __name__ == "__main__":
    main()
