"""What a CRM offers for a first config: where it keeps a field, which stage is handed to sales, who gets people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crmsync.config.deciding import Spelling
from crmsync.config.starter.description import (
    HUBSPOT_STAGES,
    OWN_STAGE,
    OWN_STAGE_FIELD,
    STAGE_VALUES,
    STANDARD_FIELDS,
    StarterStage,
    usual_stages,
)
from crmsync.connector import DescribedField
from crmsync.model import Contact, Owner

KINDS = {"hubspot": ("contact",), "salesforce": ("lead", "contact")}
"""The kinds of record that each CRM has."""

STAGE_FIELDS = {"hubspot": ("contact", "lifecyclestage"), "salesforce": ("lead", "Status")}
"""The field of a CRM that says how far somebody is."""

MOST_MEMBERS = 12
"""Users who are offered as one pool; of more than that, somebody has to choose."""

ENOUGH = 20
"""Records without a value from which on a field counts as one that nobody fills."""

_TYPES = {"title": {"text", "choice"}, "employees": {"number"}}
_HINTS = {
    "title": r"job.?title|\btitle\b|position|job.?function",
    "employees": r"employee|head.?count|company.?size",
    "industry": r"industry|industries|sector",
    "country": r"country",
}
_MQL = re.compile(r"(?i)\bmql\b|marketing[ _-]*qualified")
_TECHNICAL = re.compile(r"(?i)\b(admin\w*|integration|api|sync|crmsync|automat\w*|system|bot|service)\b")
"""What users are called who are no people: whoever imports leads owns them, and calls nobody."""

_ENDED = re.compile(r"(?i)clos|convert|customer|disqualif|unqualif|lost|dead")


@dataclass(frozen=True, slots=True)
class CrmFacts:
    """What a CRM said of itself, and its first records; `gaps` are sentences about what it did not say."""

    crm: str
    account: str = ""
    fields: Sequence[DescribedField] = ()
    owners: Sequence[Owner] = ()
    gaps: Sequence[str] = ()
    records: Sequence[Contact] = ()

    def field(self, kind: str, name: str) -> DescribedField | None:
        """A field by its name, in whatever case."""
        found = (each for each in self.fields if each.kind == kind and each.name.lower() == name.lower())
        return next(found, None)

    def stage_choices(self) -> Sequence[tuple[str, str]]:
        """The stages that the CRM itself has, each with its label, in the CRM's order."""
        found = self.field(*STAGE_FIELDS[self.crm])
        return [each for each in found.choices if is_writable(each[0])] if found else []

    def count_filled(self, name: str, kind: str) -> tuple[int, int]:
        """How many of the first records of a kind have a value in the usual field for a name of ours, of how many."""
        some = [each for each in self.records if each.ref.kind == kind]
        return sum(name in each.fields for each in some), len(some)

    def is_unused(self, name: str, kind: str) -> bool:
        """Whether the usual field is empty on so many records that nobody seems to fill it."""
        filled, read = self.count_filled(name, kind)
        return not filled and read >= ENOUGH


class Choice(NamedTuple):
    """A value that means the same in each CRM: its label, and how each CRM spells it."""

    label: str
    values: Mapping[str, Sequence[str]]


def is_writable(text: str) -> bool:
    """Whether a text of a CRM can stand in a file, and is more than blanks."""
    return bool(text.strip()) and not any("\ud800" <= sign <= "\udfff" for sign in text)


def rank_fields(facts: CrmFacts, name: str, kind: str) -> list[DescribedField]:
    """The fields of a kind that may be meant by a name of ours, the likeliest first.

    The usual one is the likeliest, unless nobody fills it and the name of another one says the same.
    """
    fitting = [each for each in facts.fields if each.kind == kind and is_writable(each.name) and _is_fit(each, name)]
    usual = _usual_name(facts.crm, name, kind)

    is_unused = facts.is_unused(name, kind)

    def rank(each: DescribedField) -> tuple[float, str]:
        is_usual = each.name.lower() == usual.lower()
        place = (1 if is_unused else 0) if is_usual else (0.5 if _is_hinted(each, name) else 2)
        return place, each.label.casefold()

    return sorted(fitting, key=rank)


def _is_fit(each: DescribedField, name: str) -> bool:
    """Whether a field can hold what rules ask of this name; a pick list without values holds nothing."""
    return each.type in _TYPES.get(name, {"text", "choice", "choices"}) and (
        bool(each.choices) or each.type not in ("choice", "choices")
    )


def _is_hinted(each: DescribedField, name: str) -> bool:
    """Whether its name says that it is meant. HubSpot's own fields beside the usual one hold something derived."""
    words = f"{each.name} {each.label}".lower()
    return re.search(_HINTS[name], words) is not None and not each.name.startswith("hs_")


def _usual_name(crm: str, name: str, kind: str) -> str:
    usual = STANDARD_FIELDS[name][crm]
    return usual if isinstance(usual, str) else usual[kind]


def offer_field(facts: CrmFacts, name: str, kind: str) -> DescribedField | None:
    """Where the CRM keeps this: in the usual field, else in one whose name says so; `None` where nothing seems to."""
    found = rank_fields(facts, name, kind)
    is_meant = found and (
        found[0].name.lower() == _usual_name(facts.crm, name, kind).lower() or _is_hinted(found[0], name)
    )
    return found[0] if is_meant else None


def join_spelling(by_kind: Mapping[str, str]) -> Spelling | None:
    """One spelling where all kinds have the same; `None` where no kind has the field."""
    found = {kind: name for kind, name in by_kind.items() if name}
    if not found:
        return None
    same = len(set(found.values())) == 1 and len(found) == len(by_kind)
    return next(iter(found.values())) if same else found


def offer_fields(facts: Iterable[CrmFacts], crms: Sequence[str]) -> dict[str, dict[str, Spelling]]:
    """Where each CRM keeps what rules read; the usual field where a CRM said nothing of its fields."""
    known = {each.crm: each for each in facts if each.fields}
    offered: dict[str, dict[str, Spelling]] = {}
    for name, usual in STANDARD_FIELDS.items():
        offered[name] = {}
        for crm in crms:
            if crm not in known:
                offered[name][crm] = usual[crm]
                continue
            found = {kind: offer_field(known[crm], name, kind) for kind in KINDS[crm]}
            spelling = join_spelling({kind: each.name if each else "" for kind, each in found.items()})
            if spelling is not None:
                offered[name][crm] = spelling
    return offered


def list_choices(facts: Iterable[CrmFacts], mapped: Mapping[str, Spelling]) -> list[Choice]:
    """The values of a field in all CRMs; those with one label are one."""
    joined: dict[str, tuple[str, dict[str, list[str]]]] = {}
    for each in (each for each in facts if each.crm in mapped):
        spelling = mapped[each.crm]
        for kind in KINDS[each.crm]:
            name = spelling if isinstance(spelling, str) else spelling.get(kind, "")
            field = each.field(kind, name)
            for value, label in field.choices if field else ():
                if is_writable(value):
                    _label, values = joined.setdefault(_fold(label), (label, {}))
                    values.setdefault(each.crm, [])
                    values[each.crm] += [value] if value not in values[each.crm] else []
    return [Choice(label, values) for label, values in joined.values()]


def _fold(label: str) -> str:
    return " ".join(re.findall(r"\w+", label.casefold())) or label


def spell_choices(chosen: Iterable[Choice]) -> list[str]:
    """The chosen values as rules name them: every spelling, each once."""
    return list(dict.fromkeys(value for each in chosen for values in each.values.values() for value in values))


def offer_handed_over(choices: Sequence[tuple[str, str]]) -> int | None:
    """Which stage is the one that is handed to sales, by its value or label; `None` where none says so."""
    found = (number for number, each in enumerate(choices) if each[0] == HUBSPOT_STAGES["mql"])
    named = (number for number, each in enumerate(choices) if any(_MQL.search(text) for text in each))
    return next(found, next(named, None))


def make_stages(
    crms: Sequence[str], facts: Mapping[str, CrmFacts], chosen: Mapping[str, int | None]
) -> list[StarterStage]:
    """The stages of the file. `chosen` has for a CRM the number of the stage of its own that is handed to sales.

    Of a CRM that said nothing of its stages they are the usual ones; without a number, HubSpot has none and Salesforce
    has the pick list that `crmsync setup` makes.
    """
    portal = facts.get("hubspot")
    if "hubspot" in crms and portal is not None and portal.fields:
        rows = _name_stages(portal.stage_choices(), chosen.get("hubspot"))
    else:
        rows = usual_stages(crms)
    if "salesforce" not in crms:
        return rows
    rows = [
        each._replace(values={**each.values, "salesforce": STAGE_VALUES[each.name]})
        if each.name in STAGE_VALUES
        else each
        for each in rows or usual_stages(("salesforce",))
    ]
    at = chosen.get("salesforce")
    return rows if at is None else _with_status(rows, facts["salesforce"].stage_choices(), at)


def _name_stages(choices: Sequence[tuple[str, str]], chosen: int | None) -> list[StarterStage]:
    """A row for each stage of HubSpot, its name from the value or, where that is a number, from the label."""
    if chosen is None:
        return []
    usual = {value: name for name, value in HUBSPOT_STAGES.items() if name != "mql"}
    rows: list[StarterStage] = []
    taken = {"mql"}
    for number, (value, label) in enumerate(choices):
        name = "mql" if number == chosen else usual.get(value) or _short_name(label) or f"stage {number + 1}"
        while number != chosen and name in taken:
            name += " (2)"
        taken.add(name)
        rows.append(StarterStage(name, {"hubspot": value}, handed_over=number == chosen))
    return rows


def _short_name(label: str) -> str:
    return " ".join(re.findall(r"[\w-]+", label.lower()))[:40].strip()


def _with_status(rows: Sequence[StarterStage], choices: Sequence[tuple[str, str]], chosen: int) -> list[StarterStage]:
    """The rows with the statuses of leads: of who is handed over, and of the stages right before and after that."""
    at = next(number for number, each in enumerate(rows) if each.handed_over)
    changed = []
    for number, each in enumerate(rows):
        own, status = each.values.get("salesforce"), chosen + number - at
        values: dict[str, Spelling] = {crm: value for crm, value in each.values.items() if crm != "salesforce"}
        spelling = {"contact": own} if isinstance(own, str) else {}
        near = abs(number - at) <= 1 and 0 <= status < len(choices)
        if near and (number == at or not any(map(_ENDED.search, choices[status]))):
            spelling = {"lead": choices[status][0], **spelling}
        if spelling:
            values["salesforce"] = spelling
        changed.append(each._replace(values=values))
    return [each for each in changed if each.values]


def choose_stage_field(chosen: int | None) -> Mapping[str, str]:
    """The field of Salesforce that holds the stage: the status of leads where a value of that was chosen."""
    if chosen is None:
        return OWN_STAGE_FIELD
    return {"lead": STAGE_FIELDS["salesforce"][1], "contact": OWN_STAGE}


def find_shared_users(facts: Iterable[CrmFacts]) -> list[Owner]:
    """The active users whom every CRM knows by their address, in the order of their names."""
    by_crm = [
        {
            each.email.strip().lower(): each
            for each in one.owners
            if each.active and each.kind == "user" and _has_address(each)
        }
        for one in facts
    ]
    known = set.intersection(*(set(each) for each in by_crm)) if by_crm else set()
    return sorted((by_crm[0][email] for email in known), key=lambda each: (each.name.casefold(), each.email.lower()))


def offer_members(facts: Iterable[CrmFacts], users: Sequence[Owner]) -> list[int]:
    """The places of those users who own somebody already and seem to be people; of none where they are many."""
    owning = {
        owner.email.strip().lower()
        for one in facts
        for owner in one.owners
        if owner.id in {each.owner for each in one.records}
    }
    found = [
        place
        for place, each in enumerate(users)
        if each.email.strip().lower() in owning and not _TECHNICAL.search(f"{each.name} {each.email.partition('@')[0]}")
    ]
    return found if len(found) <= MOST_MEMBERS else []


def _has_address(owner: Owner) -> bool:
    return is_writable(owner.email) and re.fullmatch(r"[^@\s]+@[^@\s]+", owner.email.strip()) is not None
