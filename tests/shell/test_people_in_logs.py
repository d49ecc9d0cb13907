"""No person in any log: a world whose names, addresses, titles, companies, forms and pages are canaries."""

import dataclasses
import logging

import pytest
from sqlalchemy import text

from connectors.sandbox.faults import Fault
from connectors.sandbox.server import serve
from crmsync import log
from crmsync.bootstrap import connect_all
from crmsync.config import load
from crmsync.daemon import scheduler
from crmsync.redaction import secrets_of
from crmsync.store.database import open_store
from crmsync.work import Work
from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import SECRETS, write_config
from tests.support.stop import Hurried

CANARY = "canary"
BODY = {"status": "error", "message": f"{CANARY} Ada {CANARY} is not allowed", "category": "VALIDATION_ERROR"}
ROWS = [{"errorCode": "INVALID_FIELD", "message": BODY["message"]}]


def people_of(world):
    """The same world, in which whatever is known of anybody is a canary."""
    for human in world.humans:
        number = human.number
        firm = human.firm and dataclasses.replace(
            human.firm, name=f"{CANARY}firm{number}", domain=f"{CANARY}{number}.example"
        )
        seen = [
            dataclasses.replace(
                each,
                attributes={
                    name: value if isinstance(value, int) else f"{value} {CANARY}{name}"
                    for name, value in each.attributes.items()
                },
            )
            for each in human.happenings
        ]
        yield dataclasses.replace(
            human,
            first=f"{CANARY}first{number}",
            last=f"{CANARY}last{number}",
            email=human.email and f"{CANARY}.mail{number}@{CANARY}{number}.example",
            title=human.title and f"{human.title} {CANARY}title{number}",
            firm=firm,
            happenings=tuple(seen),
        )


@pytest.fixture(scope="module")
def _canaries():
    from connectors.sandbox.generate import make_world

    def of_canaries(*given, **options):
        made = make_world(*given, **options)
        return dataclasses.replace(made, humans=tuple(people_of(made)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.sandbox.server.make_world", of_canaries)
        with serve(people=10, seed=1, now=NOW) as sandbox:
            yield sandbox


@pytest.fixture
def sandbox(_canaries):
    _canaries.reset()
    return _canaries


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    quick = {"CRMSYNC_HUBSPOT__SEARCHES_PER_SECOND": "10000", "CRMSYNC_HUBSPOT__CALLS_PER_10S": "10000"}
    with settings_alone(monkeypatch, {**SECRETS, **quick}):
        yield


@pytest.fixture
def path(sandbox, tmp_path, monkeypatch):
    made = write_config(tmp_path, sandbox.url)
    assert crmsync("setup", "-c", made).code == 0
    monkeypatch.setattr("connectors.http.PATIENCE", 0.0)
    return made


@pytest.fixture(params=["json", "console"])
def style(request):
    return request.param


SQLITE = pytest.mark.parametrize("state_url", ["sqlite"], indirect=True)


@pytest.fixture
def daemon(style, path, state_url, capsys):
    """Runs as the daemon makes them, at level DEBUG; each call returns what was logged."""
    config = load(path)
    store = open_store(state_url)
    stop = Hurried()

    def run():
        log.start_logging(style, logging.DEBUG, secrets_of(config))
        capsys.readouterr()
        with connect_all(config, store, stop) as crms:
            scheduler.run_scheduled(lambda: Work(config, store, crms, NOW), scheduler.Watch())
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    run.store = store
    yield run
    store.close()


def clean(said, *expected):
    for each in expected:
        assert each in said
    assert CANARY not in said.lower()


@SQLITE
def test_C10_nobody_is_named_in_the_log_of_runs_that_go_well(daemon):
    clean(daemon(), "crm_done", "run_done")
    assert CANARY in str(_everything(daemon.store))
    clean(daemon(), "crm_done")


def _everything(store):
    with store.read() as reading:
        return reading.execute(text("SELECT name, emails, fields FROM record")).all()


@SQLITE
@pytest.mark.parametrize("style", ["json"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(do="answer", vendor="hubspot", path="/batch/update$", status=400, body=BODY), "run_done"),
        (Fault(do="answer", vendor="salesforce", path="/composite/sobjects$", status=400, body=ROWS), "run_done"),
        (Fault(do="answer", vendor="hubspot", path="/contacts$", status=400, body=BODY), "VALIDATION_ERROR"),
        (Fault(do="answer", vendor="hubspot", path="/contacts$", status=403, body=BODY), "is not allowed to"),
        (Fault(do="answer", vendor="salesforce", path="/query", status=400, body=ROWS), "INVALID_FIELD"),
        (Fault(do="answer", vendor="salesforce", path="/query", status=503, body=ROWS), "INVALID_FIELD"),
        (Fault(do="answer", path="/(token|contacts)$", status=400, body=BODY), "run_failed"),
        (Fault(do="answer", vendor="hubspot", path="/contacts$", status=200, body={"total": CANARY}), "run_"),
        (Fault(do="answer", vendor="hubspot", path="/contacts$", status=200, body={"results": [CANARY]}), "run_"),
        (Fault(do="answer", vendor="salesforce", path="/query", status=200, body={"records": [CANARY]}), "run_"),
    ],
    ids=["write", "sf-write", "read", "scope", "sf-read", "sf-busy", "both", "total", "results", "sf-records"],
)
def test_C10_nobody_is_named_in_the_log_though_a_crm_repeats_them(daemon, sandbox, fault, expected):
    sandbox.faults.add(fault)
    clean(daemon(), expected)


@pytest.mark.parametrize("style", ["json"])
def test_C10_nobody_is_named_in_the_log_of_a_fault_in_the_database(daemon, monkeypatch):
    """What a database says of a value that it does not take: parameters, and PostgreSQL's own words."""

    def broken(tx, *, items, **_options):
        first = next(each for each in items if each.emails)
        if tx.dialect.name == "sqlite":
            tx.execute(text("INSERT INTO record (crm, kind, ref_id, id) VALUES (:a, :b, :c, 1)"), _three(first))
            tx.execute(text("INSERT INTO record (crm, kind, ref_id, id) VALUES (:a, :b, :c, 1)"), _three(first))
        tx.execute(text("INSERT INTO account (crm, account) VALUES (:a, :b)"), _three(first))
        tx.execute(text("INSERT INTO account (crm, account) VALUES (:a, :b)"), _three(first))

    monkeypatch.setattr("crmsync.pull.save_contacts", broken)
    clean(daemon(), "run_failed", "IntegrityError")


def _three(contact):
    return {"a": contact.emails[0], "b": contact.name, "c": str(dict(contact.fields))}


@pytest.mark.parametrize("style", ["console"])
def test_C10_nobody_is_named_in_the_log_though_the_database_does_not_take_a_number(daemon, monkeypatch):
    def broken(tx, *, items, **_options):
        first = next(each for each in items if each.emails)
        if tx.dialect.name == "sqlite":
            tx.execute(text("INSERT INTO feed_day VALUES (:a, :b, :c, NULL)"), _three(first))
        tx.execute(text("INSERT INTO feed_day VALUES ('x', 'y', CAST(:a AS int), 1)"), _three(first))

    monkeypatch.setattr("crmsync.pull.save_contacts", broken)
    clean(daemon(), "run_failed", "Error")


@SQLITE
@pytest.mark.parametrize("where", ["crmsync.planning.scored_people.score", "crmsync.attempt.band_counts"])
def test_C10_nobody_is_named_in_the_log_of_a_fault_in_crmsync(daemon, monkeypatch, where):
    value = f"{CANARY} Ada"

    def broken(*_given, **_options):
        try:
            raise KeyError(value)
        except KeyError as error:
            raise ValueError(f"invalid literal for int(): {value}") from error

    monkeypatch.setattr(where, broken)
    said = daemon()
    clean(said, "ValueError", "KeyError", "broken")
    with daemon.store.read() as reading:
        assert CANARY not in str(reading.execute(text("SELECT result FROM run")).all())


@pytest.mark.parametrize("command", ["sync", "plan"])
def test_C10_nobody_is_named_on_stderr_of_commands(path, sandbox, command):
    ended = crmsync(command, "-c", path, "--debug")
    assert ended.code in (0, 3)
    assert logging.getLogger().isEnabledFor(logging.DEBUG)
    clean(ended.err)
    sandbox.faults.add(Fault(do="answer", path="/(token|contacts)$", status=400, body=BODY))
    ended = crmsync(command, "-c", path, "--debug")
    assert ended.code in (1, 2)
    clean(ended.err, "“…”")


def test_an_admin_reads_on_stdout_what_a_crm_said(path, sandbox):
    sandbox.faults.add(Fault(do="answer", vendor="hubspot", path="/contacts$", status=400, body=BODY))
    ended = crmsync("sync", "-c", path, "--json")
    assert ended.code == 4
    assert any(BODY["message"] in each for each in ended.json["problems"])
    clean(ended.err)
