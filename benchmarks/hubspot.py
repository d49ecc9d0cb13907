"""How close the HubSpot connector comes to what HubSpot's limits allow: a pull and a write of everybody.

    python benchmarks/hubspot.py --contacts 100000

The sandbox runs in a process of its own with 250 ms latency and 190 calls in 10 seconds, so that times are those of the
limits; CPU and memory are the connector's alone.
"""

from __future__ import annotations

import sys

sys.path[:] = [each for each in sys.path if not each.endswith("benchmarks")]  # this file is called like the client

import argparse
import multiprocessing
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import hubspot

from connectors.hubspot import Settings, connect
from connectors.hubspot.connector import HubSpot
from crmsync.connector import FieldMap
from crmsync.model import Change, Ref

LATENCY = 0.25
RATE = 19.0
"""Calls in a second: 190 in 10 seconds."""

NAMES = FieldMap(
    fields={"title": "jobtitle", "country": "country"},
    score_fields={"score": "ls_score", "band": "ls_band", "reason": "ls_reason"},
    stages={"mql": "marketingqualifiedlead"},
)


class Measured(NamedTuple):
    """What a piece of work took."""

    name: str
    contacts: int
    minimum: float
    calls: int
    seconds: float
    cpu: float
    peak_mb: float


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--loop-contacts", type=int, default=5_000, help="portal size for the plain loop, then scaled")
    given = parser.parse_args()
    rows = ours(given.contacts)
    loop = plain_loop(given.loop_contacts)
    print(f"{given.contacts:,} contacts, {LATENCY * 1000:.0f} ms latency, {RATE * 10:.0f} calls in 10 s\n")
    print(
        f"{'':28}{'calls/1000':>11}{'least':>7}{'seconds':>9}{'calls÷rate':>11}{'ratio':>7}{'CPU s':>7}{'peak MB':>9}"
    )
    for row in rows:
        least, ideal = row.minimum / row.contacts * 1000, max(row.calls / RATE, 0.001)
        print(
            f"{row.name:28}{row.calls / row.contacts * 1000:>11.2f}{least:>7.2f}{row.seconds:>9.1f}{ideal:>11.1f}"
            f"{row.seconds / ideal:>7.2f}{row.cpu:>7.1f}{row.peak_mb:>9.0f}"
        )
    scale = given.contacts / loop.contacts
    print(
        f"{'get_all, scaled':28}{loop.calls / loop.contacts * 1000:>11.2f}{'':>7}{loop.seconds * scale:>9.1f}{'':>18}"
        f"{loop.cpu * scale:>7.1f}{loop.peak_mb:>9.0f} (at {loop.contacts:,})"
    )


def ours(count: int) -> list[Measured]:
    """The connector: pull everybody, write every score, and write once more with the stage of a quarter of them."""
    with portal(count) as url:
        connector = connect(Settings(base_url=url, token="sandbox-token", api_share=1.0), NAMES, {}, threading.Event())
        connector.create_fields()
        ids: list[str] = []
        rest(10)
        rows = [measured("full pull of contacts", count, count / 100, connector, lambda: pull(connector, ids))]
        changes = [
            Change(Ref("hubspot", "contact", contact_id), {"score": None}, {"score": 42, "band": "warm"})
            for contact_id in ids
        ]
        rest(10)
        rows.append(measured("write of every score", count, count / 100, connector, lambda: write(connector, changes)))
        changes = [
            Change(
                each.ref, {"score": 42, "stage": "lead"}, {"score": 43, **({"stage": "mql"} if place % 4 == 0 else {})}
            )
            for place, each in enumerate(changes)
        ]
        rest(10)
        least = count / 100 + count / 4 / 100 + count / 4 / 50
        rows.append(measured("the same, a quarter staged", count, least, connector, lambda: stage(connector, changes)))
        connector.close()
    return rows


def pull(connector: HubSpot, ids: list[str]) -> None:
    """Read everybody and keep the ids, as the state would."""
    for page in connector.contacts(None):
        ids += [each.ref.id for each in page.items]


def write(connector: HubSpot, changes: list[Change]) -> None:
    """Write everybody; every change must come back accepted."""
    accepted = sum(receipt.ok for receipt in connector.write(changes))
    assert accepted == len(changes), f"{accepted} of {len(changes)} were accepted"


def stage(connector: HubSpot, changes: list[Change]) -> None:
    """Write everybody as a run does: whose stage is written is looked at before, and read back with its history."""

    def look(batch: Sequence[Change]) -> Sequence[Change]:
        if moved := [each.ref for each in batch if "stage" in each.after]:
            assert len(list(connector.read(moved))) == len(moved)
        return batch

    accepted = sum(receipt.ok for receipt in connector.write(changes, look))
    assert accepted == len(changes), f"{accepted} of {len(changes)} were accepted"
    moved = [each for each in changes if "stage" in each.after]
    assert len(list(connector.read_back(moved))) == len(moved)


def plain_loop(count: int) -> Measured:
    """What a script does, in a process of its own, so that its memory is its own."""
    with portal(count) as url, multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(get_all, (url,))


def get_all(url: str) -> Measured:
    """`get_all` of the vendor's client, which keeps every record."""
    client = hubspot.Client.create(access_token="sandbox-token", host=url)
    begun, cpu = time.monotonic(), time.process_time()
    found = client.crm.contacts.get_all(properties=["jobtitle", "country", "ls_score", "ls_band", "ls_reason"])
    took, count = time.monotonic() - begun, len(found)
    return Measured("get_all", count, count / 100, count // 100 + 1, took, time.process_time() - cpu, peak())


def measured(name: str, contacts: int, minimum: float, connector: HubSpot, work: Any) -> Measured:
    """Do the work and say what it took."""
    begun, cpu, calls = time.monotonic(), time.process_time(), connector.calls
    work()
    took = time.monotonic() - begun
    return Measured(name, contacts, minimum, connector.calls - calls, took, time.process_time() - cpu, peak())


def peak() -> float:
    """The most memory this process ever had, in MB; a child must not be blamed for its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def rest(seconds: float) -> None:
    """Let the limit's window pass, so that pieces of work do not pay for each other."""
    time.sleep(seconds)


@contextmanager
def portal(count: int) -> Iterator[str]:
    """A HubSpot of so many contacts in another process."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_portal, args=(count, there), daemon=True)
    server.start()
    try:
        yield here.recv()
    finally:
        server.terminate()
        server.join()


def serve_portal(count: int, line: Connection) -> None:
    """The other process."""
    from connectors.sandbox.server import serve

    with serve(people=50, seed=1, rate_limits=True) as sandbox:
        create = sandbox.portal.actions["create"]
        sandbox.between_requests(
            lambda: [create({"properties": person(number)}) for number in range(count - living(sandbox))]
        )
        sandbox.latency = LATENCY
        line.send(sandbox.url)
        threading.Event().wait()


def living(sandbox: Any) -> int:
    """How many contacts there are."""
    return len(sandbox.portal.state.contacts.live)


def person(number: int) -> dict[str, str]:
    """Somebody."""
    return {"email": f"person{number}@acme.example", "jobtitle": f"Head of Team {number % 97}", "country": "Chile"}


if __name__ == "__main__":
    main()
