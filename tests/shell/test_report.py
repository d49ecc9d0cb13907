"""The file for the monthly meeting: what is in it, and that it needs nothing and runs nothing."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from crmsync.cli.meeting import _watch
from crmsync.config import load
from crmsync.reporting.report_html import render_report, report_document
from crmsync.reporting.report_sections import SECTIONS, make_sections
from crmsync.reporting.section import Section
from tests.shell.test_evaluate import CARD, write_config, write_people
from tests.support.commands import crmsync, settings_alone
from tests.support.html_page import Page, find_calls
from tests.support.outcomes import make_people

HOSTILE = "<script>alert(1)</script>"
TITLES = [
    "Is the score right?",
    "Conversion by band",
    "Conversion by tenth of the scores",
    "What each line does",
    "What each rule has to do with it",
    "From arrival to won",
    "Speed to lead",
    "Lost above the line",
    "Won below the line",
    "How much is known",
    "By source",
    "By campaign",
    "By month",
    "By rep",
    "Where could the line be?",
    "Is it still right?",
]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    with settings_alone(monkeypatch, {}, tick=False):
        yield


@pytest.fixture(scope="module")
def some():
    """People, some of whom are called like markup, with hand-offs, touches and owners."""
    people = make_people(600, 5, card=CARD, base_rate=0.25)
    for number, each in enumerate(people):
        each["name"] = f"{HOSTILE} {number}"
        each["owner"] = f"rep{number % 2}@acme.example"
        each["fields"]["campaign"] = ("=1+1", HOSTILE)[number % 2]
        if "outcome" in each:
            each["handed_off_at"] = each["activities"][-1]["at"] if each["activities"] else "2024-11-01T00:00:00Z"
            each["touched_at"] = each["outcome_at"]
    return people


@pytest.fixture
def paths(tmp_path, some):
    return write_config(tmp_path, CARD), write_people(tmp_path, some)


def test_the_report_is_one_file_that_asks_for_nothing_and_runs_nothing(tmp_path, paths):
    config, people = paths
    target = tmp_path / "report.html"
    ended = crmsync("report", "-c", config, "-i", people, "--html", target)
    assert ended.code == 0
    assert ended.err.strip() == f"Written: {target}"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    text = target.read_text(encoding="utf-8")
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert find_calls(text, page) == []
    assert HOSTILE not in text
    assert HOSTILE in page.words
    assert page.tags.count("svg") > 6
    assert [title for title in TITLES if f". {title}" not in page.words] == []


def test_json_is_what_stands_in_the_file(tmp_path, paths):
    config, people = paths
    target = tmp_path / "report.html"
    document = crmsync("report", "-c", config, "-i", people, "--html", target, "--json").json
    words = " ".join(Page(target.read_text(encoding="utf-8")).words.split())
    assert [each["title"] for each in document["sections"]] == TITLES
    for each in document["sections"]:
        assert each["sentence"].endswith(".")
        assert " ".join(each["sentence"].split()) in words
        assert each["note"] in words
        assert all(len(row) == len(each["headings"]) for row in each["rows"])
    assert document["html"] == str(target)
    assert len({each["id"] for each in document["sections"]}) == len(TITLES)
    evaluated = crmsync("evaluate", "-c", config, "-i", people, "--json").json
    assert document["sections"][0]["sentence"] == evaluated["verdict"]
    assert crmsync("report", "-c", config, "-i", people, "--json").json["html"] is None


def test_an_mql_count_in_the_report_has_the_accepted_rate_beside_it(paths):
    config, people = paths
    for each in crmsync("report", "-c", config, "-i", people, "--json").json["sections"]:
        assert "MQL" not in each["headings"] or "accepted" in each["headings"]
        assert "MQLs" not in each["sentence"] or "accepted" in each["sentence"]


def test_months_stand_in_their_order(paths):
    config, people = paths
    sections = crmsync("report", "-c", config, "-i", people, "--json").json["sections"]
    for name in ("by-month", "funnel"):
        rows = next(each["rows"] for each in sections if each["id"] == name)
        months = [row[0] for row in rows if row[0] != "all"]
        assert months == sorted(months)
        assert len(months) > 3


EXPERIMENT = """
[experiment.line]
arms = { a = 30, b = 40 }
start = 2024-11-01
size = 50
"""


def test_experiments_and_where_the_line_could_be_stand_in_the_report(tmp_path, some):
    config = write_config(tmp_path, CARD)
    config.write_text(config.read_text() + EXPERIMENT)
    people = write_people(tmp_path, some)
    sections = {each["id"]: each for each in crmsync("report", "-c", config, "-i", people, "--json").json["sections"]}
    arms = crmsync("experiment", "line", "-c", config, "-i", people, "--json").json
    assert sections["experiment-line"]["sentence"] == arms["why"]
    assert [row[0] for row in sections["experiment-line"]["rows"]] == ["a", "b"]
    assert sections["drift"]["sentence"] == crmsync("drift", "-c", config, "-i", people, "--json").json["why"]
    over = [int(row[1].replace(",", "")) for row in sections["line"]["rows"]]
    assert over == sorted(over, reverse=True)
    assert "models" not in sections


def test_versions_without_a_reason_are_named_in_the_report():
    one = {"at": "2026-11-01T00:00:00+00:00", "author": "", "approver": "", "loosens": [], "changes": []}
    models = [
        {**one, "reason": "", "first": False, "changes": ["[bands] mql: 50 → 40"], "loosens": ["the line"]},
        {**one, "reason": "", "first": True},
    ]
    (section,) = SECTIONS["models"]({"models": models, "count": 2, "noted": None})
    assert section.sentence == "1 version without a reason: crmsync models note --reason TEXT writes it down."
    assert section.rows[0][4:] == ["[bands] mql: 50 → 40", "lets more over the line"]
    assert section.rows[1][4] == "the first one"


def test_people_of_a_pipe_are_read_once(paths):
    assert _watch(load(paths[0]), Path("-"), None, None) == {}


def test_with_two_outcomes_it_says_not_enough_data(tmp_path, some):
    config = write_config(tmp_path, CARD)
    people = write_people(tmp_path, [each for each in some if "outcome" in each][:2])
    target = tmp_path / "report.html"
    assert crmsync("report", "-c", config, "-i", people, "--html", target).code == 0
    assert "Not enough data: " in Page(target.read_text(encoding="utf-8")).words


def test_other_documents_add_their_sections(monkeypatch):
    def make(document):
        said = f"It moved in {document['months']} months & more."
        return [Section("drift", "Does it <still> hold?", said, "", ("month", ">z"), [["2026-01", "2.8"]])]

    monkeypatch.setitem(SECTIONS, "drift", make)
    sections = make_sections({"drift": {"months": 3}})
    text = render_report(report_document(sections, "2026-11-21T12:00:00Z", "abc", ["Look."], []), sections)
    page = Page(text)
    assert "1. Does it <still> hold?" in page.words
    assert "It moved in 3 months & more." in page.words
    assert json.dumps(sections[0].rows) == '[["2026-01", "2.8"]]'


@pytest.mark.parametrize(
    ("words", "said"), [((), "--html report.html, or --json"), (("--html", "-", "--json"), "standard output")]
)
def test_it_says_where_it_can_be_written(paths, words, said):
    config, people = paths
    ended = crmsync("report", "-c", config, "-i", people, *words)
    assert ended.code == 2
    assert said in " ".join(ended.err.replace("│", " ").split())


@pytest.mark.parametrize("words", [("report", "--html"), ("evaluate", "--csv")])
def test_no_result_replaces_the_config(paths, words):
    config, people = paths
    before = config.read_bytes()
    ended = crmsync(words[0], "-c", config, "-i", people, words[1], config)
    assert (ended.code, "the config or the state" in " ".join(ended.err.split())) == (2, True)
    assert config.read_bytes() == before
