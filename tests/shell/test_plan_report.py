"""A plan as an admin reads it: in words, as JSON, CSV and HTML, and as a condition that a pipeline fails on."""

import csv
import io
import re
import stat
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console

from connectors.sandbox.server import serve
from crmsync.bootstrap import existing_state
from crmsync.config import load
from crmsync.reporting.charts import compare_bars
from crmsync.reporting.plan_html import name_bars, render_plan
from crmsync.reporting.print_plan import describe_lines, draw_bar, print_plan
from crmsync.store import journal, run_journal
from tests.conftest import NOW
from tests.support.commands import crmsync, settings_alone
from tests.support.demo import SECRETS, write_config
from tests.support.html_page import Page, find_calls

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    with settings_alone(monkeypatch, SECRETS):
        yield


def ready(folder, sandbox):
    """A config after its first run."""
    path = write_config(folder, sandbox.url)
    ended = crmsync("setup", "-c", path)
    assert ended.code == 0, ended.out + ended.err
    assert crmsync("backfill", "-c", path, "--yes").code == 0
    return path


def edit(path):
    """The same as another file, by which more people are mql, and with one more rule."""
    text = re.sub(r"^mql = .*$", "mql = 30", path.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^hot = .*$", "hot = 28", text, flags=re.MULTILINE)
    assert text.count("mql = 30") == 1
    rule = '\n[[fit]]\nname = "Any title"\npoints = 7\nwhen = { field = "title", exists = true }\n'
    edited = path.with_name("edited.toml")
    edited.write_text(text + rule)
    return edited


@pytest.fixture(scope="module")
def sandbox():
    with serve(people=30, seed=1, now=NOW) as made:
        yield made


@pytest.fixture(scope="module")
def done(sandbox, tmp_path_factory):
    """A config after its first run, for plans: they change nothing."""
    with pytest.MonkeyPatch.context() as patch, settings_alone(patch, SECRETS):
        return ready(tmp_path_factory.mktemp("done"), sandbox)


@pytest.fixture(scope="module")
def edited(done):
    return edit(done)


# The plan in words and as JSON


def test_a_plan_after_an_edit_names_what_changed_who_moves_and_why(edited):
    ended = crmsync("plan", "-c", edited)
    assert ended.code == 0
    words = " ".join(ended.out.split())
    assert "What changed in the config since the last run" in words
    assert "added: [[fit]] Any title: points: 7" in words
    assert "changed: [bands]: mql.at: 80 → 30" in words
    assert "Effect of each changed rule since the last run" in words
    assert re.search(r"Any title \(added\): \d+ people, \+\d+ points, largest gain \+7; for example \S+", words)
    assert "new: Any title +7" in words
    assert re.search(r"mql: \d+ → \d+ people \(\+\d+\) \+ \S+@\S+: from (cold|hot|warm), score", words)
    assert "hubspot, first scores: 0 of at most 1,000; 1,000 more are allowed" in words
    assert re.search(r"Writing takes about hubspot \d calls?, salesforce \d calls?: an estimate", words)
    assert re.search(r"To see all of them:\n  crmsync show \S+ --config \S+\n", ended.out)


def test_the_report_in_json_sums_to_the_population_and_to_the_counts(edited):
    document = crmsync("plan", "-c", edited, "--json").json
    report = document["changes"]["report"]
    assert (
        sum(each["after"] for each in report["bands"]) == sum(document["bands"].values()) == report["people"]["scored"]
    )
    assert sum(each["before"] for each in report["bands"]) == report["people"]["scored"]
    assert report["people"]["records"] == sum(each["planned"] for each in document["crms"].values())
    assert {each["edit"] for each in report["effects"]} >= {"added"}
    assert "gates" not in document


def test_a_plan_that_changes_nothing_says_so_and_no_more(done):
    ended = crmsync("plan", "-c", done)
    assert "There is nothing to write" in ended.out
    assert "People by band: in the CRMs" not in ended.out


def test_the_words_of_a_plan_fit_into_eighty_columns(edited):
    document = crmsync("plan", "-c", edited, "--json").json
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None, emoji=False, markup=False)
    print_plan(console, document["changes"]["report"], document, "crmsync show 20261121-090010-6cc0")
    assert max(map(len, file.getvalue().splitlines())) <= 80


@pytest.mark.parametrize(("number", "drawn"), [(0, ""), (1, "█"), (500, "█" * 12), (1_000, "█" * 24)])
def test_whatever_is_not_nothing_has_a_bar(number, drawn):
    assert draw_bar(number, 1_000) == drawn


def test_a_difference_is_told_line_by_line():
    lines = [
        {"rule": "Weight of fit", "points": -25, "change": "other"},
        {"rule": "Came by referral", "points": 10, "change": "new"},
    ]
    assert describe_lines(lines) == "Weight of fit -25; new: Came by referral +10"


# The plan that a run held


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A config with fewer points for a band, and what a run by it said of the plan that it held."""
    folder = tmp_path_factory.mktemp("held")
    with (
        serve(people=30, seed=1, now=NOW) as sandbox,
        pytest.MonkeyPatch.context() as patch,
        settings_alone(patch, SECRETS),
    ):
        path = ready(folder, sandbox)
        text = path.read_text().replace("from_records = 20", "from_records = 5")
        path.write_text(text.replace("cold = 0\nwarm = 25", "cold = 0\nwarm = 1"))
        plan = crmsync("plan", "-c", path, "--json").json
        ended = crmsync("sync", "-c", path)
        assert ended.code == 3
        yield path, plan, ended.out


def test_a_run_that_holds_a_plan_shows_it_as_plan_does_with_the_next_command(held):
    path, plan, out = held
    words = " ".join(out.split())
    assert "What changed in the config since the last run changed: [bands]: warm.at: 25 → 1" in words
    people = plan["changes"]["report"]["people"]
    share = f"Changes {people['changed']} of {people['all']} people, {people['records']} records."
    assert re.search(rf"{share} To see all of them: crmsync show \S+ --config", words)
    assert "People by band: in the CRMs now, and after this plan" in words
    (warm,) = (each for each in plan["changes"]["report"]["bands"] if each["name"] == "warm")
    assert f"warm: {warm['before']} → {warm['after']} people (+{warm['entered']}) + " in words
    assert "records by band" not in words
    assert re.search(rf"To approve: crmsync apply \S+ --config {path}$", words)


def test_the_report_of_a_plan_that_waits_counts_as_that_of_the_plan(held):
    path, plan, _out = held
    ended = crmsync("apply", "-c", path, "--json")
    assert ended.code == 3
    made, kept = plan["changes"]["report"], ended.json["held"]["changes"]["report"]
    assert {*kept} == {"edits", "people", "accepted", "bands", "stages", "owners"}
    for name in ("edits", "people", "accepted", "stages", "owners"):
        assert kept[name] == made[name], name
    assert [(each["name"], each["before"], each["after"]) for each in kept["bands"]] == [
        (each["name"], each["before"], each["after"]) for each in made["bands"]
    ]
    asked = crmsync("apply", "-c", path)
    assert "People by band: in the CRMs now, and after this plan" in asked.out
    assert "Nothing was written. To approve this plan:" in asked.out


def test_the_words_of_a_plan_that_waits_fit_into_eighty_columns(held):
    waiting = crmsync("apply", "-c", held[0], "--json").json["held"]
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None, emoji=False, markup=False)
    waiting["changes"]["records"]["hubspot"] += 2  # new in HubSpot, and seen by the plan alone
    print_plan(console, waiting["changes"]["report"], waiting, "crmsync show 20261121-090010-6cc0")
    assert max(map(len, file.getvalue().splitlines())) <= 80
    assert "And 2 records new in the CRMs, which no run has stored yet." in file.getvalue()


# Gates


def test_a_plan_that_meets_a_condition_exits_with_one_and_is_stored(edited):
    ended = crmsync("plan", "-c", edited, "--fail-if", "mql > +0", "--fail-if", "changes > 100,000")
    assert ended.code == 1
    assert re.fullmatch(r"--fail-if 'mql > \+0': mql would have \d+ people instead of \d+ \(\+.*\)", ended.err.strip())
    run = re.search(r"crmsync apply (\S+)", ended.out)[1]
    with existing_state(load(edited)) as store, store.read() as reading:
        assert run_journal.find_run(reading, run).verdict == run_journal.PREVIEW
        assert any(True for _row in journal.rows_of(reading, run))


def test_conditions_in_json_stand_with_their_numbers(edited):
    ended = crmsync("plan", "-c", edited, "--json", "--fail-if", "stage:mql >= +1", "--fail-if", "people > 99%")
    assert ended.code == 1
    assert [(each["gate"], each["failed"]) for each in ended.json["gates"]] == [
        ("stage:mql >= +1", True), ("people > 99%", False),
    ]  # fmt: skip
    assert ended.json["gates"][0]["said"] in ended.json["problems"]
    assert ended.json["verdict"] == "preview"


def test_a_plan_that_meets_no_condition_succeeds(done):
    assert crmsync("plan", "-c", done, "--fail-if", "mql > +20%", "--fail-if", "changes > 0").code == 0


@pytest.mark.parametrize("gate", ["huge > 3", "mql", "stage:huge > 1"])
def test_a_condition_about_nothing_is_a_mistake_before_anything_is_asked(done, sandbox, gate):
    sandbox.calls.clear()
    ended = crmsync("plan", "-c", done, "--fail-if", gate)
    assert ended.code == 2
    assert "the names are cold, warm, hot, mql, stage:" in " ".join(ended.err.split())
    assert sandbox.calls.of("hubspot") == []


# CSV


def test_the_csv_has_every_changed_field_and_is_for_its_owner_alone(edited, tmp_path):
    target = tmp_path / "plan.csv"
    document = crmsync("plan", "-c", edited, "--csv", target, "--json").json
    rows = list(csv.DictReader(io.StringIO(target.read_bytes().decode(), newline="")))
    assert len({row["record"] for row in rows}) == sum(each["planned"] for each in document["crms"].values()) > 0
    owners = {row["after"] for row in rows if row["field"] == "owner"}
    assert all("@" in each for each in owners)
    entering = {each["person"] for each in document["changes"]["report"]["bands"][-1]["who_enters"]}
    assert entering
    assert entering == {int(row["person"]) for row in rows if (row["field"], row["after"]) == ("band", "mql")}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_a_plan_protects_is_in_its_files_by_name(tmp_path):
    with serve(people=30, seed=1, now=NOW) as sandbox:
        path = ready(tmp_path, sandbox)
        contacts = sandbox.snapshot("hubspot")["contacts"]
        (record,) = (
            number for number, each in contacts.items()
            if each.get("crmsync_band") == "mql" and each["lifecyclestage"] == "marketingqualifiedlead"
        )  # fmt: skip
        sandbox.clock.advance(60)
        for stage in ("", "lead"):  # HubSpot moves a stage back only once it is empty
            sandbox.do("hubspot", "update", type="contacts", id=record, properties={"lifecyclestage": stage})
        words = ("plan", "-c", edit(path), "--csv", tmp_path / "plan.csv", "--html", tmp_path / "plan.html")
        assert crmsync(*words).code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "plan.csv").read_bytes().decode(), newline="")))
    (row,) = [row for row in rows if row["why"].startswith("protected: ")]
    assert (row["record"], row["field"], row["before"], row["after"]) == (
        f"hubspot:contact:{record}", "stage", "lead", "lead",
    )  # fmt: skip
    assert row["email"] == contacts[record]["email"]
    assert row["why"] == "protected: stage changed by a user, until 2026-12-05; not changed to mql"
    page = Page((tmp_path / "plan.html").read_text(encoding="utf-8"))
    assert row["why"] in page.words.partition("8. Safety")[2]


def test_a_csv_to_standard_output_has_nothing_beside_it(edited):
    ended = crmsync("plan", "-c", edited, "--csv", "-")
    assert ended.code == 0
    assert ended.out.startswith("person,name,email,crm,record,field,before,after,why\n")
    assert len({len(row) for row in csv.reader(io.StringIO(ended.out, newline=""))}) == 1


@pytest.mark.parametrize("words", [("--json", "--csv", "-"), ("--csv", "-", "--html", "-"), ("--json", "--html", "-")])
def test_only_one_thing_goes_to_standard_output(done, words):
    ended = crmsync("plan", "-c", done, *words)
    assert ended.code == 2
    assert "standard output" in " ".join(ended.err.split())


def test_a_file_that_cannot_be_is_told_before_the_crms_are_asked(done, sandbox, tmp_path):
    sandbox.calls.clear()
    for target, why in ((tmp_path, "it is a folder"), (tmp_path / "no" / "plan.html", "there is no folder")):
        ended = crmsync("plan", "-c", done, "--html", target)
        assert ended.code == 2
        assert why in " ".join(ended.err.split())
    assert sandbox.calls.of("hubspot") == []


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--csv"), ("plan", "--html"), ("people", "--excluded", "--csv"),
        ("status", "--refused", "--csv"), ("backup", "--yes"),
    ],
)  # fmt: skip
def test_no_result_replaces_the_config_or_the_state(done, words):
    state = load(done).state.url.removeprefix("sqlite:///")
    for target in (done, Path(state), Path(f"{state}.lock")):
        before = target.read_bytes()
        ended = crmsync(words[0], "-c", done, *words[1:], target)
        assert (ended.code, "the config or the state" in " ".join(ended.err.split())) == (2, True)
        assert target.read_bytes() == before


def test_two_results_need_two_files(done, tmp_path):
    ended = crmsync("plan", "-c", done, "--csv", tmp_path / "one", "--html", tmp_path / "." / "one")
    assert (ended.code, ended.err.strip()) == (2, "--csv and --html name the same file; name two")


def test_a_file_that_others_can_read_is_tightened_when_it_is_replaced(done, tmp_path):
    target = tmp_path / "people.csv"
    target.write_text("before")
    target.chmod(0o644)
    assert crmsync("people", "-c", done, "--excluded", "--csv", target).code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


# HTML


@pytest.fixture
def page(tmp_path):
    """The report of a plan with somebody in it whose name is markup, as text and parsed."""
    with serve(people=30, seed=1, now=NOW) as sandbox:
        return hostile_page(sandbox, tmp_path)


def hostile_page(sandbox, folder):
    path = ready(folder, sandbox)
    sandbox.clock.advance(60)
    properties = {"email": "zoe@kestrel.example", "lastname": HOSTILE, "jobtitle": f'VP "{HOSTILE}"'}
    sandbox.do("hubspot", "create", properties=properties)
    sandbox.do("hubspot", "create", properties={"lastname": HOSTILE, "jobtitle": "VP Sales"})
    target = folder / "plan.html"
    ended = crmsync("plan", "-c", edit(path), "--html", target, "--fail-if", "mql > +0")
    assert ended.code == 1
    assert f"Written: {target}" in ended.err
    text = target.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_is_one_file_that_asks_for_nothing_and_runs_nothing(page):
    text, read = page
    assert text.startswith("<!doctype html>")
    assert find_calls(text, read) == []


def test_names_of_people_are_text_and_no_markup(page):
    text, read = page
    assert HOSTILE not in text
    assert HOSTILE in read.words


def test_the_page_has_the_eight_parts_with_people_and_numbers(page):
    _text, read = page
    words = " ".join(read.words.split())
    parts = [
        "What changed in the file", "Who enters and who leaves each band", "Stages and owners",
        "Bands before and after",
        "Distribution of scores", "Effect of each changed rule", "Everything", "Safety",
    ]  # fmt: skip
    places = [words.index(f"{number}. {part}") for number, part in enumerate(parts, 1)]
    assert places == sorted(places)
    assert "mql.at: 80 → 30" in words
    assert "Any title added" in words
    assert "--fail-if 'mql > +0'" in words
    assert re.search(r"@\S+\.example", words)
    assert "Limits of [guard], in records" in words
    assert "crmsync plan --csv plan.csv" in words
    ids = [value for _tag, name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value.removeprefix("#") for _tag, name, value in read.attributes if name == "href"} <= set(ids)
    assert read.tags.count("svg") == 2
    assert [value for tag, name, value in read.attributes if (tag, name) == ("svg", "role")] == ["img", "img"]
    assert ("html", "lang", "en") in read.attributes


def test_a_chart_holds_both_series_without_a_script_and_twice_the_same():
    drawn = compare_bars("bands", 'Bands "now" & then', ["cold<", "mql"], [1_200, 3], [900, 30])
    assert drawn == compare_bars("bands", 'Bands "now" & then', ["cold<", "mql"], [1_200, 3], [900, 30])
    assert 'aria-label="Bands &quot;now&quot; &amp; then"' in drawn
    read = Page(drawn)
    assert "script" not in read.tags
    assert "cold<" in read.words
    assert "1,200" in read.words
    assert "var(--after)" in drawn


def test_a_distribution_names_where_each_band_begins_and_leaves_room():
    bars = [{"from": start, "before": 0, "after": 1} for start in range(-20, 100, 5)]
    thresholds = [{"band": "warm", "at": 25}, {"band": "mql", "at": 82.5}]
    names = name_bars({"step": 5, "bars": bars, "thresholds": thresholds})
    assert len(names) == len(bars)
    assert names[9] == "25 ▸warm"
    assert names[20] == "80 ▸mql"
    assert names[7:9] == names[10:12] == ["", ""]
    assert names[0] == "-20"


def test_a_page_of_ten_thousand_changes_takes_a_moment(edited):
    document = crmsync("plan", "-c", edited, "--json").json
    row = {
        "person": 1,
        "name": HOSTILE,
        "email": "zoe@kestrel.example",
        "crm": "hubspot",
        "record": "hubspot:contact:1",
    }
    rows = [{**row, "field": "score", "before": None, "after": number, "why": "because"} for number in range(10_000)]
    text = render_plan(document, load(edited), rows, 12_345, str)
    assert text.count("hubspot:contact:1<") == 10_000
    assert "The first 10,000 changed fields of 12,345" in text


def test_whoever_draws_leaves_imports_as_they_were():
    compare_bars("bands", "Bands", ["cold"], [1], [2])
    assert not [each for each in sys.meta_path if type(each).__module__.startswith("pygal")]
    assert version("hubspot-api-client")


def test_a_chart_of_nothing_is_drawn():
    assert Page(compare_bars("scores", "Scores", [], [], [])).tags[0] == "svg"


def test_other_commands_do_not_load_what_draws():
    said = (
        "from crmsync.cli import commands; import sys; loaded = commands.LoadedCommands();"
        "[loaded[each] for each in loaded]; print([each for each in ('pygal', 'jinja2') if each in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
