"""What a field that nobody filled in could be: values that between them answer a model's questions in every way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, pairwise

from crmsync.config.conditions import DATE_KEYS, Condition
from crmsync.config.model import Model
from crmsync.config.rules import Inactivity
from crmsync.model import Scalar
from crmsync.scoring.dates import DATE_OPERATORS
from crmsync.scoring.operators import VALUE_OPERATORS, Examples, Lists
from crmsync.scoring.values import Matching, domain_of

MOST_TIMES = 12
"""So many repetitions of a rule of inactivity without an end are tried one by one."""

_EPOCH = date(1970, 1, 1).toordinal()

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

NO_WORD = "§§"
"""A text that no question names, and that no word for nothing is."""


def candidate_values(model: Model, name: str, today: int) -> list[Scalar]:
    """Values of a field that on a day (since 1970) answer the model's questions about it in every way."""
    asked = [part for each in model.conditions() for part in each.parts() if part.field == name]
    ages = [age for rule in model.inactivity if rule.since == name for age in _ages(rule, today)]
    return answers_of(asked, model.lists, today, [today - age for age in ages])


def answers_of(asked: Sequence[Condition], lists: Lists, today: int, days: Sequence[int] = ()) -> list[Scalar]:
    """Values that between them answer some questions about one field in every way; some of them lie on `days`."""
    keys = [(key, wanted) for part in asked for key, wanted in part.keys().items()]
    examples = [VALUE_OPERATORS[key].examples(wanted, lists) for key, wanted in keys if key not in DATE_KEYS]
    edges = [edge for key, wanted in keys if key in DATE_KEYS for edge in DATE_OPERATORS[key].edges(wanted, today)]
    flags: list[Scalar] = [True, False] if any(isinstance(part.is_, bool) for part in asked) else []
    typed, texts = [*flags, *_numbers(examples)], _texts(examples)
    dates = _dates(edges, days)
    if typed and texts:
        # As text, they answer the questions about texts, too.
        texts = [*texts, *(_spelled(each) for each in typed)]
    return [*typed, *texts, *dates] or ["something"]


def _spelled(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.15g}"


def _dates(edges: Sequence[int], days: Sequence[int]) -> list[Scalar]:
    """Each date beside which an answer changes, and those before and after it."""
    near = sorted({*days, *(edge + step for edge in edges for step in (-1, 0, 1))})
    return [date.fromordinal(_EPOCH + day).isoformat() for day in near if 0 < _EPOCH + day <= date.max.toordinal()]


def _ages(rule: Inactivity, today: int) -> Iterator[int]:
    """The ages in days between which the points of a rule that counts from a date change; without an end since 1970."""
    yield from (0, rule.after.days - 1, rule.after.days)
    if rule.every:
        most = rule.max_times or MOST_TIMES
        yield from (rule.after.days + rule.every.days * times for times in range(1, most))
        yield from () if rule.max_times else (today,)


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
    places = [place for each in examples for place in each.places]
    if not (words or titles or patterns or addresses or places):
        return []
    made: list[Scalar] = [*dict.fromkeys([*words, *titles, *addresses, *places])]
    made += [f"{one} {other}" for one, other in combinations([*dict.fromkeys([*words, *titles])][:12], 2)]
    made += [" ".join(words)] if len(words) > 2 else []
    chosen = [some for size in range(1, len(patterns) + 1) for some in combinations(patterns, size)][:64]
    made += [Matching(str(text), some) for some in chosen for text in (NO_WORD, *made[:20])]
    return [*made, NO_WORD] if words or titles or patterns else made


def _titles(examples: Sequence[Examples]) -> list[str]:
    if not any(each.of_titles for each in examples):
        return []
    departments = sorted({department for each in examples for department in each.departments})
    words = ["", *(f", {_DEPARTMENT_WORDS.get(each, each.capitalize())}" for each in departments)]
    return [f"{level}{word}" for level in _LEVELS.values() for word in words]


def _addresses(examples: Sequence[Examples]) -> list[str]:
    if not any(each.of_addresses for each in examples):
        return []
    domains = [domain_of(domain) for each in examples for domain in each.domains]
    return [f"someone@{each}" for each in (*domains, "gmail.com", "unlisted.example")]
