"""What a hint of HubSpot's webhooks does to a pull and to the daemon, and that it never does anything else."""

import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from connectors.hubspot import Settings, connect
from connectors.sandbox.server import Clock
from crmsync.config import load
from crmsync.config.worker import Schedule
from crmsync.daemon import scheduler as schedule
from tests.support.demo import REPS, environment, write_config
from tests.support.hubspot import contacts, create, hubspot, update
from tests.support.hubspot_webhooks import PUBLIC, SECRET, call, event, free_port, text
from tests.support.pages import pulled

# What a hint does to a pull


@pytest.fixture
def lagging(sandbox):
    """A connector that has pulled everything and knows its portal; the search is half a minute late from now on."""
    connector = hubspot(sandbox)
    connector.create_fields()
    connector.account()
    _, cursor = contacts(connector)
    sandbox.clock.advance(3600)
    _, cursor = contacts(connector, cursor)
    sandbox.portal.switches.index_lag = 30.0
    yield connector, cursor
    connector.close()


def hint(connector, sandbox, *ids):
    connector._hints.add([event(contact_id, portal=str(sandbox.portal.state.portal_id)) for contact_id in ids])


def test_a_hinted_contact_comes_before_the_search_shows_it(sandbox, lagging):
    connector, cursor = lagging
    contact_id = create(sandbox, email="hot@acme.example", jobtitle="CEO")
    assert contact_id not in contacts(connector, cursor)[0]
    hint(connector, sandbox, contact_id)
    first = next(connector.contacts(cursor))
    assert [each.ref.id for each in first.items] == [contact_id]
    assert first.items[0].fields["title"] == "CEO"
    assert first.cursor == cursor


def test_a_search_that_lags_does_not_take_a_hint_back(sandbox, lagging):
    connector, cursor = lagging
    contact_id = create(sandbox, email="hot@acme.example", jobtitle="Intern")
    sandbox.clock.advance(60)
    update(sandbox, contact_id, jobtitle="CEO")
    assert contacts(connector, cursor)[0][contact_id].fields["title"] == "Intern"
    hint(connector, sandbox, contact_id)
    assert contacts(connector, cursor)[0][contact_id].fields["title"] == "CEO"
    assert contact_id not in contacts(connector, cursor)[0]
    sandbox.clock.advance(1)
    update(sandbox, contact_id, jobtitle="CTO")
    sandbox.clock.advance(60)
    assert contacts(connector, cursor)[0][contact_id].fields["title"] == "CTO"


def test_hinted_contacts_that_are_not_there_come_as_gone_and_erased_ones_as_erased(sandbox, lagging):
    connector, cursor = lagging
    gone = create(sandbox, email="gone@acme.example")
    sandbox.do("hubspot", "archive", id=gone)
    hint(connector, sandbox, 999_999_999_999, "9" * 19, gone, 0)
    found = contacts(connector, cursor)[0]
    assert {each: (found[each].gone, found[each].erased) for each in found} == {
        "999999999999": (True, True),
        "9" * 19: (True, True),
        gone: (True, False),
        "0": (True, True),
    }


def test_a_hint_in_the_middle_of_a_first_pull_waits(sandbox):
    connector = hubspot(sandbox)
    connector.account()
    contact_id = create(sandbox, email="hot@acme.example")
    hint(connector, sandbox, contact_id)
    found, cursor = contacts(connector)
    assert contact_id in found
    assert [each.ref.id for each in next(connector.contacts(cursor)).items] == [contact_id]
    connector.close()


STEPS = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 40)), min_size=1, max_size=5)


@given(STEPS)
@hypothesis_settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hints_never_change_where_it_ends(sandbox, steps):
    sandbox.reset()
    sandbox.portal.switches.index_lag = 30.0
    pair = [hubspot(sandbox), hubspot(sandbox)]
    held = [contacts(each) for each in pair]
    ids = sorted(held[0][0])[:5]
    for number, (who, hinted, seconds) in enumerate([*steps, (0, False, 4_000), (0, False, 60)]):
        if number < len(steps):
            update(sandbox, ids[who], jobtitle=f"Title {number}")
        for connector in pair:
            connector.account()
        if hinted:
            hint(pair[0], sandbox, ids[who], ids[0], 999_999_999_999)
        sandbox.clock.advance(seconds)
        held = [_pulled_on(connector, *each) for connector, each in zip(pair, held, strict=True)]
        if hinted:
            assert held[0][0][ids[who]].fields["title"] == f"Title {number}"
    for connector in pair:
        connector.close()
    # Of an id that leads nowhere only a hint tells.
    assert {each: it for each, it in held[0][0].items() if not it.gone} == held[1][0]
    assert held[0][1] == held[1][1]


def _pulled_on(connector, known, cursor):
    items, cursor = pulled(connector.contacts(cursor))
    return {**known, **{each.ref.id: each for each in items}}, cursor


# What wakes the daemon


class Idle:
    """A scheduler that notes what it is to do."""

    def __init__(self):
        self.jobs = {}
        self.added = []

    def get_job(self, job_id):
        return self.jobs.get(job_id)

    def add_job(self, act, trigger, run_date, **more):
        self.jobs[more["id"]] = act
        self.added.append(run_date)


def test_many_hints_are_one_cycle_and_the_next_one_keeps_its_distance():
    scheduler = Idle()
    wake = schedule.wake_scheduler(scheduler, lambda: None)
    before = datetime.now(UTC)
    for _ in range(100):
        wake()
    scheduler.jobs.clear()
    wake()
    first, second = scheduler.added
    assert timedelta(0) <= first - before - schedule.SOON < timedelta(seconds=5)
    assert abs(second - first - schedule.APART) < timedelta(seconds=5)


def test_a_hint_during_a_cycle_is_looked_at_after_it_and_never_beside_it(monkeypatch):
    monkeypatch.setattr(schedule, "SOON", timedelta(0))
    monkeypatch.setattr(schedule, "APART", timedelta(0))
    stop, busy, going_on = threading.Event(), threading.Semaphore(), threading.Event()
    told, beside = [], []

    def tick(_work_now, _watch, _tell):
        if not busy.acquire(blocking=False):
            beside.append(True)
        told.append(len(told))
        if len(told) == 1:
            for _ in range(20):
                wakers[0]()
                going_on.wait(0.01)
        elif len(told) == 3:
            stop.set()
        else:
            wakers[0]()
        busy.release()

    class Receiving:
        @contextmanager
        def receiving(self, wake):
            wakers.append(wake)
            yield
            wakers.append("closed")

    wakers = []
    monkeypatch.setattr(schedule, "run_scheduled", tick)
    given_up = threading.Timer(20, stop.set)
    given_up.start()
    schedule.run_daemon(SimpleNamespace(schedule=Schedule(every="7d")), None, schedule.Watch(), stop, [Receiving()])
    given_up.cancel()
    assert told == [0, 1, 2]
    assert not beside
    assert wakers[1] == "closed"


# The real process

QUICK = """
from datetime import timedelta
from crmsync import cli
from crmsync.daemon import scheduler, signals
signals.GRACE = 1.0
scheduler.SOON = timedelta(seconds=0.1)
scheduler.APART = timedelta(seconds=0.3)
cli.main()
"""


@pytest.fixture
def process(sandbox, tmp_path):
    """`crmsync run` with webhooks, after its first cycle, and the port at which it listens."""
    sandbox.clock = Clock()  # a command goes by this machine's
    port = free_port()
    table = f'\n[hubspot.webhooks]\npublic_url = "{PUBLIC}"\nport = {port}\n[salesforce] '
    replaced = {'log = "console"': 'log = "json"', "\n[salesforce] ": table}
    path = write_config(tmp_path, sandbox.url, REPS[:1], replaced)
    connector = connect(
        Settings(base_url=sandbox.url, token="sandbox-token"), load(path).field_map("hubspot"), {}, threading.Event()
    )
    connector.create_fields()
    connector.close()
    started = []

    def start():
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", QUICK, "run", "-c", str(path)],
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                env=environment(CRMSYNC_HUBSPOT__WEBHOOKS__CLIENT_SECRET=SECRET),
            )
        )
        return started[-1], port

    yield start
    for each in started:
        each.kill()
        each.communicate()


def read_until(process, word):
    seen = []
    for line in process.stderr:
        seen.append(line)
        if word in line:
            return seen
    raise AssertionError(f"{word} never came: {seen}")


def score(sandbox, contact_id):
    return sandbox.portal.state.contacts.by_id[int(contact_id)].properties.get("crmsync_score")


def test_a_hot_lead_is_scored_within_seconds_though_the_index_lags(process, sandbox):
    daemon, port = process()
    read_until(daemon, "run_done")
    sandbox.portal.switches.index_lag = 30.0
    contact_id = create(sandbox, email="hot@newco.example", jobtitle="VP Sales")
    body = text(event(contact_id, portal=str(sandbox.portal.state.portal_id)))
    before = time.monotonic()
    assert call(port, "/hubspot", body)[0] == 204
    seen = read_until(daemon, "run_done")
    assert score(sandbox, contact_id) == "25", seen
    assert time.monotonic() - before < 20
    with ThreadPoolExecutor(4) as pool:
        assert {status for status, _ in pool.map(lambda _: call(port, "/hubspot", body), range(8))} == {204}
    seen += read_until(daemon, "run_done")
    before = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(20) == 0
    assert time.monotonic() - before < 8
    assert SECRET not in "".join(seen) + daemon.stderr.read()


def test_a_daemon_whose_port_is_taken_says_so_and_ends(process):
    daemon, port = process()
    with socket.create_server(("127.0.0.1", port)):
        said = daemon.stderr.read()
    assert daemon.wait(20) == 2
    assert "choose another host or port in [hubspot.webhooks]" in said
    assert "Traceback" not in said
