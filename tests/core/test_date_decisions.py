"""Decisions that ask for dates: they move by time alone, though no score does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crmsync.errors import ConfigError
from tests.support.cycles import run
from tests.support.make import MODEL, NOW, config, contact, crm

RENEWAL = MODEL.replace('band = "mql"\n', 'enter = { field = "renewal", within_next = "10d" }\n').replace(
    "[fields]\n", '[fields]\nrenewal = { hubspot = "renewal_date" }\n'
)
ADA = contact(1, emails=("ada@x.example",), fields={"renewal": "2026-12-06"}, stage="lead")


def test_a_stage_is_entered_on_the_day_on_which_a_date_comes_near(state):
    hubspot = crm("hubspot")
    hubspot.edit(ADA)
    stages = []
    for day in (0, 4, 5, 6):
        run(state, hubspot, at=NOW + timedelta(days=day), model=RENEWAL)
        stages.append(hubspot.records[ADA.ref].stage)
    assert stages == ["lead", "lead", "mql", "mql"]


def test_a_date_that_nobody_can_read_moves_nobody(state):
    hubspot = crm("hubspot")
    hubspot.edit(contact(1, fields={"renewal": "06.12.2026"}, stage="lead"))
    for day in (0, 5):
        run(state, hubspot, at=NOW + timedelta(days=day), model=RENEWAL)
    assert hubspot.records[ADA.ref].stage == "lead"


def test_a_role_cannot_ask_for_what_moves_with_time():
    account = {"score": "sum", "roles": {"new": {"when": {"field": "renewal", "within": "30d"}}}}
    with pytest.raises((ConfigError, ValueError), match="cannot ask for within, which moves with time"):
        config(RENEWAL, account=account)
