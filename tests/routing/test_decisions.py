"""What conditions of stages, tracks and routes may read besides fields."""

import numpy as np
import pytest

from crmsync.routing.decisions import PersonState, decide_people
from crmsync.routing.lifecycle import RecordStage, StageState
from crmsync.scoring import columns_of, score
from tests.support.make import MODEL, NOW, config

AT = int(NOW.timestamp() * 1000)
BARE = MODEL[: MODEL.index("[[owner_pool]]")] + MODEL[MODEL.index("[fields]") :]
MORE = """
[grades]
A = 20
B = 0

[grid]
1 = 30
2 = 0

[[segment]]
name = "Large"
when = { field = "employees", gt = 1000 }

[[qualification]]
name = "Size is known"
when = { field = "employees", exists = true }

[[qualification]]
name = "Title is known"
when = { field = "title", exists = true }
"""
DEMO = {"kind": "form_submitted", "at": NOW.isoformat(), "attributes": {"form": "demo"}}
NOBODY = PersonState(StageState(), ())


def decide(when, *people, states=None, **tables):
    """The routes that match some people, where the first one asks `when`."""
    routes = [{"name": "asked", "when": when, "to": "nurture"}, {"name": "rest", "to": "nurture"}]
    tables = {"route": routes, "tracks": {"nurture": {}}, **tables}
    settings = config(BARE + MORE, **tables)
    blank = {"email": "a@x.example", "title": None, "employees": None}
    columns = columns_of(
        [{"id": str(n), "fields": {**blank, **fields}, "activities": acts} for n, (fields, acts) in enumerate(people)]
    )
    scores = score(settings, columns, NOW, settings.zone, None)
    rows = np.arange(len(people)).tolist()
    return decide_people(settings, scores, columns, rows, states or [NOBODY] * len(people), AT)


def names(decision):
    return [each.name for each in decision.routes]


HOT = {"title": "VP Sales", "employees": 5000}, [DEMO]
COLD = {}, []


@pytest.mark.parametrize(
    "when",
    [
        {"field": "score", "gte": 65},
        {"field": "fit", "is": 35},
        {"field": "behavior", "gt": 29},
        {"field": "band", "in": ["mql"]},
        {"field": "grade", "is": "A"},
        {"field": "level", "is": "1"},
        {"field": "segment", "is": "Large"},
        {"field": "qualifications", "has": "Size is known"},
        {"field": "qualifications", "has_all": ["Size is known", "Title is known"]},
        {"field": "stage", "is": "mql"},
        {"field": "employees", "gt": 200},
        {"all": [{"field": "band", "is": "mql"}, {"field": "title", "seniority": ["vp"]}]},
    ],
    ids=str,
)
def test_a_route_may_ask_for_everything_that_is_known_of_a_score(when):
    hot, cold = decide(when, HOT, COLD)
    assert names(hot) == ["asked", "rest"]
    assert names(cold) == ["rest"]


def test_the_account_and_the_owner_are_addresses_and_numbers():
    known = PersonState(StageState(), (), "ann@acme.example", "Acme", "bob@acme.example", 3)
    for field, value in (
        ("owner", "ann@acme.example"),
        ("account.owner", "bob@acme.example"),
        ("account.name", "Acme"),
    ):
        found = decide({"field": field, "is": value}, COLD, COLD, states=[known, NOBODY])
        assert [names(each) for each in found] == [["asked", "rest"], ["rest"]], field
    found = decide({"field": "account.active_people", "gte": 3}, COLD, COLD, states=[known, NOBODY])
    assert [names(each) for each in found] == [["asked", "rest"], ["rest"]]


def test_a_route_sees_the_stage_that_is_decided_now_and_the_track():
    leaving = [
        {"name": "lead", "values": {}},
        {"name": "mql", "values": {}, "exit": {"field": "score", "lt": 5}, "recycle": "nurture"},
    ]
    state = PersonState(StageState(), [RecordStage("mql")])
    found = decide({"field": "stage", "is": "lead"}, COLD, states=[state], stage=leaving)
    assert names(found[0]) == ["asked", "rest"]
    assert found[0].track == "nurture"
    (found,) = decide({"field": "track", "is": "nurture"}, COLD, states=[state], stage=leaving)
    assert names(found) == ["asked", "rest"]


def test_an_exit_sees_the_stage_that_they_are_in():
    stages = [
        {"name": "lead", "values": {}},
        {
            "name": "mql",
            "values": {},
            "exit": {"all": [{"field": "stage", "is": "mql"}, {"field": "owner", "missing": True}]},
        },
    ]
    states = [PersonState(StageState("mql"), (), owner) for owner in (None, "ann@acme.example")]
    found = decide({"field": "score", "gt": 0}, COLD, COLD, states=states, stage=stages)
    assert [each.move.state.stage for each in found] == ["lead", "mql"]


def test_the_first_track_that_holds_counts_and_one_without_a_condition_takes_nobody():
    tracks = {
        "nurture": {},
        "vips": {"when": {"field": "title", "seniority": ["vp"]}},
        "large": {"when": {"field": "employees", "gt": 10}},
    }
    people = [HOT, ({"employees": 50}, []), COLD]
    found = decide({"field": "track", "is": "large"}, *people, tracks=tracks)
    assert [each.track for each in found] == ["vips", "large", ""]
    assert [names(each)[0] for each in found] == ["rest", "asked", "rest"]


def test_a_band_is_enough_for_the_stages_of_the_bands_below_it_too():
    stages = [
        {"name": "lead", "values": {}, "band": "warm"},
        {"name": "mql", "values": {}, "enter": {"field": "score", "gte": 66}},
    ]
    (found,) = decide({"field": "score", "gt": 0}, HOT, stage=stages)
    assert (found.move.state.stage, found.move.why) == ("lead", "enters lead: the band is mql")


def test_whom_the_crm_itself_took_further_is_neither_moved_nor_routed():
    state = PersonState(StageState("lead"), [RecordStage("opportunity")])
    (found,) = decide({"field": "score", "gt": 0}, HOT, states=[state])
    assert (found.routes, found.in_play, found.move.wanted) == ((), False, None)
    (found,) = decide({"field": "score", "gt": 0}, HOT, states=[state], lifecycle={"crm_owned": []})
    assert found.in_play


def test_people_are_decided_about_each_for_themselves():
    when = {"field": "qualifications", "has": "Size is known"}
    people = [HOT, COLD, ({"employees": 3}, []), ({"title": "CEO"}, [DEMO])]
    together = decide(when, *people)
    assert together == [decide(when, each)[0] for each in people]
