"""Golden leads: what they say when a rule was changed, and a model in words."""

from __future__ import annotations

from crmsync.scoring import golden, page
from tests.scoring import behavior_rule, example, fit_rule, model


def cheaper_demo():
    of = example("points-table")
    rules = [rule.model_copy(update={"points": 20.0}) if "demo" in rule.name else rule for rule in of.behavior]
    return of.model_copy(update={"behavior": rules})


def test_a_changed_rule_fails_its_golden_leads_and_is_named():
    failures = {sentence.split("'")[1]: sentence for sentence in golden(cheaper_demo())}
    assert sorted(failures) == ["S2-01", "S2-02", "S2-03", "S2-05", "S2-07"]
    assert failures["S2-02"].startswith(
        "test 'S2-02': total is 95, expected 100; band is 'nurture', expected 'ready'; "
        "the rule 'Requested a demo' gives 20, expected 25"
    )
    assert "Requested a demo +20" in failures["S2-03"]


def test_a_golden_lead_that_is_written_wrongly_is_told():
    expect = {"total": 0}
    of = model(
        behavior=[behavior_rule()],
        test=[
            {"name": "no kind", "given": {"activities": [{"ago": "3d"}]}, "expect": expect},
            {"name": "no age", "given": {"activities": [{"kind": "page_viewed", "ago": "soon"}]}, "expect": expect},
            {"name": "no rule", "given": {}, "expect": {"lines": {"gone": 5}}},
        ],
    )
    no_kind, no_age, no_rule = golden(of)
    assert no_kind.startswith("test 'no kind': person no. 1, activity no. 1: write")
    assert no_age.startswith("test 'no age': person no. 1, activity no. 1: write")
    assert no_rule == "test 'no rule': there is no rule 'gone' (the rules: no rule gave points)"


def test_a_model_in_words():
    of = model(
        fit=[
            fit_rule(
                7.5,
                "both",
                all=[{"field": "employees", "between": [50, 12_000]}, {"not": {"field": "email", "free_mail": True}}],
            )
        ],
        behavior=[
            behavior_rule(
                ["page_viewed", "form_submitted"],
                4,
                where={"url": {"contains": ["a", "b"]}},
                window="30d",
                decay={"steps": {"15d": 50}},
                max_per_day=1,
                cap=12,
                unless={"on": "email_replied", "window": "9d"},
            )
        ],
        weights={"fit": 0.4, "behavior": 0.6},
        bands={"cold": 0, "mql": {"at": 5, "min_fit": 3}},
    )
    assert page(of) == [
        "+7.5  both: employees from 50 to 12,000 and not (email is a free-mail address)",
        "+4  acted: page viewed or form submitted with url contains a or b, at most 1 a day, in the last 30 days, "
        "keeping 50 % from day 15 on, no more than 12 points, unless email replied in the last 9 days",
        "total  fit × 0.4 + behavior × 0.6",
        "band  cold: points from 0",
        "band  mql: points from 5, fit from 3",
    ]
