"""What the words of a job title mean beside each other: the assistant to a CEO is no CEO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from crmsync.config.conditions import SENIORITIES
from crmsync.scoring.title_lexicon import NO_LEVEL, Word

STUDENT, ENTRY, STAFF, MANAGER, DIRECTOR, VP, C_LEVEL = range(len(SENIORITIES))

_CRAFTS = frozenset({"staff", "officer", "office", "clerk"})


class TitleWords:
    """The words and wordings of a title while it is read, and the places where each begins and ends.

    `levels` has the level that each still has, `over` what has passed, `is_served` whether somebody else is the boss of
    the whole firm.
    """

    def __init__(self, words: Sequence[Word], starts: Sequence[int], ends: Sequence[int]) -> None:
        self.words, self.starts, self.ends = words, starts, ends
        self.roles = [each.role for each in words]
        self.levels = [each.level for each in words]
        self.over: set[int] = set()
        self.is_served = False

    def part(self, at: int) -> range:
        """The places of the words that stand between the same two separators."""
        start, end = at, at
        while start > 0 and self.roles[start - 1] != "sep":
            start -= 1
        while end < len(self.roles) and self.roles[end] != "sep":
            end += 1
        return range(start, end)

    def take(self, at: int) -> None:
        """Somebody else's level is no level of this person."""
        if self.levels[at] > STAFF or self.roles[at] in _STAND_FOR_A_LEVEL:
            self.is_served = self.is_served or self.is_boss(at)
            self.levels[at], self.roles[at] = NO_LEVEL, ""

    def is_boss(self, at: int, least: int = C_LEVEL) -> bool:
        """Whether there is a word at this place with such a level, or one that mostly stands for it."""
        return 0 <= at < len(self.roles) and (self.levels[at] >= least or self.roles[at] in ("owner", "chief"))

    def role(self, at: int) -> str:
        """The role of the word at a place; a separator before the first and after the last one."""
        return self.roles[at] if 0 <= at < len(self.roles) else "sep"

    def is_beside(self, at: int, beside: str) -> bool:
        """Whether the word at a place is one that says something there."""
        return 0 <= at < len(self.words) and beside in self.words[at].beside


_STAND_FOR_A_LEVEL = ("owner", "chief", "partner", "principal", "lead")


def read_level(said: TitleWords) -> int:
    """The place of the word that gives a title its level; -1 where none does."""
    _take_objects(said)
    for at, role in enumerate(said.roles):
        if role in _RULES and said.roles[at] == role:
            _RULES[role](said, at)
    return _deciding(said)


def _deciding(said: TitleWords) -> int:
    levels = said.levels
    for at in said.over:
        levels[at] = STAFF if said.roles[at] in ("former", "retired") else NO_LEVEL
    best = levels.index(max(levels)) if levels else -1
    if STUDENT in levels:
        for at, level in enumerate(levels):
            if level == STUDENT and not _is_about_students(said, at):
                return at
    if ENTRY in levels:
        for at, level in enumerate(levels):
            if level == ENTRY and (at < best or levels[best] <= STAFF or said.role(at + 1) == "sep"):
                return at
    return best if best >= 0 and levels[best] >= STAFF else -1


def _is_about_students(said: TitleWords, at: int) -> bool:
    """Whether a title is about students ("head of student services") or interns, and not one of them."""
    if said.is_beside(at + 1, "after_student"):
        return True
    return said.role(at - 1) in ("of", "to") and any(level >= MANAGER for level in said.levels[: at - 1])


# Those who serve somebody


def _serve_next(said: TitleWords, at: int) -> None:
    """The assistant of a boss, named behind ("assistant to the CEO") or right before ("CEO assistant")."""
    _serve_previous(said, at)
    _take_following(said, at)


def _take_following(said: TitleWords, at: int) -> None:
    taken = False
    for place in range(at + 1, len(said.words)):
        if said.roles[place] in ("sep", "comma") and not (taken and said.is_boss(place + 1)):
            return
        if said.roles[place] == "member":
            return
        taken = taken or said.is_boss(place)
        said.take(place)


def _serve_previous(said: TitleWords, at: int, least: int = VP) -> None:
    """Takes the boss right before: "CEO assistant", "the CEO's office"."""
    before = at - 2 if said.role(at - 1) == "possessive" else at - 1
    if said.is_boss(before, MANAGER if before < at - 1 else least):
        said.take(before)


def _take_objects(said: TitleWords) -> None:
    """A boss whom somebody's craft is about: "CEO coach", "founder relations", "coach of CEOs"."""
    for at in range(len(said.words) - 1):
        after = at + 1
        if said.role(at) == "of" and said.role(at - 1) in _CRAFTS and said.is_boss(after):
            said.take(after)
        elif said.is_boss(at) and said.is_beside(at, "object") and _is_about_bosses(said, after):
            said.take(at)


def _is_about_bosses(said: TitleWords, at: int) -> bool:
    if not said.is_beside(at, "before_job"):
        return said.is_beside(at, "after_boss")
    for place in range(at + 1, len(said.words)):
        if said.role(place) in ("sep", "comma", "and"):
            return False
        if said.levels[place] >= STAFF:
            return True
    return False


def _aide(said: TitleWords, at: int) -> None:
    """An assistant director directs, an assistant COO does not, and a sales manager assistant manages nothing."""
    _serve_previous(said, at, MANAGER if said.role(at + 1) in ("sep", "comma") else VP)
    for place in range(at + 1, said.part(at).stop):
        if said.is_boss(place, MANAGER):
            if said.is_boss(place):
                _take_following(said, place - 1)
            return


def _clerk(said: TitleWords, at: int) -> None:
    """A clerk of the board is not on it; a clerk who leads a team as well does."""
    for place in range(at + 1, said.part(at).stop):
        if said.roles[place] in ("and", "comma"):
            return
        if said.is_boss(place, DIRECTOR):
            _take_following(said, place - 1)
            return


def _serve_in_office(said: TitleWords, at: int) -> None:
    after = at + 1
    if said.role(after) in ("sep", "comma", "and", "staff", "assistant", "aide", "clerk") or said.is_boss(
        after, MANAGER
    ):
        _serve_previous(said, at)


def _serve_whom(said: TitleWords, at: int) -> None:
    """Whoever is named after "for" or "to" is served, if it is a boss of the whole firm."""
    for place in (at + 1, at + 2):
        if said.is_boss(place):
            said.take(place)
            return
        if said.role(place) not in ("", "to"):
            return


# What is over


def _former(said: TitleWords, at: int) -> None:
    part = said.part(at)
    if at == part.stop - 1:
        _retired(said, at)
    for place in range(at, part.stop):
        if said.roles[place] == "now":
            return
        said.over.add(place)


def _retired(said: TitleWords, at: int) -> None:
    """All of a title is over, or all of it where the remark stands alone: "CEO (retired)"."""
    part = said.part(at)
    said.over.update(part if len(part) > 1 else range(len(said.words)))


# Words that are a level in some company only


def _partner(said: TitleWords, at: int) -> None:
    """A partner of the firm, unless it is a business partner or one who manages partners."""
    is_alone = said.role(at - 1) in ("sep", "comma", "and", "member") or said.is_boss(at - 1, DIRECTOR)
    of_firm = is_alone or said.is_beside(at - 1, "before_partner")
    is_work = said.is_beside(at + 1, "after_partner") or said.role(at + 1) == "partner"
    said.levels[at] = C_LEVEL if of_firm and not is_work else STAFF


def _owner(said: TitleWords, at: int) -> None:
    """An owner of the firm, unless what stands before is a part of its work."""
    before = said.words[at - 1] if at else None
    is_work = before is not None and bool(before.departments) and said.levels[at - 1] < DIRECTOR
    said.levels[at] = STAFF if is_work or said.is_beside(at - 1, "before_owner") else C_LEVEL


def _chief(said: TitleWords, at: int) -> None:
    part = said.part(at)
    if any(said.roles[place] == "officer" for place in part):
        said.levels[at] = C_LEVEL
    elif any(said.roles[place] == "staff" or said.levels[place] == MANAGER for place in part[part.index(at) + 1 :]):
        said.levels[at] = MANAGER
    elif said.words[at + 1 : at + 2] and said.words[at + 1].text == "of":
        said.levels[at] = DIRECTOR
    else:
        said.levels[at] = C_LEVEL if at == part.start else MANAGER


def _principal(said: TitleWords, at: int) -> None:
    part = said.part(at)
    is_craft = any(said.roles[place] in _CRAFTS for place in part)
    follows = any(said.levels[place] == MANAGER for place in part[part.index(at) + 1 :])
    said.levels[at] = STAFF if is_craft or follows else DIRECTOR


def _lead(said: TitleWords, at: int) -> None:
    part = said.part(at)
    said.levels[at] = STAFF if any(said.roles[place] == "partner" for place in part) else MANAGER


_RULES: Mapping[str, Callable[[TitleWords, int], None]] = {
    "assistant": _serve_next,
    "aide": _aide,
    "clerk": _clerk,
    "office": _serve_in_office,
    "to": _serve_whom,
    "former": _former,
    "retired": _retired,
    "partner": _partner,
    "owner": _owner,
    "chief": _chief,
    "principal": _principal,
    "lead": _lead,
}
"""By the role of a word in `titles.toml`; the others only matter to these."""


def keep_person(words: Sequence[Word]) -> Sequence[int]:
    """The places of words that do not name the employer ("Sales Manager at Founders Bank")."""
    if "at" not in [word.role for word in words]:
        return range(len(words))
    kept: list[int] = []
    is_employer = False
    for at, word in enumerate(words):
        is_employer = word.role not in ("sep", "comma") and (is_employer or (word.role == "at" and bool(kept)))
        if not is_employer:
            kept.append(at)
    return kept
