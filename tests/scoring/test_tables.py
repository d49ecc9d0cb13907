"""Scoring over tables gives what scoring gives, to the last point of every line."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmsync.config import load_model
from crmsync.errors import ConfigError
from crmsync.scoring import columns_of, result_of, score, score_schema, score_table
from crmsync.scoring.arrow import read_seconds
from tests.support.rich_model import PEOPLE, PREVIOUS, RICH
from tests.support.scoring import NOW, example, fit_rule, model, total
from tests.support.scoring_strategies import ZONES, models, people
from tests.support.scoring_strategies import columns_of as columns_of_pairs

BAND = st.sampled_from([None, "cold", "warm", "mql"])


def often(examples):
    return settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def expected(of, columns, zone, previous=None, now=NOW):
    """The rows of the table that `score_table` must give, from what `score` gives."""
    scores = score(of, columns, now, zone, previous)
    for row in range(len(columns.people)):
        found = result_of(of, scores, row)
        found["score"] = found.pop("total")
        pairs = zip(scores.lines, scores.points, strict=True)
        ledger = [{"line": line.name, "points": int(each[row]) / 100} for line, each in pairs if each[row]]
        yield {**found, "channels": list(found["channels"].items()), "ledger": ledger}


def rows_of(table):
    return [{name: value for name, value in row.items() if name != "person"} for row in table.to_pylist()]


def array_of(values, encoded):
    """Values as an array; several types are written as JSON."""
    if len({type(each) for each in values if each is not None}) > 1:
        texts = [None if each is None else json.dumps(each) for each in values]
        return pa.array(texts), "#json"
    made = pa.array([list(each) if isinstance(each, tuple) else each for each in values])
    is_plain = not pa.types.is_list(made.type) and not pa.types.is_null(made.type)
    return (made.dictionary_encode() if encoded and is_plain else made), ""


def table_of(columns, previous, *, encoded, nested, chunks=1):
    """A table of the people, and one of the facts, or activities by kind."""
    counts = np.bincount(columns.person, minlength=len(columns.people))
    offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
    at = pa.array(columns.at).cast(pa.timestamp("s", "UTC"))
    fact = pa.array(columns.fact * 3 + 7)
    acts = pa.StructArray.from_arrays([fact, at], ["fact", "at"])
    arrays = {name: array_of(values, encoded) for name, values in columns.fields.items()}
    fields = [pa.field(name + end, array.type) for name, (array, end) in arrays.items()]
    made = [array for array, _ in arrays.values()]
    if nested and fields:
        made, fields = [pa.StructArray.from_arrays(made, fields=fields)], [pa.field("fields", pa.struct(fields))]
    given = {
        "person": pa.array(columns.people),
        "previous": pa.array(previous, pa.string()),
        "activities": pa.ListArray.from_arrays(offsets, acts),
    }
    schema = pa.schema([*fields, *((name, each.type) for name, each in given.items())])
    table = pa.Table.from_arrays([*made, *given.values()], schema=schema)
    if chunks > 1:
        table = pa.concat_tables([table.slice(start, 1) for start in range(len(table))])
    facts = pa.table(
        {
            "fact": pa.array(np.arange(len(columns.facts)) * 3 + 7, pa.int64()),
            "kind": pa.array([each.kind for each in columns.facts], pa.string()),
            "attributes": pa.array([json.dumps(dict(each.attributes)) for each in columns.facts], pa.string()),
        }
    )
    return table, facts.take(pa.array(range(len(facts) - 1, -1, -1), pa.int64()))


@often(40)
@given(models(), people, st.sampled_from(ZONES), st.booleans(), st.booleans(), st.integers(1, 2), st.data())
def test_a_table_with_facts_scores_as_columns_do(of, people, zone, encoded, nested, chunks, data):
    table_with_facts_scores_alike(of, people, zone, encoded, nested, chunks, [data.draw(BAND) for _ in people])


def table_with_facts_scores_alike(of, people, zone, encoded, nested, chunks, previous):
    columns = columns_of_pairs(people)
    table, facts = table_of(columns, previous, encoded=encoded, nested=nested, chunks=chunks)
    got = score_table(of, table, NOW, zone, facts)
    assert got["person"].to_pylist() == columns.people.tolist()
    assert got.schema == score_schema(pa.int64())
    assert rows_of(got) == list(expected(of, columns, zone, previous))


@pytest.mark.parametrize(("encoded", "nested", "chunks"), [(True, False, 1), (False, True, 2)])
@pytest.mark.parametrize("name", RICH)
def test_a_table_with_facts_scores_a_model_that_uses_everything_as_columns_do(name, encoded, nested, chunks):
    table_with_facts_scores_alike(RICH[name], PEOPLE, ZONES[1], encoded, nested, chunks, PREVIOUS)


def written(people):
    """People as lines of a file; every second activity has an id, and some are there twice."""
    for number, (fields, done) in enumerate(people):
        acts = [
            {"kind": kind, "at": datetime.fromtimestamp(at, UTC).isoformat(), "attributes": each}
            for at, kind, each in done
        ]
        for place, act in enumerate(acts[::2]):
            act["id"] = f"a{place % 3}"
        yield {"id": f"p{number}", "fields": fields, "activities": [*acts, *acts[:2]]}


ATTRIBUTES = {
    "struct": (pa.struct([("url", pa.string()), ("seconds", pa.int64())]), lambda each: each),
    "map": (pa.map_(pa.string(), pa.string()), lambda each: [(name, str(value)) for name, value in each.items()]),
    "text": (pa.string(), json.dumps),
}


@pytest.mark.parametrize("shape", sorted(ATTRIBUTES))
@often(12)
@given(models(), people, st.sampled_from(ZONES), st.booleans())
def test_a_table_with_kinds_scores_as_the_same_lines_do(shape, of, people, zone, as_text):
    kind, spelled = ATTRIBUTES[shape]
    lines = list(written(people))
    if shape == "map":  # its values are texts
        for act in (act for line in lines for act in line["activities"]):
            act["attributes"] = {name: str(value) for name, value in act["attributes"].items()}
    columns = columns_of(lines)
    at = pa.string() if as_text else pa.timestamp("us", "Europe/Berlin")
    act = pa.struct([("id", pa.string()), ("kind", pa.string()), ("at", at), ("attributes", kind)])
    acts = [
        [
            {
                **each,
                "at": each["at"] if as_text else datetime.fromisoformat(each["at"]),
                "attributes": spelled(each["attributes"]),
            }
            for each in line["activities"]
        ]
        for line in lines
    ]
    arrays = {name: array_of(values, True) for name, values in columns.fields.items()}
    fields = [pa.field(name + end, array.type) for name, (array, end) in arrays.items()]
    schema = pa.schema([*fields, ("id", pa.string()), ("activities", pa.list_(act))])
    ids = pa.array([line["id"] for line in lines])
    table = pa.Table.from_arrays(
        [*(array for array, _ in arrays.values()), ids, pa.array(acts, pa.list_(act))], schema=schema
    )
    got = score_table(of, table, NOW, zone)
    assert got["person"].to_pylist() == [line["id"] for line in lines]
    assert rows_of(got) == list(expected(of, columns, zone))


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("shape", sorted(ATTRIBUTES))
def test_a_table_with_kinds_scores_a_model_that_uses_everything_as_the_same_lines_do(shape, as_text):
    law = test_a_table_with_kinds_scores_as_the_same_lines_do.hypothesis.inner_test
    law(shape, RICH["rules and learned"], PEOPLE, ZONES[1], as_text)


def test_parts_of_a_table_score_as_the_whole():
    of = example("segments")
    acts = [[{"kind": "page_viewed", "at": NOW, "attributes": {"url": f"/{number % 3}"}}] * 2 for number in range(40)]
    table = pa.table({"id": range(40), "title": ["VP Sales", "Student"] * 20, "activities": acts})
    whole = score_table(of, table, NOW, UTC)
    parts = [score_table(of, table.slice(start, 7), NOW, UTC) for start in range(0, 40, 7)]
    assert pa.concat_tables(parts).equals(whole)


def test_dates_decimals_and_odd_values_are_read_as_scoring_reads_them():
    of = model(
        fit=[{"name": "big", "points": 5, "when": {"field": "size", "gte": 10}}],
        inactivity=[{"name": "quiet", "points": -3, "after": "10d", "since": "came"}],
    )
    table = pa.table(
        {
            "size": pa.array([Decimal("10.00"), Decimal("9.99"), None]),
            "came": pa.array([date(2026, 11, 20), date(2026, 10, 1), None]),
        }
    )
    assert score_table(of, table, NOW, UTC)["score"].to_pylist() == [
        total(of, size=10.0, came="2026-11-20"),
        total(of, size=9.99, came="2026-10-01"),
        total(of),
    ]
    assert score_table(of, pa.table({"size": [float("nan"), 10.0]}), NOW, UTC)["fit"].to_pylist() == [0, 5]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_instants_of_every_unit_and_as_whole_seconds_or_text_are_the_same_seconds_always_down(unit):
    at = [datetime(1969, 12, 31, 23, 59, 58, 500_000, tzinfo=UTC), None, NOW]
    array = pa.array(at, pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "UTC"), safe=False)
    first = -1 if unit == "s" else -2  # pyarrow itself cuts half a second off towards 1970
    seconds, good = read_seconds(array)
    assert (seconds[good].tolist(), good.tolist()) == ([first, int(NOW.timestamp())], [True, False, True])
    seconds, good = read_seconds(pa.array([-2, None, int(NOW.timestamp())]))
    assert (seconds[good].tolist(), good.tolist()) == ([-2, int(NOW.timestamp())], [True, False, True])
    texts = ["1969-12-31T23:59:58.500Z", "2026-11-21", None, "soon", NOW.isoformat()]
    seconds, good = read_seconds(pa.array(texts))
    assert (seconds[good].tolist(), good.tolist()) == ([-2, int(NOW.timestamp())], [True, False, False, False, True])


def test_the_last_of_several_activities_with_one_id_counts_and_without_an_id_what_is_alike_counts_once():
    of = model(behavior=[{"name": "visit", "points": 1, "on": "page_viewed", "where": {"url": {"contains": "/a"}}}])

    def act(url, id_=None, at=NOW):
        return {"kind": "page_viewed", "at": at, "id": id_, "attributes": {"url": url}}

    earlier = NOW - timedelta(days=3)
    acts = [
        [act("/b", "1"), act("/a", "1")],
        [act("/a", "1"), act("/b", "1")],
        [act("/a"), act("/a"), act("/a", at=earlier)],
        [act("/a", "1"), act("/a", "2"), act("/a"), act("/a", "2", earlier)],
        None,
        [act("/a", "1")],
    ]
    assert score_table(of, pa.table({"activities": acts}), NOW, UTC)["score"].to_pylist() == [1, 0, 2, 3, 0, 1]
    plain = [[{name: value for name, value in each.items() if name != "id"} for each in some or ()] for some in acts]
    assert score_table(of, pa.table({"activities": plain}), NOW, UTC)["score"].to_pylist() == [1, 1, 2, 2, 0, 1]


def test_every_column_of_the_scores_is_filled():
    of = model(
        fit=[fit_rule(8, field="size", gt=1)],
        behavior=[{"name": "visit", "points": 3, "on": "page_viewed", "channel": "web"}],
        channels={"web": {}},
        bands={"cold": 0, "mql": 10},
        grades={"A": 5, "B": 0},
        grid={"1": 2, "2": 0},
        segment=[{"name": "big", "when": {"field": "size", "gt": 100}}],
        qualification=[{"name": "need", "when": {"field": "need", "is": True}}],
        disqualify=[{"name": "rival", "when": {"field": "rival", "is": True}}],
    )
    table = pa.table(
        {"id": ["a", "b", "c"], "size": [200, 5, 0], "need": [True, None, False], "rival": [None, True, False],
         "activities": [[{"kind": "page_viewed", "at": NOW}], [], []]}
    )  # fmt: skip
    assert score_table(of, table, NOW, UTC).to_pylist() == [
        {"person": "a", "fit": 8.0, "behavior": 3.0, "score": 11.0, "band": "mql", "grade": "A", "grid": "A1",
         "segment": "big", "qualified": True, "disqualified": None, "channels": [("web", 3.0)],
         "ledger": [{"line": "fit", "points": 8.0}, {"line": "visit", "points": 3.0}]},
        {"person": "b", "fit": 8.0, "behavior": 0.0, "score": 8.0, "band": "cold", "grade": "A", "grid": "A2",
         "segment": None, "qualified": None, "disqualified": "rival", "channels": [("web", 0.0)],
         "ledger": [{"line": "fit", "points": 8.0}]},
        {"person": "c", "fit": 0.0, "behavior": 0.0, "score": 0.0, "band": "cold", "grade": "B", "grid": "B2",
         "segment": None, "qualified": False, "disqualified": None, "channels": [("web", 0.0)], "ledger": []},
    ]  # fmt: skip


def test_people_without_anything_are_scored():
    for table in (pa.table({"id": ["a"]}), pa.table({"id": ["a"], "activities": [None]})):
        (row,) = score_table(example("segments"), table, NOW, UTC).to_pylist()
        assert (row["person"], row["ledger"]) == ("a", [])
    empty = score_table(example("segments"), pa.table({"id": pa.array([], pa.string())}), NOW, UTC)
    assert (len(empty), empty.schema) == (0, score_schema(pa.string()))


ACT = {"kind": "page_viewed", "at": NOW}
FACTS = pa.table({"kind": ["page_viewed"]})


@pytest.mark.parametrize(
    ("table", "facts", "said"),
    [
        ({"previous": ["hott"]}, None, "row 1: previous 'hott' is not a band of the model"),
        ({"activities": [[], [ACT, {"kind": None, "at": NOW}]]}, None, "row 2: activity no. 2: it needs a kind"),
        ({"activities": [[ACT, {"kind": "x", "at": None}]]}, None, "row 1: activity no. 2: it needs at"),
        ({"activities": [[ACT, ACT], None, [ACT, {"kind": "", "at": NOW}]]}, None, "row 3: activity no. 2: it needs a"),
        (
            {"activities": [[{**ACT, "id": {"a": 1}}]]},
            None,
            "the id of activities has the type struct<a: int64>; write",
        ),
        ({"activities": [[{**ACT, "kind": {"a": 1}}]]}, None, "the kind of activities has the type struct<a: int64>;"),
        ({"activities": [[{**ACT, "attributes": {"url": {"a": 1}}}]]}, None, "the attribute url has the type struct"),
        ({"activities": [[{**ACT, "attributes": 5}]]}, None, "attributes have the type int64; use a struct, a map"),
        ({"activities": [[{"kind": "x", "at": 1.5}]]}, None, "the column at of activities has the type double; use"),
        ({"activities": [[{"fact": "0", "at": NOW}]]}, FACTS, "the column fact of activities has the type string; use"),
        (
            {"activities": [[{"kind": "x", "at": NOW}]]},
            FACTS,
            "the structs of activities have kind, at; they need at and",
        ),
        ({"activities": [[{"fact": 0, "at": NOW}]]}, pa.table({"kind": ["x", None]}), "row 2 of the facts has no kind"),
        ({"title#json": ["{"]}, None, "the field title#json has a value that is not JSON"),
        ({"activities": [[{"kind": "x", "at": "2026-11-20"}]]}, None, "activity no. 1: it needs at, an instant with"),
        ({"activities": [[{"kind": "x", "at": NOW.replace(tzinfo=None)}]]}, None, "use a timestamp with the time zone"),
        ({"activities": [[{"kind": "x", "at": NOW, "attributes": "[]"}]]}, None, "attributes that are a table"),
        ({"activities": [[{"kind": "x"}]]}, None, "the structs of activities have kind; they need at and kind"),
        ({"activities": ["x"]}, None, "the column activities has the type string; use a list of structs"),
        ({"activities": [[{"fact": 3, "at": NOW}]]}, FACTS, "row 1: activity no. 1: its fact is not among the facts"),
        ({"title": [{"a": 1}]}, None, "the field title has the type struct"),
        ({"fields": ["x"]}, None, "the column fields has the type string; use a struct"),
        ({"id": ["a"], "activities": [[{"fact": 0, "at": NOW}]]}, pa.table({"x": [1]}), "has no column kind"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(table, facts, said):
    with pytest.raises(ConfigError) as error:
        score_table(example("segments"), pa.table(table), NOW, UTC, facts)
    assert said in " ".join(error.value.problems)


MODEL = """
[[fit]]
name = "Director"
points = 10
when = { field = "title", seniority_at_least = "director" }

[hubspot]
"""


def test_a_model_needs_no_crm(monkeypatch):
    monkeypatch.setenv("CRMSYNC_HUBSPOT__NO_SUCH_KEY", "x")
    of = load_model(MODEL)
    assert score_table(of, pa.table({"title": ["Director of Sales"]}), NOW, UTC)["score"].to_pylist() == [10]
    with pytest.raises(ConfigError) as error:
        load_model(MODEL.replace("points = 10", "points = 'x'").replace("[hubspot]", "[hubspott]"))
    assert len(error.value.problems) == 2
    assert all(each.startswith("model.toml, line ") for each in error.value.problems)


def test_tables_are_loaded_when_they_are_needed_and_their_absence_is_said(monkeypatch):
    loaded = "import sys, crmsync.cli; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError) as error:
        score_table(example("segments"), None, NOW, UTC)
    assert 'pip install "crmsync[tables]"' in error.value.problems[0]
