"""Reading while records change and sources hide, and a daemon that nobody watches: over real HTTP."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

from apscheduler.jobstores.memory import MemoryJobStore

from connectors.sandbox.salesforce import records
from crmsync.config.worker import Schedule
from crmsync.daemon import scheduler as schedule
from tests.support.demo import environment
from tests.support.hubspot import create, hubspot
from tests.support.pages import pulled
from tests.support.processes import QUICK, left, read_until
from tests.support.rigs import writable
from tests.support.salesforce import connect, org_with_our_fields


def test_R06_every_edit_of_a_record_comes_though_all_lie_within_the_look_back(remote):
    _, cursor = pulled(remote.connect().contacts(None))
    ref = writable(remote)[0]
    for title in ("first", "second", "third"):
        remote.retitle(ref, title)
        contacts, cursor = pulled(remote.connect().contacts(cursor))
        assert [each.fields["title"] for each in contacts if each.ref == ref][-1] == title


def test_R10_a_source_whose_stamp_cannot_be_filtered_is_left_out_and_the_others_come(sandbox, monkeypatch):
    org_with_our_fields(sandbox)
    told = records.describe_fully

    def described(sobject, version, fields, children):
        stamps = [each for each in fields if (sobject.name, each["name"]) == ("Task", "SystemModstamp")]
        for each in stamps:
            each["filterable"] = False
        return told(sobject, version, fields, children)

    monkeypatch.setattr(records, "describe_fully", described)
    kinds = {each.id[:3] for each in pulled(connect(sandbox).activities(None))[0]}
    assert "00T" not in kinds
    assert {"00U", "02s", "00v"} <= kinds


def test_A09_searches_are_paced_by_a_limit_of_their_own(sandbox):
    connector = hubspot(sandbox, stop=threading.Event(), searches_per_second=2)
    _, cursor = pulled(connector.contacts(None))
    sandbox.calls.clear()
    begun = time.monotonic()
    while len(searches := [call for call in sandbox.calls.of("hubspot") if call.path.endswith("/search")]) < 5:
        pulled(connector.contacts(cursor))
    assert time.monotonic() - begun >= 0.95 * ((len(searches) - 1) // 2)


def test_R12_an_old_call_that_gains_a_contact_counts_after_a_full_pull(sandbox):
    connector = hubspot(sandbox)
    call = sandbox.do("hubspot", "create", type="calls", properties={"hs_timestamp": "2026-11-20T09:00:00Z"})["id"]
    pulled(connector.activities(None))
    sandbox.clock.advance(30 * 86_400)
    contact_id = create(sandbox, email="joined@acme.example")
    sandbox.do("hubspot", "associate", type="calls", id=call, to="contacts", other=contact_id)
    full, _ = pulled(connector.activities(None))
    assert (f"calls:{call}", contact_id) in {(each.id, each.ref.id) for each in full}


def test_A14_many_pulls_leave_no_threads_and_no_sockets_behind(remote):
    crm = remote.connect()

    def held():
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    _, cursor = pulled(crm.contacts(None))
    before = held()
    for _ in range(40):
        pulled(crm.contacts(cursor))
        crm.owners()
    crm.close()
    files, threads = held()
    assert files <= before[0] + 8
    assert threads <= before[1] + 4


# The process


def test_J09_the_schedule_is_the_configs_at_each_start_and_stored_nowhere():
    stores, ticks = [], []

    def act():
        stores.append(type(scheduler._lookup_jobstore("default")))
        ticks.append(scheduler.get_job("cycle").trigger.interval)
        scheduler.shutdown(wait=False)

    for every in ("10m", "2h"):
        scheduler = schedule.scheduler_of(Schedule(every=every), act, datetime.now(UTC))
        scheduler.start()
    assert stores == [MemoryJobStore] * 2
    assert ticks == [timedelta(minutes=10), timedelta(hours=2)]


def test_J12_the_daemon_works_without_a_terminal_and_without_an_open_input(config, sandbox):
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", QUICK, "run", "-c", str(config)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip
    given_up = threading.Timer(60, process.kill)
    given_up.start()
    try:
        read_until(process, "run_done")
        assert left(process, signal.SIGTERM)[1] == 0
    finally:
        given_up.cancel()
        process.kill()
        process.communicate()
