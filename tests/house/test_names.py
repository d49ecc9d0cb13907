"""Names: one idea, one word, and both vendors' folders with the same rooms."""

import ast
from collections import defaultdict

import pytest

from tests.house.test_layers import ROOT, modules, name_of

VENDORS = ("hubspot", "salesforce")
ROOMS = [
    "activities",
    "check",
    "client",
    "connector",
    "contacts",
    "errors",
    "feeds",
    "memberships",
    "missing_fields",
    "outcomes",
    "paging",
    "past_fields",
    "schema",
    "settings",
    "setup",
    "tasks",
    "tokens",
    "writer",
]


def public_names():
    """Each public function and class, with the modules that define it."""
    found = defaultdict(set)
    for path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(name_of(path))
    return found


@pytest.mark.parametrize("vendor", VENDORS)
def test_both_vendors_have_the_same_rooms(vendor):
    assert [room for room in ROOMS if not (ROOT / "connectors" / vendor / f"{room}.py").exists()] == []


def test_few_names_mean_something_in_two_places():
    assert len([name for name, places in public_names().items() if len(places) > 1]) <= 15


def test_most_names_are_a_verb_and_its_object():
    names = [name for name, places in public_names().items() for _ in places]
    assert len([name for name in names if name.islower() and "_" not in name]) < len(names) / 4


def test_a_room_opens_with_one_sentence():
    for path in modules():
        if "migrations" not in path.parts:
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            assert said, name_of(path)
            assert said.split("\n\n")[0].rstrip().endswith((".", "?")), name_of(path)
