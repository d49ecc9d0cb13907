"""What would have sent somebody elsewhere, held against what then happens."""

import io
import random
from pathlib import Path

import numpy as np
from rich.console import Console

from crmsync.columns import Columns
from crmsync.config import load
from crmsync.model import Scalar
from crmsync.reporting.print_route import print_route
from crmsync.routing.decisions import PersonState, decide_people
from crmsync.routing.lifecycle import StageState
from crmsync.routing.why_not import OTHER, find_instead
from crmsync.scoring import score
from tests.support.make import NOW

CONFIG = load(Path(__file__).parents[2] / "examples" / "routing.toml")
TITLES = [None, "Director of IT", "VP Finance", "Analyst", "Student"]
COUNTRIES = [None, "Canada", "Austria", "Japan", "France", "Brazil"]
SIZES = [None, 20, 300, 1_001, 5_000]
FREE = PersonState(StageState(), ())


def person(**fields: Scalar | None) -> Columns:
    none = np.zeros(0, dtype=np.int64)
    known = {"title": None, "employees": None, "country": None, "email": "a@firm.example", "stage": None, **fields}
    return Columns(
        np.array([1]),
        {name: [value] for name, value in known.items()},
        none.astype(np.int32),
        none,
        none.astype(np.int32),
        [],
    )


def route_of(columns, state):
    """The route that a run would take for one person."""
    scores = score(CONFIG, columns, NOW, CONFIG.zone, ["mql"])
    (decided,) = decide_people(CONFIG, scores, columns, [0], [state], int(NOW.timestamp() * 1000))
    return decided.routes[0].name if decided.routes else None


def test_no_value_is_made_up_of_several_where_any_other_one_does():
    state = PersonState(StageState(stage="mql"), ())
    found = find_instead(CONFIG, person(title="VP Finance", country="Canada", employees=300), state, NOW, "mql")
    assert found["Everybody else who is ready"] == {"country": OTHER}
    said = io.StringIO()
    document = {"person": 1, "name": "Ada", "emails": [], "rules": [], "member": None, "track": None, "turn": "waits"}
    print_route(
        Console(file=said, markup=False), {**document, "stage": "mql", "stage_why": "it is so", "instead": found}
    )
    assert "With another country: [[route]] Everybody else who is ready" in said.getvalue()


def test_each_change_that_is_named_sends_the_person_there():
    drawn, named = random.Random(7), 0
    for _ in range(60):
        fields = {
            "title": drawn.choice(TITLES),
            "country": drawn.choice(COUNTRIES),
            "employees": drawn.choice(SIZES),
        }
        state = PersonState(StageState(stage=drawn.choice(["", "lead", "mql"])), ())
        now = route_of(person(**fields), state)
        for route, change in find_instead(CONFIG, person(**fields), state, NOW, "mql").items():
            assert route != now
            if change is not None:
                named += 1
                assert all(fields.get(name) != value for name, value in change.items())
                assert route_of(person(**{**fields, **change}), state) == route
    assert named > 50


def test_one_field_is_named_where_one_is_enough():
    state = PersonState(StageState(stage="mql"), ())
    found = find_instead(CONFIG, person(title="VP Finance", country="Canada", employees=300), state, NOW, "mql")
    assert found["Large companies in the Americas"] == {"employees": 1_001}
    assert len(found["German speakers"]) == 1
    assert "Americas" not in found


def test_whoever_the_crm_took_further_is_sent_nowhere_by_any_change():
    state = PersonState(StageState(stage="opportunity"), ())
    found = find_instead(CONFIG, person(title="VP Finance"), state, NOW, "mql")
    assert set(found.values()) == {None}
