"""The lists behind the numbers of the page: each number has as many rows, however many are shown at once."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import psycopg
import pytest
from sqlalchemy import make_url, select, update

from crmsync.cycle import run_cycle
from crmsync.model import Ref
from crmsync.reporting.charts import draw_scores
from crmsync.store.database import open_store
from crmsync.store.distribution import keep_distribution, past_distribution
from crmsync.store.schema import distribution, person
from crmsync.store.sql import to_ms
from crmsync.web import app, lists
from crmsync.web.snapshot import read_snapshot
from tests.support.cycles import edit, two_crms
from tests.support.make import NOW, activity, contact, work
from tests.web.conftest import served, settings_of
from tests.web.test_page import get, run_of

NUMBER = re.compile(r'<a href="(/(?:people|runs/[\w-]+)\?[^"]+)">([\d,]+)(?: [a-z ]+)?</a>')


def rows_of(site, path):
    """The cells of every row of a list, part by part."""
    found = []
    while path:
        answer = get(site, path)
        assert answer.status_code == 200, path
        body = re.search(r"<tbody>(.*?)</tbody>", answer.text, re.S)
        rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.S) if body else []
        found += [[unescape(re.sub("<[^>]+>", "", each)) for each in re.findall("<td.*?</td>", row)] for row in rows]
        assert len(rows) <= 20, "one part of a list is too long"
        after = re.search(r'<p><a href="([^"]+)">(?:The next|None among)', answer.text)
        path = unescape(after[1]) if after else ""
    return found


def numbers_of(site, path):
    return [(unescape(to), int(many.replace(",", ""))) for to, many in NUMBER.findall(get(site, path).text)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def busy(tmp_path_factory, request):
    """On each database a site whose runs wrote, were refused, saw a user's change and a deletion, and gave no owner."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("_postgres")
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("DROP DATABASE IF EXISTS busy WITH (FORCE)")
            server.execute("CREATE DATABASE busy TEMPLATE made")
        url = make_url(url).set(database="busy").render_as_string(hide_password=False)
    settings = settings_of(tmp_path_factory.mktemp("busy"), guard={"from_records": 1_000}, url=url)
    hubspot, salesforce = two_crms()
    hubspot.people = [replace(each, active=False) for each in hubspot.people]
    for number in range(10, 15):
        fields = {"title": "CEO", "employees": 900} if number < 14 else {}
        hubspot.edit(contact(number, name=f"Dee Number{number}", fields=fields, stage="lead"))
        hubspot.happen(activity(number, contact(number)))
    hubspot.refusing[Ref("hubspot", "contact", "13")] = "the value 12345678 is not allowed"
    store = open_store(settings.state.url)
    try:
        run_cycle(work(store, hubspot, salesforce, settings=settings, now=NOW - timedelta(days=8)))
        edit(hubspot, Ref("hubspot", "contact", "10"), stage="lead")
        edit(hubspot, Ref("hubspot", "contact", "11"), gone=True)
        edit(hubspot, Ref("hubspot", "contact", "12"), fields={"title": "Intern"})
        run_cycle(work(store, hubspot, salesforce, settings=settings))
    finally:
        store.close()
    yield from served(settings)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(lists, "MOST", 2)


def test_each_number_opens_as_many_rows(busy):
    runs = [f"/runs/{each['run']}" for each in busy.watcher.latest.status["runs"]]
    seen = set()
    for page in ["/", *runs]:
        for to, many in numbers_of(busy, page):
            rows = rows_of(busy, to)
            if to.startswith("/runs/") and "pulled" not in to:
                rows = {row[1] for row in rows}  # a record may have several fields
            if to.startswith(f"{runs[1]}?") and "pulled" in to:
                assert len(rows) <= many, to  # the later run pulled some again
            else:
                assert len(rows) == many, to
            seen |= set(re.findall(r"[?&](\w+)(?==|&|$)", to))
    assert seen >= {"band", "points", "crm", "waiting", "refused", "protected", "outcome", "pulled", "cause"}


def test_a_change_shows_what_was_what_came_and_how_it_ended(busy):
    run, first = (each["run"] for each in busy.watcher.latest.status["runs"])
    rows = rows_of(busy, f"/runs/{run}?crm=hubspot&field=stage")
    assert ["Dee Number10", "hubspot:contact:10", "stage", "lead", "mql", "updated"] in [row[:6] for row in rows]
    assert {row[2] for row in rows} == {"stage"}
    (refused,) = {(row[1], row[5], row[6]) for row in rows_of(busy, f"/runs/{first}?outcome=rejected&field=band")}
    assert refused == ("hubspot:contact:13", "rejected by the CRM", "the value 12345678 is not allowed")
    assert rows_of(busy, f"/runs/{run}?field=nothing") == []
    (erased,) = [row for row in rows_of(busy, f"/runs/{first}?outcome=updated") if row[1] == "hubspot:contact:11"]
    assert erased == ["no name", "hubspot:contact:11", "", "", "", "updated", ERASED]


ERASED = "the record was deleted since: its values are not kept"


def test_a_band_lists_the_hottest_first(busy):
    points = [float(row[0]) for row in rows_of(busy, "/people?band=mql")]
    assert points == sorted(points, reverse=True)
    assert len(points) >= 3


@pytest.mark.parametrize("after", ["x", "1", "9.9.9", "-1.-1", "9" * 18, f"{'9' * 18}.{'9' * 18}", "9" * 20])
def test_a_wrong_address_of_a_part_is_no_fault(busy, after):
    run = run_of(busy)
    for path in (
        "/people?band=mql", "/people?points=x", "/people?waiting", "/people?refused=", "/people?crm=hubspot",
        "/people?pending=hubspot", f"/runs/{run}?outcome=updated", f"/runs/{run}?pulled=x",
    ):  # fmt: skip
        assert get(busy, f"{path}&after={after}").status_code == 200


def test_scores_are_compared_with_those_of_a_week_ago(busy):
    latest = read_snapshot(busy.settings, NOW + timedelta(days=2))
    assert latest.scores_before == {0: 3, 30: 5}
    assert latest.before == {"cold": 3, "warm": 5}
    assert latest.scores == {0: 1, 10: 1, 30: 2, 60: 3}
    drawn = draw_scores(latest.scores, latest.scores_before, 10, {"warm": 25.0})
    assert "a week ago" in drawn
    assert "20 warm" in drawn
    assert "a week ago" not in draw_scores(latest.scores, {}, 10, {})
    assert read_snapshot(busy.settings, NOW).scores_before == {0: 3, 30: 5}
    assert read_snapshot(busy.settings, NOW - timedelta(days=2)).scores_before == {}


def test_a_distribution_is_kept_once_a_day_and_not_for_ever(busy):
    store = open_store(busy.settings.state.url)
    day = timedelta(days=1)
    try:
        with store.begin() as tx:
            for now in (NOW, NOW + 5 * day, NOW + 5 * day, NOW + 40 * day):
                tx.execute(update(person).values(total=(now - NOW).days * 100))
                keep_distribution(tx, to_ms(now))
            assert set(tx.scalars(select(distribution.c.day).distinct())) == {to_ms(NOW + 40 * day) // 86_400_000}
            assert past_distribution(tx, to_ms(NOW + 41 * day)) == {40: 7}
            tx.rollback()
    finally:
        store.close()


def test_a_search_finds_beginnings_of_any_word_without_accents(busy, monkeypatch):
    many = re.findall(r'href="/people/(\d+)"', get(busy, "/people?q=NUM").text)
    assert len(many) == 4  # of five, one of which is deleted
    assert get(busy, "/people?q=number1%20d").text.count("Dee Number") == 4
    assert "Nobody was found" in get(busy, "/people?q=umber").text
    assert get(busy, "/people?q=person13@").headers["location"].startswith("/people/")
    assert "These are" not in get(busy, "/people?q=num").text
    monkeypatch.setattr(app, "MOST_FOUND", 4)
    assert "These are 4" in get(busy, "/people?q=num").text
