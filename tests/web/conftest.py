"""A state with some people, three of whom wait in a plan, and its page on a port of its own."""

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from connectors.serving import answer_calls, listen
from crmsync.cycle import run_cycle
from crmsync.model import Ref
from crmsync.store.database import open_store
from crmsync.web.app import make_app
from crmsync.web.snapshot import Watcher
from tests.support.cycles import NEVER_FADES, edit, two_crms
from tests.support.make import NOW, config, contact, work

TOKEN = "a-token-of-the-tests"
REVIEW = {}
HOSTILE = '<script>alert(1)</script> O\'Hara & "Sons"'


def settings_of(folder, guard=None, url=None, **web):
    return config(
        NEVER_FADES,
        state={"url": url or f"sqlite:///{folder}/state.db"},
        guard=guard or {"scores": 0.1, "from_records": 1},
        hubspot={},
        salesforce={"instance_url": "https://crmsync.my.salesforce.com"},
        web={"token": TOKEN, **web},
        review=REVIEW,
    )


@pytest.fixture
def site(tmp_path):
    """Served: `url`, the `settings`, and `active`, an event that says whether this process writes."""
    yield from site_in(tmp_path)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """The same for all tests of a file that only look."""
    yield from site_in(tmp_path_factory.mktemp("site"))


def site_in(folder):
    settings = settings_of(folder)
    hubspot, salesforce = two_crms()
    for number in range(10, 14):
        hubspot.edit(contact(number, name=HOSTILE if number == 10 else f"Dee Number{number}"))
    store = open_store(settings.state.url)
    try:
        run_cycle(work(store, hubspot, salesforce, settings=settings))
        for number in (11, 12, 13):
            edit(hubspot, Ref("hubspot", "contact", str(number)), fields={"title": "CEO", "employees": 900})
        result = run_cycle(work(store, hubspot, salesforce, settings=settings, now=NOW + timedelta(hours=1)))
        assert result.held
    finally:
        store.close()
    yield from served(settings, name_config)


def name_config(command):
    return f"{command} --config my.toml"


def served(settings, typed=str):
    active, watcher = threading.Event(), Watcher(settings, typed)
    active.set()
    line = listen("127.0.0.1", 0)
    port = line.getsockname()[1]
    with watcher.watching(), answer_calls(make_app(settings, settings.web, watcher, active.is_set, typed), line, "web"):
        watcher.refresh(20)
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}", settings=settings, active=active, watcher=watcher)
