"""The documentation of the scoring language: every example in it is a model that works."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date

import pytest

from crmsync.config import rules
from crmsync.config.conditions import DEPARTMENTS, MATCH_KEYS, SENIORITIES
from crmsync.config.model import Model
from crmsync.lint import lint_model
from crmsync.model import KINDS
from crmsync.scoring import failed_tests, score_people
from tests.support.scoring import EXAMPLES, NOW, UTC

PAGE = (EXAMPLES.parent / "docs" / "scoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[0] for block in BLOCKS])
def test_each_example_is_a_model(block):
    model = Model(**tomllib.loads(block))
    assert failed_tests(model) == []
    unreached = [each.sentence for each in lint_model(model, KINDS, date(2026, 11, 21)) if each.level == "error"]
    assert [each for each in unreached if "nobody can reach" not in each and "weak signals" not in each] == []


def test_the_line_of_a_file_is_read():
    (line,) = re.findall(r"```json\n(.*?)\n```", PAGE)
    (said,) = score_people(Model(), [json.loads(line)], NOW, UTC)
    assert said["total"] == 0


def test_every_word_of_the_language_is_explained():
    keys = set(MATCH_KEYS.values())
    tables = {*Model.model_fields, *(name for table in ("Behavior", "Pattern") for name in fields_of(table))}
    assert [each for each in sorted({*keys, *tables, *KINDS, *SENIORITIES, *DEPARTMENTS}) if each not in PAGE] == []


def fields_of(table):
    return getattr(rules, table).model_fields
