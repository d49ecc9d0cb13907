"""Opens and clicks that no person made: seconds after an e-mail was sent, or every link of it at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from crmsync.columns import Columns, Fact
from crmsync.config.machine_clicks import MachineClicks
from crmsync.model import SECONDS_AFTER_SENDING

PERSON, TOO_SOON, LINK_SCANNER = 0, 1, 2
"""Who made an activity: a person, or a machine, and how it is known."""

SENT, OPENED, CLICKED = "email_sent", "email_opened", "email_clicked"

MADE_BY_MACHINES = frozenset({OPENED, CLICKED})
"""The kinds of activity that a machine may have made."""

LINKS = ("url", "link")
"""The attributes that tell which link was clicked; the first that is there."""

_OTHER, _SENT, _OPENED, _CLICKED = 0, 1, 2, 3
_SIDES = {SENT: _SENT, OPENED: _OPENED, CLICKED: _CLICKED}
_PERSON = 2**40
"""More seconds than lie between the first and the last instant that can be written."""


@dataclass(frozen=True)
class MailFacts:
    """What the distinct facts say of e-mails, one number for each fact.

    `side` (uint8): sent, opened, clicked or nothing of these. `link` (int32): a number for the link, -1 where none is
    known. `soon`: the CRM itself says that it was too soon after the sending.
    """

    side: NDArray[np.uint8]
    link: NDArray[np.int32]
    soon: NDArray[np.bool_]


def read_mail_facts(rules: MachineClicks, facts: Sequence[Fact], made_up: Collection[int] = ()) -> MailFacts:
    """Look at each distinct fact once; of those that are `made_up` no machine is the author."""
    links: dict[str, int] = {}
    side, link = np.zeros(len(facts), dtype=np.uint8), np.full(len(facts), -1, dtype=np.int32)
    soon = np.zeros(len(facts), dtype=bool)
    limit = rules.after_sending.total_seconds()
    for place, fact in enumerate(facts):
        if fact.kind not in _SIDES or place in made_up:
            continue
        side[place] = _SIDES[fact.kind]
        told = next((str(fact.attributes[name]) for name in LINKS if fact.attributes.get(name)), None)
        if told is not None and fact.kind == CLICKED:
            link[place] = links.setdefault(told, len(links))
        after = fact.attributes.get(SECONDS_AFTER_SENDING)
        if after is not None and fact.kind != SENT:
            soon[place] = _is_within(after, limit)
    return MailFacts(side, link, soon)


def _is_within(after: object, limit: float) -> bool:
    try:
        return limit > 0 and 0 <= float(str(after)) <= limit
    except ValueError:
        return False


def find_machines(
    rules: MachineClicks, mail: MailFacts, columns: Columns, happened: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """The activities that a machine made, ascending, and how each is known; only what has `happened` tells.

    The order within a second changes nothing: what tells are instants and links.
    """
    side = mail.side.take(columns.fact) if len(mail.side) else np.zeros(0, dtype=np.uint8)
    acted = np.flatnonzero((side >= _OPENED) & happened)
    if not len(acted):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.uint8)
    how = np.where(mail.soon[columns.fact[acted]], TOO_SOON, PERSON).astype(np.uint8)
    instants = _instants(columns, acted)
    if limit := int(rules.after_sending.total_seconds()):
        sent = _instants(columns, np.flatnonzero((side == _SENT) & happened))
        how[_follow(instants, sent, limit)] = TOO_SOON
    if limit := int(rules.within.total_seconds()):
        clicks = np.flatnonzero(side[acted] == _CLICKED)
        at_once = _in_bursts(instants[clicks], mail.link[columns.fact[acted[clicks]]], limit, rules.links)
        how[clicks[at_once]] = LINK_SCANNER
    made = how != PERSON
    return acted[made], how[made]


def _instants(columns: Columns, which: NDArray[np.intp]) -> NDArray[np.int64]:
    """The instants of some activities, those of a person apart from everybody else's; ascending."""
    return columns.person[which].astype(np.int64) * _PERSON + columns.at[which]


def _follow(instants: NDArray[np.int64], sent: NDArray[np.int64], limit: int) -> NDArray[np.bool_]:
    """Which of the instants are no more than `limit` seconds after the latest of `sent` (both ascending, by person).

    At the very instant of a sending nothing is known: it may be a day without a time.
    """
    if not len(sent):
        return np.zeros(len(instants), dtype=bool)
    before = np.searchsorted(sent, instants, side="right") - 1
    after = instants - sent[before]
    follows: NDArray[np.bool_] = (before >= 0) & (after > 0) & (after <= limit)
    return follows


def _in_bursts(instants: NDArray[np.int64], links: NDArray[np.int32], limit: int, least: int) -> NDArray[np.bool_]:
    """Which clicks lie in some stretch of `limit` seconds with at least so many different links."""
    starts = np.arange(len(instants))
    ends = np.searchsorted(instants, instants + limit, side="right")
    likely = np.flatnonzero(ends - starts >= least)
    if not len(likely):
        return np.zeros(len(instants), dtype=bool)
    counts = ends[likely] - likely
    window = np.repeat(np.arange(len(likely)), counts)
    inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + likely[window]
    known = links[inside] >= 0
    pairs = np.unique(window[known] * np.int64(2**32) + links[inside][known])
    many = np.bincount(pairs >> 32, minlength=len(likely)) >= least
    # Each of these stretches begins one and ends one: what is begun and not ended lies within.
    edges = np.zeros(len(instants) + 1, dtype=np.int64)
    np.add.at(edges, likely[many], 1)
    np.add.at(edges, ends[likely[many]], -1)
    return np.cumsum(edges[:-1]) > 0


def describe_machine_rules(rules: MachineClicks) -> str:
    """What is taken for a machine, in words; empty where nothing is."""
    said = []
    if rules.after_sending:
        said.append(f"opens and clicks within {_seconds(rules.after_sending)} of sending")
    if rules.within:
        said.append(f"clicks of {rules.links:,} or more different links within {_seconds(rules.within)}")
    return f"not counted: {' and '.join(said)}" if said else ""


def _seconds(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    return f"{seconds:,} {'second' if seconds == 1 else 'seconds'}"


def describe_machines(rules: MachineClicks, kind: str, how: int, count: int) -> str:
    """Why some activities do not count: "4 clicks not counted: link scanner"."""
    what = {OPENED: "open", CLICKED: "click"}[kind] + ("" if count == 1 else "s")
    if how == LINK_SCANNER:
        return f"{count:,} {what} not counted: link scanner"
    return f"{count:,} {what} not counted: within {_seconds(rules.after_sending)} of sending"
