"""What check says beforehand of questions that a CRM's fields can never answer."""

from __future__ import annotations

import pytest

from crmsync.connector import DescribedField
from crmsync.lint import lint_fields
from tests.support.make import config

SIZES = tuple((each, f"{each} employees") for each in ("1-5", "5-25", "25-50", "1000+"))
INDUSTRIES = (("COMPUTER_SOFTWARE", "Computer Software"), ("BANKING", "Banking"), ("MINING_METALS", "Mining & Metals"))
FIELDS = [
    DescribedField("contact", "size_text", "Size", "text"),
    DescribedField("contact", "numemployees", "Employees", "choice", SIZES),
    DescribedField("contact", "company.industry", "Industry", "choice", INDUSTRIES),
    DescribedField("contact", "tools", "Tools", "choices", (("kafka", "Kafka"), ("sap", "SAP"))),
    DescribedField("contact", "revenue", "Revenue", "number"),
    DescribedField("contact", "demo", "Wants a demo", "yes_no"),
    DescribedField("contact", "renewal", "Renewal", "date"),
]


def said(mapped, **question):
    of = config(
        f'[bands]\ncold = 0\n[fields]\nit = {{ hubspot = "{mapped}" }}',
        fit=[{"name": "Size", "points": 1, "when": {"field": "it", **question}}],
    )
    return [each.sentence for each in lint_fields(of, {"hubspot": ("HubSpot", FIELDS)})]


def test_v3_a_number_asked_of_a_text():
    head = "size_text is text in HubSpot; the rule 'Size' asks for a number"
    assert said("size_text", gte=200) == said("size_text", **{"is": 5}) == said("SIZE_TEXT", between=[1, 2])
    assert said("size_text", gte=200) == [
        f'{head}; only what is written like "1,200" is read, and everything else is unknown'
    ]


def test_v3_a_number_asked_of_ranges():
    (sentence,) = said("numemployees", gte=200)
    assert sentence.endswith("asks for a number that none of its values has: 1-5, 5-25, 25-50, 1000+")


@pytest.mark.parametrize(
    ("mapped", "question", "asked"),
    [
        ("size_text", {"within": "30d"}, "asks for a date; only what is written like"),
        ("size_text", {"is": True}, "asks for yes or no; only what is written like"),
        (
            "revenue",
            {"contains": "x"},
            "is a number in HubSpot; the rule 'Size' asks for a text, so it can never match",
        ),
        ("revenue", {"before": "2026-01-01"}, "asks for a date, so it can never match"),
        ("demo", {"gte": 1}, "is yes or no in HubSpot; the rule 'Size' asks for a number, so it can never match"),
        ("demo", {"is": "perhaps"}, "asks for a text, so it can never match"),
        ("renewal", {"gte": 5}, "is a date in HubSpot; the rule 'Size' asks for a number, so it can never match"),
        ("renewal", {"is": True}, "asks for yes or no, so it can never match"),
        ("company.industry", {"is": True}, "asks for yes or no that none of its values has"),
        ("company.industry", {"contains": "farm"}, "asks for a text that none of its values has"),
        ("company.industry", {"in": ["banking", "Computer Software"]}, "did you mean 'COMPUTER_SOFTWARE'?"),
        (
            "company.industry",
            {"is": "BANKIN"},
            "has no value 'BANKIN' in HubSpot, which the rule 'Size' asks for; did",
        ),
        ("company.industry", {"is": "Farming"}, "its values are COMPUTER_SOFTWARE, BANKING, MINING_METALS"),
        ("tools", {"has": ["Kafka", "excel"]}, "has no value 'excel' in HubSpot"),
    ],
)
def test_what_can_never_match_is_named(mapped, question, asked):
    (sentence,) = said(mapped, **question)
    assert asked in sentence


@pytest.mark.parametrize(
    ("mapped", "question"),
    [
        ("size_text", {"contains": "x"}),
        ("size_text", {"exists": True}),
        ("numemployees", {"in": ["1-5", "1000+"]}),
        ("numemployees", {"starts_with": "1"}),
        ("company.industry", {"is": "Banking"}),
        ("company.industry", {"regex": "^mining"}),
        ("tools", {"has_all": ["KAFKA", "sap"]}),
        ("revenue", {"gte": 5}),
        ("revenue", {"in": [5, 6]}),
        ("revenue", {"is": "500"}),
        ("demo", {"is": True}),
        ("demo", {"is": "Yes"}),
        ("renewal", {"within": "30d"}),
        ("renewal", {"starts_with": "2026"}),
        ("nothing_of_the_kind", {"gte": 5}),
    ],
)
def test_what_can_match_is_fine(mapped, question):
    assert said(mapped, **question) == []


def test_a_yes_or_no_kept_as_a_pick_list_is_fine():
    yes = [DescribedField("contact", "demo", "Demo", "choice", (("true", "Yes"), ("false", "No")))]
    of = config(
        '[bands]\ncold = 0\n[fields]\ndemo = { hubspot = "demo" }',
        fit=[{"name": "Demo", "points": 1, "when": {"field": "demo", "is": True}}],
    )
    assert lint_fields(of, {"hubspot": ("HubSpot", yes)}) == []


def test_decisions_and_both_kinds_of_records_are_looked_at():
    fields = [
        DescribedField("lead", "Size__c", "Size", "text"),
        DescribedField("contact", "Account.NumberOfEmployees", "Employees", "number"),
    ]
    of = config(
        """
[bands]
cold = 0
[fields]
size = { salesforce = { lead = "Size__c", contact = "Account.NumberOfEmployees" } }
[[route]]
name = "Large"
when = { field = "size", gte = 500 }
to = "nurture"
[[route]]
name = "Others"
to = "nurture"
[tracks]
nurture = {}
"""
    )
    (sentence,) = (each.sentence for each in lint_fields(of, {"salesforce": ("Salesforce", fields)}))
    assert sentence.startswith("Size__c is text in Salesforce; [[route]] Large asks for a number")


def test_a_value_of_the_other_crm_is_meant_for_that_one():
    of = config(
        '[bands]\ncold = 0\n[fields]\nsource = { hubspot = "hs_analytics_source", salesforce = "LeadSource" }',
        fit=[{"name": "Web", "points": 1, "when": {"field": "source", "in": ["ORGANIC_SEARCH", "Web", "Wbe"]}}],
    )
    described = {
        "hubspot": ("HubSpot", [_choice("hs_analytics_source", "ORGANIC_SEARCH")]),
        "salesforce": ("Salesforce", [_choice("LeadSource", "Web")]),
    }
    assert [each.sentence.partition(",")[0] for each in lint_fields(of, described)] == [
        "hs_analytics_source has no value 'Wbe' in HubSpot",
        "LeadSource has no value 'Wbe' in Salesforce",
    ]


def _choice(name, *values):
    return DescribedField("contact", name, name, "choice", tuple((each, each) for each in values))
