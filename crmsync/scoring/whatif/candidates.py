"""What a field that nobody filled in could be: values that between them answer a model's questions in every way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise

from crmsync.config.conditions import Match
from crmsync.config.model import Model
from crmsync.model import Scalar
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
    asked = [part for each in model.conditions() for part in each.parts() if part.field == name]
    if any(part.is_ in (True, False) and isinstance(part.is_, bool) for part in asked):
        return [True, False]
    numbers = _numbers(asked)
    texts = _texts(model, asked)
    if numbers and not texts:
        return numbers
    return [*numbers, *texts] or ["something"]


def _numbers(asked: Sequence[Match]) -> list[Scalar]:
    """Each number that a question names, and one on either side of it."""
    cuts: set[float] = set()
    for match in asked:
        cuts.update(each for each in (match.gt, match.gte, match.lt, match.lte) if each is not None)
        cuts.update(match.between or ())
        listed = [match.is_, *(match.in_ or ())]
        cuts.update(each for each in listed if isinstance(each, (int, float)) and not isinstance(each, bool))
    if not cuts:
        return []
    steps = sorted(cuts)
    between = [(low + high) / 2 for low, high in pairwise(steps)]
    return [*sorted({steps[0] - 1, *steps, *between, steps[-1] + 1})]


def _texts(model: Model, asked: Sequence[Match]) -> list[Scalar]:
    """Texts that questions name, alone and in pairs, and one that none of them names."""
    words = [word for match in asked for word in _words(model, match)]
    titles = _titles(asked)
    patterns = [match.regex for match in asked if match.regex is not None]
    if not words and not titles and not patterns and not any(_mail(match) for match in asked):
        return []
    made: list[Scalar] = [*dict.fromkeys([*words, *titles, *_mails(model, asked)])]
    made += [f"{one} {other}" for one, other in combinations([*dict.fromkeys([*words, *titles])][:12], 2)]
    made += [" ".join(words)] if len(words) > 2 else []
    chosen = [some for size in range(1, len(patterns) + 1) for some in combinations(patterns, size)][:64]
    made += [Matching(str(text), some) for some in chosen for text in ("?", *made[:20])]
    return [*made, "?"]


def _words(model: Model, match: Match) -> Iterator[str]:
    for listed in (match.contains, match.excludes, match.starts_with, match.ends_with, match.has):
        yield from listed or ()
    yield from (each for each in (match.is_, *(match.in_ or ())) if isinstance(each, str))
    yield from model.lists[match.in_list] if match.in_list else ()
    if match.has_all:
        yield ";".join(match.has_all)


def _titles(asked: Sequence[Match]) -> list[str]:
    departments = sorted({each for match in asked for each in match.department or ()})
    if not departments and not any(match.seniority or match.seniority_at_least for match in asked):
        return []
    words = ["", *(f", {_DEPARTMENT_WORDS.get(each, each.capitalize())}" for each in departments)]
    return [f"{level}{word}" for level in _LEVELS.values() for word in words]


def _mail(match: Match) -> bool:
    return match.free_mail is not None or bool(match.domain) or match.domain_list is not None


def _mails(model: Model, asked: Sequence[Match]) -> list[str]:
    named = [each for match in asked for each in (match.domain or ())]
    named += [each for match in asked if match.domain_list for each in model.lists[match.domain_list]]
    domains = [each.rpartition("@")[2] for each in named]
    return [f"someone@{each}" for each in (*domains, "gmail.com", "unlisted.example")] if any(map(_mail, asked)) else []
