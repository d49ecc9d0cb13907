"""`crmsync init --from-hubspot-score`, and `crmsync plan` that compares both scores person by person."""

import csv
import io

import pytest
from rich.console import Console

from connectors.sandbox.faults import Fault
from connectors.sandbox.server import serve
from crmsync.config import load
from crmsync.reporting.print_plan import print_plan
from tests.conftest import NOW
from tests.hubspot.test_lead_scores import NOT_TAKEN, any_of, event, events, group, match, rule, texts
from tests.support.commands import crmsync, settings_alone
from tests.support.hubspot import refused

HOSTILE = '"]\n[guard]\nfirst_run = 0 # \x00\u2028</script><b>'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "crmsync.toml"


@pytest.fixture
def reachable(sandbox, monkeypatch):
    """HubSpot, and nothing else in the environment."""
    with settings_alone(monkeypatch, variables(sandbox)):
        yield sandbox


def variables(sandbox):
    return {"CRMSYNC_HUBSPOT__TOKEN": "sandbox-token", "CRMSYNC_HUBSPOT__BASE_URL": sandbox.url}


def start(path, score, *words):
    return crmsync("init", "-c", path, "--from-hubspot-score", score, *words)


def put(sandbox, *groups, **score):
    return sandbox.do("hubspot", "put_lead_score", score={"name": "Ours", "groupConfigs": list(groups), **score})["id"]


def assert_sound(path):
    found = crmsync("check", "-c", path, "--json")
    assert (found.code, found.json["problems"]) == (0, [])
    return load(path)


# The file


def test_a_score_becomes_a_file_that_check_takes(reachable, path):
    ended = start(path, "60001", "--json")
    assert ended.code == 0
    about = ended.json["lead_score"]
    assert (about["name"], about["field"], about["rules"]) == ("Lead score", "contact_lead_score", 11)
    assert (about["not_imported"], about["differences"], about["has_levels"]) == ([], [], True)
    config = assert_sound(path)
    assert config.values.missing == []  # to HubSpot a title of "N/A" is a title
    assert list(config.crms) == ["hubspot"]
    assert {name: band.at for name, band in config.bands.items()} == {"Low": None, "Medium": 25, "High": 50}
    assert config.compare.score == {"hubspot": "contact_lead_score"}
    assert (config.schedule.timezone, config.groups["Role"].cap, config.score.fit.floor) == ("Europe/Berlin", 30, -50)
    assert (config.fields["title"], len(config.fields)) == ({"hubspot": "jobtitle"}, 3)
    assert [each.band for each in config.stage if each.name == "mql"] == ["High"]
    assert config.route[0].when.is_ == "High"


def test_a_score_may_be_named_and_without_levels_has_quarters(reachable, path):
    ended = start(path, "Ideal customer")
    assert ended.code == 0
    assert "No levels of the score can be used: the bands are quarters" in ended.out
    config = assert_sound(path)
    # 65 points are the most that its rules give.
    assert [band.at for band in config.bands.values()] == [None, 16.25, 32.5, 48.75]


def test_salesforce_comes_along_where_the_options_say_so(reachable, path):
    assert start(path, "60001", "--instance-url", "https://acme.my.salesforce.com").code == 0
    config = assert_sound(path)
    assert list(config.crms) == ["hubspot", "salesforce"]
    assert config.fields["title"] == {"hubspot": "jobtitle", "salesforce": "Title"}


def test_that_salesforce_is_left_out_is_said_where_its_secrets_are_there(reachable, path, monkeypatch):
    assert "Salesforce" not in start(path, "60001").out
    path.unlink()
    monkeypatch.setenv("CRMSYNC_SALESFORCE__CLIENT_ID", "sandbox")
    left_out = (
        "  Salesforce is not in this file; for both CRMs, remove the file and add --instance-url to the command.\n"
    )
    assert left_out in start(path, "60001").out


@pytest.mark.parametrize("wanted", ["Nobody's", "60009", ""])
def test_an_unknown_score_is_answered_with_those_there_are(reachable, path, wanted):
    ended = start(path, wanted, "--json")
    assert (ended.code, list(path.parent.iterdir())) == (2, [])
    assert ended.json["problems"][1:] == [
        "  60001   Lead score (scores contacts)",
        "  60002   Ideal customer (scores contacts)",
    ]


def test_two_scores_of_one_name_are_told_apart_by_their_ids(reachable, path):
    number = put(reachable, name="Lead score")
    ended = start(path, "Lead score")
    assert (ended.code, path.exists()) == (2, False)
    assert f"  {number}   Lead score (scores contacts)" in ended.err


def test_a_score_of_companies_is_refused_with_the_others(reachable, path):
    ended = start(path, put(reachable, name="Accounts", objectTypeId="0-2"))
    assert (ended.code, list(path.parent.iterdir())) == (2, [])
    assert "'Accounts' scores companies, and crmsync scores people; give" in ended.err
    assert "  60001   Lead score (scores contacts)" in ended.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model", "full"), "remove --model full"),
        (("--only", "salesforce"), "reads a score of HubSpot; remove --only salesforce"),
    ],
)
def test_options_that_do_not_go_together_are_refused(reachable, path, words, sentence):
    ended = start(path, "60001", *words)
    assert (ended.code, list(path.parent.iterdir())) == (2, [])
    assert sentence in ended.err


def test_without_a_token_nothing_is_written(monkeypatch, path):
    with settings_alone(monkeypatch, {}):
        ended = start(path, "60001")
    assert (ended.code, list(path.parent.iterdir())) == (1, [])
    assert "--from-hubspot-score needs a connection to HubSpot" in ended.err
    assert "CRMSYNC_HUBSPOT__TOKEN is not set" in ended.err


@pytest.mark.parametrize("status", [401, 403])
def test_where_hubspot_refuses_nothing_is_written(reachable, path, status):
    reachable.faults.add(Fault(**refused(status, message="no"), path="/marketing/lead-scoring/"))
    ended = start(path, "60001")
    assert (ended.code, list(path.parent.iterdir())) == (1, [])
    assert "nothing was written" in ended.err


def test_a_missing_scope_is_named(reachable, path):
    reachable.do("hubspot", "set", scopes=["crm.objects.contacts.read"])
    ended = start(path, "60001")
    assert (ended.code, path.exists()) == (1, False)
    assert "add the scope mh-lead-scoring-view" in ended.err


def test_what_is_not_taken_over_stands_in_the_file_as_a_comment_and_on_the_screen(reachable, path):
    rest = [asked for what, (asked, _reason) in NOT_TAKEN.items()]
    number = put(reachable, group(match("jobtitle", (texts("CONTAINS", "vp"), 5))), *rest)
    ended = start(path, number, "--json")
    assert ended.code == 0
    config = assert_sound(path)
    assert len(config.rules()) == ended.json["lead_score"]["rules"] == 1
    text = path.read_text()
    assert len(ended.json["lead_score"]["not_imported"]) >= len(NOT_TAKEN)
    for each in ended.json["lead_score"]["not_imported"]:
        assert f"{each['reason'].rstrip('.')}. What to do: " in text
        assert each["remedy"]


def test_a_rule_that_comes_near_works_without_the_marks(reachable, path):
    kept = match("jobtitle", (texts("CONTAINS", "vp"), 5))
    number = put(
        reachable,
        group(kept, name="Kept"),
        group(match("country", (texts("IS_EQUAL_TO", "Spain"), 7)), category="INTENT", name="Near", maxValue=9),
    )
    assert start(path, number).code == 0
    lines = path.read_text().splitlines()
    at = lines.index("# [[fit]]")
    path.write_text(
        "\n".join(line.removeprefix("# ") if at <= place < at + 4 else line for place, line in enumerate(lines))
    )
    config = assert_sound(path)
    assert [(each.points, each.when.field) for each in config.fit] == [(5, "title"), (7, "country")]


def test_a_level_that_nobody_reaches_any_more_is_a_comment(reachable, path):
    levels = [{"label": name, "threshold": at} for name, at in (("Low", 0), ("Medium", 5), ("High", 80))]
    output = {"id": "1", "outputType": "THRESHOLD", "propertyName": "p", "propertyLabel": "P", "boundaries": levels}
    number = put(
        reachable,
        group(match("jobtitle", (texts("CONTAINS", "vp"), 20))),
        outputConfiguration={"outputs": [output | {"categories": ["FIT", "INTENT"]}]},
    )
    assert start(path, number).code == 0
    assert list(assert_sound(path).bands) == ["Low", "Medium"]
    assert "# High = { at = 80 }   # the rules here give at most 20 points" in path.read_text()


def test_where_nothing_can_be_taken_over_nothing_is_written(reachable, path):
    number = put(reachable, NOT_TAKEN["a list"][0])
    ended = start(path, number)
    assert (ended.code, list(path.parent.iterdir())) == (2, [])
    assert "no rule of the lead score 'Ours' that gives points can be taken over" in ended.err
    assert "on a list (a segment)" in ended.err


def test_what_a_portal_calls_things_cannot_break_the_file(reachable, path):
    levels = [{"label": f"{name}{HOSTILE}", "threshold": at} for name, at in (("low", 0), ("high", 5))]
    outputs = [
        {"id": "1", "outputType": "THRESHOLD", "propertyName": "p1", "propertyLabel": "P", "boundaries": levels},
        {"id": "2", "outputType": "SCORE", "propertyName": "p2", "propertyLabel": HOSTILE},
    ]
    number = put(
        reachable,
        group(match("jobtitle", (texts("CONTAINS", HOSTILE), 20)), name=HOSTILE, maxValue=15),
        group(events(event(HOSTILE)), category="INTENT", name=HOSTILE),
        group(rule(match("jobtitle", (any_of(HOSTILE), 3))) | {"enabled": False}, name=f'{HOSTILE}"""'),
        name=HOSTILE,
        outputConfiguration={"outputs": [each | {"categories": ["FIT", "INTENT"]} for each in outputs]},
    )
    ended = start(path, number)
    assert ended.code == 0
    config = assert_sound(path)
    assert (config.guard.first_run, len(config.rules()), len(config.bands)) == (1000, 1, 2)
    assert config.fit[0].when.contains == [HOSTILE.replace("\x00", "")]
    assert "\x00" not in path.read_text()


# Both scores, person by person


@pytest.fixture(scope="module")
def portal():
    with serve(people=60, seed=1, now=NOW) as made:
        yield made


@pytest.fixture(scope="module", params=["60001", "60002"])
def adopted(request, portal, tmp_path_factory):
    """A config like one of the portal's scores."""
    with pytest.MonkeyPatch.context() as patch, settings_alone(patch, variables(portal)):
        path = tmp_path_factory.mktemp("adopted") / "crmsync.toml"
        assert start(path, request.param).code == 0
        assert crmsync("setup", "-c", path).code == 0
        yield path


def test_where_all_is_taken_over_everybody_has_the_same_score(portal, adopted):
    calls = len(portal.calls.of("hubspot"))
    found = crmsync("plan", "-c", adopted, "--json").json["changes"]["report"]["comparison"]
    compared = len(portal.portal.state.contacts.live)
    assert found == {
        "compared": compared,
        "agree": compared,
        "without": 0,
        "step": 1,
        "bars": [],
        "largest": [],
        "moves": [],
    }
    asked = [each.path for each in portal.calls.of("hubspot")[calls:]]
    assert compared > 40
    assert not any("lead-scoring" in each for each in asked)


ONE = pytest.mark.parametrize("adopted", ["60001"], indirect=True)
"""One of the two scores is enough to see how a difference is told."""


@pytest.fixture(scope="module")
def differing(adopted):
    """The same with one rule that gives more."""
    text = adopted.read_text()
    at = text.index("points = ")
    edited = adopted.with_name("edited.toml")
    text = text[:at] + "points = 60\n# " + text[at:]
    edited.write_text(text.replace("cap = 30, floor", "cap = 90, floor"))
    return edited


@pytest.fixture(scope="module")
def planned(differing):
    """What a plan by it says, and the files that it writes."""
    page, rows = differing.with_name("plan.html"), differing.with_name("plan.csv")
    ended = crmsync("plan", "-c", differing, "--json", "--html", page, "--csv", rows)
    assert ended.code == 0
    return ended.json, page.read_text(), rows.read_text()


@ONE
def test_the_comparison_names_who_differs_with_both_scores_and_the_lines(planned):
    found = planned[0]["changes"]["report"]["comparison"]
    apart = found["compared"] - found["agree"]
    assert apart == sum(each["people"] for each in found["bars"]) > 0
    assert len(found["largest"]) == min(apart, 20)
    for each in found["largest"]:
        assert each["ours"] == sum(line["points"] for line in each["lines"]) != each["theirs"]
    gaps = [abs(each["ours"] - each["theirs"]) for each in found["largest"]]
    assert gaps == sorted(gaps, reverse=True)
    moved = [one for each in found["moves"] for one in each["who"]]
    assert moved
    assert all(one["bands"]["theirs"] != one["bands"]["ours"] for one in moved)


@ONE
def test_the_same_as_a_page_and_as_rows(planned):
    document, html, rows = planned
    assert 'id="comparison"' in html
    assert "Farthest apart" in html
    report = document["changes"]["report"]["comparison"]
    written = [each for each in csv.DictReader(io.StringIO(rows)) if each["field"] == "[compare] score"]
    assert len(written) == report["compared"] - report["agree"]
    assert all(each["why"].startswith("compared, not changed: ") for each in written)


@ONE
def test_the_same_in_words_of_eighty_columns(planned):
    document = planned[0]
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None, emoji=False, markup=False)
    print_plan(console, document["changes"]["report"], document, "crmsync show 20261121-090010-6cc0")
    words = file.getvalue()
    assert max(map(len, words.splitlines())) <= 80
    for said in ("people agree but for rounding", "Another band: ", "Farthest apart, with the lines of our score:"):
        assert said in words


def test_a_score_that_the_portal_does_not_have_stops_nothing_and_is_named(reachable, path):
    assert start(path, "60002").code == 0
    path.write_text(path.read_text().replace("ideal_customer_fit", "gone_score"))
    found = crmsync("check", "-c", path, "--online", "--json")
    assert any(each.startswith("[compare] score: ") for each in found.json["crms"]["hubspot"]["problems"])
    crmsync("setup", "-c", path)
    planned = crmsync("plan", "-c", path, "--json").json["changes"]["report"]["comparison"]
    assert (planned["compared"], planned["without"]) == (0, len(reachable.portal.state.contacts.live))


def test_a_mapping_of_an_unknown_crm_is_an_error(reachable, path):
    assert start(path, "60002").code == 0
    path.write_text(path.read_text().replace("score = { hubspot =", "score = { pipedrive =", 2))
    found = crmsync("check", "-c", path, "--json")
    assert found.code == 2
    assert any("[compare] score: there is no CRM 'pipedrive'" in each for each in found.json["problems"])
