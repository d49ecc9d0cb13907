"""Where a pull stands, as text that outlives the process."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.cursors import Cursor, dump_cursors, load_cursors
from tests.support.hubspot import contacts, unhurried


def test_a_cursor_in_hubspots_future_is_not_believed(sandbox, ready):
    _, cursor = contacts(ready)
    sandbox.clock.advance(-4 * 3600)
    assert len(contacts(ready, cursor)[0]) == len(sandbox.portal.state.contacts.live)


@pytest.mark.parametrize("cursor", ["", "nonsense", "[]", '{"v":0}', '{"v":1,"contacts":{"was":1}}'])
def test_a_cursor_that_cannot_be_read_is_as_good_as_none(sandbox, ready, cursor):
    assert len(contacts(ready, cursor)[0]) == len(sandbox.portal.state.contacts.live)


cursors = st.builds(
    Cursor,
    at=st.none() | st.integers(1, 2**50),
    daily=st.integers(0, 2**50),
    bin=st.integers(0, 2**20),
    start=st.none() | st.integers(1, 2**50),
    walk=st.none() | st.just([]) | st.just([["5", 4, None], ["9", 8, 12]]),
    last=st.text("0123456789", max_size=12),
    feeds=st.text("0123456789abcdef", max_size=8),
    again=st.booleans(),
    full=st.booleans(),
)


@unhurried
@given(st.dictionaries(st.text("abc_", min_size=1), cursors))
def test_cursors_survive_being_text(some):
    assert load_cursors(dump_cursors(some)) == some


def test_overlap_is_counted_in_milliseconds():
    from connectors.hubspot.cursors import millis_of

    assert millis_of(timedelta(minutes=10)) == 600_000
