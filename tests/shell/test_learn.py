"""What `crmsync learn` prints, writes and refuses."""

import csv
import io
import json
import re
import stat

import pytest
from rich.console import Console

from crmsync.cli import learning
from crmsync.config import load
from crmsync.reporting.print_learning import print_learning
from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone
from tests.support.learning import write_card
from tests.support.outcomes import CARD, make_people, rules_of

HAND = {name: 0.7 if value > 0 else -0.7 for name, value in CARD.items() if name != "Partner referral"}


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    with settings_alone(monkeypatch, {}, NOW):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("learn")
    (made / "crmsync.toml").write_text(write_card(rules_of(HAND)))
    lines = [json.dumps(each) for each in make_people(3_000, 1, card=CARD, base_rate=0.3, season=0.0)]
    (made / "people.jsonl").write_text("\n".join(lines))
    (made / "few.jsonl").write_text("\n".join(lines[:120]))
    (made / "odd.jsonl").write_text("\n".join([*lines[:2_500], '{"id": 1, "outcome": "won"}']))
    return made


def learn(folder, *more, people="people.jsonl"):
    return crmsync("learn", "--config", folder / "crmsync.toml", "--input", folder / people, *more)


def test_it_prints_a_document_that_keeps_its_promise_and_writes_a_config(folder):
    ended = learn(folder, "--json", "--write", folder / "new.toml", "--csv", folder / "rules.csv")
    found = ended.json
    assert ended.code == 0
    assert found["verdict"] == "better"
    assert found["written"] == str(folder / "new.toml")
    assert stat.S_IMODE((folder / "new.toml").stat().st_mode) == 0o600
    made = load(folder / "new.toml")
    assert {rule.name: rule.points for rule in made.rules()} == {
        each["name"]: each["points"] for each in found["rules"]
    }
    rows = list(csv.DictReader(io.StringIO((folder / "rules.csv").read_text())))
    assert [row["name"] for row in rows] == [each["name"] for each in found["rules"]]


def test_the_words_begin_with_the_verdict_and_end_with_what_to_do(folder):
    ended = learn(folder, "--write", folder / "words.toml")
    lines = ended.out.splitlines()
    assert lines[0] == "BETTER: the learned card is worth a change."
    assert lines[1].startswith("The learned card ranks the later people better: AUC 0.")
    assert lines[-2].strip() == f"crmsync simulate --config {folder / 'words.toml'}"
    assert lines[-1].strip() == f"crmsync evaluate --config {folder / 'words.toml'}"
    assert "Test on the later period, " in ended.out


def test_a_terminal_of_80_columns_is_enough(folder):
    document = learn(folder, "--json").json
    file = io.StringIO()
    print_learning(Console(file=file, width=80, force_terminal=True, no_color=True, markup=False), document)
    lines = re.sub("\x1b\\[[0-9;]*m", "", file.getvalue()).splitlines()
    assert len(lines) > 30
    assert max(map(len, lines)) <= 80


def test_too_few_people_are_no_error_and_nothing_is_written(folder):
    ended = learn(folder, "--json", "--write", folder / "none.toml", people="few.jsonl")
    assert ended.code == 0
    assert ended.json["verdict"] == "not_enough"
    assert "learning needs 50 of each" in ended.json["why"]
    assert ended.json["written"] is None
    assert not (folder / "none.toml").exists()


def test_a_card_that_is_no_better_is_not_written(folder):
    (folder / "true.toml").write_text(write_card(rules_of(CARD)))
    words = ("learn", "--config", folder / "true.toml", "--input", folder / "people.jsonl")
    ended = crmsync(*words, "--write", folder / "same.toml")
    assert ended.code == 0
    assert ended.out.startswith("NO BETTER: keep today's points.")
    assert f"Nothing was written to {folder / 'same.toml'}." in ended.out
    assert not (folder / "same.toml").exists()


def test_lines_with_mistakes_are_told_and_the_others_count(folder):
    ended = learn(folder, "--json", people="odd.jsonl")
    assert ended.code == 4
    assert "line 2501" in ended.json["problems"][0]
    assert ended.json["won"] > 50


def test_the_config_itself_is_never_replaced(folder):
    before = (folder / "crmsync.toml").read_text()
    ended = learn(folder, "--write", folder / "crmsync.toml")
    assert ended.code == 2
    assert "it is the config" in ended.err
    assert (folder / "crmsync.toml").read_text() == before


def test_a_pipe_is_refused_with_what_to_do(folder):
    ended = crmsync("learn", "--config", folder / "crmsync.toml", "--input", "-")
    assert ended.code == 2
    assert "save them to a file" in ended.err


def test_without_scipy_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(learning, "find_spec", lambda name: None)
    ended = learn(folder)
    assert ended.code == 2
    assert "pip install 'crmsync[learn]'" in ended.err


def test_a_period_limits_whom_it_learns_from(folder):
    whole, part = learn(folder, "--json").json, learn(folder, "--json", "--since", "2025-06-01").json
    assert 0 < part["won"] < whole["won"]


def test_s4_14_hybrid_writes_adjustments_and_leaves_the_points(folder):
    tables = rules_of({name: value for name, value in HAND.items() if name != "VP or C-level"})
    (folder / "poor.toml").write_text(write_card(tables))
    words = ("learn", "--config", folder / "poor.toml", "--input", folder / "people.jsonl", "--hybrid")
    ended = crmsync(*words, "--json", "--write", folder / "hybrid.toml")
    assert ended.code == 0
    assert ended.json["verdict"] == "better"
    before, made = load(folder / "poor.toml"), load(folder / "hybrid.toml")
    assert [rule.points for rule in made.rules()] == [rule.points for rule in before.rules()]
    assert "Partner Referral" in " ".join(each.name for each in made.learned.active)
    assert ended.json["thresholds"] == []
    assert "stays as it is; the outcomes say" in crmsync(*words).out
    assert learn(folder, "--hybrid", "--capacity", "5").code == 2


def test_a_precision_is_in_per_cent_and_no_fraction(folder):
    ended = learn(folder, "--precision", "0.3")
    assert ended.code == 2
    assert "write per cent: --precision 30" in " ".join(ended.err.split())


def test_two_targets_are_one_too_many(folder):
    assert learn(folder, "--capacity", "5", "--precision", "20").code == 2


WAYS = {
    "byte-order mark": lambda text: f"\ufeff{text}",
    "an empty table [learned]": lambda text: f"{text}\n[learned]\n",
    "a line separator in a comment": lambda text: f"# ours\u2028and yours\u0085\n{text}",
    "quoted keys": lambda text: text.replace("points =", '"points" ='),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_config_may_be_written_in_many_ways(folder, tmp_path, way):
    text, path = WAYS[way]((folder / "crmsync.toml").read_text()), tmp_path / "crmsync.toml"
    path.write_text(text)
    ended = crmsync(
        "learn", "--config", path, "--input", folder / "people.jsonl", "--json", "--write", tmp_path / "new.toml"
    )
    assert ended.code == 0
    made = load(tmp_path / "new.toml")
    points = {each["name"]: each["points"] for each in ended.json["rules"]}
    assert {rule.name: rule.points for rule in made.rules()} == points


def test_a_config_that_cannot_be_edited_still_gets_its_verdict(folder, tmp_path):
    path = tmp_path / "crmsync.toml"
    text = (folder / "crmsync.toml").read_text()
    number = re.search(r"points = (\d+)", text)
    path.write_text(text.replace(number[0], f"points = {int(number[1]):#x}"))
    words = ("learn", "--config", path, "--input", folder / "people.jsonl", "--json")
    ended = crmsync(*words)
    assert (ended.code, ended.json["verdict"], ended.json["patch"]) == (0, "better", "")
    assert "cannot be edited line by line" in ended.json["notes"][0]
    ended = crmsync(*words, "--write", tmp_path / "new.toml")
    assert (ended.code, ended.json["verdict"], ended.json["written"]) == (2, "better", None)
    assert ended.json["problems"][0].startswith(f"nothing was written to {tmp_path / 'new.toml'}: the config cannot be")
    assert not (tmp_path / "new.toml").exists()
