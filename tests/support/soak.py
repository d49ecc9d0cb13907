"""The simulation for as long as somebody likes: `make soak MINUTES=60 SEED=7`; the same seed does the same again."""

import os
import time
from collections import Counter

import hypothesis
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import make_url

from tests.support.simulation import World

SEED = int(os.environ.get("SEED") or time.time_ns() % 1_000_000)
MINUTES = float(os.environ.get("MINUTES") or 10)
STORIES, STEPS = 20, 150
"""Stories in a batch, which has a seed of its own, and what happens in each."""


def soak(machine: type[World], minutes: float) -> None:
    """Batch after batch until the time is over; what fails is shrunk, and its seed does it again."""
    machine.exercised, end = Counter(), time.monotonic() + minutes * 60
    for seed in range(SEED, SEED + 1_000_000):
        print(f"seed {seed}: {runs(machine.exercised):,} runs so far", flush=True)  # noqa: T201
        how = settings(
            max_examples=STORIES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=how)
        if time.monotonic() > end:
            break
    print(f"seed {SEED}, {runs(machine.exercised):,} runs")  # noqa: T201
    for what, often in sorted(machine.exercised.items()):
        print(f"{often:>9,}  {what}")  # noqa: T201


def runs(exercised: Counter[str]) -> int:
    """How many runs there were."""
    return sum(often for what, often in exercised.items() if what.startswith("run: ") or what == "undisturbed run")


@pytest.mark.timeout(0)
def test_soak_on_sqlite(tmp_path):
    soak(type("OnSqlite", (World,), {"folder": tmp_path}), MINUTES / 2)


@pytest.mark.timeout(0)
def test_soak_on_postgresql(tmp_path, _postgres):  # noqa: PT019  it gives the address
    server = make_url(_postgres)

    def make_state(_machine: World) -> str:
        with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS soak WITH (FORCE)")
            connection.execute("CREATE DATABASE soak TEMPLATE made")
        return server.set(database="soak").render_as_string(hide_password=False)

    soak(type("OnPostgresql", (World,), {"folder": tmp_path, "make_state": make_state}), MINUTES / 2)
