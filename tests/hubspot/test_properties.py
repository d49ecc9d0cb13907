"""HubSpot's values, all of them text, and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.properties import Definition, definition_of, instant_of, number_of, property_text, read_value
from tests.support.hubspot import unhurried


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("1633996800000", "2021-10-12T00:00:00+00:00"),
        (1633996800000, "2021-10-12T00:00:00+00:00"),
        ("2026-03-29", "2026-03-29T00:00:00+00:00"),
        ("2026-03-29T02:30:00Z", "2026-03-29T02:30:00+00:00"),
        ("2026-03-29T02:30:00.123456+0200", "2026-03-29T00:30:00.123456+00:00"),
        ("2026-03-29T02:30:00", "2026-03-29T02:30:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
        ("-86400000", "1969-12-31T00:00:00+00:00"),
    ],
)
def test_an_instant_however_hubspot_writes_it(value, at):
    assert instant_of(value).isoformat() == at


@pytest.mark.parametrize("value", [None, "", "soon", "99999999999999999999", "0001-01-01T00:00:00+14:00", "2026-13-01"])
def test_what_is_no_instant_is_unknown(value):
    assert instant_of(value) is None


def test_a_date_is_never_shifted_by_a_zone():
    date = Definition("d", "date", "date", True)
    assert read_value("2026-03-29", date) == "2026-03-29"
    assert read_value("1774742400000", date) == "2026-03-29"


@pytest.mark.parametrize(
    ("text", "value"),
    [("42", 42), ("42.0", 42), ("-0", 0), ("1.5", 1.5), ("1e3", 1000), ("NaN", None), ("Infinity", None), ("x", None)],
)
def test_numbers(text, value):
    assert number_of(text) == value


def test_an_option_with_a_negative_place_is_shown_behind_all_others():
    options = [{"label": each, "value": each, "displayOrder": at} for each, at in (("c", -1), ("b", 1), ("a", 0))]
    found = definition_of({"name": "lifecyclestage", "type": "enumeration", "fieldType": "radio", "options": options})
    assert found.options == ("a", "b", "c")


@pytest.mark.parametrize("text", ["1_000", "1,000", "0x10", "٣٣x", "--1"])
def test_what_only_looks_like_a_number_is_unknown(text):
    assert number_of(text) is None


@pytest.mark.parametrize(
    ("property_type", "field_type", "text", "value"),
    [
        ("string", "text", "", None),
        ("string", "text", "0", "0"),
        ("bool", "booleancheckbox", "true", True),
        ("bool", "booleancheckbox", "false", False),
        ("bool", "booleancheckbox", "maybe", None),
        ("enumeration", "booleancheckbox", "true", True),
        ("enumeration", "booleancheckbox", "false", False),
        ("enumeration", "checkbox", "a;b", ("a", "b")),
        ("enumeration", "checkbox", ";", None),
        ("enumeration", "select", "a;b", "a;b"),
        ("datetime", "date", "2026-03-29T02:30:00Z", "2026-03-29T02:30:00Z"),
    ],
)
def test_values_have_the_type_of_their_property(property_type, field_type, text, value):
    assert read_value(text, Definition("p", property_type, field_type, True)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (7.0, "7"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (("a", "b"), "a;b"),
        ("a\0\ud800b", "ab"),
    ],
)
def test_values_as_hubspot_takes_them(value, text):
    assert property_text(value) == text


@unhurried
@given(st.text(max_size=80))
def test_any_text_can_be_written(text):
    assert "\0" not in property_text(text).encode().decode()
