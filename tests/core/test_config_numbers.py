"""Numbers of the config: wherever one belongs, `true` and `false` are refused with a sentence, at any depth."""

from datetime import date, datetime, timedelta
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from crmsync.config import config_class, load
from crmsync.config.mistakes import find_mistakes, split_type
from tests.support.commands import crmsync


def key_of(annotation):
    """A key that a table may have."""
    (kind,) = split_type(annotation)
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    return "15d" if kind is timedelta else "a"


def numbers_in(annotation, loc, given, seen):
    """Every place below `loc` where a number or a date belongs, and what a file says that has `true` there."""
    kinds = split_type(annotation)
    if bool not in kinds and {int, float, date, datetime} & {*kinds}:
        yield loc, given(True)
    for kind in kinds:
        origin = get_origin(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
            seen.add(kind)
            for name, info in kind.model_fields.items():
                key = info.alias or name
                yield from numbers_in(info.annotation, (*loc, key), lambda it, key=key: given({key: it}), seen)
        elif origin is dict:
            key = key_of(get_args(kind)[0])
            yield from numbers_in(get_args(kind)[1], (*loc, key), lambda it, key=key: given({key: it}), seen)
        elif origin in (list, tuple):
            many = len(get_args(kind)) if origin is tuple else 1
            yield from numbers_in(get_args(kind)[0], (*loc, 0), lambda it, many=many: given([it] * many), seen)


LEAVES = [*numbers_in(config_class(), (), lambda it: it, set())]


def test_the_walk_finds_tables_in_tables_and_lists():
    found = {" ".join(map(str, loc)) for loc, _given in LEAVES}
    assert {
        "behavior 0 decay steps 15d",
        "behavior 0 at_least_sum a",
        "experiment a share a",
        "experiment a arms a",
        "fit 0 when in 0",
        "fit 0 when between 0",
        "owner_pool 0 members 0 weight",
        "segment 0 bands a at",
        "hubspot webhooks port",
        "grades a",
        "test 0 at",
    } <= found
    assert len(found) > 80


@pytest.mark.parametrize(("loc", "given"), LEAVES, ids=[".".join(map(str, loc)) for loc, _given in LEAVES])
def test_true_is_refused_where_a_number_or_a_date_belongs(loc, given):
    made = config_class()
    with pytest.raises(ValidationError) as caught:
        made(**given)
    found = find_mistakes(caught.value.errors(include_url=False, include_input=False), made)
    # What is asked of a list as a whole stands at the list.
    said = [each.said for each in found if each.loc in (loc, loc[:-1])]
    assert len(said) == 1, found
    assert "write " in said[0]


@pytest.mark.parametrize(
    ("text", "key", "many", "few"),
    [
        ("[guard]\nfirst_run = 1.000", "guard → first_run", 1000, 1),
        ("[[fit]]\nname = 'F'\npoints = 1\nwhen = { field = 'email', gte = 2.500 }", 'fit "F" → when → gte', 2500, 2.5),
        ("[grades]\nA = 1.250", "grades → A", 1250, 1.25),
        ("[bands]\nmql = 1.000", "bands → mql", 1000, 1),
    ],
)
def test_a_point_between_thousands_is_not_taken_for_a_decimal_one(tmp_path, text, key, many, few):
    path = tmp_path / "crmsync.toml"
    path.write_text(text)
    ended = crmsync("check", "--config", path, "--json")
    assert ended.code == 2
    (said,) = ended.json["problems"]
    assert said.endswith(f"{key}: this may mean {many} or {few:g}; write the one that is meant")


@pytest.mark.parametrize("written", ["0.125", "1.125", "10.5", "1000.0", "1.0", "0.250"])
def test_other_decimals_are_read_as_they_are(tmp_path, written):
    path = tmp_path / "crmsync.toml"
    path.write_text(f"[weights]\nfit = {written}\n" if float(written) < 100 else f"[bands]\na = {written}\n")
    assert load(path)


NESTED = """
[bands]
cold = 0
[[behavior]]
name = "B"
points = 1
on = "page_viewed"
at_least_sum = { seconds = true }
decay = { steps = { "15d" = 50, "30d" = false } }
[[fit]]
name = "F"
points = 1
when = { field = "email", in = ["a", true] }
[experiment.line]
arms = { a = 50, b = true }
start = 86400
size = 9
[experiment.line.share]
a = true
[[test]]
name = "T"
at = 5
expect = { total = 1 }
"""


def test_they_are_answered_at_their_lines_and_with_exit_2(tmp_path):
    path = tmp_path / "crmsync.toml"
    path.write_text(NESTED)
    ended = crmsync("check", "--config", path, "--json")
    number = "write a number, and not true or false"
    assert ended.code == 2
    assert [each.partition(", ")[2] for each in ended.json["problems"]] == [
        f'line 8: behavior "B" → at_least_sum → seconds: {number}',
        f'line 9: behavior "B" → decay → steps → 30d: {number}',
        'line 13: fit "F" → when → in: true and false do not go into a list; write is = true or is = false in place '
        "of it",
        f"line 15: experiment → line → arms → b: {number}",
        "line 16: experiment → line → start: write a date, for example 2026-11-21",
        f"line 19: experiment → line → share → a: {number}",
        'line 22: test "T" → at: write the time with its time zone, for example 2026-11-21T12:00:00Z',
    ]
