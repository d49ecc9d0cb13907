"""What a plan means in people: it is counted by name, sums to the population, and tells what an edit did."""

import csv
import io
import json
from collections import Counter

import pytest
from sqlalchemy import select

from crmsync.config.difference import compare_configs
from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import ConfigError
from crmsync.planning.gates import PlanCount, check_gate, parse_gate
from crmsync.planning.movements import Level, Moved, count_movements
from crmsync.planning.rule_effects import Rescored, list_differences, sum_effects
from crmsync.reporting.documents.plan import PlanReport
from crmsync.reporting.plan_csv import write_plan_csv
from crmsync.reporting.plan_report import plan_counts, plan_report
from crmsync.store import journal, schema
from tests.support.cycles import world
from tests.support.make import MODEL, config, contact, store, work

EDITED = (
    MODEL.replace("mql = 50", "mql = 45").replace("points = 20\n", "points = 10\n")
    + """
[[fit]]
name = "Came by referral"
points = 12
when = { field = "title", contains = "CEO" }
"""
)


@pytest.fixture
def state(tmp_path):
    made = store(tmp_path)
    yield made
    made.close()


def reported(state, *crms, settings=None):
    """A plan's report, its result, and its CSV."""
    seen = {}

    def look(trial, result, drafted):
        seen["report"] = plan_report(state, trial, result, drafted)
        text = io.StringIO(newline="")
        with trial.store.read() as reading:
            seen["rows"] = write_plan_csv(text, reading, result.run)
        seen["csv"] = text.getvalue()

    result = preview_run(work(state, *crms, settings=settings), look)
    return seen["report"], result, seen


def test_bands_and_scores_sum_to_the_population_and_after_is_before_and_what_moves(state):
    crms = world(3)
    for settings in (config(), config(EDITED)):
        report, result, _seen = reported(state, *crms, settings=settings)
        scored = report["people"]["scored"]
        assert sum(result.bands.values()) == scored > 0
        assert sum(each["before"] for each in report["bands"]) == scored
        assert sum(each["after"] for each in report["bands"]) == scored
        shape = report["distribution"]
        assert sum(each["after"] for each in shape["bars"]) == scored
        assert sum(each["before"] for each in shape["bars"]) + shape["first_scores"] == scored
        for what in ("bands", "stages", "owners"):
            for each in report[what]:
                assert each["after"] == each["before"] + each["entered"] - each["left"]
                assert len(each["who_enters"]) == min(each["entered"], 20)
                assert len(each["who_leaves"]) == min(each["left"], 20)
        assert {
            each["name"]: each["after"] for each in report["bands"] if each["name"] and each["after"]
        } == result.bands
        if settings.decision_hash() == config().decision_hash():
            run_cycle(work(state, *crms), "backfill", approved=True)


def test_a_plan_of_a_first_run_names_who_becomes_what_and_whose(state):
    hubspot, salesforce = world(5)
    report, _result, _seen = reported(state, hubspot, salesforce)
    mql = next(each for each in report["stages"] if each["name"] == "mql")
    assert (mql["before"], mql["entered"], mql["left"]) == (0, mql["after"], 0)
    assert all(each["email"].endswith("@x.example") and each["to"] == "mql" for each in mql["who_enters"])
    owners = {each["name"]: each for each in report["owners"]}
    assert owners["ann@acme.example"]["entered"] + owners["bob@acme.example"]["entered"] > 0
    assert report["edits"] is None
    assert report["movers"] == []


def test_stages_and_owners_are_what_the_journal_says_in_people(state):
    hubspot, _salesforce = world(7)
    report, result, _seen = reported(state, hubspot)
    with state.read() as reading:
        changes = [row.change for _state, _reason, row in journal.rows_of(reading, result.run)]
    for what, field in (("stages", "stage"), ("bands", "band")):
        counted = Counter(change.after[field] for change in changes if field in change.after)
        assert counted == {each["name"]: each["entered"] for each in report[what] if each["entered"] and each["name"]}
    assert report["people"]["records"] == len(changes)
    assert report["cost"] == {"hubspot": len(changes)}  # of a CRM that is a dictionary: one call a record


def test_the_lines_of_each_mover_and_of_all_effects_sum_to_what_moved(state):
    crms = world(11)
    run_cycle(work(state, *crms), "backfill", approved=True)
    with state.read() as reading:
        before = {row.id: row.total for row in reading.execute(select(schema.person))}
    report, _result, _seen = reported(state, *crms, settings=config(EDITED))
    after = {}

    def look(trial, _result, _drafted):
        with trial.store.read() as reading:
            after.update({row.id: row.total for row in reading.execute(select(schema.person))})

    preview_run(work(state, *crms, settings=config(EDITED)), look)
    moved = sum(after.values()) - sum(before.values())
    assert report["moved"] * 100 == moved != 0
    assert sum(each["points"] for each in report["effects"]) * 100 == moved
    assert report["movers"]
    for each in report["movers"]:
        assert sum(line["points"] for line in each["lines"]) == each["score"]["to"] - each["score"]["from"]
        assert each["score"]["from"] * 100 == before[each["person"]]
    edits = {each["rule"]: each["edit"] for each in report["effects"]}
    assert edits["VP or above"] == "changed"
    assert edits["Came by referral"] == "added"
    assert edits.get("Over 200 employees") is None
    referral = next(each for each in report["effects"] if each["rule"] == "Came by referral")
    assert referral["points"] == 12 * referral["people"]
    assert referral["example"]["email"].endswith("@x.example")


def test_a_report_is_what_its_document_promises(state):
    report, _result, _seen = reported(state, *world(3))
    assert report.keys() == PlanReport.__annotations__.keys()


def test_the_limits_are_those_of_the_guard_with_what_is_left(state):
    crms = world(13)
    report, result, _seen = reported(state, *crms, settings=config(guard={"first_run": 5}))
    first = {each["crm"]: each for each in report["limits"] if each["limit"] == "first"}
    assert first["hubspot"]["allowed"] == 5
    assert first["hubspot"]["left"] == 0
    assert first["hubspot"]["said"] in result.guard


def test_the_csv_holds_every_field_of_the_journal_with_owners_by_address(state):
    hubspot, salesforce = world(17)
    hubspot.edit(contact(99, emails=("evil@x.example",), name="=1+1", fields={"title": "VP", "employees": 500}))
    _report, result, seen = reported(state, hubspot, salesforce)
    rows = list(csv.DictReader(io.StringIO(seen["csv"])))
    assert list(rows[0]) == ["person", "name", "email", "crm", "record", "field", "before", "after", "why"]
    with state.read() as reading:
        changes = [row.change for _state, _reason, row in journal.rows_of(reading, result.run)]
    wanted = {
        (str(change.ref), field): (change.before.get(field), value)
        for change in changes
        for field, value in change.after.items()
    }
    assert seen["rows"] == len(rows) == len(wanted)
    emails = {"ann": "ann@acme.example", "bob": "bob@acme.example"}
    for row in rows:
        before, after = wanted[row["record"], row["field"]]
        assert row["crm"] == row["record"].split(":")[0]
        if row["field"] == "owner":
            assert row["after"] == emails[after.split("-")[1]]
        else:
            assert (row["before"].lstrip("'"), row["after"]) == ("" if before is None else str(before), str(after))
    assert {row["name"] for row in rows if row["email"] == "evil@x.example"} == {"'=1+1"}


def test_the_difference_of_two_configs_names_rules_and_values():
    found = {(each.kind, each.table, each.name): each.said for each in compare_configs(config(), config(EDITED))}
    assert found[("changed", "[bands]", "mql.at")] == "mql.at: 50 → 45"
    assert found[("changed", "[[fit]]", "VP or above")] == "points: 20 → 10"
    assert "points: 12" in found[("added", "[[fit]]", "Came by referral")]
    assert len(found) == 3
    back = compare_configs(config(EDITED), config())
    assert ("removed", "[[fit]]", "Came by referral") in [each[:3] for each in back]
    assert compare_configs(config(), config()) == []
    swapped = config(MODEL.replace('["ann@acme.example", "bob@acme.example"]', '["ann@acme.example"]'))
    assert [each.said for each in compare_configs(config(), swapped)] == [
        "members: ann@acme.example, bob@acme.example → ann@acme.example"
    ]


def test_s4_14_the_difference_names_each_adjustment():
    learned = """
[learned]
mode = "hybrid"
[[learned.adjustment]]
name = "Large"
points = 4
when = { field = "title", contains = "CEO" }
"""
    found = {each[:3]: each.said for each in compare_configs(config(), config(MODEL + learned))}
    assert found.keys() == {("added", "[learned]", "mode"), ("added", "[[learned.adjustment]]", "Large")}
    edited = config(MODEL + learned.replace("points = 4", "points = 5"))
    assert [tuple(each) for each in compare_configs(config(MODEL + learned), edited)] == [
        ("changed", "[[learned.adjustment]]", "Large", "points: 4 → 5")
    ]


def moved(person=1, band=("", "mql"), stage=("", ""), owner=("", "")):
    places = [tuple(frozenset(filter(None, [each])) for each in pair) for pair in (band, stage, owner)]
    return Moved(person, "Vera", "vera@kestrel.example", (None, 60.0), *places, 1, {})


def test_only_the_first_are_named_and_all_are_counted():
    found = count_movements(moved(number) for number in range(50))
    level = found.places["band"]["mql"]
    assert (level.entered, len(level.who_enters), found.people) == (50, 20, 50)
    assert found.places["band"][""].left == 50
    assert found.places["stage"] == {}
    assert Level().entered == 0


def test_an_effect_has_its_largest_gain_loss_and_an_example():
    people = [
        Rescored(1, {"A": 1_000}, {"A": 1_000, "B": 500}),
        Rescored(2, {"A": 1_000}, {"A": -2_000}),
        Rescored(3, {}, {"B": 700}, is_new=True),
    ]
    found = sum_effects(people)
    assert (found.lines["B"].people, found.lines["B"].points, found.lines["B"].gain) == (2, 1_200, (700, 3))
    assert (found.lines["A"].loss, found.lines["A"].example) == ((-3_000, 2), 2)
    assert [each.person for each in found.movers] == [2, 1]  # somebody new has no difference to tell
    assert found.moved == -1_800
    assert list_differences(people[0]) == [{"rule": "B", "points": 5.0, "change": "new"}]


# Gates

BANDS, STAGES = ["cold", "mql"], ["lead", "mql"]


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("mql > 29", True),
        ("mql > 30", False),
        ("mql >= 30", True),
        ("mql>+20%", True),
        ("mql > +50%", False),
        ("mql >= +50%", True),
        ("mql > +9", True),
        ("mql < +10", False),
        ("mql < -5%", False),
        ("mql > 29.9%", True),  # of everybody
        ("cold < -5%", True),
        ("cold < -12.5%", False),
        ("stage:mql > +100%", True),  # from nobody
        ("stage:lead > +0%", False),
        ("changes > 49", True),
        ("changes > 1,000", False),
        ("changes > 25%", False),  # of the records
        ("changes >= +25%", True),
        ("owners <= 3", True),
        ("people > 12", False),
        ("paid > +7%", False),  # 100 to 107, which floating point takes for a little more
        ("paid <= +7%", True),
        ("paid > +6.9%", True),
        ("nobody > +20%", False),
        ("nobody <= 0%", True),
    ],
)
def test_a_gate_says_whether_the_plan_fails(text, met):
    standings = {
        "mql": PlanCount(20, 30, 100),
        "cold": PlanCount(80, 70, 100),
        "stage:mql": PlanCount(0, 3, 100),
        "stage:lead": PlanCount(7, 7, 100),
        "changes": PlanCount(0, 50, 200, is_change=True),
        "owners": PlanCount(0, 3, 100, is_change=True),
        "people": PlanCount(0, 12, 100, is_change=True),
        "paid": PlanCount(100, 107, 200),
        "nobody": PlanCount(0, 0, 0),
    }
    is_met, said = check_gate(parse_gate(text, [*BANDS, "paid", "nobody"], STAGES), standings)
    assert is_met is met, said
    assert said.startswith(f"--fail-if {text!r}: ")


def test_a_sentence_of_a_gate_has_the_numbers():
    _met, said = check_gate(parse_gate("mql > +20%", BANDS, STAGES), {"mql": PlanCount(20, 30, 100)})
    assert said == "--fail-if 'mql > +20%': mql would have 30 people instead of 20 (+10, +50.0%)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mql",
        "mql >",
        "mql > many",
        "mql = 3",
        "> 3",
        "mql > 3 %%",
        "hot > 3",
        "stage:hot > 1",
        "mql > 0,5%",
        "mql > 1,00",
    ],
)
def test_a_gate_that_names_nothing_says_what_there_is(text):
    with pytest.raises(ConfigError) as raised:
        parse_gate(text, BANDS, STAGES)
    assert "cold, mql, stage:lead, stage:mql, changes, owners, people" in str(raised.value)


def test_a_plan_can_be_asked_for_all_that_a_gate_may_name(state):
    report, _result, _seen = reported(state, *world(3))
    json.dumps(report)
    standings = plan_counts(report)
    assert {"cold", "warm", "mql", "stage:lead", "stage:mql", "changes", "owners", "people"} <= standings.keys()
    assert standings["stage:evangelist"] == PlanCount(0, 0, report["people"]["all"])  # the CRM's own, and nobody's
    assert standings["changes"].after == report["people"]["records"]


def test_looking_at_a_plan_changes_no_later_run(tmp_path):
    ends = []
    for number, looks in enumerate((True, False)):
        folder = tmp_path / str(number)
        folder.mkdir()
        state, crms = store(folder), world(3)
        if looks:
            reported(state, *crms)
        run_cycle(work(state, *crms), "backfill", approved=True)
        ends.append(
            [sorted((str(ref), str(each.current), each.owner) for ref, each in one.records.items()) for one in crms]
        )
        state.close()
    assert ends[0] == ends[1]
