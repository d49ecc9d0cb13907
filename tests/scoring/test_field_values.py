"""Values as CRMs and people write them: numbers and yes or no as text, what stands for nothing, addresses, dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from crmsync.scoring import columns_of, score
from crmsync.scoring.decay import only_falls
from crmsync.scoring.spellings import read_host
from tests.support.scoring import NOW, did, fit_rule, foreseen, model, one, person, total

BANDS = {"cold": 0, "mql": 50}


def asked(value, tables=None, **question):
    """What a rule of 10 points says of one value: 10, 0, or "unknown" where it waits for a readable one."""
    of = model(fit=[fit_rule(10, "rule", field="it", **question)], **tables or {})
    got = one(of, it=value)
    unknown = got["gaps"] and "rule" in got["gaps"][0]
    assert not (unknown and got["total"])
    return "unknown" if unknown else got["total"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("500", 500), (" 500 ", 500), ("1200000", 1_200_000), ("1,200,000", 1_200_000), ("$1,200,000", 1_200_000)),
        *(("€ 2 000 000", 2_000_000), ("1'200'000 CHF", 1_200_000), ("-12.5", -12.5), ("−12.5", -12.5)),
        *(("1,200.50 USD", 1200.5), ("12,00,000", 1_200_000), ("\u00a3\u00a05", 5), ("\uff15\uff10\uff10", 500)),
        *(
            ("1.2M", None),
            ("50-200", None),
            ("500+", None),
            ("~500", None),
            ("1,5", None),
            ("1.200.000", None),
            ("1.200", None),
            ("$1.200", None),
        ),
        *(("0.125", 0.125), ("1200.125", 1200.125), ("1.25", 1.25)),
        *(("", None), ("five", None), ("1e6", None), ("1_000", None), ("nan", None), ("inf", None), ("--5", None)),
    ],
)
def test_v3_v5_a_number_kept_as_text_is_a_number(text, number):
    expected = "unknown" if number is None else 10
    assert asked(text, between=[number or 0, number or 0]) == expected
    assert asked(text, gte=-1e9) == expected
    assert asked(text, **{"is": number or 0}) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1.200.000", 1_200_000), ("1.200.000 €", 1_200_000), ("1.234,5", 1234.5), ("1,5", 1.5), ("1.5", 1.5)),
        *(("1.500", 1500), ("1,234,567", None), ("500", 500)),
    ],
)
def test_v5_a_comma_for_decimals_is_a_key_of_the_config(text, number):
    tables = {"values": {"decimal_mark": ","}}
    assert asked(text, tables, **{"is": number or 0}) == ("unknown" if number is None else 10)


def test_v3_what_is_no_number_is_unknown_to_points_range_gaps_and_warnings():
    of = model(
        fit=[fit_rule(10, "size", field="employees", gte=200), fit_rule(20, "vp", field="title", contains="vp")],
        bands=BANDS,
    )
    got = foreseen(of, employees="50-200", title="VP")
    assert got["total"] == 20
    assert got["gaps"] == ["employees has a value that its rules cannot use: size"]
    assert got["warnings"] == ["employees: its rules cannot use the value, so it counts as unknown"]
    assert (got["range"]["lowest"], got["range"]["highest"]) == (20, 30)
    scores = score(of, columns_of([person(employees="50-200", title="VP")]), NOW, UTC)
    assert scores.warnings == ("employees: 1 person has a value that cannot be read by 'gte'; it counts as unknown",)
    known = foreseen(of, employees="500", title="VP")
    assert (known["total"], known["range"]["lowest"]) == (30, 30)
    assert known["gaps"] == known["warnings"] == []


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((each, True) for each in (True, "true", "TRUE", "Yes", "y", "1", 1, 1.0, "ja", "Oui", "sí", "on", "✓")),
        *((each, False) for each in (False, "false", "No", "n", "0", 0, "nein", "Non", "off", "nej")),
        *((each, None) for each in ("perhaps", 7, "2", "N/A", None, "", ("a", "b"))),
    ],
)
def test_v4_yes_and_no_in_every_spelling(value, flag):
    assert asked(value, **{"is": True}) == {True: 10, False: 0, None: "unknown"}[flag]
    assert asked(value, **{"is": False}) == {True: 0, False: 10, None: "unknown"}[flag]


def test_v4_words_of_ones_own_for_yes_and_no():
    tables = {"values": {"yes": ["Affirmative"], "no": ["Negative"]}}
    assert [asked(each, tables, **{"is": True}) for each in ("affirmative", "Negative", "y")] == [10, 0, 10]


def test_v4_a_typed_value_is_held_against_words_for_it():
    assert asked(True, **{"is": "Yes"}) == asked(False, **{"in": ["no", "x"]}) == asked(500, **{"is": "500"}) == 10
    assert asked(True, **{"is": "No"}) == asked(500, **{"in": ["5", "6"]}) == 0
    assert asked(500, **{"is": "many"}) == "unknown"


@pytest.mark.parametrize(
    "value",
    [
        "N/A",
        "n/a",
        "NA",
        "-",
        "–",
        "none",
        "None",
        "null",
        "unknown",
        "[not provided]",
        "http://",
        " n/a ",
        "",
        "\u200b",
        "\ufeff",
        "?",
        "...",
        "Desconocido",
        "\u200bN/A",
    ],
)
def test_v7_what_stands_for_nothing_is_missing(value):
    of = model(
        fit=[fit_rule(10, "there", field="website", exists=True), fit_rule(-5, "none", field="website", missing=True)]
    )
    assert one(of, website=value)["total"] == -5
    assert asked(value, contains="n") == "unknown"
    assert asked((value, "Kafka"), has="kafka") == 10
    assert asked((value,), exists=True) == 0


def test_v7_the_words_for_nothing_are_the_admins():
    there = {"exists": True}
    assert asked("N/A", {"values": {"missing": []}}, **there) == 10
    assert asked("TBA", {"values": {"missing": ["tba"]}}, **there) == 0
    assert asked("N/A", {"values": {"missing": ["tba"]}}, **there) == 10


def test_v7_a_rule_that_asks_for_such_a_word_gets_it():
    """`NA` is Namibia where a rule asks for it, and nothing for everybody else."""
    of = model(
        fit=[
            fit_rule(10, "Namibia", field="country", **{"in": ["NA", "ZA"]}),
            fit_rule(1, "country", field="country", exists=True),
            fit_rule(2, "site", field="website", exists=True),
        ]
    )
    assert total(of, country="NA", website="NA") == 11
    assert total(of, country="unknown", website="x") == 2
    listed = model(fit=[fit_rule(10, "tool", field="tool", in_list="tools")], lists={"tools": ["None", "Excel"]})
    assert total(listed, tool="none") == 10


def test_v7_a_stage_is_what_the_config_calls_it():
    assert total(model(fit=[fit_rule(10, field="stage", exists=True)]), stage="unknown") == 10


@pytest.mark.parametrize(
    ("email", "free", "acme"),
    [
        ("Jane <jane@gmail.com>", True, False),
        ('"Doe, Jane" <jane@acme.com>', False, True),
        ("<jane@acme.com>", False, True),
        ("jane@acme.com (Jane)", False, True),
        ("mailto:jane@acme.com", False, True),
        ("o'neil@mail.acme.com", False, True),
        *(
            (each, None, None)
            for each in ("jane(at)acme.com", "'jane@acme.com'", "jane@acme", "jane@", "jane acme.com")
        ),
        *(
            (each, None, None)
            for each in ("jane@acme.com, bob@acme.com", "jane@@acme.com", "jane@acme..com", "jane acme.com")
        ),
        ("https://www.acme.com/about?x=a@b", False, True),
        ("acme.com", False, True),
    ],
)
def test_v9_addresses_with_a_display_name_and_what_is_no_address(email, free, acme):
    spelled = {True: 10, False: 0, None: "unknown"}
    assert asked(email, free_mail=True) == spelled[free]
    assert asked(email, domain="acme.com") == spelled[acme]
    scores = score(model(fit=[fit_rule(field="it", domain="acme.com")]), columns_of([person(it=email)]), NOW, UTC)
    assert bool(scores.warnings) == (free is None)


def test_v10_a_star_before_a_domain_is_what_lies_below_it():
    tables = {"lists": {"r": ["*.rival.example"]}}
    for address in ("a@rival.example", "a@mail.rival.example"):
        assert asked(address, tables, domain_list="r") == asked(address, domain="*.rival.example") == 10
    assert asked("a@notrival.example", tables, domain_list="r") == 0
    assert asked("a@mit.edu", domain="*.edu") == 10


@pytest.mark.parametrize(
    "domain",
    [
        *("tutanota.com", "tuta.io", "hey.com", "privaterelay.appleid.com", "daum.net", "docomo.ne.jp", "ezweb.ne.jp"),
        *("guerrillamail.com", "10minutemail.com", "mailinator.com", "gmail.com"),
    ],
)
def test_v11_free_mail_and_addresses_to_throw_away(domain):
    assert asked(f"a@{domain}", free_mail=True) == 10


def test_v11_who_works_there_has_no_free_mail_and_the_list_is_the_admins():
    assert [asked(f"a@{each}.com", free_mail=True) for each in ("facebook", "about", "microsoft")] == [0, 0, 0]
    tables = {"lists": {"free_mail": ["localmail.example", "!gmail.com"]}}
    assert asked("a@localmail.example", tables, free_mail=True) == 10
    assert asked("a@gmail.com", tables, free_mail=True) == 0
    assert asked("a@web.de", tables, free_mail=True) == 10


AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


def days_ago(number):
    return (AT - timedelta(days=number)).date().isoformat()


@pytest.mark.parametrize(
    ("question", "ages"),
    [
        ({"within": "30d"}, [0, 1, 2, 30]),
        ({"older_than": "30d"}, [31, 400]),
        ({"within_next": "30d"}, [0, -1, -30]),
        ({"before": "2026-11-20"}, [2, 30, 31, 400]),
        ({"after": "2026-11-20"}, [0, -1, -30, -31]),
        ({"within": "30d", "older_than": "7d"}, [30]),
    ],
)
def test_s2_dates_are_asked_by_their_age_in_days(question, ages):
    for age in (-31, -30, -1, 0, 1, 2, 30, 31, 400):
        assert asked(days_ago(age), **question) == (10 if age in ages else 0), age
    assert asked("2026-11-20T09:00:00Z", within="30d") == 10
    assert asked("2026-10-01", within="30d") == 0
    assert asked("2026-11-20T09:00:00.000+0000", within="30d") == asked(" 2026-11-20 09:00 ", within="30d") == 10
    for unreadable in (None, "14.11.2026", 5, "soon", "N/A", True, "0001-01-01T00:00:00+14:00"):
        assert asked(unreadable, **question) == "unknown"


def test_s2_a_day_is_one_of_the_configured_zone():
    of = model(fit=[fit_rule(10, field="created", within="1d")])
    late = "2026-11-19T23:30:00Z"  # the 20th in Berlin
    assert total(of, created=late) == 0
    assert total(of, created=late, zone=ZoneInfo("Europe/Berlin")) == 10


def test_s2_a_date_moves_a_score_with_time():
    of = model(
        fit=[
            fit_rule(60, "new", field="created", within="30d"),
            fit_rule(-5, "old", field="created", older_than="40d"),
        ],
        bands=BANDS,
    )
    got = foreseen(of, created=days_ago(20))
    assert (got["total"], got["band"]) == (60, "mql")
    assert got["until"]["said"] == "mql until 1 December 2026 without new activity, then cold"
    columns = columns_of([person(created=days_ago(each)) for each in (20, 31, 41, -3)])
    due = [int(datetime(2026, month, day, tzinfo=UTC).timestamp()) for month, day in ((12, 2), (12, 1), (11, 24))]
    due = score(of, columns, NOW, UTC).due.tolist()
    assert [datetime.fromtimestamp(each, UTC).date().isoformat() for each in due[:2] + due[3:]] == [
        *("2026-12-02", "2026-12-01", "2026-11-24")
    ]
    assert due[2] > 2**36  # nothing more comes


def test_s2_an_unknown_date_has_a_range():
    of = model(fit=[fit_rule(60, "new", field="created", within="30d")], bands=BANDS)
    for given in ({}, {"created": "14.11.2026"}):
        got = foreseen(of, **given)["range"]
        assert (got["lowest"], got["highest"], got["bands"]) == (0, 60, ["cold", "mql"])
    got = foreseen(of, created="2026-11-14")["range"]
    assert (got["lowest"], got["highest"]) == (60, 60)


@pytest.mark.parametrize("value", ["14.11.2026", "11/14/2026", 5])
def test_v13_a_date_that_cannot_be_read_warns(value):
    of = model(
        inactivity=[
            {"name": "never", "points": -10, "after": "30d", "every": "30d", "max_times": 3, "since": "created"}
        ]
    )
    got = foreseen(of, created=value)
    assert got["total"] == 0
    assert got["gaps"] == ["created has a value that its rules cannot use: never"]
    assert got["warnings"] == ["created: its rules cannot use the value, so it counts as unknown"]
    assert (got["range"]["lowest"], got["range"]["highest"]) == (-30, 0)
    scores = score(of, columns_of([person(created=value)]), NOW, UTC)
    assert scores.warnings == ("created: 1 person has a value that cannot be read by 'since'; it counts as unknown",)
    assert one(of)["gaps"] == ["created is not known: never"]
    # Who did something is judged by that.
    assert one(of, did("page_viewed"), created=value)["gaps"] == []


def test_attributes_are_read_as_programs_write_them():
    of = model(
        behavior=[{"name": "long", "points": 10, "on": "page_viewed", "where": {"seconds": {"gte": 1000}}}],
        values={"decimal_mark": ","},
    )
    assert total(of, did("page_viewed", seconds="1.500")) == 0
    assert total(of, did("page_viewed", seconds="1500")) == 10


@pytest.mark.parametrize(("chosen", "expected"), [(["500"], 10), (["500", "600"], "unknown")])
def test_a_number_among_several_choices_is_one_only_where_it_is_the_only_one(chosen, expected):
    assert asked(chosen, gte=100) == expected


@pytest.mark.parametrize(("value", "said"), [(True, "it is yes"), (False, "it is no"), (1200, "it is 1,200")])
def test_a_line_says_what_is_known(value, said):
    (line, *_) = one(model(fit=[fit_rule(10, "rule", field="it", exists=True)]), it=value)["lines"]
    assert said in line["why"]


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ("https://somebody:word@www.acme.example:8080/pricing?a=b@c", "acme.example"),
        ("acme.example:443", "acme.example"),
        ("https://acme.example#top", "acme.example"),
        ("https://@/", None),
    ],
)
def test_a_web_address_leads_to_its_host_whoever_logs_in_and_at_whatever_port(said, host):
    assert read_host(said) == host


@pytest.mark.parametrize(("table", "falls"), [([3, 2, 2, 0], True), ([-3, -2, 0], True), ([100, 101], False)])
def test_a_worth_that_rises_by_a_hundredth_does_not_only_fall(table, falls):
    assert only_falls(np.array(table, dtype=np.int64)) is falls
