"""The simulation: whoever takes part goes on in any order, and at rest what was promised holds."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation import World

EXAMPLES, STEPS = 60, 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("simulation")


def test_whatever_happens_at_rest_what_was_promised_holds(folder):
    machine = type("Machine", (World,), {"folder": folder})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
