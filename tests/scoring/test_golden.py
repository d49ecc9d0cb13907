"""Golden leads: what they say when a rule was changed."""

from __future__ import annotations

from crmsync.scoring import failed_tests
from tests.support.scoring import behavior_rule, example, model


def cheaper_demo():
    of = example("points-table")
    rules = [rule.model_copy(update={"points": 20.0}) if "Demo" in rule.name else rule for rule in of.behavior]
    return of.model_copy(update={"behavior": rules})


def test_a_changed_rule_fails_its_golden_leads_and_is_named():
    failures = {each.said.split("'")[1]: each.said for each in failed_tests(cheaper_demo())}
    assert sorted(failures) == ["S2-01", "S2-02", "S2-03", "S2-05", "S2-07"]
    assert failures["S2-02"].startswith(
        "test lead 'S2-02': total is 95, expected 100; band is 'nurture', expected 'ready'; "
        "the rule 'Demo requested' gives 20, expected 25"
    )
    assert "Demo requested +20" in failures["S2-03"]


def test_a_golden_lead_that_is_written_wrongly_is_told():
    done = {"kind": "page_viewed", "url": {"path": "/"}}
    of = model(
        behavior=[behavior_rule()],
        test=[
            {"name": "odd field", "given": {"title": {"a": 1}}, "expect": {"total": 0}},
            {"name": "odd attribute", "given": {"activities": [done]}, "expect": {"total": 0}},
            {"name": "no rule", "given": {}, "expect": {"lines": {"gone": 5}}},
        ],
    )
    field, attribute, no_rule = [each.said for each in failed_tests(of)]
    assert field.startswith("test lead 'odd field': the field 'title' has a table as its value; write")
    assert attribute.startswith(
        "test lead 'odd attribute': activity no. 1: the attribute 'url' has a table as its value"
    )
    assert no_rule == "test lead 'no rule': there is no rule 'gone' (points: no rule matches)"
