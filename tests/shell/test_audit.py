"""The command that draws people to look at, and reads what reviewers say of them."""

import csv
import json
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select

from crmsync.config import load
from crmsync.cycle import run_cycle
from crmsync.store.database import open_store
from crmsync.store.schema import verdict
from tests.conftest import NOW
from tests.core.test_deciding_rows import rows
from tests.support import make
from tests.support.commands import crmsync, settings_alone, write_model


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    with settings_alone(monkeypatch, {}):
        yield


@pytest.fixture
def path(tmp_path, state_url):
    made = tmp_path / "crmsync.toml"
    made.write_text(f'{make.MODEL}\n[hubspot]\n[state]\nurl = "{state_url}"\n')
    return made


@pytest.fixture
def filled(path, state_url):
    """Twelve people of whom four are hot."""
    store = open_store(state_url)
    hubspot = make.crm("hubspot")
    for number in range(1, 13):
        hot = {"title": "VP Sales", "employees": 900} if number % 3 == 0 else {}
        one = make.contact(number, fields=hot, name=f"Person {number}", owner="hubspot-ann")
        hubspot.edit(one)
        if number % 3 == 0:
            hubspot.happen(make.activity(number, one))
    run_cycle(make.work(store, hubspot, now=NOW), approved=True)
    yield store
    store.close()


def audited(path, *words):
    ended = crmsync("audit", "-c", path, "--json", *words)
    assert ended.code == 0, ended.out
    return ended.json


def test_S4_28_a_sample_of_the_state_is_the_same_each_time(path, filled):
    said = audited(path, "--n", "6", "--seed", "1")
    assert said == audited(path, "--n", "6", "--seed", "1")
    assert said["seed"] == "1"
    assert sorted(each["band"] for each in said["people"]) == ["cold"] * 3 + ["mql"] * 3
    hot = next(each for each in said["people"] if each["band"] == "mql")
    assert hot["reasons"] == ["Demo requested +30", "VP or above +20", "Over 200 employees +15"]
    assert (hot["score"], hot["owner"], hot["outcome"], hot["verdict"]) == (65, "ann@acme.example", None, None)
    assert hot["name"].startswith("Person ")


def test_reasons_are_net_of_the_decay_and_the_cap_of_their_rule(path, state_url):
    decaying = make.MODEL.replace("cap = 45", 'cap = 45\ndecay = { half_life = "10d" }', 1)
    path.write_text(path.read_text().replace(make.MODEL, decaying))
    hubspot, one = make.crm("hubspot"), make.contact(1)
    hubspot.edit(one)
    for day in range(1, 6):
        hubspot.happen(make.activity(day, one, "page_viewed", days_ago=day, url="https://x.example/pricing"))
    with closing(open_store(state_url)) as store:
        run_cycle(make.work(store, hubspot, now=NOW, settings=load(path)), approved=True)
    (who,) = audited(path)["people"]
    assert (who["score"], who["reasons"]) == (45, ["Pricing page viewed +45"])


def test_without_a_seed_it_is_the_week_and_that_is_printed(path, filled):
    assert audited(path)["seed"] == "2026-W47"
    ended = crmsync("audit", "-c", path)
    assert "10 people to look at, drawn by the seed 2026-W47:" in ended.out
    assert "crmsync audit --verdicts audit.csv" in ended.out


def fill_in(file, verdicts):
    with file.open(newline="") as opened:
        lines = list(csv.DictReader(opened))
    for line, said in zip(lines, verdicts, strict=True):
        line["verdict"] = said
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    return lines


def test_S2_17_verdicts_come_back_and_agreement_is_counted_by_band(path, filled, tmp_path):
    file = tmp_path / "audit.csv"
    assert crmsync("audit", "-c", path, "--n", "8", "--csv", file).code == 0
    lines = fill_in(file, ["right", "right", "too high", "right", "right", "too low", "does not answer", ""])
    said = audited(path, "--verdicts", file)
    assert said["read"] == {"verdicts": 7, "kept": 7, "blank": 1}
    by_band = {"mql": [0, 0], "cold": [0, 0]}
    for line in lines[:6]:
        by_band[line["band"]][0] += line["verdict"] == "right"
        by_band[line["band"]][1] += 1
    assert {band: each["agreement"] for band, each in said["agreement"].items()} == {
        band: right / many for band, (right, many) in by_band.items()
    }
    assert said["agreed"] == {"right": 4, "too_high": 1, "too_low": 1, "notes": 1, "agreement": 4 / 6}
    assert audited(path, "--verdicts", file)["agreed"] == said["agreed"]  # a second time adds nothing
    assert audited(path)["agreement"] == said["agreement"]
    shown = crmsync("audit", "-c", path).out
    assert "Reviewers said" in shown
    assert "67 %" in shown
    (note,) = [row["note"] for row in rows(filled, verdict) if row["note"]]
    assert note == "does not answer"


def test_forget_removes_the_verdict(path, filled, tmp_path):
    file = tmp_path / "audit.csv"
    crmsync("audit", "-c", path, "--n", "12", "--csv", file)
    fill_in(file, ["right"] * 12)
    audited(path, "--verdicts", file)
    ended = crmsync("forget", "person3@firm.example", "--yes", "-c", path, "--json")
    assert ended.json["removed"]["verdict"] == 1
    with filled.read() as reading:
        assert len(list(reading.scalars(select(verdict.c.person)))) == 11
    ended = crmsync("audit", "--verdicts", file, "-c", path, "--json")
    assert ended.code == 4
    assert "nobody with crmsync id" in ended.json["problems"][0]


def test_a_sample_of_a_file_is_judged_as_of_then_and_its_verdicts_are_only_counted(path, tmp_path):
    people = [
        {
            "id": f"p{number}",
            "fields": {"title": "VP"} if number % 2 else {},
            "activities": [],
            "handed_off_at": (NOW - timedelta(days=90)).isoformat(),
            "outcome": "won" if number % 4 == 1 else "lost",
            "outcome_at": (NOW - timedelta(days=30)).isoformat(),
        }
        for number in range(20)
    ]
    given = tmp_path / "people.jsonl"
    given.write_text("\n".join(map(json.dumps, people)))
    said = audited(path, "--n", "4", "--input", given, "--seed", "1")
    assert {each["person"] for each in said["people"]} == {None}
    assert sorted((each["band"], each["outcome"]) for each in said["people"]) == [
        ("cold", "lost"), ("cold", "lost"), ("warm", "lost"), ("warm", "won"),
    ]  # fmt: skip
    file = tmp_path / "audit.csv"
    crmsync("audit", "-c", path, "--n", "4", "--input", given, "--csv", file)
    fill_in(file, ["right"] * 4)
    read = audited(path, "--verdicts", file)
    assert (read["read"]["kept"], read["agreed"]["right"]) == (0, 4)


def test_S4_25_feedback_tags_are_counted_by_band_beside(path, state_url, tmp_path):
    tables = '\n[feedback.field]\nhubspot = "crmsync_feedback"\n[feedback.tags]\n"fine" = "keep"\n'
    path.write_text(path.read_text() + tables)
    store = open_store(state_url)
    hubspot = make.crm("hubspot")
    hubspot.edit(make.contact(1, fields={"feedback": "fine"}))
    config = make.config(feedback={"field": {"hubspot": "crmsync_feedback"}, "tags": {"fine": "keep"}})
    run_cycle(make.work(store, hubspot, now=NOW, settings=config), approved=True)
    store.close()
    assert audited(path)["feedback"] == {"fine": {"cold": 1}}


@pytest.mark.parametrize("words", [("--n", "0"), ("--seed", " "), ("--verdicts", "a.csv", "--seed", "1")])
def test_what_cannot_be_is_refused(path, words):
    assert crmsync("audit", "-c", path, *words).code == 2


def test_without_a_state_it_says_what_to_do(tmp_path):
    ended = crmsync("audit", "-c", write_model(tmp_path, make.MODEL), "--json")
    assert ended.code == 2
    assert "give --input FILE" in ended.json["problems"][0]
