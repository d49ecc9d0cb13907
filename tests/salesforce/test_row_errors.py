"""What a refusal of a row means."""

import pytest

from connectors.salesforce import writer
from connectors.salesforce.payload import Update
from connectors.salesforce.row_errors import RowError, first_error, refusal_of_bulk
from connectors.salesforce.writer import Try, judge_row
from crmsync.model import Ref
from tests.support.salesforce import change


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION:Call, first: now:Status --",
            RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Call, first: now", ("Status",)),
        ),
        ("UNABLE_TO_LOCK_ROW:no exclusive access:--", RowError("UNABLE_TO_LOCK_ROW", "no exclusive access")),
        ("INVALID_FIELD:a:b c --", RowError("INVALID_FIELD", "a", ("b", "c"))),
        ("CODE:told\nin two lines", RowError("CODE", "told\nin two lines")),
        ("something else: entirely", RowError("UNKNOWN", "something else: entirely")),
        ("", RowError("UNKNOWN", "")),
    ],
)  # fmt: skip
def test_an_error_cell_is_read_as_far_as_it_is_one(text, told):
    assert refusal_of_bulk(text) == told


def test_both_spellings_of_an_error_are_read():
    one = {"statusCode": "X", "message": "m", "fields": ["A"]}
    other = {"errorCode": "X", "message": "m", "fields": ["A"]}
    assert first_error([one]) == first_error([other]) == RowError("X", "m", ("A",))
    assert first_error([]).code == first_error(None).code == "UNKNOWN"


SPELLED = {"score": "S__c", "band": "B__c", "stage": "Status", "owner": "OwnerId"}


def names(tries):
    return sorted(sorted(each.names) for each in tries)


@pytest.mark.parametrize(
    ("why", "sent", "following", "refused"),
    [
        (RowError("X", "", ("B__c",)), {"score", "band"}, [["score"]], {"band"}),
        (RowError("X", "", ("Id",)), {"score", "band"}, [], {"score", "band"}),
        (RowError("X", "", ("Title",)), {"score", "band"}, [], {"score", "band"}),
        (RowError("STRING_TOO_LONG", "", ("Title",)), {"score", "band"}, [], {"score", "band"}),
        (RowError("X", "", ("Title",)), {"score", "band", "stage"}, [["band", "score"], ["stage"]], set()),
        (RowError("X", "", ("Title", "b__c")), {"score", "band"}, [["score"]], {"band"}),
        (RowError("X", "", ("S__c", "B__c")), {"score", "band"}, [], {"score", "band"}),
        (RowError("REQUIRED_FIELD_MISSING", "m"), {"score", "band", "stage"}, [["band", "score"], ["stage"]], set()),
        (RowError("STRING_TOO_LONG", "m"), {"score", "band"}, [["band"], ["score"]], set()),
        (RowError("STRING_TOO_LONG", "m"), {"score"}, [], {"score"}),
        (RowError("UNABLE_TO_LOCK_ROW", "m"), {"score", "band"}, [["band", "score"]], set()),
        (RowError("ENTITY_IS_DELETED", "m"), {"score", "band"}, [], {"score", "band"}),
    ],
)  # fmt: skip
def test_what_is_sent_after_a_refusal(why, sent, following, refused):
    ref = Ref("salesforce", "lead", "00Q1")
    each = Try(Update(change(ref)), frozenset(sent))
    assert names(judge_row(each, why, SPELLED)) == following
    assert set(each.row.refused) == refused


def test_a_lock_is_not_tried_for_ever():
    each = Try(Update(change(Ref("salesforce", "lead", "00Q1"))), frozenset({"score", "band"}))
    rounds = 0
    tries = [each]
    while tries:
        tries = [more for one in tries for more in judge_row(one, RowError("UNABLE_TO_LOCK_ROW", ""), SPELLED)]
        rounds += 1
    assert rounds == len(writer.LOCK_SIZES)
