"""The page of failures holds to the tests: each line has an id and links to tests that exist."""

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
TESTED, _, NOT_YET = PAGE.partition("\n## Not yet\n")
GROUPS = "RAWSJDCO"
"""The letters of the ids, in the order of the groups on the page."""


def rows(text):
    """The cells of each line of the tables, without their heads."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines if cells[0].strip(" -")]


def links(cell):
    """The tests that a cell links to, as (file, name)."""
    found = re.findall(r"\[([^\]]+)\]\(\.\./tests/([\w/]+\.py)\)", cell)
    return [(file, f"test_{text.replace(' ', '_')}") for text, file in found]


@cache
def names_in(file):
    """The tests that a file defines; one with parameters counts under its name."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def place(id_):
    return GROUPS.index(id_[0]), int(id_[1:])


@pytest.mark.parametrize("row", rows(TESTED), ids=lambda row: row[0])
def test_every_line_has_tests_that_exist(row):
    _, sentence, cell = row
    assert sentence.endswith(".")
    linked = links(cell)
    assert linked
    assert len(set(linked)) == len(linked) == cell.count("](")
    assert [each for each in linked if each[1] not in names_in(each[0])] == []


@pytest.mark.parametrize("text", [TESTED, NOT_YET], ids=["tested", "not yet"])
def test_ids_are_unique_and_in_their_order(text):
    ids = [row[0] for row in rows(text)]
    assert ids
    assert [each for each in ids if not re.fullmatch(rf"[{GROUPS}]\d\d", each)] == []
    assert [pair for pair in pairwise(ids) if place(pair[0]) >= place(pair[1])] == []


def test_what_is_not_yet_done_is_said_in_sentences_and_promises_no_test():
    for _, *cells in rows(NOT_YET):
        assert len(cells) == 1
        assert cells[0].endswith(".")
        assert links(cells[0]) == []


README = (TESTS.parent / "README.md").read_text(encoding="utf-8")
PROMISES = re.findall(
    r"^- (\*\*.+?)(?=^- |^$)", README.partition("## What it promises")[2].partition("\n## ")[0], re.S | re.M
)


def test_the_readme_promises_something():
    assert len(PROMISES) > 10


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.split("**")[1][:30])
def test_every_promise_of_the_readme_has_lines_with_tests(promise):
    named = re.search(r"\(([A-Z]\d\d(?:, [A-Z]\d\d)*)\)\s*$", promise)
    assert named, "it ends with the lines that hold it"
    assert set(named[1].split(", ")) <= {row[0] for row in rows(TESTED)}
