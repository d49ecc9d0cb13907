"""The status page over real HTTP: what it shows, who may see it, and who may approve."""

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from html.parser import HTMLParser
from types import SimpleNamespace

import orjson
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError
from sqlalchemy import select, update

from connectors.serving import answer_calls, listen
from crmsync.config import load
from crmsync.cycle import run_cycle
from crmsync.errors import ConfigError
from crmsync.store import run_journal
from crmsync.store.database import open_store
from crmsync.store.schema import run as run_table
from crmsync.web import access
from crmsync.web.app import make_app
from crmsync.web.snapshot import read_snapshot
from tests.support.cycles import two_crms
from tests.support.make import NOW, activity, config, contact, work
from tests.web.conftest import HOSTILE, TOKEN, name_config, served, settings_of, site_in

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def get(site, path, **more):
    return requests.get(site.url + path, timeout=20, allow_redirects=False, **more)


def post(site, path, **more):
    return requests.post(site.url + path, timeout=20, allow_redirects=False, **more)


def waiting(site):
    store = open_store(site.settings.state.url)
    try:
        with store.read() as reading:
            return [row.id for row in run_journal.waiting_plans(reading)]
    finally:
        store.close()


def run_of(site):
    return site.watcher.latest.status["runs"][0]["run"]


def pages(site):
    (plan,) = waiting(site)
    return [
        "/",
        "/people",
        "/people?q=dee",
        "/people/1",
        f"/runs/{plan}",
        f"/runs/{run_of(site)}",
        f"/runs/{run_of(site)}?crm=hubspot",
        f"/runs/{run_of(site)}?crm=hubspot&pulled",
        "/people?band=cold",
        "/people?waiting",
        "/login",
        "/runs/no",
    ]


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "action") and value]
        if tag not in ("meta", "link", "input", "br", "meter", "path", "rect", "line", "circle", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_every_page_is_whole_runs_nothing_and_fetches_nothing(looked_at):
    for path in pages(looked_at):
        answer = get(looked_at, path)
        read = _Tags()
        read.feed(answer.text)
        assert answer.status_code == (404 if path == "/runs/no" else 200), path
        assert "script" not in read.tags
        assert not [each for each in read.links if not each.startswith(("/", "#"))], path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert HOSTILE not in answer.text


def test_a_hostile_name_is_a_name(looked_at):
    found = get(looked_at, "/people", params={"q": HOSTILE}).headers["location"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in get(looked_at, found).text
    assert "&lt;script&gt;alert" in get(looked_at, "/people", params={"q": "<script>alert(2)"}).text


def test_the_status_says_what_waits_and_how_to_approve_it(looked_at):
    (plan,) = waiting(looked_at)
    said = get(looked_at, "/").text
    assert f"plan {plan}" in said
    assert f"<code>crmsync apply {plan} --config my.toml</code>" in said
    assert "Approve plan" not in said
    assert f"<h1>Plan {plan}: held for approval</h1>" in get(looked_at, f"/runs/{plan}").text


def test_who_came_and_went_is_named_and_a_review_that_is_due_waits_for_you(tmp_path, monkeypatch):
    monkeypatch.setattr("crmsync.reporting.standing.LATELY", timedelta(days=10_000))
    monkeypatch.setattr("tests.web.conftest.REVIEW", {"on": "2026-01-01", "every": "30d"})
    for site in site_in(tmp_path):
        said = get(site, "/").text
        (row,) = re.findall(r"<tr><td>stage mql</td>(.*?)</tr>", said)
        assert re.match(r'<td class="n"><details><summary>1</summary><a href="/people/\d+">', row)
        assert re.search(r"Without an active owner: \d+ (people|person), ", said)
        assert "A review of the model was due on 2026-01-31" in said


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", ""])
def test_a_name_that_points_at_this_machine_from_elsewhere_gets_nothing(looked_at, host):
    answer = get(looked_at, "/", headers={"Host": host})
    assert (answer.status_code, "plan" in answer.text) == (421 if host else answer.status_code, False)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "crmsync_session=99999999999.x"}]
)
def test_nobody_approves_without_the_token(looked_at, headers):
    (plan,) = waiting(looked_at)
    assert post(looked_at, f"/plans/{plan}/approve", headers=headers).status_code == 403
    assert waiting(looked_at) == [plan]


def test_the_token_approves_and_once(site):
    (plan,) = waiting(site)
    assert post(site, f"/plans/{plan}/approve", headers=BEARER).status_code == 303
    assert waiting(site) == []
    assert post(site, f"/plans/{plan}/approve", headers=BEARER).status_code == 303
    assert post(site, f"/plans/{run_of(site)}/approve", headers=BEARER).status_code == 409


def test_a_session_approves_by_its_own_form_and_no_other(site):
    (plan,) = waiting(site)
    caller = requests.Session()
    wrong = caller.post(site.url + "/login", data={"token": "wrong"}, timeout=20)
    assert (wrong.status_code, "That is not the token" in wrong.text) == (401, True)
    caller.post(site.url + "/login", data={"token": TOKEN, "next": "//evil.example"}, timeout=20, allow_redirects=False)
    page = caller.get(site.url + "/", timeout=20).text
    csrf = re.search(r'name="csrf" value="(\w+)"', page)[1]
    path = f"{site.url}/plans/{plan}/approve"
    assert caller.post(path, data={"csrf": "0" * 64}, timeout=20).status_code == 403
    assert caller.post(path, data={"csrf": csrf}, timeout=20, allow_redirects=False).status_code == 303
    assert waiting(site) == []


def test_pausing_needs_the_token_and_says_so_until_it_ends(site):
    assert post(site, "/pause").status_code == 403
    assert post(site, "/pause", headers=BEARER, data={"for": "1h"}).status_code == 303
    said = get(site, "/").text
    assert "Nothing is written since" in said
    assert "by the status page" in said
    assert post(site, "/resume").status_code == 403
    assert post(site, "/resume", headers=BEARER).status_code == 303
    assert "Nothing is written" not in get(site, "/").text


def test_a_length_that_the_page_does_not_know_is_no_pause_without_an_end(site):
    assert post(site, "/pause", headers=BEARER, data={"for": "2h"}).status_code == 400
    site.watcher.refresh(20)
    assert site.watcher.latest.status["paused"] is None


def test_a_log_in_leads_nowhere_else(looked_at):
    for path in ("//evil.example", "https://evil.example", "/\\evil.example", ""):
        answer = post(looked_at, "/login", data={"token": TOKEN, "next": path})
        assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie


def test_other_machines_need_the_token_for_everything_but_health(tmp_path):
    settings = settings_of(tmp_path, host="0.0.0.0")
    for site in served(settings):
        assert get(site, "/").headers["location"] == "/login?next=/"
        assert get(site, "/metrics").status_code == 401
        assert get(site, "/", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert get(site, "/", headers=BEARER).status_code == 200
        assert get(site, "/healthz").status_code == 200


def test_calls_that_make_no_sense_get_an_answer_and_are_no_faults(site, monkeypatch):
    faults = []
    logger = SimpleNamespace(error=lambda *said, **_: faults.append(said))
    monkeypatch.setattr("crmsync.web.app.log.get_logger", lambda: logger)
    numbers = (
        f"/people/{10**23}",
        f"/people/{'9' * 5_000}",
        "/people/x",
        f"/people/{10**18}",
        f"/people?q=person:{10**30}",
        f"/people?points={'9' * 18}",
        "/people?points=-" + "9" * 17,
        "/people?q=http://[",
    )
    paths = *numbers, "/people?q=%00", "/people?q=%ff", "/runs/%00"
    codes = {path: get(site, path).status_code for path in paths}
    assert set(codes.values()) <= {200, 400, 404}, codes
    many = "&".join(f"a{number}=1" for number in range(40))
    assert post(site, "/login", data=many).status_code == 401
    assert post(site, "/login", data=b"token=" + b"x" * 100_000).status_code == 401
    assert post(site, "/plans/%00/approve", headers=BEARER).status_code in (400, 404, 409)
    assert faults == []


def test_a_form_that_never_ends_is_not_waited_for(site, monkeypatch):
    monkeypatch.setattr(access, "FORM_DEADLINE", 0.2)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as line:
        line.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\ntoken=")
        assert line.recv(1_000).startswith(b"HTTP/1.1 401")


def test_health_is_told_at_once_while_others_try_tokens(site, monkeypatch):
    monkeypatch.setattr("crmsync.web.app.WRONG_TOKEN_WAITS", 3)
    with ThreadPoolExecutor(40) as pool:
        tries = [pool.submit(post, site, "/login", data={"token": "a wrong one"}) for _ in range(40)]
        time.sleep(0.5)
        began = time.monotonic()
        assert get(site, "/healthz").status_code == 200
        assert get(site, "/readyz").status_code == 200
        assert time.monotonic() - began < 2
        assert {each.result().status_code for each in tries} == {401}


def test_a_number_without_a_list_is_no_link(site):
    run = site.watcher.latest.status["runs"][0]["run"]
    store = open_store(site.settings.state.url)
    try:
        with store.begin() as tx:
            result = orjson.loads(tx.scalar(select(run_table.c.result).where(run_table.c.id == run)))
            result["crms"]["hubspot"]["protected"] = {"changed_back_by_others": 3, "on_hold": 2}
            tx.execute(update(run_table).where(run_table.c.id == run).values(result=orjson.dumps(result).decode()))
    finally:
        store.close()
    said = get(site, f"/runs/{run}").text
    assert re.search(r'another tool keeps changing it back</th><td class="n" colspan="2">3</td>', said)
    assert 'protected=on_hold">2</a>' in said


def test_ready_only_while_active_and_after_a_good_run(site, tmp_path):
    assert (get(site, "/healthz").text, get(site, "/readyz").status_code) == ("ok\n", 200)
    site.active.clear()
    assert get(site, "/readyz").status_code == 503
    (tmp_path / "fresh").mkdir()
    for fresh in served(settings_of(tmp_path / "fresh"), name_config):
        assert get(fresh, "/readyz").status_code == 503
        assert "crmsync plan --config my.toml" in get(fresh, "/").text
        assert get(fresh, "/people/1").status_code == 404


def test_the_metrics_have_their_names_and_every_band(looked_at):
    found = {
        sample.name: sample
        for family in text_string_to_metric_families(get(looked_at, "/metrics").text)
        for sample in family.samples
    }
    names = {
        "crmsync_last_good_run_timestamp_seconds": {"crm"},
        "crmsync_people": {"band"},
        "crmsync_changes_total": {"crm", "outcome"},
        "crmsync_api_calls_total": {"crm"},
        "crmsync_held_plan": set(),
        "crmsync_feed_stale": {"crm", "kind"},
        "crmsync_run_seconds": set(),
        "crmsync_freshness_people": set(),
    }
    assert {name: set(found[name].labels) for name in names} == names
    assert found["crmsync_held_plan"].value == 1
    bands = re.findall(r'crmsync_people{band="(\w+)"}', get(looked_at, "/metrics").text)
    assert bands == ["cold", "warm", "mql"]


def test_a_pasted_link_opens_the_person_and_one_of_another_account_is_refused(looked_at):
    here = get(looked_at, "/people?q=https://app.hubspot.com/contacts/8/record/0-1/11")
    there = get(looked_at, "/people?q=https://other.lightning.force.com/lightning/r/Lead/00Q5g00000AbCdEEAV/view")
    assert there.status_code == 404
    assert "this link is of the Salesforce org other; this config works with crmsync" in there.text
    assert "is not a page of a contact or lead of" in get(looked_at, "/people?q=https://example.com/about").text
    assert "this link is of the HubSpot account 8" in here.text


def test_a_search_opens_the_one_person_and_lists_several(looked_at):
    assert get(looked_at, "/people?q=ada@x.example").headers["location"].startswith("/people/")
    several = get(looked_at, "/people?q=dee").text
    assert several.count("Dee Number") == 3
    assert "Nobody was found" in get(looked_at, "/people?q=zz").text
    assert get(looked_at, "/people?q=%25").status_code == 200


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({"host": "0.0.0.0", "token": None}, "a token is needed: set CRMSYNC_WEB__TOKEN"),
        ({"token": "short"}, "too short"),
        ({"port": 0}, "greater than or equal to 1"),
    ],
)
def test_a_page_that_would_be_open_to_others_is_refused(tmp_path, web, said):
    with pytest.raises(ValidationError) as error:
        settings_of(tmp_path, **web)
    assert said in str(error.value)


def test_a_token_in_the_file_is_refused(tmp_path):
    path = tmp_path / "crmsync.toml"
    path.write_text(f'[web]\ntoken = "{TOKEN}"\n[bands]\ncold = 0\n', encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load(path)
    assert "CRMSYNC_WEB__TOKEN" in str(error.value)
    assert TOKEN not in str(error.value)


def test_the_page_says_what_a_dead_feed_holds(tmp_path):
    hubspot, salesforce = two_crms()
    for number in range(30):
        hubspot.happen(activity(f"daily{number}", contact(2), days_ago=number + 1))
    settings = config(state={"url": f"sqlite:///{tmp_path}/state.db"}, hubspot={}, web={"token": TOKEN})
    with closing(open_store(settings.state.url)) as store:
        run_cycle(work(store, hubspot, salesforce, settings=settings))
    pages = [page_of(settings, read_snapshot(settings, NOW + timedelta(days=days))) for days in (0, 9)]
    sentence = "Decay and inactivity are on hold for hubspot form_submitted since 20 November 2026"
    assert [sentence in each for each in pages] == [False, True]


def page_of(settings, snapshot):
    app = make_app(settings, settings.web, SimpleNamespace(latest=snapshot), lambda: True)
    line = listen("127.0.0.1", 0)
    with answer_calls(app, line, "web"):
        return requests.get(f"http://127.0.0.1:{line.getsockname()[1]}/", timeout=20).text
