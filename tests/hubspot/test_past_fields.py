"""What HubSpot still knows of former values of mapped fields."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.sandbox.faults import Fault
from crmsync.connector import FieldHistory, PastValue
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref
from tests.support.hubspot import NAMES, calls, create, hubspot, refused, update

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TYPED = replace(NAMES, fields={"title": "jobtitle", "cited": "title_cited", "size": "team_size", "also": "jobtitle"})


def ref(contact_id):
    return Ref("hubspot", "contact", contact_id)


def known(connector, *ids):
    """The former values of these contacts by field, and since when nothing is missing, for each part that came."""
    parts = list(connector.past_fields([ref(each) for each in ids]))
    return [value for each in parts for value in each.values], [each.whole_since for each in parts]


@pytest.fixture
def ada(sandbox):
    return create(sandbox, email="ada@acme.example", jobtitle="Engineer")


def hours(number):
    return NOW + timedelta(hours=number)


def test_each_former_value_says_until_when_it_held(sandbox, ready, ada):
    for title in ("Head of Engineering", "", "CTO"):
        sandbox.clock.advance(3600)
        update(sandbox, ada, jobtitle=title)
    values, whole = known(ready, ada)
    assert isinstance(ready, FieldHistory)
    assert values == [
        PastValue(ref(ada), "title", "Engineer", hours(1)),
        PastValue(ref(ada), "title", "Head of Engineering", hours(2)),
        PastValue(ref(ada), "title", None, hours(3)),
    ]
    # What belongs to the company has no history on the contact.
    assert whole == [{"contact": {"title": None, "country": None}}]


def test_a_field_that_was_empty_at_first_had_no_value_until_it_was_filled(sandbox, ready, ada):
    sandbox.clock.advance(3600)
    update(sandbox, ada, country="Germany")
    assert known(ready, ada)[0] == [PastValue(ref(ada), "country", None, hours(1))]


def test_values_are_read_as_a_pull_reads_them(sandbox, ada):
    schema = sandbox.portal.state.contacts.schema
    for name, kind, field_type in (("title_cited", "bool", "booleancheckbox"), ("team_size", "number", "number")):
        schema.put(schema.known["jobtitle"] | {"name": name, "type": kind, "fieldType": field_type})
    for values in ({"title_cited": "true", "team_size": "12"}, {"title_cited": "false", "team_size": "12.0"}):
        sandbox.clock.advance(3600)
        update(sandbox, ada, **values)
    sandbox.clock.advance(3600)
    update(sandbox, ada, team_size="13", jobtitle="CTO")
    values, (whole,) = known(hubspot(sandbox, TYPED), ada)
    assert {(each.field, each.value, each.until) for each in values} == {
        ("cited", None, hours(1)),
        ("cited", True, hours(2)),
        ("size", None, hours(1)),
        ("size", 12, hours(3)),
        ("title", "Engineer", hours(3)),
        ("also", "Engineer", hours(3)),
    }
    assert whole["contact"].keys() == TYPED.fields.keys()


@pytest.mark.parametrize("kept", [20, 45])
def test_a_record_with_more_values_than_hubspot_keeps_says_since_when_it_is_whole(sandbox, ready, ada, kept):
    sandbox.portal.switches.versions = kept
    grace = create(sandbox, email="grace@acme.example", jobtitle="Admiral")
    for number in range(1, 61):
        sandbox.clock.advance(3600)
        update(sandbox, ada, jobtitle=f"Title {number}")
    update(sandbox, grace, jobtitle="Rear Admiral")
    parts = list(ready.past_fields([ref(ada), ref(grace)]))
    of_ada, of_grace = (
        next(each for each in parts if any(one.ref == ref(who) for one in each.values)) for who in (ada, grace)
    )
    assert of_ada.whole_since == {"contact": {"title": hours(61 - kept), "country": None}}
    assert min(each.until for each in of_ada.values) == hours(62 - kept)
    assert {each.ref for each in of_ada.values} == {ref(ada)}
    assert of_grace.whole_since == {"contact": {"title": None, "country": None}}
    assert [each.value for each in of_grace.values] == ["Admiral"]


def test_many_versions_that_begin_with_the_record_are_all_there_are(sandbox, ready, ada):
    for number in range(1, 31):
        sandbox.clock.advance(3600)
        update(sandbox, ada, jobtitle=f"Title {number}")
    values, whole = known(ready, ada)
    assert (len(values), whole) == (30, [{"contact": {"title": None, "country": None}}])


def test_fifty_records_come_in_a_call(sandbox, ready):
    ids = [create(sandbox, email=f"guest{number}@acme.example") for number in range(101)]
    ready.missing_fields()
    sandbox.calls.clear()
    known(ready, *ids, ids[0])
    assert len(calls(sandbox, "/batch/read")) == 3


@pytest.mark.parametrize(
    ("versions", "value", "whole"),
    [
        ([{"value": "CTO", "timestamp": "soon"}, {"value": "CEO", "timestamp": "2026-11-21T08:00:00Z"}], "CTO", 8),
        ([], "CTO", 9),
        ([], None, None),
        (None, None, None),
        ("odd", None, None),
    ],
)
def test_of_an_odd_history_only_what_is_certain_counts(sandbox, ready, ada, versions, value, whole):
    record = {
        "id": ada,
        "properties": {"jobtitle": value, "lastmodifieddate": "2026-11-21T08:00:00Z"},
        "propertiesWithHistory": {"jobtitle": versions},
        "createdAt": "2026-11-01T08:00:00Z",
    }
    sandbox.faults.add(Fault(do="answer", status=200, body={"results": [record, 7]}, path="/contacts/batch/read"))
    values, (first, *_) = known(ready, ada)
    assert values == []
    assert first["contact"]["title"] == (None if whole is None else NOW.replace(hour=whole))


def test_a_history_that_hubspot_refuses_is_not_taken_for_none(sandbox, ready, ada):
    fault = Fault(**refused(400, message="no"), path="/contacts/batch/read")
    sandbox.faults.add(fault)
    with pytest.raises(Unavailable):
        known(ready, ada)
    sandbox.portal.switches.scopes = ["crm.schemas.contacts.read"]
    with pytest.raises(ConfigError):
        known(hubspot(sandbox), ada)


def test_without_a_mapped_property_nothing_is_asked(sandbox):
    connector = hubspot(sandbox, replace(NAMES, fields={"employees": "company.numberofemployees"}))
    assert known(connector, "51") == ([], [])
    assert not calls(sandbox, "/batch/read")
