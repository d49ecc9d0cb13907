"""Countries and states, however a CRM, a file or somebody spells them."""

from __future__ import annotations

from datetime import UTC

import pytest
from pydantic import ValidationError

from crmsync.config import conditions
from crmsync.lint import lint_with_data
from crmsync.model import KINDS
from crmsync.scoring import columns_of, score
from tests.support.scoring import NOW, fit_rule, foreseen, model, one, person, total

US = ("USA", "US", "us", "U.S.", "U.S.A.", "United States", "United  States", "United States of America", "America")
GERMANY = ("DE", "Deutschland", "Germany", "DEU", "Allemagne", "germany ", "Federal Republic of Germany")


@pytest.fixture(autouse=True)
def _countries():
    pytest.importorskip("pycountry")


def of(**question):
    return model(fit=[fit_rule(10, "rule", field="country", **question)])


@pytest.mark.parametrize("spelling", [*US, *GERMANY, "Vereinigte Staaten", "États-Unis"])
def test_v6_a_country_is_one_in_every_spelling(spelling):
    wanted = of(country=["United States", "Germany"])
    assert total(wanted, country=spelling) == 10
    assert total(of(country="France"), country=spelling) == 0
    assert total(of(country=[spelling]), country="US" if spelling not in GERMANY else "DE") == 10


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        *(("Österreich", "AT"), ("UK", "GB"), ("The Netherlands", "NL"), ("日本", "JP")),
        *(("Bharat", "IN"), ("भारत", "IN")),
        *(("D", "DE"), ("A", "AT"), ("F", "FR"), ("I", "IT")),  # as on cars and envelopes
    ],
)
def test_v6_names_in_other_languages_and_short_ones(spelling, code):
    assert total(of(country=code), country=spelling) == 10


@pytest.mark.parametrize(
    ("spelling", "code"),
    [("Oesterreich", "AT"), ("Osterreich", "AT"), ("Suedkorea", "KR"), ("Espana", "ES"), ("Turkiye", "TR"),
     ("U S A", "US"), ("Côte d’Ivoire", "CI"), ("O\u0308sterreich", "AT"), ("GER", "DE")],
)  # fmt: skip
def test_names_without_accents_or_with_two_letters_for_one(spelling, code):
    assert total(of(country=code), country=spelling) == 10


@pytest.mark.parametrize(
    ("spelling", "code"), [("Québec", "CA-QC"), ("Sao Paulo", "BR-SP"), ("Baden-Wuerttemberg", "DE-BW")]
)
def test_states_are_read_with_and_without_accents(spelling, code):
    asked = model(fit=[fit_rule(10, "rule", field="state", state=[code])])
    assert total(asked, state=spelling) == 10


def test_v6_what_is_no_country_is_unknown():
    wanted = model(fit=[fit_rule(10, "tier 1", field="country", country=["US", "NA"])])
    got = foreseen(wanted, country="Middle Earth")
    assert (got["total"], got["gaps"]) == (0, ["country has a value that its rules cannot use: tier 1"])
    assert (got["range"]["lowest"], got["range"]["highest"]) == (0, 10)
    assert total(wanted, country="NA") == 10  # Namibia
    assert one(wanted, country="N/A")["gaps"] == ["country is not known: tier 1"]


def test_v6_states_by_code_and_name():
    wanted = model(fit=[fit_rule(10, "west", field="state", state=["US-CA", "Oregon", "Bayern"])])
    for spelling in ("CA", "California", "us-ca", "US CA", "OR", "oregon", "BY"):
        assert total(wanted, state=spelling) == 10, spelling
    assert total(wanted, state="Texas") == total(wanted, state="New South Wales") == 0
    assert one(wanted, state="Nowhere")["gaps"] == ["state has a value that its rules cannot use: west"]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"country": "Germny"}, "'Germny' is no country that is known; did you mean DE (Germany)?"),
        ({"state": "CA"}, "'CA' may be US-CA or "),
        ({"state": "Califronia"}, "did you mean US-CA (California)?"),
    ],
)
def test_a_rule_names_countries_and_states_that_are_there(question, said):
    with pytest.raises(ValidationError) as caught:
        of(**question)
    assert said in str(caught.value)


def listed(of, people):
    columns = columns_of(people)
    found = lint_with_data(of, score(of, columns, NOW, UTC), columns, KINDS, int(NOW.timestamp()))
    return [each.sentence for each in found]


def test_what_is_no_country_is_listed_with_how_many_have_it_and_what_it_is_like():
    people = ["Untied States"] * 3 + ["Germny"] * 2 + ["Middle Earth", "XYZ", "N/A", None, "Germany", "x" * 80]
    (sentence,) = listed(of(country="US"), [person(country=each) for each in people])
    head, *lines = sentence.splitlines()
    assert head.startswith("country: what 8 of 11 people have is no country that is known")
    assert lines == [
        '  "Untied States": 3; did you mean United States?',
        '  "Germny": 2; did you mean Germany?',
        '  "Middle Earth": 1',
        '  "XYZ": 1',
    ]


def test_what_is_no_state_is_listed_alike():
    of_state = model(fit=[fit_rule(10, "west", field="state", state="US-CA")])
    (sentence,) = listed(of_state, [person(state=each) for each in ("Califronia", "CA", "Nowhere")])
    assert sentence.splitlines()[1:] == ['  "Califronia": 1; did you mean California?', '  "Nowhere": 1']


def test_countries_are_listed_only_where_a_rule_asks_for_them_as_such():
    as_text = model(fit=[fit_rule(10, "rule", field="country", contains="states")])
    assert listed(as_text, [person(country="Untied States")]) == []
    assert listed(of(country="US"), [person(country="USA")]) == []


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(conditions, "is_installed", lambda: False)
    with pytest.raises(ValidationError, match=r"pip install 'crmsync\[countries\]'"):
        of(country="US")
