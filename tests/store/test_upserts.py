"""Rows that are stored or overwritten: few or many, on either database, they end the same."""

import pytest

from crmsync.store import schema
from crmsync.store.sql import MANY, upsert
from tests.support.state import rows


@pytest.mark.parametrize("many", [1, MANY - 1, MANY, 3 * MANY])
def test_what_is_there_is_overwritten_and_of_a_key_that_comes_twice_the_last_row_counts(state, many):
    def row(number, at, owner):
        return {"crm": "hubspot", "id": f"it's “{number}”", "record": number, "at": at, "fact": 1, "owner": owner}

    for at, owner in ((1, None), (2, 7)):
        given = [row(number, at, owner) for number in range(many)]
        with state.begin() as tx:
            upsert(tx, schema.activity, [row(0, 9, 9), *given])
        assert sorted(rows(state, schema.activity), key=lambda each: each["record"]) == given


@pytest.mark.parametrize("many", [2, 2 * MANY])
def test_rows_of_nothing_but_a_key_may_be_there_and_others_stay_as_they_are(state, many):
    counts = [{"record": number, "kind": "page_viewed", "count": 2} for number in range(many)]
    with state.begin() as tx:
        upsert(tx, schema.counter, counts)
        upsert(tx, schema.counter, [{**each, "count": 5} for each in counts[:1]])
        for _ in range(2):
            upsert(tx, schema.seen_activity, [{"crm": "hubspot", "id": str(number)} for number in range(many)])
    found = sorted(rows(state, schema.counter), key=lambda each: each["record"])
    assert [each["count"] for each in found] == [5, *[2] * (many - 1)]
    assert len(rows(state, schema.seen_activity)) == many
