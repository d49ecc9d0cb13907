"""Points learned from outcomes: what the numbers are held against, and when nothing is learned."""

from __future__ import annotations

import random
import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from crmsync.config.patch import ConfigPatch, NewRule, NumberEdit, TableEdit, edit_config
from crmsync.errors import ConfigError
from crmsync.evaluation.learning.leaks import find_leaks
from crmsync.evaluation.learning.people import list_rule_points, measure_doses
from crmsync.evaluation.learning.regression import fit_logistic
from crmsync.evaluation.learning.thresholds import Target
from crmsync.evaluation.logistic import Curve
from crmsync.evaluation.metrics import measure_auc, tally_scores
from crmsync.scoring.values import make_column
from tests.support.learning import judge_people, learn, load_text, write_card
from tests.support.outcomes import CARD, make_people, rules_of

HAND = {name: 0.7 if value > 0 else -0.7 for name, value in CARD.items()}
"""A card with the right rules and signs, and all points alike."""


@pytest.fixture(scope="module")
def people():
    return make_people(6_000, 1, card=CARD, season=0.0)


@pytest.fixture(scope="module")
def learned(people, tmp_path_factory):
    return learn(tmp_path_factory.mktemp("learned"), write_card(rules_of(HAND)), people)


def drawn(rng, rows, columns):
    doses = (rng.random((rows, columns)) < 0.3).astype(float)
    log_odds = doses @ np.linspace(-1.5, 2, columns) - 1
    return np.column_stack([np.ones(rows), doses]), rng.random(rows) < 1 / (1 + np.exp(-log_odds))


@pytest.mark.parametrize("penalty", [0.5, 5.0, 80.0])
def test_drawn_towards_nothing_it_is_the_ridge_of_scikit_learn(penalty):
    design, won = drawn(np.random.default_rng(3), 800, 6)
    mine = fit_logistic(design, won, np.zeros(7), np.array([0, *[penalty] * 6], dtype=float))
    theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(design[:, 1:], won)
    assert mine.weights[0] == pytest.approx(theirs.intercept_[0], abs=1e-4)
    assert mine.weights[1:] == pytest.approx(theirs.coef_[0], abs=1e-4)


def test_a_strong_pull_ends_at_the_card_and_a_weak_one_at_the_data():
    design, won = drawn(np.random.default_rng(4), 800, 3)
    card = np.array([0.0, 1.0, 1.0, 1.0])
    strong = fit_logistic(design, won, card, np.array([0, 1e7, 1e7, 1e7]))
    assert strong.weights[1:] == pytest.approx(card[1:], abs=1e-3)
    weak = fit_logistic(design, won, card, np.array([0, 1e-6, 1e-6, 1e-6]))
    plain = LogisticRegression(C=1e8, tol=1e-10, max_iter=10_000).fit(design[:, 1:], won)
    assert weak.weights[1:] == pytest.approx(plain.coef_[0], abs=1e-3)


def test_s4_13_shuffled_outcomes_are_refused(tmp_path, people):
    closed = [each for each in people if "outcome" in each]
    outcomes = [each["outcome"] for each in closed]
    random.Random(1).shuffle(outcomes)
    shuffled = [{**each, "outcome": outcome} for each, outcome in zip(closed, outcomes, strict=True)]
    found = learn(tmp_path, write_card(rules_of(HAND)), shuffled).document
    assert found["verdict"] == "no_better"
    assert found["auc_learned"] == pytest.approx(0.5, abs=0.06)
    assert "cannot tell" in found["why"] or "no better" in found["why"]


def test_the_learned_card_is_better_on_later_people_and_says_so(learned):
    found = learned.document
    assert found["verdict"] == "better"
    assert found["later_period"]["gain"]["low"] > 0
    assert found["auc_learned"] > found["auc_now"]
    assert f"{found['auc_now']:.3f} → {found['auc_learned']:.3f}" in found["why"]
    assert found["later_period"]["brier_learned"] < found["later_period"]["brier_now"]


def test_learned_points_recover_the_true_card_within_their_intervals(learned):
    rules = {each["name"]: each for each in learned.document["rules"]}
    slope = learned.document["calibration"]["slope"]
    inside = [rules[name]["low"] - 1 <= truth / slope <= rules[name]["high"] + 1 for name, truth in CARD.items()]
    assert sum(inside) >= len(inside) - 1
    assert all(rules[name]["points"] * truth > 0 for name, truth in CARD.items())
    assert all(each["points"] == int(each["points"]) and abs(each["points"]) <= 99 for each in rules.values())


def test_the_next_period_is_calibrated(learned):
    assert 0.8 <= learned.document["later_period"]["observed_expected"]["value"] <= 1.2
    ratio = learned.document["later_period"]["observed_expected"]
    assert ratio["low"] <= 1 <= ratio["high"]


def test_the_same_input_gives_the_same_output(tmp_path, people, learned):
    again = learn(tmp_path, write_card(rules_of(HAND)), people)
    assert again.document == learned.document
    assert again.text == learned.text


def test_s2_14_new_outcomes_change_the_points(tmp_path, people, learned):
    earlier = learn(tmp_path, write_card(rules_of(HAND)), people[:4_000]).document
    both = [{each["name"]: each["points"] for each in found["rules"]} for found in (earlier, learned.document)]
    assert both[0] != both[1]
    assert earlier["later_period"]["until"] < learned.document["later_period"]["until"]


def test_s4_37_too_few_of_either_are_refused_with_the_counts(tmp_path, people):
    won = [each for each in people if each.get("outcome") == "won"][:49]
    lost = [each for each in people if each.get("outcome") == "lost"][:400]
    found = learn(tmp_path, write_card(rules_of(HAND)), [*won, *lost]).document
    assert found["verdict"] == "not_enough"
    assert "49 won and 400 lost" in found["why"]
    assert found["patch"] == ""
    assert found["auc_learned"] is None
    assert found["later_period"] is None


def test_a_later_period_of_too_few_is_refused(tmp_path, people):
    won = [each for each in people if each.get("outcome") == "won"]
    lost = [each for each in people if each.get("outcome") == "lost"]
    late = [each for each in lost if each["outcome_at"] > won[80]["outcome_at"]]
    found = learn(tmp_path, write_card(rules_of(HAND)), [*won[:60], *lost[:50], *late[:200]]).document
    assert found["verdict"] == "not_enough"
    assert "later period has 0 won" in found["why"]


def test_a_later_period_that_is_another_world_is_said(tmp_path):
    changed = make_people(6_000, 2, card=CARD, season=0.0, change_at=7, change=1.5)
    found = learn(tmp_path, write_card(rules_of(HAND)), changed).document
    assert found["verdict"] == "no_better"
    assert "another world" in found["why"]
    assert found["later_period"]["observed_expected"]["value"] > 1.5


def test_a_true_card_is_not_bettered(tmp_path, people):
    found = learn(tmp_path, write_card(rules_of(CARD)), people).document
    assert found["verdict"] == "no_better"
    assert abs(found["auc_learned"] - found["auc_now"]) < 0.015


def test_a_rule_that_is_missing_is_found_and_named(tmp_path, people):
    poor = {name: value for name, value in HAND.items() if name != "Partner referral"}
    learning = learn(tmp_path, write_card(rules_of(poor)), people)
    (new,) = [each for each in learning.document["rules"] if "Partner Referral" in each["name"]]
    assert new["points_now"] is None
    assert new["points"] > 0
    assert 'when = { field = "source", is = "Partner Referral" }' in learning.document["patch"]
    judged = judge_people(load_text(tmp_path, learning.text), people)
    holds = judged.points[:, list(judged.rules).index(new["name"])] != 0
    assert int((holds & judged.closed).sum()) == new["people"]


@pytest.fixture(scope="module")
def poor():
    return write_card(rules_of({name: value for name, value in HAND.items() if name != "Partner referral"}))


@pytest.fixture(scope="module")
def hybrid(people, poor, tmp_path_factory):
    return learn(tmp_path_factory.mktemp("hybrid"), poor, people, hybrid=True)


def test_s4_14_hybrid_keeps_points_and_bands_and_adds_adjustments(tmp_path, people, poor, hybrid):
    before, made = load_text(tmp_path, poor), load_text(tmp_path, hybrid.text)
    assert hybrid.document["verdict"] == "better"
    assert hybrid.config is not None
    assert made.model_dump(exclude={"state"}) == hybrid.config.model_dump(exclude={"state"})
    assert [(rule.name, rule.points) for rule in made.rules()] == [(rule.name, rule.points) for rule in before.rules()]
    assert made.bands == before.bands
    assert made.learned.mode == "hybrid"
    new = {each["name"]: each for each in hybrid.document["rules"] if each["points_now"] is None}
    assert {each.name: each.points for each in made.learned.active} == {
        name: each["points"] for name, each in new.items()
    }
    assert any("Partner Referral" in name for name in new)
    assert all(each["points"] == each["points_now"] for each in hybrid.document["rules"] if each["name"] not in new)
    assert "[[learned.adjustment]]" in hybrid.document["patch"]
    assert "[[fit]]" not in hybrid.document["patch"]
    alone, together = judge_people(before, people), judge_people(made, people)
    assert 0 < np.abs(together.total - alone.total).max() <= 1_000
    assert np.abs(together.band - alone.band).max() <= 1


def test_s4_14_the_later_period_is_that_of_the_hybrid_card(hybrid, people):
    judged = judge_people(hybrid.config, people)
    closed = np.flatnonzero(judged.closed)
    order = closed[np.argsort(judged.at[closed], kind="stable")]
    late = order[-hybrid.document["later_period"]["people"] :]
    auc = measure_auc(tally_scores(judged.total[late], judged.won[late]))
    assert hybrid.document["auc_learned"] == pytest.approx(auc)


def test_s4_14_what_was_learned_before_is_replaced(tmp_path, people, poor, hybrid):
    again = learn(tmp_path, hybrid.text, people, hybrid=True)
    names = [each.name for each in again.config.learned.adjustment]
    assert again.text.count("[[learned.adjustment]]") == len(names) == len(set(names))
    assert again.text.count('mode = "hybrid"') == again.text.count("[learned]") == 1
    assert load_text(tmp_path, again.text).learned == again.config.learned
    rules = learn(tmp_path, hybrid.text, people)
    assert "[[learned.adjustment]]" not in rules.text
    assert load_text(tmp_path, rules.text).learned == rules.config.learned


def test_the_written_file_is_the_learned_card_and_keeps_every_comment(tmp_path, people):
    text = "# My model\n" + write_card(rules_of(HAND)).replace("points = 14", "points = 14   # by feeling")
    learning = learn(tmp_path, text, people)
    made = load_text(tmp_path, learning.text)
    assert learning.config is not None
    assert made.model_dump(exclude={"state"}) == learning.config.model_dump(exclude={"state"})
    assert learning.text.startswith("# My model\n")
    assert learning.text.count("# by feeling") == text.count("# by feeling")
    points = {each["name"]: each["points"] for each in learning.document["rules"]}
    assert {rule.name: rule.points for rule in made.rules()} == points
    edited = [line for line in learning.text.splitlines() if line.startswith("points") and "# learned: was" in line]
    assert edited
    assert all("people, " in line and " % won (" in line for line in edited)


def test_learning_twice_leaves_one_comment_on_a_line(tmp_path, learned, people):
    again = learn(tmp_path, learned.text, people)
    assert all(line.count("# learned:") <= 1 for line in again.text.splitlines())


def test_bands_keep_their_number_of_people(learned):
    for each in learned.document["thresholds"]:
        assert each["by"] == "people"
        assert each["people"] == pytest.approx(each["people_now"], rel=0.1)
    mql = learned.config.bands["mql"]
    assert mql.drop_below == mql.at - 5


def test_the_line_by_capacity(tmp_path, people, learned):
    found = learn(tmp_path, write_card(rules_of(HAND)), people, Target(capacity=4)).document
    line = found["thresholds"][-1]
    assert (line["by"], line["band"]) == ("capacity", "mql")
    assert line["per_week"] <= 4
    assert line["at"] > learned.document["thresholds"][-1]["at"]


def test_the_line_by_precision(tmp_path, people):
    found = learn(tmp_path, write_card(rules_of(HAND)), people, Target(precision=0.3)).document
    assert found["thresholds"][-1]["by"] == "precision"
    assert found["thresholds"][-1]["precision"]["value"] >= 0.3
    none = learn(tmp_path, write_card(rules_of(HAND)), people, Target(precision=0.99)).document
    assert none["thresholds"][-1]["by"] == "people"
    assert "precise" in none["thresholds"][-1]["note"]


def test_s1_12_the_forecast_is_the_sum_of_the_probabilities_of_open_people(learned, people):
    assert learned.config is not None
    judged = judge_people(learned.config, people)
    line = learned.document["calibration"]
    chances = 1 / (1 + np.exp(-(line["intercept"] + line["slope"] * judged.total[~judged.closed] / 100)))
    assert learned.document["forecast"] == pytest.approx(chances.sum())
    assert learned.document["open"] == len(chances)


def test_s1_12_ten_people_at_a_quarter_are_two_and_a_half():
    assert Curve(float(np.log(1 / 3)), 0.0).chances(np.arange(10.0)).sum() == pytest.approx(2.5)


def test_the_calibration_is_written_and_learned_again(tmp_path, people, learned):
    made = load_text(tmp_path, learned.text)
    line = learned.document["calibration"]
    assert made.learned.calibration is not None
    assert made.learned.calibration.model_dump() == line
    likely = 100 / (1 + np.exp(-(line["intercept"] + line["slope"] * 40)))
    assert made.learned.calibration.percent_of(40) == round(likely)
    again = learn(tmp_path, learned.text, people)
    assert again.text.count("[learned]") == 1
    assert load_text(tmp_path, again.text).learned.calibration.model_dump() == again.document["calibration"]


def leaking(people, how):
    rng = random.Random(2)
    return [{**each, "fields": how({**each["fields"]}, each.get("outcome") == "won", rng)} for each in people]


def test_a_field_that_is_filled_in_by_selling_is_left_out(tmp_path, people):
    def absent(fields, won, rng):
        fields.pop("industry", None)
        return fields | ({"industry": "Software"} if won or rng.random() < 0.4 else {})

    found = learn(tmp_path, write_card(rules_of(HAND)), leaking(people, absent)).document
    assert ("missing", "industry") in {(each["kind"], each["field"]) for each in found["leaks"]}
    assert not [each for each in found["rules"] if each["points_now"] is None and "Industry" in each["name"]]
    (held,) = [each for each in found["rules"] if each["name"] == "Software"]
    assert held["points"] == held["points_now"]
    assert "stays" in held["note"]


def test_a_value_that_separates_almost_perfectly_is_left_out(tmp_path, people):
    def closed(fields, won, rng):
        return fields | {"country": "Signed" if won and rng.random() < 0.3 else "Germany"}

    found = learn(tmp_path, write_card(rules_of(HAND)), leaking(people, closed)).document
    assert [each["name"] for each in found["leaks"] if each["kind"] == "separates"] == ["Country is Signed"]
    assert "Country is Signed" not in {each["name"] for each in found["rules"]}


def test_a_rule_that_nobody_matches_stays_as_it_is(tmp_path, people):
    tables = rules_of(HAND)
    tables["fit"].append({"name": "Dentist", "points": 9, "when": {"field": "title", "is": "Dentist"}})
    found = learn(tmp_path, write_card(tables), people).document
    (rule,) = [each for each in found["rules"] if each["name"] == "Dentist"]
    assert (rule["points"], rule["people"], rule["rate"]) == (9, 0, None)
    assert "nobody" in rule["note"]


def test_what_happens_after_the_hand_off_moves_nothing(tmp_path, people, learned):
    later = []
    for each in people:
        if each.get("outcome") == "won":
            at = datetime.fromisoformat(each["outcome_at"]) + timedelta(minutes=1)
            signed = {"kind": "form_submitted", "at": at.isoformat(), "attributes": {"form": "Demo of the contract"}}
            each = {**each, "activities": [*each["activities"], signed]}
        later.append(each)
    found = learn(tmp_path, write_card(rules_of(HAND)), later).document
    assert found == learned.document


def test_a_cap_grows_with_the_points(tmp_path, people):
    tables = rules_of(HAND)
    for rule in tables["behavior"]:
        rule["cap"] = rule["points"] * 2
    learning = learn(tmp_path, write_card(tables), people)
    made = load_text(tmp_path, learning.text)
    assert [rule.cap for rule in made.behavior] == [rule.points * 2 for rule in made.behavior]


def test_a_half_life_covers_the_truth(tmp_path):
    card = {"Demo requested": 3.0, "Pricing page viewed": 2.5, "VP or C-level": 0.9}
    made = make_people(12_000, 3, card=card, base_rate=0.2, season=0.0, half_life_days=30)
    found = learn(tmp_path, write_card(rules_of(card)), made).document
    demo = next(each for each in found["half_lives"] if each["rule"] == "Demo requested")
    assert demo["low"] <= 30 <= demo["high"]
    assert demo["suggested"]
    assert demo["days_now"] is None


def test_a_half_life_that_nobody_can_know_is_not_suggested(learned):
    assert not [each for each in learned.document["half_lives"] if each["suggested"]]
    assert all(each["note"] for each in learned.document["half_lives"])


TEXT = """\
[bands]   # mine
cold = {}
mql = { at = 30, drop_below = 25 }

[[fit]]
name = "A"
points = 5 # why
when = { field = "title", is = "points = 7" }

# The next one is important.
[[behavior]]
name = "B"
on = "page_viewed"
points = -3
"""


def test_edits_change_one_number_each():
    edits = [
        NumberEdit(("fit", 0, "points"), 8, "was 5"),
        NumberEdit(("behavior", 0, "points"), -4.5, "was -3"),
        NumberEdit(("bands", "mql", "at"), 33, "was 30"),
        NumberEdit(("bands", "mql", "drop_below"), 28, ""),
    ]
    new = NewRule("fit", {"name": "C", "points": 2.0, "when": {"field": "x", "is": 'say "y"'}}, "new")
    assert edit_config(TEXT, ConfigPatch(edits, [new])).splitlines() == [
        "[bands]   # mine",
        "cold = {}",
        "mql = { at = 33, drop_below = 28 }   # learned: was 30",
        "",
        "[[fit]]",
        'name = "A"',
        "points = 8 # why   # learned: was 5",
        'when = { field = "title", is = "points = 7" }',
        "",
        "[[fit]]",
        'name = "C"',
        "points = 2   # learned: new",
        'when = { field = "x", is = "say \\"y\\"" }',
        "",
        "# The next one is important.",
        "[[behavior]]",
        'name = "B"',
        'on = "page_viewed"',
        "points = -4.5   # learned: was -3",
    ]


LEARNED = """\
[learned]   # by crmsync
mode = "rules"  # for now

# about size
[[learned.adjustment]]
name = "Old"
points = 3
when = { field = "title", is = "x" }

# the last one
[log]
"""


def test_s4_14_rows_are_replaced_and_keys_are_set_where_they_stand():
    patch = ConfigPatch(
        [],
        [NewRule("learned.adjustment", {"name": "New", "points": 2.0, "when": {"field": "title", "is": "y"}}, "new")],
        [TableEdit("learned", {"mode": "hybrid", "calibration": {"intercept": -3.0, "slope": 0.5}})],
        ["learned.adjustment"],
    )
    assert edit_config(LEARNED, patch).splitlines() == [
        "[learned]   # by crmsync",
        "calibration = { intercept = -3, slope = 0.5 }",
        'mode = "hybrid"  # for now',
        "",
        "[[learned.adjustment]]",
        'name = "New"',
        "points = 2   # learned: new",
        'when = { field = "title", is = "y" }',
        "",
        "# about size",
        "# the last one",
        "[log]",
    ]
    for text in ('learned = { mode = "rules" }\n', "learned.clamp = 5\n"):
        with pytest.raises(ConfigError, match="line by line"):
            edit_config(text, patch)
    assert edit_config("[log]\n", patch._replace(removed=())).startswith("[log]\n\n[learned]\nmode = ")


def test_a_text_that_cannot_be_edited_is_refused_and_not_guessed():
    text = 'fit = [{ name = "A", points = 5, when = { field = "title", is = "x" } }]\n'
    with pytest.raises(ConfigError, match="line by line"):
        edit_config(text, ConfigPatch([NumberEdit(("fit", 0, "points"), 8, "was 5")]))


def test_bands_are_written_in_each_way(tmp_path):
    for text in ("[bands]\ncold = 0\nmql = 30\n", "[bands]\ncold = 0\n[bands.mql]\nat = 30\n"):
        edited = edit_config(text, ConfigPatch([NumberEdit(("bands", "mql", "at"), 33, "was 30")]))
        assert load_text(tmp_path, edited).bands["mql"].at == 33


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", [ROOT / "config.example.toml", *sorted((ROOT / "examples").glob("*.toml"))], ids=str)
def test_every_number_of_a_shipped_config_can_be_edited(path):
    text = path.read_text()
    given = tomllib.loads(text)
    edits = [
        NumberEdit((table, place, "points"), rule["points"] + 1, "was another")
        for table in ("fit", "behavior", "inactivity", "sequence", "pattern")
        for place, rule in enumerate(given.get(table, ()))
    ]
    edits += [
        NumberEdit(("bands", name, "at"), (band["at"] if isinstance(band, dict) else band) + 1, "was another")
        for name, band in given.get("bands", {}).items()
        if not isinstance(band, dict) or "at" in band
    ]
    edited = edit_config(text, ConfigPatch(edits))
    assert edited.count("# learned: was another") == len(edits)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in edited.splitlines() if line.startswith("#")
    ]


def test_fields_that_changed_after_the_hand_off_and_those_that_tell_all_alone_are_leaks():
    rng = np.random.default_rng(6)
    won = rng.random(500) < 0.3
    column = make_column((won * 5 + rng.normal(size=500)).tolist())
    noise = make_column(rng.normal(size=500).tolist())
    found = list(find_leaks({"amount": column, "noise": noise}, won, {"status": 0.4, "city": 0.01}))
    assert [(each.kind, each.field) for each in found if each.kind in ("alone", "changed")] == [
        ("changed", "status"),
        ("alone", "amount"),
    ]
    assert "noise" not in {each.field for each in found}


def test_doses_times_points_are_the_total_with_weights_decay_and_caps(tmp_path, people):
    tables = rules_of(HAND, half_life_days=45)
    for rule in tables["behavior"]:
        rule["cap"] = rule["points"]
    weights = "\n[score]\ndecimals = 2\n\n[weights]\nfit = 0.5\nbehavior = 1.5\n"
    config = load_text(tmp_path, write_card(tables, weights))
    judged = judge_people(config, people[:500])
    assert measure_doses(config, judged) @ list_rule_points(config) == pytest.approx(judged.total / 100, abs=0.02)
