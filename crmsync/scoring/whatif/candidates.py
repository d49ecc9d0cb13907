"""What a field that nobody filled in could be: values that between them answer a model's questions in every way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

from crmsync.config.conditions import Condition
from crmsync.config.model import Model
from crmsync.model import Scalar
from crmsync.scoring.operators import OPERATORS, Examples, Lists
from crmsync.scoring.values import Matching

_LEVELS: Mapping[str, str] = {
    "student": "Student",
    "entry": "Junior",
    "staff": "Specialist",
    "manager": "Manager",
    "director": "Director",
    "vp": "VP",
    "c_level": "Chief",
}
_DEPARTMENT_WORDS: Mapping[str, str] = {
    "it": "IT",
    "hr": "HR",
    "data": "Data",
    "general_management": "Board",
    "research": "Research",
}


def candidate_values(model: Model, name: str) -> list[Scalar]:
    """Values of a field that between them answer the model's questions about it in every way."""
    return answers_of([part for each in model.conditions() for part in each.parts() if part.field == name], model.lists)


def answers_of(asked: Sequence[Condition], lists: Lists) -> list[Scalar]:
    """Values that between them answer some questions about one field in every way."""
    if any(isinstance(part.is_, bool) for part in asked):
        return [True, False]
    examples = [OPERATORS[key].examples(wanted, lists) for part in asked for key, wanted in part.keys().items()]
    numbers, texts = _numbers(examples), _texts(examples)
    if numbers and not texts:
        return numbers
    return [*numbers, *texts] or ["something"]


def _numbers(examples: Sequence[Examples]) -> list[Scalar]:
    """Each number that a question names, and one on either side of it."""
    steps = sorted({cut for each in examples for cut in each.cuts})
    if not steps:
        return []
    between = [(low + high) / 2 for low, high in pairwise(steps)]
    return [*sorted({steps[0] - 1, *steps, *between, steps[-1] + 1})]


def _texts(examples: Sequence[Examples]) -> list[Scalar]:
    """Texts that questions name, alone and in pairs, and one that none of them names."""
    words = [word for each in examples for word in each.words]
    patterns = [pattern for each in examples for pattern in each.patterns]
    titles, addresses = _titles(examples), _addresses(examples)
    if not (words or titles or patterns or addresses):
        return []
    made: list[Scalar] = [*dict.fromkeys([*words, *titles, *addresses])]
    made += [f"{one} {other}" for one, other in combinations([*dict.fromkeys([*words, *titles])][:12], 2)]
    made += [" ".join(words)] if len(words) > 2 else []
    chosen = [some for size in range(1, len(patterns) + 1) for some in combinations(patterns, size)][:64]
    made += [Matching(str(text), some) for some in chosen for text in ("?", *made[:20])]
    return [*made, "?"]


def _titles(examples: Sequence[Examples]) -> list[str]:
    if not any(each.of_titles for each in examples):
        return []
    departments = sorted({department for each in examples for department in each.departments})
    words = ["", *(f", {_DEPARTMENT_WORDS.get(each, each.capitalize())}" for each in departments)]
    return [f"{level}{word}" for level in _LEVELS.values() for word in words]


def _addresses(examples: Sequence[Examples]) -> list[str]:
    if not any(each.of_addresses for each in examples):
        return []
    domains = [domain.rpartition("@")[2] for each in examples for domain in each.domains]
    return [f"someone@{each}" for each in (*domains, "gmail.com", "unlisted.example")]
