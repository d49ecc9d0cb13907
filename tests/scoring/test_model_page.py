"""The whole model in words: it reads aloud, and no setting that can change a score is left out."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from crmsync.config import load, rules, template
from crmsync.config.conditions import DEPARTMENTS, MATCH_KEYS, SENIORITIES
from crmsync.config.countries import is_installed
from crmsync.config.model import Model
from crmsync.config.rules import RULE_KINDS, Fit
from crmsync.reporting.print_person import print_model
from crmsync.scoring import describe_model, page_of
from crmsync.scoring.engine import EVALUATIONS
from crmsync.scoring.operators import OPERATORS
from crmsync.scoring.whatif.bounds import BOUNDS
from crmsync.scoring.wording import DESCRIPTIONS
from tests.support.scoring import EXAMPLES, behavior_rule, fit_rule, model

CONTRACT = (EXAMPLES.parent / "docs" / "commands.md").read_text(encoding="utf-8")
CONFIGS = [EXAMPLES.parent / "config.example.toml", *sorted(EXAMPLES.glob("*.toml"))]


def said(of):
    return {line.name: line.says for lines in describe_model(of).values() for line in lines}


def test_rules_read_aloud():
    of = model(
        fit=[
            fit_rule(
                7.5,
                "both",
                all=[{"field": "employees", "between": [50, 12_000]}, {"not": {"field": "email", "free_mail": True}}],
            ),
            fit_rule(1, "title", field="title", seniority_at_least="c_level", department=["it", "hr", "sales"]),
        ],
        behavior=[
            behavior_rule(
                ["page_viewed", "form_submitted"],
                4,
                where={"url": {"contains": ["a", "b"]}, "seconds": {"gte": 60}},
                at_least=2,
                at_least_sum={"seconds": 120.5},
                window="30d",
                decay={"steps": {"15d": 50}},
                max_per_day=1,
                max_per_week=3,
                cap=12,
                unless={"on": "email_replied", "window": "9d"},
            ),
            behavior_rule(name="days", distinct_days=True, when={"field": "vip", "is": True}),
        ],
        inactivity=[
            {"name": "quiet", "points": -1, "after": "30d", "every": "7d", "max_times": 2, "since": "created"},
            {"name": "no mail", "points": -1, "after": "1d", "on": "email_replied"},
        ],
        sequence=[
            {
                "name": "paper, prices",
                "points": 20,
                "steps": [{"on": "content_downloaded"}, {"on": "page_viewed", "times": 2, "distinct_days": True}],
                "within": "14d",
                "window": "60d",
                "decay": {"linear": "90d"},
            }
        ],
        pattern=[
            {
                "name": "busy",
                "points": 5,
                "on": "page_viewed",
                "times": 4,
                "days": 3,
                "within": "7d",
                "covering": [{"on": "page_viewed", "where": {"url": page}} for page in ("/a", "/b")],
            }
        ],
    )
    assert said(of) | {"fit": "", "behavior": "", "total": "", "rounding": "", "machine clicks": ""} == {
        "both": "employees is from 50 to 12,000 and not (email is a free-mail address)",
        "title": "title has the seniority C-level or above and is in the department IT, HR or sales",
        "acted": "each page viewed or form submitted where url contains a or b and seconds is 60 or more, only if "
        "there are at least 2, only if their seconds add up to at least 120.5, at most 1× a day, at most 3× a week, in "
        "the last 30 days, time decay (50 % from day 15), capped at 12 points, unless email replied in the last 9 days",
        "days": "each day with page viewed; only if vip is yes",
        "quiet": "no activity for 30 days, again after every further 7 days, at most 2× in all, for people without "
        "any activity counted from the date in created",
        "no mail": "no email replied for 1 day",
        "paper, prices": "1×: content downloaded, then 2× page viewed on different days, all within 14 days, "
        "completed in the last 60 days, time decay (linear to 0 over 90 days)",
        "busy": "1×: at least 4× page viewed, on at least 3 days, within 7 days, including page viewed where url "
        "is /a and page viewed where url is /b",
        "fit": "",
        "behavior": "",
        "total": "",
        "rounding": "",
        "machine clicks": "",
    }


def test_what_holds_for_all_rules_reads_aloud():
    of = model(
        groups={"news": {"cap": 5, "floor": -5}},
        channels={"email": {"cap": 20}, "web": {}},
        score={"decimals": 1, "fit": {"cap": 60}, "total": {"floor": 0}},
        weights={"fit": 0.4},
        bands={"cold": 0, "mql": {"at": 50, "drop_below": 45, "min_fit": 10}, "sql": {"min_behavior": 30}},
        grades={"A": 40, "B": 0},
        grid={"1": 30, "2": 0},
        qualification=[{"name": "budget", "when": {"field": "vip", "is": True}}],
        segment=[
            {
                "name": "event",
                "when": {"field": "source", "in": ["Fair", "Stand"]},
                "weights": {"behavior": 0.6},
                "bands": {"cold": 0, "mql": 40, "sql": 60},
            }
        ],
        lists={"dach": ["Germany", "Austria"]},
        titles={"seniority": {"vp": ["Prokurist"]}},
        disqualify=[
            {"name": "bounced", "on": "email_bounced", "window": "90d", "when": {"field": "vip", "is": False}},
            {"name": "left", "on": "email_unsubscribed", "unless": {"on": "form_submitted", "where": {"form": "News"}}},
        ],
    )
    assert said(of) == {
        "news": "all its rules together give at most 5 and at least -5",
        "email": "all its rules together give at most 20; a separate sub-score",
        "web": "all its rules together give any number of points; a separate sub-score",
        "machine clicks": "not counted: opens and clicks within 5 seconds of sending and clicks of 3 or more "
        "different links within 3 seconds",
        "fit": "all rules of fit, at most 60",
        "behavior": "all rules of behavior",
        "total": "fit × 0.4 + behavior, at least 0",
        "rounding": "fit, behavior and total are points with one decimal; a half is rounded to the even number",
        "cold": "everybody else",
        "mql": "total of 50 or more and fit of 10 or more; dropped below 45",
        "sql": "behavior of 30 or more",
        "A": "fit of 40 or more",
        "B": "everybody else",
        "1": "behavior of 30 or more",
        "2": "everybody else",
        "budget": "vip is yes",
        "event": "source is Fair or Stand; total is fit + behavior × 0.6; mql: total of 40 or more; "
        "sql: total of 60 or more",
        "dach": "Germany, Austria",
        "VP": "titles with Prokurist",
        "bounced": "email bounced in the last 90 days; only if vip is no",
        "left": "email unsubscribed, unless later form submitted where form is News",
    }
    assert {part: [line.sort for line in lines] for part, lines in describe_model(of).items()} == {
        "rules": [],
        "limits": ["group", "channel", "channel", "machine_clicks", *["score"] * 4],
        "bands": [*["band"] * 3, *["grade"] * 2, *["grid"] * 2],
        "disqualifiers": ["disqualify"] * 2,
        "qualifications": ["qualification"],
        "segments": ["segment"],
        "words": ["list", "title"],
    }


QUESTION = {"field": "vip", "is": True}
SELECTED = {"on": "page_viewed", "where": {"url": {"contains": "x"}}}
STEPS = [{"on": "form_submitted"}, {"on": "page_viewed"}]
PARTS = {
    "segment": [{"name": "s", "when": QUESTION}],
    "groups": {"g": {}},
    "channels": {"c": {}},
    "lists": {"l": ["x"]},
}
BELONGS = {"points": 5, "name": "other", "segments": ["s"], "group": "g"}
ACTS = {**BELONGS, "channel": "c", "when": QUESTION}
DECAYS = [{"half_life": "3d"}, {"half_life": "4d"}, {"linear": "3d"}, {"steps": {"3d": 50}}, {"steps": {"3d": 40}}]

SETTINGS = [
    ("fit", {"when": QUESTION}, {**BELONGS, "when": {"field": "vip", "is": False}}),
    (
        "behavior",
        SELECTED,
        {
            **ACTS,
            "on": "form_submitted",
            "where": {"url": {"contains": "y"}},
            "window": "3d",
            "cap": 7,
            "max_times": 3,
            "max_per_day": 3,
            "max_per_week": 3,
            "max_per_month": 3,
            "distinct_days": True,
            "at_least": 3,
            "at_least_sum": {"seconds": 120},
        },
    ),
    *[("behavior", SELECTED, {"decay": each}) for each in DECAYS],
    ("behavior", {**SELECTED, "decay": {"half_life": "9d"}}, {"decay": {"half_life": "1d"}}),
    ("behavior", SELECTED, {"unless": {"on": "email_replied"}}),
    ("behavior", {**SELECTED, "unless": {"on": "email_replied"}}, {"unless": {"on": "note_logged"}}),
    ("behavior", {**SELECTED, "unless": {"on": "email_replied"}}, {"unless": {"on": "email_replied", "window": "3d"}}),
    ("behavior", {**SELECTED, "unless": {"on": "x"}}, {"unless": {"on": "x", "where": {"a": "b"}}}),
    (
        "inactivity",
        {**SELECTED, "after": "30d", "every": "9d"},
        {
            **ACTS,
            "on": "form_submitted",
            "where": {"url": {"contains": "y"}},
            "after": "3d",
            "every": "3d",
            "max_times": 3,
            "since": "created",
        },
    ),
    ("sequence", {"steps": STEPS}, {**ACTS, "steps": STEPS[:1], "within": "3d", "window": "3d", "decay": DECAYS[0]}),
    *[
        ("sequence", {"steps": STEPS}, {"steps": [STEPS[0], {**STEPS[1], **each}]})
        for each in ({"on": "x"}, {"where": {"a": "b"}}, {"times": 2}, {"distinct_days": True})
    ],
    (
        "pattern",
        {**SELECTED, "within": "9d"},
        {
            **ACTS,
            "on": "form_submitted",
            "where": {"url": {"contains": "y"}},
            "within": "3d",
            "times": 3,
            "days": 3,
            "covering": STEPS,
            "window": "3d",
            "decay": DECAYS[0],
        },
    ),
    ("disqualify", {**SELECTED, "when": QUESTION}, {"name": "other", "window": "3d", "on": "x", "where": {"a": "b"}}),
    ("disqualify", SELECTED, {"when": QUESTION, "unless": SELECTED}),
    ("qualification", {"when": QUESTION}, {"name": "other", "when": {"field": "x", "is": 1}}),
    (
        "segment",
        {"when": QUESTION},
        {
            "name": "other",
            "when": {"field": "x", "is": 1},
            "weights": {"fit": 0.5},
            "bands": {"low": 0, "high": 9},
        },
    ),
]


def changes():
    for table, least, others in SETTINGS:
        for key, value in others.items():
            yield pytest.param(table, least, {key: value}, id=f"{table}-{key}-{value}"[:60])


@pytest.mark.parametrize(("table", "least", "change"), [*changes()])
def test_every_setting_of_a_rule_is_said(table, least, change):
    points = {} if table in ("disqualify", "qualification", "segment") else {"points": 1}
    parts = {**PARTS, "bands": {"low": 0, "high": 5}}
    parts["segment"] = [*parts["segment"], *([{"name": "rule", **least}] if table == "segment" else [])]
    rule = {"name": "rule", **points, **least}

    def made(of):
        own = {"segment": [*PARTS["segment"], of]} if table == "segment" else {table: [of]}
        return Model(**{**parts, **own})

    assert describe_model(made(rule)) != describe_model(made({**rule, **change}))


def test_no_setting_of_a_rule_was_forgotten_here():
    silent = {"tier"}
    for table in ("fit", "behavior", "inactivity", "sequence", "pattern", "disqualify", "qualification", "segment"):
        (inner,) = Model.model_fields[table].annotation.__args__
        tried = {key for each, least, others in SETTINGS if each == table for key in (*least, *others)}
        assert set(inner.model_fields) - silent - tried - {"name", "points"} == set(), table


ADJUSTMENT = {"name": "a", "points": 3, "when": {"field": "title", "is": "x"}}


def changed(**tables):
    base = {"channels": {"c": {}}, "groups": {"g": {}}, "bands": {"low": 0, "high": 50}, "grades": {"A": 9, "B": 0}}
    return describe_model(Model(**{**base, "grid": {"1": 9, "2": 0}, **tables}))


@pytest.mark.parametrize(
    "tables",
    [
        *[{"score": {axis: {limit: 3}}} for axis in ("fit", "behavior", "total") for limit in ("cap", "floor")],
        *[{"score": {"decimals": each}} for each in (1, 2)],
        *[{"weights": {axis: 0.5}} for axis in ("fit", "behavior")],
        *[{name: {name[0]: {limit: 3}}} for name in ("channels", "groups") for limit in ("cap", "floor")],
        *[{"bands": {"low": 0, "high": {"at": 50, **each}}} for each in ({"drop_below": 4}, {"min_fit": 1})],
        {"bands": {"low": 0, "high": {"at": 50, "min_behavior": 1}}},
        {"bands": {"low": 0, "high": 51}},
        {"bands": {"low": 0, "top": 50}},
        {"grades": {"A": 8, "B": 0}},
        {"grid": {"1": 8, "2": 0}},
        {"lists": {"x": ["y"]}},
        {"learned": {"mode": "hybrid", "adjustment": [ADJUSTMENT]}},
        {"titles": {"seniority": {"vp": ["Prokurist"]}}},
        {"titles": {"department": {"it": ["EDV"]}}},
    ],
    ids=str,
)
def test_every_setting_of_the_model_is_said(tables):
    assert changed() != changed(**tables)


WANTED = {
    **{
        key: ["x", "y"]
        for key in ("in", "contains", "excludes", "starts_with", "ends_with", "has", "has_all", "domain")
    },
    **dict.fromkeys(("gt", "gte", "lt", "lte"), 1234.5),
    **{"is": "x", "regex": "x", "between": [1, 2], "exists": True, "missing": True, "in_list": "x", "domain_list": "x"},
    **{"before": "2026-10-01", "after": "2026-10-01", **dict.fromkeys(("within", "within_next", "older_than"), "30d")},
    **{"free_mail": False, "seniority": [*SENIORITIES], "seniority_at_least": "vp", "department": [*DEPARTMENTS]},
}


def test_no_operator_and_no_kind_of_rule_is_forgotten_anywhere():
    assert list(OPERATORS) == list(MATCH_KEYS.values())
    assert set(RULE_KINDS) == set(DESCRIPTIONS) == set(BOUNDS) == {Fit, *EVALUATIONS}
    concrete = {kind for kind in vars(rules).values() if isinstance(kind, type) and issubclass(kind, rules.Rule)}
    assert concrete - {rules.Rule, rules.ActivityRule} == set(RULE_KINDS)


def test_every_test_of_a_value_has_words_of_its_own():
    places = {"country": ["US", "Germany"], "state": ["US-CA"]}
    assert {*WANTED, *places} == set(MATCH_KEYS.values())
    lists = {"x": ["x"]}
    words = {
        key: said(model(fit=[fit_rule(1, "rule", field="f", **{key: each})], lists=lists))["rule"]
        for key, each in {**WANTED, **(places if is_installed() else {})}.items()
    }
    assert len(set(words.values())) == len(words)
    assert words["gte"] == "f is 1,234.5 or more"


def printed(document):
    file = io.StringIO()
    print_model(Console(file=file, width=120, emoji=False, markup=False, highlight=False), document)
    return file.getvalue()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_fits_on_a_page_and_names_every_part(path):
    config = load(path)
    text = printed(page_of(config))
    named = [*config.rules(), *config.disqualify, *config.qualification, *config.segment, *config.stage]
    assert [each.name for each in named if each.name not in text] == []
    assert [name for name in (*config.bands, *config.channels, *config.lists) if name not in text] == []
    assert all(member.email in text for pool in config.owner_pool for member in pool.members)
    assert [route.name for route in config.route if route.name not in text] == []
    assert len(text.splitlines()) <= 70
    assert config.model_hash() in text


def test_s4_14_learned_points_have_their_sign(tmp_path: Path):
    path = tmp_path / "crmsync.toml"
    path.write_text(
        '[fields]\ntitle = { hubspot = "jobtitle" }\n[learned]\nmode = "hybrid"\n[[learned.adjustment]]\n'
        'name = "VP"\npoints = 6\nwhen = { field = "title", is = "VP" }\n'
    )
    assert re.search(r"^ *\+6  VP +title is VP *$", printed(page_of(load(path))), re.MULTILINE)


def test_the_keys_of_the_readme_are_those_of_a_page(tmp_path: Path):
    path = tmp_path / "crmsync.toml"
    path.write_text(template.example_config(), encoding="utf-8")
    document = page_of(load(path))
    (row,) = [line for line in CONTRACT.splitlines() if line.startswith("| `explain --model` |")]
    assert set(re.findall(r"`([a-z_]+)`", row.partition(" | ")[2])) == {*document, "sort", "points", "name", "says"}
