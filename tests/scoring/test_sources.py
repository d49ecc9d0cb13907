"""What guides to lead scoring ask for, row by row: S0 to S4 are the sources, the numbers their rows."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from crmsync.config.model import Model
from crmsync.lint import lint_model, lint_with_data
from crmsync.model import KINDS
from crmsync.scoring import columns_of, describe_model, failed_tests, score, worth_knowing
from crmsync.scoring.golden import golden_failures
from crmsync.scoring.tiers import tier_of
from tests.support.scoring import NOW, UTC, behavior_rule, did, example, fit_rule, model, one, person, points, total

PRICING = {"url": "/pricing"}
BLOG = {"url": "/blog/one"}
DEMO = {"form": "Demo request"}
TODAY = date(2026, 11, 21)


def cases(name):
    of = example(name)
    return [pytest.param(of, test, id=test.name) for test in of.test]


@pytest.mark.parametrize(
    ("of", "test"),
    [
        case
        for name in ("healthcare-it", "pricing-and-blog", "points-table", "fit-and-behavior")
        for case in cases(name)
    ],
)
def test_the_24_worked_cases(of, test):
    assert golden_failures(of, test, UTC) == []


def test_there_are_24_worked_cases():
    names = ("healthcare-it", "pricing-and-blog", "points-table", "fit-and-behavior")
    assert sum(len(example(name).test) for name in names) == 24


@pytest.mark.parametrize("name", ["starter", "segments", "product-led"])
def test_the_other_examples_pass_their_own_tests(name):
    assert failed_tests(example(name)) == []


# S0 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_S0_01_director_with_a_pricing_visit_and_a_demo():
    got = one(
        example("healthcare-it"),
        did("page_viewed", **PRICING),
        did("form_submitted", **DEMO),
        title="Director of IT",
        employees=500,
    )
    assert (got["total"], got["band"]) == (70, "sql")


def test_S0_02_student_on_the_blog():
    assert total(example("healthcare-it"), did("page_viewed", **BLOG), title="Student") == 2


def test_S0_03_three_pricing_visits_outrank_one_ebook():
    of = example("healthcare-it")
    hot = total(of, did("page_viewed", times=3, **PRICING), did("form_submitted", **DEMO), title="Director")
    assert hot == 100 > total(of, did("content_downloaded", asset="ebook"), title="Director")


def test_S0_04_a_demo_is_25_and_with_own_points_for_vp_and_guide_the_line_is_crossed():
    of = model(
        fit=[fit_rule(20, field="title", seniority="vp")],
        behavior=[
            behavior_rule("form_submitted", 25, "demo", where={"form": {"contains": "demo"}}),
            behavior_rule("content_downloaded", 10, "guide", where={"asset": {"contains": "comparison"}}),
        ],
        bands={"cold": 0, "sql": 50},
    )
    got = one(of, did("form_submitted", **DEMO), did("content_downloaded", asset="Comparison guide"), title="VP IT")
    assert points(got)["demo"] == 25
    assert got["band"] == "sql"


def test_S0_05_fit_of_a_director_of_a_large_company_exceeds_an_interns():
    of = example("healthcare-it")
    assert one(of, title="Director of IT", employees=500)["fit"] == 25
    assert one(of, title="Intern", employees=20)["fit"] == 0


@pytest.mark.parametrize(("employees", "expected"), [(200, 0), (201, 10), (None, 0)])
def test_S0_06_more_than_200_begins_at_201(employees, expected):
    got = one(example("healthcare-it"), employees=employees)
    assert got["fit"] == expected
    assert ("employees is not known: Over 200 employees" in got["gaps"]) == (employees is None)


def test_S0_07_each_sort_of_criterion_has_a_line_of_its_own():
    of = model(
        fit=[
            fit_rule(1, "title", field="title", contains="head"),
            fit_rule(2, "seniority", field="title", seniority_at_least="director"),
            fit_rule(3, "department", field="title", department="procurement"),
            fit_rule(4, "size", field="employees", between=[50, 999]),
            fit_rule(5, "industry", field="industry", **{"in": ["Healthcare", "Pharma"]}),
            fit_rule(6, "revenue", field="revenue", gte=1_000_000),
            fit_rule(7, "location", field="country", **{"is": "Germany"}),
        ]
    )
    got = one(
        of, title="Head of Procurement", employees=50, industry="healthcare", revenue=1_000_000, country="GERMANY"
    )
    assert points(got) == {
        "title": 1,
        "seniority": 2,
        "department": 3,
        "size": 4,
        "industry": 5,
        "revenue": 6,
        "location": 7,
    }


@pytest.mark.parametrize(
    ("title", "seniority", "departments"),
    [
        ("VP, IT Security", "vp", {"it", "security"}),
        ("Procurement Manager", "manager", {"procurement"}),
        ("Director of Operations", "director", {"operations"}),
        ("CFO", "c_level", {"finance"}),
        ("Vice President Finance", "vp", {"finance"}),
        ("Head of Information Security", "director", {"security"}),
        ("Assistant to the CEO", "staff", set()),
        ("Leiter Einkauf", "director", {"procurement"}),
        ("Geschäftsführerin", "c_level", set()),
        ("Werkstudent Marketing", "student", {"marketing"}),
    ],
)
def test_S0_08_titles_are_read(title, seniority, departments):
    levels = [fit_rule(1, field="title", seniority=seniority)]
    assert one(model(fit=levels), title=title)["fit"] == 1
    for department in departments:
        assert one(model(fit=[fit_rule(1, field="title", department=department)]), title=title)["fit"] == 1


def test_S0_08_own_words_for_titles_come_first():
    of = model(
        fit=[fit_rule(1, "level", field="title", seniority="vp"), fit_rule(2, "it", field="title", department="it")],
        titles={"seniority": {"vp": ["Hauptabteilungsleiter"]}, "department": {"it": ["Rechenzentrum"]}},
    )
    assert one(of, title="Hauptabteilungsleiter Rechenzentrum")["fit"] == 3


def test_S0_09_fit_without_activity_ranks_before_activity_without_fit():
    of = example("healthcare-it")
    student = total(of, did("page_viewed", times=5, **BLOG), title="Student")
    assert student == 10 < total(of, title="Director of IT") == 15


def test_a_rule_shows_the_intent_that_its_activity_speaks_for():
    assert [tier_of(rule) for rule in example("starter").behavior] == ["high", "high", "mid", "low", "low"]


@pytest.mark.parametrize(("written", "tier"), [("passive", "low"), ("research", "mid"), ("high", "high")])
def test_the_other_names_of_the_tiers_mean_the_same(written, tier):
    (rule,) = model(behavior=[behavior_rule("form_submitted", 3, "demo", tier=written)]).behavior
    assert tier_of(rule) == tier


def warned(of):
    return " ".join(finding.sentence for finding in lint_model(of, KINDS, TODAY) if finding.level == "warning")


def test_S0_12_one_strong_action_says_more_than_ten_weak_ones():
    said = warned(example("points-table"))
    assert '10× "Email opened" (20) gives more than 1× "Pricing page viewed" (15)' in said
    assert '"Demo requested"' not in said
    tie = warned(example("healthcare-it"))
    assert '10× "Blog viewed by a student" (20) gives as much as 1× "Pricing page viewed" (20)' in tie
    assert '"Demo requested"' not in tie


def three_visits():
    return model(
        pattern=[
            {
                "name": "came back",
                "points": 10,
                "on": "page_viewed",
                "days": 3,
                "within": "7d",
                "covering": [
                    {"on": "page_viewed", "where": {"url": {"contains": page}}}
                    for page in ("pricing", "integration", "demo")
                ],
            }
        ]
    )


def test_S0_13_three_visits_in_a_week_that_cover_three_pages():
    def visits(*days, pages=("pricing", "integration", "demo")):
        return [did("page_viewed", 20 - day, url=f"/{page}") for day, page in zip(days, pages, strict=True)]

    of = three_visits()
    assert total(of, *visits(1, 3, 7)) == 10
    assert total(of, *visits(1, 3, pages=("pricing", "demo"))) == 0
    assert total(of, *visits(1, 3, 8)) == 0
    assert total(of, *visits(1, 3, 5, pages=("pricing", "demo", "demo"))) == 0


def test_S0_14_visits_on_several_days_beat_as_many_in_a_minute():
    of = model(behavior=[behavior_rule(points=5, distinct_days=True)])
    assert total(of, did("page_viewed"), did("page_viewed", 1), did("page_viewed", 2)) == 15
    assert total(of, did("page_viewed", times=3)) == 5


@pytest.mark.parametrize("window", [30, 60])
def test_S0_15_a_window_of_n_days_includes_age_n(window):
    of = model(behavior=[behavior_rule(window=f"{window}d")])
    ages = (window - 1, window, window + 1)
    assert [total(of, did("page_viewed", age)) for age in ages] == [10, 10, 0]


def test_S0_16_slower_decay_never_gives_less():
    def worth(half_life, age):
        of = model(behavior=[behavior_rule(points=20, decay={"half_life": f"{half_life}d"})], score={"decimals": 2})
        return total(of, did("page_viewed", age))

    assert [worth(interval, 60) for interval in (15, 30, 60)] == [1.25, 5, 10]
    for age in range(0, 120, 7):
        assert worth(15, age) <= worth(30, age) <= worth(60, age)
    assert worth(15, 0) == worth(60, 0) == 20


@pytest.mark.parametrize("interval", [15, 30, 60])
def test_S0_17_after_90_silent_days_the_line_is_lost(interval):
    steps = {f"{interval * number}d": 100 / 2**number for number in (1, 2, 3, 4, 5, 6)}
    of = model(behavior=[behavior_rule(points=50, decay={"steps": steps})], bands={"cold": 0, "mql": 50})
    assert one(of, did("page_viewed"))["band"] == "mql"
    assert one(of, did("page_viewed"), now=NOW + timedelta(days=90))["band"] == "cold"


NEGATIVE = """
[channels]
engagement = {}
deliverability = {}
[[fit]]
name = "Irrelevant role"
points = -15
when = { field = "title", department = "education" }
[[behavior]]
name = "Unsubscribed"
points = -10
on = "email_unsubscribed"
channel = "engagement"
[[behavior]]
name = "Bounced"
points = -5
on = "email_bounced"
channel = "deliverability"
[[behavior]]
name = "Ignores us"
points = -4
on = "email_sent"
at_least = 5
max_times = 5
cap = -4
unless = { on = ["email_opened", "email_replied"], window = "90d" }
channel = "engagement"
[[inactivity]]
name = "Silent"
points = -10
after = "30d"
every = "30d"
channel = "engagement"
"""


@pytest.mark.parametrize(
    ("done", "fields", "lowered"),
    [
        (did("email_unsubscribed"), {}, {"engagement": -10}),
        (did("email_bounced"), {}, {"deliverability": -5}),
        (did("page_viewed", 65), {}, {"engagement": -20}),
        (did("email_sent", times=5), {}, {"engagement": -4}),
        ((), {"title": "Teacher"}, {"fit": -15}),
    ],
)
def test_S0_18_each_bad_sign_lowers_its_own_sub_score_only(done, fields, lowered):
    got = one(model(NEGATIVE), done, **fields)
    assert {"fit": got["fit"], **got["channels"]} == {"fit": 0, "engagement": 0, "deliverability": 0, **lowered}


def test_S0_18_outreach_is_not_ignored_by_who_opened_it():
    assert total(model(NEGATIVE), did("email_sent", times=6), did("email_opened")) == 0


def test_S0_19_an_event_that_came_twice_counts_once():
    of = model(behavior=[behavior_rule(points=20)])
    (event,) = did("page_viewed")
    assert total(of, [{**event, "id": "7"}, {**event, "id": "7"}]) == 20
    assert total(of, [event, event]) == 20
    assert total(of, [{**event, "id": "7"}, {**event, "id": "8"}]) == 40


def test_S0_20_four_named_bands_and_cut_offs_in_order():
    assert example("healthcare-it").band_names() == ["cold", "warm", "mql", "sql"]
    with pytest.raises(ValidationError, match="'mql' is at 30, which is not above 'warm' at 40"):
        Model(bands={"cold": 0, "warm": 40, "mql": 30})


@pytest.mark.parametrize(
    ("fit", "behavior", "band"), [(25, 45, "sql"), (25, 20, "mql"), (10, 60, "warm"), (25, 44, "mql"), (15, 19, "warm")]
)
def test_S0_21_an_mql_needs_fit_and_engagement_an_sql_stronger_intent(fit, behavior, band):
    of = model(
        fit=[fit_rule(fit, field="vip", **{"is": True})],
        behavior=[behavior_rule(points=behavior)],
        bands={"cold": 0, "warm": 20, "mql": {"min_fit": 15, "min_behavior": 20}, "sql": {"min_behavior": 45}},
    )
    assert one(of, did("page_viewed"), vip=True)["band"] == band


@pytest.mark.parametrize(("line", "handed_over"), [(50, [70, 60]), (70, [70])])
def test_a_line_at_50_and_one_at_70(line, handed_over):
    of = model(behavior=[behavior_rule("form_submitted", 5)], bands={"cold": 0, "sql": line})
    people = [person(did("form_submitted", times=each // 5)) for each in (70, 60, 45)]
    scores = score(of, columns_of(people), NOW, UTC)
    assert [int(each) // 100 for each, band in zip(scores.total, scores.band, strict=True) if band == 1] == handed_over


def test_S0_30_mistakes_of_models_are_found():
    weak = model(behavior=[behavior_rule("email_opened")])
    assert [f.level for f in lint_model(weak, KINDS, TODAY) if "only weak signals" in f.sentence] == ["error"]
    many = model(behavior=[behavior_rule(name=f"rule {n}", where={"url": f"/{n}"}) for n in range(41)])
    assert "41 rules, more than 40" in warned(many)
    old = {"on": date(2026, 8, 1)}
    assert "112 days ago" in warned(model(review=old, behavior=[behavior_rule()]))


def test_the_whole_model_fits_on_a_page():
    parts = describe_model(example("starter"))
    assert ("fit", 15, "Over 200 employees", "employees is over 200") in parts["rules"]
    assert [line.name for line in parts["rules"]] == [rule.name for rule in example("starter").rules()]
    assert len(parts["rules"]) <= 10
    assert sum(map(len, parts.values())) < 40


def test_S0_32_time_on_a_page_is_a_number():
    of = model(behavior=[behavior_rule(where={"seconds": {"gte": 60}})])
    assert [total(of, did("page_viewed", seconds=each)) for each in (59, 60, "75", "soon")] == [0, 10, 10, 0]


# S1 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("pricing", "blog", "expected"), [(1, 0, 10), (0, 1, 2), (1, 1, 12), (0, 5, 10)])
def test_S1_01_to_04_pricing_is_10_and_a_blog_post_2(pricing, blog, expected):
    done = did("page_viewed", times=pricing, **PRICING), did("page_viewed", times=blog, **BLOG)
    assert total(example("pricing-and-blog"), *done) == expected


def test_S1_05_a_good_sign_never_lowers_and_a_bad_one_never_raises():
    of = model(
        behavior=[
            behavior_rule("content_downloaded", 10, "paper", cap=20),
            behavior_rule("webinar_attended", 10, "webinar", max_times=1),
            behavior_rule("email_unsubscribed", -10, "bye"),
        ]
    )
    before, now = [], 0.0
    for kind in (
        "content_downloaded",
        "webinar_attended",
        "content_downloaded",
        "webinar_attended",
        "content_downloaded",
    ):
        before.append(did(kind, len(before)))
        assert total(of, *before) >= now
        now = total(of, *before)
    assert total(of, *before, did("email_unsubscribed")) == now - 10


def test_S1_06_who_unsubscribes_is_not_handed_over():
    of = model(
        behavior=[behavior_rule("form_submitted", 50), behavior_rule("email_unsubscribed", -10, "bye")],
        bands={"cold": 0, "mql": 50},
    )
    assert one(of, did("form_submitted"))["band"] == "mql"
    assert one(of, did("form_submitted"), did("email_unsubscribed"))["band"] == "cold"


@pytest.mark.parametrize(("visits", "band"), [(9, "cold"), (10, "mql"), (19, "mql"), (20, "sql")])
def test_S1_07_two_lines(visits, band):
    of = model(behavior=[behavior_rule(points=1)], bands={"cold": 0, "mql": 10, "sql": 20})
    assert one(of, did("page_viewed", times=visits))["band"] == band


def test_S1_08_an_activity_counts_at_once_and_scoring_again_changes_nothing():
    of, visit = example("pricing-and-blog"), did("page_viewed", **PRICING)
    assert total(of, visit, now=NOW - timedelta(seconds=1)) == 0
    first = one(of, visit, now=NOW)
    assert (first["total"], first["band"]) == (10, "mql")
    assert one(of, visit, visit, now=NOW + timedelta(minutes=15), previous="mql") == first


def test_a_higher_line_never_lets_more_people_through():
    people = columns_of([person(did("page_viewed", times=number)) for number in range(60)])
    counts = []
    for line in range(1, 101):
        of = model(behavior=[behavior_rule(points=2)], bands={"cold": 0, "mql": line})
        counts.append(int((score(of, people, NOW, UTC).band == 1).sum()))
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(("points", "track"), [(0, "A"), (19, "A"), (20, "B"), (49, "B"), (50, "none")])
def test_a_band_for_each_track(points, track):
    of = model(behavior=[behavior_rule(points=1)], bands={"A": 0, "B": 20, "none": 50})
    assert one(of, did("page_viewed", times=points))["band"] == track


# S2 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

EVERYTHING = {
    "demo": did("form_submitted", **DEMO),
    "pricing": did("page_viewed", **PRICING),
    "webinar": did("webinar_attended"),
    "case study": did("content_downloaded", asset="Case Study Acme"),
    "open": did("email_opened"),
}
IDEAL = {"title": "VP Sales", "employees": 201, "industry": "technology"}


@pytest.mark.parametrize(
    ("without", "fields", "expected", "band"),
    [
        ((), IDEAL, 102, "ready"),
        (("open",), IDEAL, 100, "ready"),
        (("case study",), IDEAL, 97, "nurture"),
        (tuple(EVERYTHING), IDEAL, 45, "nurture"),
        ((), {}, 57, "nurture"),
    ],
)
def test_the_points_table(without, fields, expected, band):
    done = [each for name, each in EVERYTHING.items() if name not in without]
    got = one(example("points-table"), *done, **fields)
    assert (got["total"], got["band"]) == (expected, band)


def test_S2_06_and_07_an_open_is_2_and_a_demo_25():
    assert total(example("points-table"), EVERYTHING["open"]) == 2
    assert total(example("points-table"), EVERYTHING["demo"]) == 25


def test_S2_08_over_200_employees():
    assert [total(example("points-table"), employees=each) for each in (200, 201)] == [0, 15]


def test_S2_09_director_or_higher_over_100_technology():
    of = model(
        fit=[
            fit_rule(1, "title", field="title", seniority_at_least="director"),
            fit_rule(10, "size", field="employees", gt=100),
            fit_rule(100, "industry", field="industry", **{"is": "Technology"}),
        ]
    )
    titles = ("Director", "VP Sales", "Chief Technology Officer", "Sales Manager")
    assert [total(of, title=title) for title in titles] == [1, 1, 1, 0]
    assert [total(of, employees=each) for each in (100, 101)] == [0, 10]
    assert total(of, industry="technology") == 100


def test_S2_10_the_careers_page_and_competitors():
    of = model(
        behavior=[
            behavior_rule("page_viewed", -10, "careers", where={"url": {"contains": "/careers"}}),
            behavior_rule("form_submitted", 80, "demo"),
        ],
        lists={"rivals": ["rival.example"]},
        disqualify=[{"name": "competitor", "when": {"field": "email", "domain_list": "rivals"}}],
        bands={"cold": 0, "mql": 50},
    )
    assert one(of, did("page_viewed", url="/careers/sales"))["behavior"] == -10
    rival = one(of, did("form_submitted"), email="spy@labs.rival.example")
    assert (rival["total"], rival["band"], rival["disqualified"]) == (80, "cold", "competitor")
    assert one(of, did("form_submitted"), email="buyer@notrival.example")["band"] == "mql"


def test_S2_11_a_startup_ceo_outranks_a_student():
    of = example("points-table")
    ceo = total(of, did("content_downloaded", asset="Pricing guide"), title="CEO")
    assert ceo >= 20 > total(of, did("page_viewed", **BLOG), title="Student") == 0


def test_S2_12_to_register_is_not_to_attend():
    of = example("points-table")
    assert total(of, did("webinar_registered")) == 0
    assert total(of, did("webinar_registered"), did("webinar_attended")) == 10


def whitepaper_then_prices():
    return model(
        sequence=[
            {
                "name": "paper, then prices twice",
                "points": 20,
                "steps": [
                    {"on": "content_downloaded", "where": {"asset": {"contains": "whitepaper"}}},
                    {"on": "page_viewed", "where": {"url": {"contains": "pricing"}}, "times": 2},
                ],
                "when": {"field": "industry", "is": "Retail"},
            }
        ]
    )


@pytest.mark.parametrize(
    ("paper", "prices", "industry", "expected"),
    [(1, (2, 3), "Retail", 20), (4, (2, 3), "Retail", 0), (1, (2,), "Retail", 0), (1, (2, 3), "Mining", 0)],
)
def test_S2_13_a_whitepaper_and_then_the_pricing_page_twice(paper, prices, industry, expected):
    done = [
        did("content_downloaded", 10 - paper, asset="Whitepaper"),
        *(did("page_viewed", 10 - day, **PRICING) for day in prices),
    ]
    assert total(whitepaper_then_prices(), *done, industry=industry) == expected


def test_S1_14_S2_18_and_S4_35_a_review_in_august_is_overdue_in_november():
    assert "last reviewed on 2026-08-01, 112 days ago" in warned(model(review={"on": date(2026, 8, 1)}))
    assert "last reviewed on 2026-10-21" in warned(
        model(review={"on": date(2026, 10, 21), "every": timedelta(days=30)})
    )
    assert "reviewed" not in warned(model(review={"on": date(2026, 9, 1)}))


# S3 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

VP = {"title": "VP Operations", "industry": "Manufacturing"}
BUSY = (
    did("content_downloaded", asset="Whitepaper"),
    did("page_viewed", times=2, **PRICING),
    did("form_submitted", **DEMO),
)


def test_S3_01_fit_35_behavior_70_total_105():
    got = one(example("fit-and-behavior"), *BUSY, **VP)
    assert (got["fit"], got["behavior"], got["total"], got["band"]) == (35, 70, 105, "mql")


def test_S3_02_a_student_with_a_private_address():
    got = one(example("fit-and-behavior"), did("page_viewed", **BLOG), title="Student", email="someone@gmail.com")
    assert (got["fit"], got["behavior"], got["total"], got["band"]) == (-10, 5, -5, "nurture")


def test_S3_03_silence_costs_once_and_again_only_if_asked():
    of = example("fit-and-behavior")
    assert [total(of, *BUSY, now=NOW + timedelta(days=day), **VP) for day in (29, 30, 60)] == [105, 95, 95]
    again = of.model_copy(update={"inactivity": [of.inactivity[0].model_copy(update={"every": timedelta(days=30)})]})
    assert [total(again, *BUSY, now=NOW + timedelta(days=day), **VP) for day in (30, 59, 60)] == [95, 95, 85]


def test_S3_04_the_silent_student():
    done = did("page_viewed", 30, **BLOG)
    assert total(example("fit-and-behavior"), done, title="Student", email="someone@gmail.com") == -15


@pytest.mark.parametrize(("email", "expected", "band"), [("v@acme.example", 50, "mql"), ("v@gmail.com", 40, "nurture")])
def test_S3_05_and_06_exactly_on_the_line_and_below_it(email, expected, band):
    got = one(example("fit-and-behavior"), did("form_submitted", **DEMO), title="VP", email=email)
    assert (got["total"], got["band"]) == (expected, band)


def test_S3_07_activity_without_fit_passes_without_a_gate_and_not_with_one():
    of = example("fit-and-behavior")
    assert one(of, *BUSY)["band"] == "mql"
    gated = Model(
        **{
            **of.model_dump(by_alias=True, include=set(Model.model_fields), exclude={"test"}),
            "bands": {"nurture": 0, "mql": {"at": 50, "min_fit": 15}},
        }
    )
    got = one(gated, *BUSY)
    assert (got["total"], got["band"]) == (70, "nurture")
    assert any("minimum fit 15, not met" in line["why"] for line in got["lines"])
    assert "minimum fit 15, not met" in got["reason"]


def test_S3_08_a_number_a_grade_a_square_and_a_band():
    got = one(example("fit-and-behavior"), *BUSY, **VP)
    assert (got["total"], got["grade"], got["grid"], got["band"]) == (105, "A", "A1", "mql")


def test_the_queue_runs_from_the_vp_to_the_student():
    of = example("fit-and-behavior")
    people = [
        person(did("page_viewed", **BLOG), email="s@gmail.com"),
        person(did("form_submitted", **DEMO), title="VP", email="v@gmail.com"),
        person(*BUSY, **VP),
        person(did("form_submitted", **DEMO), title="VP"),
        person(*BUSY),
    ]
    scores = score(of, columns_of(people), NOW, UTC)
    assert sorted((int(each) // 100 for each in scores.total), reverse=True) == [105, 70, 50, 40, -5]


def test_two_thousand_people_in_one_run_in_any_order_and_company_the_same():
    of = example("fit-and-behavior")
    people = [
        person(did("page_viewed", number % 40, **PRICING), title=("VP", "Student", None)[number % 3])
        for number in range(2000)
    ]
    everybody = score(of, columns_of(people), NOW, UTC)
    backwards = score(of, columns_of(people[::-1]), NOW, UTC)
    some = [score(of, columns_of(people[start : start + 700]), NOW, UTC) for start in range(0, 2000, 700)]
    totals = everybody.total.tolist()
    assert totals == backwards.total.tolist()[::-1] == [each for part in some for each in part.total.tolist()]
    assert {*totals} == {1500, 3500, 500, 2500}
    assert {*everybody.band.tolist()} == {0}


def test_the_share_below_the_line():
    people = columns_of([person(did("form_submitted", times=number % 2, **DEMO), title="VP") for number in range(100)])
    assert (score(example("fit-and-behavior"), people, NOW, UTC).band == 0).mean() == 0.5


def test_S3_19_qualification_is_never_added_to_the_score():
    of = example("segments")
    without = one(of, title="Director")
    with_budget = one(of, title="Director", budget_authority=True, project_timing="this quarter")
    assert without["total"] == with_budget["total"]
    assert (without["qualified"], with_budget["qualified"]) == (None, True)


# S4 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_S4_01_scored_and_not_qualified():
    got = one(example("segments"), title="Director", tech_stack=["Kafka"], revenue=50_000_000, budget_authority=False)
    assert (got["band"], got["qualified"]) == ("mql", False)


def weighted(fit, behavior):
    return model(
        fit=[fit_rule(80, field="vip", **{"is": True})],
        behavior=[behavior_rule(points=40)],
        weights={"fit": fit, "behavior": behavior},
    )


@pytest.mark.parametrize(("fit", "behavior", "expected"), [(0.7, 0.3, 68), (0.3, 0.7, 52)])
def test_S4_02_fit_and_intent_have_weights(fit, behavior, expected):
    assert total(weighted(fit, behavior), did("page_viewed"), vip=True) == expected


def test_S4_03_the_influence_of_each_part_is_seen_and_sums_to_the_cent():
    got = one(weighted(0.7, 0.3), did("page_viewed"), vip=True)
    lines = points(got)
    assert lines["fit"] + lines["Weight of fit"] == 56
    assert lines["acted"] + lines["Weight of behavior"] == 12
    assert sum(lines.values()) == got["total"] == 68


def test_S4_04_a_tech_stack_contains():
    of = model(fit=[fit_rule(5, field="tech_stack", has=["Kafka"])])
    stacks = (["Postgres", "kafka"], ["Kafkaesque"], "SAP;Kafka", None)
    assert [total(of, tech_stack=each) for each in stacks] == [5, 0, 5, 0]


def test_S4_05_an_unknown_kind_is_never_scored():
    of = model(behavior=[behavior_rule()])
    assert total(of, did("page_vieewd")) == 0
    wrong = model(behavior=[behavior_rule("page_vieewd")])
    (finding,) = [each for each in lint_model(wrong, KINDS, TODAY) if each.level == "error"]
    assert 'no activity source has the type "page_vieewd"' in finding.sentence
    assert 'did you mean "page_viewed"?' in finding.sentence


def test_S4_06_channels_have_scores_and_caps_of_their_own():
    of = model(
        channels={"email": {"cap": 20}, "product": {}},
        behavior=[
            behavior_rule("email_opened", 3, "opens", channel="email"),
            behavior_rule("form_submitted", 30, "trial", channel="product"),
        ],
    )
    got = one(of, did("email_opened", times=10), did("form_submitted", times=2))
    assert got["channels"] == {"email": 20, "product": 60}
    assert points(got)["Limit of the channel email"] == -10


def test_S4_08_one_segment_or_the_default():
    of = example("segments")
    done = did("form_submitted", form="trial")
    fields = {"title": "Director", "tech_stack": ["Kafka"]}
    scored = {
        source: one(of, done, source=source, **fields)
        for source in ("Web", "Outbound", "Trade Show", "Partner", "Walk-in")
    }
    assert [each["segment"] for each in scored.values()] == ["inbound", "outbound", "event", "partner", None]
    assert [each["total"] for each in scored.values()] == [46, 54, 50, 56, 50]


def test_events_have_a_path_of_their_own():
    of = example("segments")
    assert one(of, did("event_attended"), source="Event")["behavior"] == 20
    assert one(of, did("event_attended"), source="Web")["behavior"] == 0


def test_a_relationship_counts_for_partners_only():
    of = example("segments")
    assert one(of, source="Partner", relationship="strong")["fit"] == 20
    assert one(of, source="Web", relationship="strong")["fit"] == 0


def test_S4_12_rules_may_ask_for_the_stage():
    of = model(
        behavior=[
            behavior_rule("page_viewed", 10, "before", when={"not": {"field": "stage", "is": "sql"}}),
            behavior_rule("page_viewed", 3, "after", when={"field": "stage", "is": "sql"}),
        ]
    )
    assert total(of, did("page_viewed"), stage="mql") == 10
    assert total(of, did("page_viewed"), stage="sql") == 3


def test_no_adjustment_moves_further_than_its_limit():
    of = model(
        behavior=[behavior_rule("page_viewed", 40, "base"), behavior_rule("note_logged", 7, "more", group="adjusted")],
        groups={"adjusted": {"cap": 10, "floor": -10}},
    )
    assert total(of, did("page_viewed"), did("note_logged")) == 47
    assert total(of, did("page_viewed"), did("note_logged", times=9)) == 50
    less = of.model_copy(update={"behavior": [of.behavior[0], of.behavior[1].model_copy(update={"points": -7.0})]})
    assert total(less, did("page_viewed"), did("note_logged", times=9)) == 30


def test_a_band_is_entered_high_and_left_low():
    of = model(behavior=[behavior_rule(points=1)], bands={"cold": 0, "mql": {"at": 50, "drop_below": 40}})
    for visits, before, after in ((45, None, "cold"), (50, "cold", "mql"), (45, "mql", "mql"), (39, "mql", "cold")):
        assert one(of, did("page_viewed", times=visits), previous=before)["band"] == after


def with_data(of, people):
    columns = columns_of(people)
    found = lint_with_data(of, score(of, columns, NOW, UTC), columns, KINDS, int(NOW.timestamp()))
    return " ".join(each.sentence for each in found)


def test_S4_05_an_unknown_kind_in_a_feed_is_reported():
    people = [person(did("page_viewed"), did("page_vieewd", times=2))]
    assert '2 activities of the type "page_vieewd" exist, but no activity source' in with_data(
        model(behavior=[behavior_rule()]), people
    )


def test_S4_20_fields_are_ranked_by_the_people_whose_band_they_could_change():
    of = model(
        fit=[
            fit_rule(30, "title", field="title", seniority_at_least="director"),
            fit_rule(15, "size", field="employees", gt=200),
            fit_rule(1, "industry", field="industry", **{"is": "Retail"}),
        ],
        behavior=[behavior_rule(points=20)],
        bands={"cold": 0, "mql": 50},
    )
    people = [
        person(did("page_viewed"), title="Engineer" if number < 70 else None, employees=None if number < 5 else 10)
        for number in range(100)
    ]
    columns = columns_of(people)
    ranked = worth_knowing(of, score(of, columns, NOW, UTC), columns, NOW, UTC)
    assert ranked == [("title", 30, 30), ("industry", 100, 0), ("employees", 5, 0)]


@pytest.mark.parametrize(("days", "silent"), [(14, False), (15, True)])
def test_S4_34_a_rule_that_nothing_meets_for_14_days_went_silent(days, silent):
    of = model(behavior=[behavior_rule(name="Launch page", where={"url": "/launch"}), behavior_rule("email_opened", 1)])
    people = [person(did("page_viewed", days, url="/launch"), did("page_viewed", url="/other"), did("email_opened"))]
    said = with_data(of, people)
    assert ('"Launch page" has found no activity for 15 days' in said) == silent
    assert '"acted" went silent' not in said


def test_S4_36_rules_that_never_count_and_rules_that_say_the_same_are_listed():
    of = model(
        behavior=[
            behavior_rule("form_submitted", 5, "form"),
            behavior_rule("content_downloaded", 5, "paper"),
            behavior_rule("meeting_held", 5, "meeting", window="90d"),
            behavior_rule("page_viewed", 5, "page"),
        ]
    )
    people = [
        person(
            did("form_submitted", times=number % 2),
            did("content_downloaded", times=number % 2),
            did("page_viewed", times=int(number % 3 == 0)),
            did("meeting_held", 91),
        )
        for number in range(60)
    ]
    said = with_data(of, people)
    assert '"meeting" gives no points to any of 60 people' in said
    assert '"form" and "paper" match the same people' in said
    assert '"page"' not in said
