"""What describe says, and values in the types that it names."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http import drop_unstorable
from connectors.salesforce import schema
from connectors.salesforce.schema import Field, clamp_text, fit_value, instant_of, reader_of
from tests.support.salesforce import connect, do


def test_a_describe_that_did_not_change_is_not_sent_again(sandbox, crm, monkeypatch):
    told = []
    composite = crm._org.composite
    monkeypatch.setattr(crm._org, "composite", lambda *asked: told.append(composite(*asked)) or told[-1])
    crm.missing_fields()
    crm.missing_fields()
    do(sandbox, "hide_field", object="Lead", field="Title")
    crm.missing_fields()
    assert [{part.status for part in each.values()} for each in told] == [{200}, {304}, {200}]


def test_a_describe_is_read_whole_every_hour(sandbox, crm, monkeypatch):
    told = []
    composite = crm._org.composite
    monkeypatch.setattr(crm._org, "composite", lambda *asked: told.append(composite(*asked)) or told[-1])
    crm.missing_fields()
    later = schema.time.monotonic() + schema.KEPT_FOR + 1
    monkeypatch.setattr(schema.time, "monotonic", lambda: later)
    crm.missing_fields()
    assert [{part.status for part in each.values()} for each in told] == [{200}, {200}]


def test_the_order_of_the_stages_is_the_picklists(sandbox, crm):
    do(sandbox, "remove_field", object="Contact", field="Crmsync_Stage__c")
    do(sandbox, "add_field", object="Contact", field="Crmsync_Stage__c", type="picklist", values=["New", "SQL", "MQL"])
    do(sandbox, "remove_picklist_value", object="Contact", field="Crmsync_Stage__c", value="SQL")
    assert connect(sandbox).stage_order() == {
        "lead": ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
        "contact": ("New", "MQL"),
    }


def test_a_stage_that_is_no_picklist_has_no_order(sandbox, crm):
    made = connect(sandbox, stage_field={"lead": "status", "contact": "Title"})
    assert set(made.stage_order()) == {"lead"}
    assert connect(sandbox, stage_field={"contact": "Nowhere__c"}).stage_order() == {}


@pytest.mark.parametrize(
    ("value", "type_", "read"),
    [
        (None, "string", None), ("", "string", None), ("x", "string", "x"), ("true", "boolean", True),
        (False, "boolean", False), (50.0, "double", 50), ("50.0", "double", 50), ("12.5", "currency", 12.5),
        ("a;b", "multipicklist", ("a", "b")), ("2026-03-29", "date", "2026-03-29"), ("NaN", "double", None),
        ("2020-10-22T21:03:23.000+0000", "datetime", "2020-10-22T21:03:23+00:00"), ("1e400", "double", None),
        ("2020-10-22T21:03:23.000Z", "datetime", "2020-10-22T21:03:23+00:00"), ("junk", "datetime", None),
        ({"street": "x"}, "address", None),
    ],
)  # fmt: skip
def test_a_value_is_read_in_the_type_that_describe_says(value, type_, read):
    assert (None if value in (None, "") else reader_of(type_)(value)) == read


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-29", datetime(2026, 3, 29, tzinfo=UTC)),
        ("2026-03-29T01:30:00.123456+02:00", datetime(2026, 3, 28, 23, 30, 0, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00.000+0000", datetime(1, 1, 1, tzinfo=UTC)),
        ("1633996800000", None),
        (None, None),
    ],
)
def test_instants_are_aware_utc_or_unknown(text, at):
    assert instant_of(text) == at


@pytest.mark.parametrize(
    ("text", "length", "kept"),
    [
        ("short", 255, "short"), ("x" * 300, 255, "x" * 255), ("ab" + "\U0001f680" * 3, 5, "ab\U0001f680"),
        ("e\u0301" * 3, 3, "e\u0301"), ("\U0001f468\u200d\U0001f469\u200d\U0001f467", 6, ""),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 6, "\U0001f1e9\U0001f1ea"), ("a b", 2, "a"),
        ("\U0001f44d\U0001f3fd!", 3, ""),
    ],
)  # fmt: skip
def test_text_is_cut_between_signs(text, length, kept):
    assert clamp_text(text, length) == kept


@settings(max_examples=60)
@given(st.text(max_size=40), st.integers(0, 20))
def test_cut_text_fits_and_is_a_beginning(text, length):
    cut = clamp_text(drop_unstorable(text), length)
    assert drop_unstorable(text).startswith(cut)
    assert len(cut.encode("utf-16-le")) // 2 <= length


@pytest.mark.parametrize(
    ("value", "field", "sent"),
    [
        (72.46, Field("S", "double", precision=5, scale=1), 72.5),
        (72, Field("S", "double", precision=3), 72),
        (-0.0, Field("S", "double", precision=3), 0),
        (7, Field("S", "int", digits=8), 7),
        (42, Field("S", "string", length=10), "42"),
    ],
)
def test_a_value_is_sent_as_the_field_takes_it(value, field, sent):
    assert fit_value(value, field) == sent


@pytest.mark.parametrize("value", [1000, 999.7, float("nan"), float("inf"), "many"])
def test_a_number_that_does_not_fit_is_refused_with_a_sentence(value):
    with pytest.raises(ValueError, match="Score__c"):
        fit_value(value, Field("Score__c", "double", precision=3))
