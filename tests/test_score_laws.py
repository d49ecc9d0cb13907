"""Laws of scoring that hold for every model and every person."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmsync.scoring import score
from tests.reference_score import reference
from tests.scoring_strategies import NOW, ZONES, columns_of, models, people

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
zones = st.sampled_from(ZONES)
bands = st.sampled_from([None, "cold", "warm", "mql"])


@quick
@given(models(), people, zones, st.data())
def test_the_slow_reference_agrees(model, people, zone, data):
    previous = [data.draw(bands) for _ in people]
    scores = score(model, columns_of(people), NOW, zone, previous)
    for row, expected in enumerate(reference(model, people, NOW, zone, previous)):
        got = {name: int(getattr(scores, name)[row]) for name in ("fit", "behavior", "total")}
        assert {**got, "band": model.band_names()[scores.band[row]]} == expected
