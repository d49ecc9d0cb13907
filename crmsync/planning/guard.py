"""The guard: how much a run may change without being asked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from crmsync.config.worker import Guard
from crmsync.counts import count_of
from crmsync.model import Change

TENTH_MORE = 1.1
"""What is approved are numbers: so much more than was seen may be written without asking again."""


CATEGORIES = ("records", "first", "scores", "bands", "stages", "owners")
"""What is counted of a plan, each in records: all of them, those that get their first score, and other moves."""


@dataclass
class ChangeCounts:
    """How much a plan changes in one CRM, which has `live` records, of which `scored` carry a score of ours.

    `people` has for each category the person of each record that is counted, one entry a record; `odd` are those whose
    score does not change by time or new activities alone.
    """

    live: int = 0
    scored: int = 0
    people: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in CATEGORIES})
    odd: set[int] = field(default_factory=set)

    def add(self, person: int, change: Change, *, is_odd: bool, is_judged: bool = False) -> None:
        """Count one change; a value that was empty before is no loss and does not count.

        `is_odd` says that the score does not change by time or new activities alone: the config was edited, or the
        data of the record was. What `is_judged` was within the limits, or approved, in a run that was interrupted: it
        is counted among the records alone.
        """
        if is_judged:
            self.people["records"].append(person)
            return
        counted = {
            "records": True,
            "first": "score" in change.after and change.before.get("score") is None,
            "scores": is_odd and change.before.get("score") is not None,
            "bands": change.before.get("band") is not None,
            "stages": bool(change.before.get("stage")),
            "owners": bool(change.before.get("owner")),
        }
        for name in CATEGORIES:
            if counted[name]:
                self.people[name].append(person)
        if is_odd:
            self.odd.add(person)

    def numbers(self, of: Collection[int] | None = None) -> dict[str, int]:
        """How many records are counted in each category, all of them or those `of` some people."""
        return {
            name: len(people) if of is None else sum(person in of for person in people)
            for name, people in self.people.items()
        }


class Violation(NamedTuple):
    """A limit that a plan exceeds in one CRM: so many records of a category, of which `allowed` may be written."""

    crm: str
    category: str
    limit: int
    allowed: int
    sentence: str


def guard_violations(
    tallies: Mapping[str, ChangeCounts],
    guard: Guard,
    approved: Mapping[str, Mapping[str, int]],
    restored: Collection[str] = (),
) -> Iterator[Violation]:
    """Why a plan is too large to be true. `approved` are numbers that may be written since somebody agreed, by CRM.

    In the CRMs of which the state was `restored` from a backup nothing is written unseen.
    """
    for crm, tally in sorted(tallies.items()):
        numbers = tally.numbers()
        allowed = approved.get(crm, {}).get("records", 0)
        if crm in restored and numbers["records"] > allowed:
            many = count_of(numbers["records"], "record")
            said = f"{crm}: {many} would change after the state was restored from a backup"
            yield Violation(crm, "records", 0, allowed, said)
        for category, limit, sentence in list_limits(crm, tally, guard, numbers):
            allowed = approved.get(crm, {}).get(category, 0)
            if numbers[category] > max(limit, allowed):
                yield Violation(crm, category, limit, allowed, sentence)


def list_limits(
    crm: str, tally: ChangeCounts, guard: Guard, numbers: Mapping[str, int]
) -> Iterator[tuple[str, int, str]]:
    """Each limit that holds in a CRM: the category, so many records, and the sentence for who exceeds it."""
    first = max(guard.first_run, int(tally.scored * guard.scores))
    said = f"{crm}: {count_of(numbers['first'], 'record')} would get a first score; [guard] first_run allows {first:,}"
    yield "first", first, said
    # A share of a few records says nothing.
    if tally.scored < guard.from_records:
        return
    shares = {"scores": guard.scores, "bands": guard.bands, "stages": guard.stages, "owners": guard.owners}
    for name, share in shares.items():
        # People have stages and owners in records without a score of ours, too.
        of = tally.live if name in ("stages", "owners") else tally.scored
        said = (
            f"{crm}: {numbers[name]:,} of {count_of(of, 'record')} ({numbers[name] / of:.1%}) would get {_WORDS[name]}"
        )
        yield name, int(of * share), f"{said}; [guard] {name} allows {share:.0%}"


_WORDS = {
    "scores": "another score because data or the config were edited",
    "bands": "another band",
    "stages": "another stage",
    "owners": "another owner",
}


class Held(NamedTuple):
    """Who waits: `people` with all their records, and of `first` by CRM their records there alone."""

    people: frozenset[int] = frozenset()
    first: Mapping[str, frozenset[int]] = {}

    def __bool__(self) -> bool:
        return bool(self.people or any(self.first.values()))

    def holds(self, person: int, crm: str) -> bool:
        """Whether the records that a person has in a CRM wait."""
        return person in self.people or person in self.first.get(crm, ())

    def everybody(self) -> frozenset[int]:
        """All of whom something waits."""
        return self.people.union(*self.first.values())


NOBODY = Held()


def people_to_hold(
    tallies: Mapping[str, ChangeCounts], violations: Sequence[Violation], approved_people: Collection[int]
) -> Held:
    """Who waits: those counted against an exceeded limit, but for as many as were approved.

    Where the odd ones alone exceed it, only they wait. Who was in the approved plan is written first. A first score
    that waits in one CRM keeps nobody's score from the other.
    """
    waiting: set[int] = set()
    first: dict[str, frozenset[int]] = {}
    for each in violations:
        tally = tallies[each.crm]
        counted = tally.people[each.category]
        odd = [person for person in counted if person in tally.odd]
        # If the plan is within the limit without the odd ones, only they are suspect.
        suspects = odd if len(counted) - len(odd) <= each.limit else counted
        ordered = sorted(suspects, key=lambda person: (person not in approved_people, person))
        # Those who do not wait use up the approval first.
        late = ordered[max(each.allowed - (len(counted) - len(suspects)), 0) :]
        if each.category == "first":
            first[each.crm] = frozenset(late)
        else:
            waiting |= set(late)
    return Held(frozenset(waiting), first)


def a_tenth_more(number: int) -> int:
    """So many may be written where `number` was seen and agreed to."""
    return int(number * TENTH_MORE)


def is_materially_other(seen: Mapping[str, Mapping[str, int]], now: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether a plan that waits has grown by more than a tenth since somebody could first see it."""
    return any(
        number > a_tenth_more(seen.get(crm, {}).get(category, 0))
        for crm, numbers in now.items()
        for category, number in numbers.items()
    )
