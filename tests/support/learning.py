"""Learning as tests ask for it: people as lines of a file, a config as text, and the document or the card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from crmsync.batch.cases_file import read_cases_file
from crmsync.batch.people_file import FileTally
from crmsync.config import Config, load
from crmsync.config.patch import write_value
from crmsync.evaluation.cases import Cases, JudgedCases, join_judged, judge_cases
from crmsync.evaluation.learning.learn import LATER
from crmsync.evaluation.learning.thresholds import Target
from crmsync.evaluation.metrics import measure_auc, tally_scores
from crmsync.reporting.learning import Learning, learn_from_cases

NOW = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())
FIELDS = ("industry", "employees", "title", "country", "source")
BANDS = "\n[bands]\ncold = {}\nwarm = 15\nmql = { at = 30, drop_below = 25 }\n"


def write_card(tables: Mapping[str, Sequence[Mapping[str, Any]]], more: str = BANDS) -> str:
    """A config with these tables of rules and the fields of `tests.support.outcomes`."""
    lines = ["[fields]", *(f'{name} = {{ hubspot = "{name}" }}' for name in FIELDS)]
    for table, rules in tables.items():
        for rule in rules:
            lines += ["", f"[[{table}]]", *(f"{key} = {write_value(value)}" for key, value in rule.items())]
    return "\n".join(lines) + "\n" + more


def load_text(folder: Path, text: str) -> Config:
    """The config that a file with this text is."""
    file = folder / "crmsync.toml"
    file.write_text(text)
    return load(file)


def learn(
    folder: Path,
    text: str,
    people: Sequence[Mapping[str, Any]],
    target: Target = Target(),  # noqa: B008
    hybrid: bool = False,
) -> Learning:
    """What is learned from these people for this config."""
    config = load_text(folder, text)
    cases = list(cases_of(config, people))

    @contextmanager
    def opened() -> Iterator[Iterator[Cases]]:
        yield iter(cases)

    return learn_from_cases(config, text, opened, target, hybrid=hybrid)


def cases_of(config: Config, people: Sequence[Mapping[str, Any]]) -> Iterator[Cases]:
    """The people as cases."""
    return read_cases_file(config, [json.dumps(each).encode() for each in people], "people.jsonl", NOW, FileTally())


def judge_people(config: Config, people: Sequence[Mapping[str, Any]]) -> JudgedCases:
    """The people as a config scores them."""
    return join_judged([judge_cases(config, each, config.zone) for each in cases_of(config, people)])


def later_auc(scores: Sequence[float], won: Sequence[bool]) -> float:
    """The AUC among the later people, of people in the order of time."""
    cut = int(len(won) * (1 - LATER))
    return measure_auc(tally_scores(np.array(scores[cut:], dtype=float), np.array(won[cut:], dtype=bool)))
