"""What `explain` says that a score becomes once its unknown values are known."""

import pytest
from rich.console import Console

from crmsync.cycle import run_cycle
from crmsync.reporting.person import explain_person
from crmsync.reporting.print_person import print_explanation
from tests.support.make import NOW, config, contact, crm, work

MODEL = """
[bands]
cold = 0
warm = 10

[[fit]]
name = "No phone"
points = 10
when = { field = "phone", missing = true }

[fields]
phone = { hubspot = "phone" }
"""


@pytest.mark.parametrize(("phone", "said"), [({}, True), ({"phone": "1"}, False)])
def test_points_for_what_is_missing_go_once_it_is_known_and_explain_says_so(state, phone, said):
    hubspot = crm()
    hubspot.edit(contact(1, fields=phone))
    settings = config(MODEL)
    run_cycle(work(state, hubspot, settings=settings), approved=True)
    told = explain_person(settings, state, "person1@firm.example", NOW)
    assert told["total"] == (10 if said else 0)
    assert told["range"]["lowest"] == told["range"]["highest"] == 0
    console = Console(width=200, record=True)
    print_explanation(console, told)
    assert ("Once the unknown values are known: 0 points (cold)" in console.export_text()) is said
