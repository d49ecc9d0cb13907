"""The command that holds scores against outcomes, on a file of people."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest

from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone
from tests.support.outcomes import auc_of, make_people, rules_of, true_log_odds

CARD = {
    "VP or C-level": 1.2,
    "200 employees or more": 1.0,
    "Purchased list": -1.2,
    "Demo requested": 1.6,
    "Pricing page viewed": 0.7,
}
KEYS = {
    "people", "won", "lost", "open", "auc", "average_precision", "brier", "observed_expected", "bands", "funnel",
    "rules", "false_positives", "coverage", "completeness", "speed_to_lead",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    with settings_alone(monkeypatch, {}, tick=False):
        yield


def write_config(folder, card, more=""):
    rows = [(table, rule) for table, rules in rules_of(card).items() for rule in rules]
    tables = [
        f"[[{table}]]\n" + "\n".join(f"{key} = {_toml(each)}" for key, each in rule.items()) for table, rule in rows
    ]
    path = folder / "crmsync.toml"
    path.write_text("\n\n".join(tables) + "\n\n[bands]\ncold = {}\nwarm = 20\nmql = 40\n" + more)
    return path


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def write_people(folder, people):
    path = folder / "people.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in people))
    return path


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path, CARD)


@pytest.fixture(scope="module")
def some():
    """People with a known card, most of whom have an outcome."""
    return make_people(1_500, 11, card=CARD, base_rate=0.2)


@pytest.fixture
def people(tmp_path, some):
    return write_people(tmp_path, some)


def test_the_keys_of_the_document_are_those_that_are_promised(config, people, some):
    ended = crmsync("evaluate", "-c", config, "--input", people, "--json")
    found = ended.json
    assert ended.code == 0
    assert found.keys() >= KEYS
    assert all({"name", "people", "won", "rate", "low", "high"} <= each.keys() for each in found["bands"])
    assert all({"name", "won", "lost", "lift", "low", "high"} <= each.keys() for each in found["rules"])
    won = sum(each.get("outcome") == "won" for each in some)
    assert (found["people"], found["won"]) == (1_500, won)
    assert found["people"] == found["won"] + found["lost"] + found["open"]
    assert sum(each["people"] for each in found["bands"]) == found["won"] + found["lost"]
    assert 0.7 < found["auc"] < 0.9
    assert 0.7 < found["observed_expected"] < 1.4
    assert {each["name"]: each["finding"] for each in found["rules"]} == dict.fromkeys(CARD, "helps")
    assert (found["funnel"]["mql_by"], found["funnel"]["all"]["accepted"]) == ("score", None)


def test_the_first_sentence_is_what_it_comes_to_and_everything_fits_80_columns(config, people):
    ended = crmsync("evaluate", "-c", config, "--input", people, "--by", "source")
    assert ended.code == 0
    assert ended.out.startswith("The score ranks a won person above a lost one ")
    for said in (
        "Conversion by band",
        "Rules that help",
        "Funnel",
        "By source",
        "Lost above the line",
        "crmsync report",
    ):
        assert said in ended.out
    rows = [line for line in ended.out.splitlines() if line.count("  ") > 3]
    assert max(len(line.rstrip()) for line in rows if not line.startswith("  ")) <= 80


def test_s4_09_groups_say_how_many_became_mql_and_how_long_it_took(tmp_path):
    came, handed = "2026-01-10T09:00:00Z", "2026-01-11T09:00:00Z"
    demo = {"kind": "form_submitted", "at": "2026-01-10T12:00:00Z", "attributes": {"form": "demo"}}
    config = write_config(tmp_path, CARD, '[[behavior]]\nname = "D"\npoints = 90\non = "form_submitted"\n')
    attendees = [
        {
            "id": f"p{number}",
            "fields": {"source": "Event" if number < 50 else "Partner"},
            "activities": [demo] if number < 12 else [],
            "created_at": came,
            "handed_off_at": handed,
            "outcome": "won" if number % 10 < 3 else "lost",
            "outcome_at": "2026-02-09T09:00:00Z",
        }
        for number in range(60)
    ]
    words = ("evaluate", "-c", config, "--input", write_people(tmp_path, attendees), "--by", "source")
    shown = [" ".join(line.split()) for line in crmsync(*words).out.splitlines()]
    at = shown.index("source people MQL accepted days to won")
    assert shown[at + 1 : at + 3] == ["Event 50 12 (24.0 %) not known 30", "Partner 10 0 (0.0 %) not known 30"]


def test_the_card_by_which_people_were_won_ranks_them_as_the_truth_does(config, people, some):
    hopes = {
        outcome: [true_log_odds(each, CARD) for each in some if each.get("outcome") == outcome]
        for outcome in ("won", "lost")
    }
    found = crmsync("evaluate", "-c", config, "-i", people, "--json").json
    assert found["auc"] == pytest.approx(auc_of(**hopes), abs=0.005)
    assert found["auc_low"] < auc_of(**hopes) < found["auc_high"]


def test_another_config_is_tried_on_the_same_people(tmp_path, config, people):
    backwards = write_config(tmp_path, {name: -each for name, each in CARD.items()})
    found = crmsync("evaluate", "-c", backwards, "-i", people, "--json").json
    assert found["auc"] < 0.3
    assert found["verdict"].startswith("The score points the wrong way")
    assert {each["finding"] for each in found["rules"]} == {"wrong_way"}


def test_a_period_takes_those_who_were_judged_in_it(config, people, some):
    days = sorted(each["outcome_at"][:10] for each in some if "outcome_at" in each)
    since, until = days[300], days[900]
    found = crmsync("evaluate", "-c", config, "-i", people, "--since", since, "--until", until, "--json").json
    assert since <= found["judged_from"][:10] <= found["judged_to"][:10] <= until
    assert 550 < found["people"] < 650
    ended = crmsync("evaluate", "-c", config, "-i", people, "--since", "2031-01-01", "--json")
    assert ended.code == 2
    assert ended.json["problems"] == ["nobody is judged in this period; leave out --since and --until"]


def test_lines_with_mistakes_are_told_and_the_others_count(tmp_path, config, some):
    path = write_people(tmp_path, [*some[:400], {"id": "x", "outcome": "maybe", "outcome_at": "2026-01-01T00:00:00Z"}])
    ended = crmsync("evaluate", "-c", config, "-i", path, "--json")
    assert ended.code == 4
    assert ended.json["people"] == 400
    (problem,) = ended.json["problems"]
    assert problem.startswith(f"{path}, line 401: outcome 'maybe'")
    assert ended.json["coverage"]["reasons"] == {"lines with a mistake": 1}
    assert "line 401" in crmsync("evaluate", "-c", config, "-i", path).err
    path.write_text('{"id": 1, "outcome": "maybe", "outcome_at": "2026-01-01T00:00:00Z"}\n')
    assert crmsync("evaluate", "-c", config, "-i", path, "--json").code == 2


def test_fields_that_people_are_compared_by_are_not_told_to_be_ignored(tmp_path, config, some):
    more = {"campaign": "Webinar", "owner": "ann@acme.example", "feedback": "fine", "shoe_size": 44}
    path = write_people(tmp_path, [each | {"fields": each["fields"] | more} for each in some[:300]])
    document = crmsync("evaluate", "-c", config, "-i", path, "--by", "campaign", "--json").json
    assert [each["name"] for each in document["groups"]] == ["Webinar"]
    ignored = [each for each in document["warnings"] if "ignored" in each]
    assert any("shoe_size" in each for each in ignored)
    assert not [each for each in ignored if any(f"'{name}'" in each for name in ("campaign", "owner", "feedback"))]


def test_everybody_to_look_at_stands_in_the_csv_file(tmp_path, config, people):
    document = crmsync("evaluate", "-c", config, "-i", people, "--json").json
    ended = crmsync("evaluate", "-c", config, "-i", people, "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    counts = {name: sum(each["list"] == name for each in rows) for name in ("false_positive", "miss")}
    assert counts == {"false_positive": document["false_positive_count"], "miss": document["miss_count"]}
    assert rows[0]["person"] == document["false_positives"][0]["person"]
    assert "Demo requested +32" in rows[0]["rules"]
    assert crmsync("evaluate", "-c", config, "-i", people, "--csv", "-", "--json").code == 2


def test_nothing_after_the_hand_off_changes_anything(tmp_path, config, some):
    handed = [
        each | {"handed_off_at": (NOW - timedelta(days=900)).isoformat()} if "outcome" in each else each
        for each in some
    ]
    before = crmsync("evaluate", "-c", config, "-i", write_people(tmp_path, handed), "--json").json
    demo = {"kind": "form_submitted", "at": (NOW - timedelta(days=899)).isoformat(), "attributes": {"form": "Demo"}}
    more = [
        each | {"activities": [*each["activities"], demo]} if each.get("outcome") == "won" else each for each in handed
    ]
    assert crmsync("evaluate", "-c", config, "-i", write_people(tmp_path, more), "--json").json == before


def test_people_who_were_judged_later_are_warned_of(tmp_path, config, some):
    late = []
    for each in some:
        moved = dict(each)
        if each.get("outcome") == "lost":
            moved["created_at"] = "2022-01-01T00:00:00+00:00"
        elif each.get("outcome") == "won":
            moved["created_at"] = each["outcome_at"]
        late.append(moved)
    ended = crmsync("evaluate", "-c", config, "-i", write_people(tmp_path, late))
    assert "Warning: The won were judged 0 days after their arrival and the lost " in ended.out


def test_without_outcomes_it_says_what_to_do(config):
    ended = crmsync("evaluate", "-c", config, "--json")
    assert ended.code == 2
    assert "--input FILE" in ended.json["problems"][0]


def test_the_order_of_lines_changes_nothing(tmp_path):
    path = write_config(tmp_path, CARD)
    people = [
        {**each, "name": f"Person {number}"}
        for number, each in enumerate(make_people(600, 11, card=CARD, base_rate=0.2))
    ]
    one = write_people(tmp_path, people)
    other = tmp_path / "turned.jsonl"
    other.write_text("".join(reversed(one.read_text().splitlines(keepends=True))))
    for words in (["evaluate"], ["drift"], ["audit", "--n", "20", "--seed", "1"]):
        found = [crmsync(*words, "--config", path, "--input", each, "--json").json for each in (one, other)]
        assert found[0] == found[1], words


def test_an_empty_file_is_told_as_one(config, tmp_path):
    ended = crmsync("evaluate", "--config", config, "--input", write_people(tmp_path, []), "--json")
    assert ended.code == 2
    assert ended.json["problems"] == [f"--input {tmp_path / 'people.jsonl'} has nobody"]


@pytest.mark.parametrize("day", ["9999-12-31", "tomorrow", "2026-02-30"])
def test_a_day_that_there_is_not_is_told(config, tmp_path, day):
    ended = crmsync("evaluate", "--config", config, "--input", write_people(tmp_path, []), "--until", day, "--json")
    assert ended.code == 2
    assert ended.json["problems"] == [f"--until {day!r} is not a day; write for example 2026-11-21"]


@pytest.mark.parametrize(
    "words",
    [("evaluate", "--csv"), ("drift", "--csv"), ("audit", "--csv"), ("simulate", "--csv"), ("learn", "--write"),
     ("learn", "--csv"), ("report", "--html")],
)  # fmt: skip
def test_no_result_replaces_the_people_it_is_made_of(config, tmp_path, words):
    people = write_people(tmp_path, make_people(60, 11, card=CARD, base_rate=0.2))
    before = people.read_bytes()
    ended = crmsync(words[0], "--config", config, "--input", people, words[1], people)
    assert (ended.code, people.read_bytes()) == (2, before), ended.out
    assert "cannot be written" in ended.err


@pytest.mark.parametrize("command", ["evaluate", "drift", "audit", "simulate", "learn"])
def test_each_command_tells_a_line_that_is_there_again(config, tmp_path, command):
    person = make_people(1, 11, card=CARD, base_rate=0.2)
    ended = crmsync(command, "--config", config, "--input", write_people(tmp_path, person * 2))
    assert ended.code == 0
    assert "1 person: the same line is there again; it counts once" in " ".join(f"{ended.out} {ended.err}".split())
