"""What HubSpot saw people do: event occurrences, form submissions and marketing e-mail events."""

from __future__ import annotations

import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

_NAMESPACE = uuid.UUID("5a4db0c5-0000-4000-8000-000000000000")


VISITED = "e_visited_page"

About = Mapping[str, str | int]

_UNKNOWN_OF_A_VISIT = dict.fromkeys(
    (
        "hs_browser",
        "hs_canonical_url",
        "hs_country",
        "hs_device_type",
        "hs_operating_system",
        "hs_region",
        "hs_title",
        "hs_user_agent",
        "hs_utm_campaign",
        "hs_visit_source",
    ),
    "",
)


class Occurrence(NamedTuple):
    """An event: when (epoch ms), a running number, which contact, which type of event, and what is known about it."""

    at: int
    number: int
    contact: int
    event_type: str
    about: About

    def properties(self) -> dict[str, str]:
        """The properties HubSpot shows of it."""
        if self.event_type != VISITED:
            return {name: str(value) for name, value in self.about.items()}
        url = str(self.about.get("url", ""))
        base, _, query = url.partition("?")
        domain, _, path = base.partition("//")[2].partition("/")
        return {
            "hs_url": url,
            "hs_url_domain": domain,
            "hs_url_path": f"/{path}",
            "hs_base_url": base,
            "hs_query_params": query,
            "hs_page_title": path.rpartition("/")[2].replace("-", " ").title() or "Home",
            "hs_log_line_timestamp": str(self.at),
            "hs_processed_timestamp": str(self.at + 700),
            "hs_leviathan_linked_vids": str(self.contact),
            "hs_is_contact": "true",
            **_UNKNOWN_OF_A_VISIT,
        }


class Submission(NamedTuple):
    """A form somebody sent in; it knows the e-mail address, not the contact."""

    at: int
    number: int
    values: tuple[tuple[str, str], ...]
    page: str


class EmailEvent(NamedTuple):
    """What became of one marketing e-mail to one address; `filtered` where HubSpot holds a machine for the reader.

    `sent` are the number and the instant of the event of its sending.
    """

    at: int
    number: int
    type: str
    recipient: str
    campaign: int
    filtered: bool = False
    url: str = ""
    sent: tuple[int, int] | None = None


def make_guid(number: int) -> str:
    """The id of what has this running number."""
    return f"5a4db0c5-0000-4000-8000-{number:012x}"


def make_form_id(name: str) -> str:
    """The id of the form of that name."""
    return str(uuid.uuid5(_NAMESPACE, name))


FormType = Literal["hubspot", "captured", "flow", "blog_comment"]
"""HubSpot's own form, one of an external web site, a pop-up, and the comments below a blog."""


class Form(NamedTuple):
    """A form of the portal."""

    id: str
    name: str
    created: int
    type: FormType


Visit = tuple[int, int]


def _place(each: Occurrence) -> Visit:
    return each.at, each.number


class Timeline:
    """Occurrences in the order they happened, whatever the order they came in."""

    __slots__ = ("_all", "_sorted")

    def __init__(self) -> None:
        self._all: list[Occurrence] = []
        self._sorted = True

    def add(self, each: Occurrence) -> None:
        """Add one."""
        self._sorted = self._sorted and (not self._all or _place(self._all[-1]) < _place(each))
        self._all.append(each)

    def everything(self) -> list[Occurrence]:
        """All of them, oldest first."""
        if not self._sorted:
            self._all.sort(key=_place)
            self._sorted = True
        return self._all

    def walk(self, span: tuple[int, int], last: Visit | None, descending: bool) -> Iterator[Occurrence]:
        """Those from the first instant of `span` up to but not including the second, going on after `last`."""
        found = self.everything()
        start = bisect_left(found, (span[0], 0), key=_place)
        end = bisect_left(found, (span[1], 0), key=_place)
        if last is not None and descending:
            end = min(end, bisect_left(found, last, key=_place))
        elif last is not None:
            start = max(start, bisect_right(found, last, key=_place))
        places = range(end - 1, start - 1, -1) if descending else range(start, end)
        return (found[place] for place in places)

    def without(self, contact: int) -> Timeline:
        """The same, with one contact forgotten."""
        kept = Timeline()
        kept._all, kept._sorted = [each for each in self._all if each.contact != contact], self._sorted
        return kept


class Tracking:
    """Everything of the kind in one portal."""

    def __init__(self) -> None:
        self.by_type: dict[str, Timeline] = {}
        self.by_contact: dict[int, Timeline] = {}
        self.forms: dict[str, Form] = {}
        self.submissions: dict[str, list[Submission]] = {}
        self.emails: list[EmailEvent] = []
        self.campaigns: dict[str, int] = {}
        self._sent: dict[tuple[str, int], tuple[int, int]] = {}
        self._number = 0
        self._emails_sorted = True

    def occurred(self, event_type: str, contact: int, at: int, about: About) -> Occurrence:
        """Record an event of a contact."""
        self._number += 1
        each = Occurrence(at, self._number, contact, event_type, about)
        self._keep(each)
        return each

    def _keep(self, each: Occurrence) -> None:
        self.by_type.setdefault(each.event_type, Timeline()).add(each)
        self.by_contact.setdefault(each.contact, Timeline()).add(each)

    def form(self, name: str, at: int, form_type: FormType = "hubspot") -> Form:
        """The form of that name, made where there is none."""
        number = make_form_id(name)
        return self.forms.setdefault(number, Form(number, name, at, form_type))

    def submitted(self, form: Form, at: int, values: Mapping[str, str], page: str) -> Submission:
        """Record a form that was sent in."""
        self._number += 1
        each = Submission(at, self._number, tuple(values.items()), page)
        self.submissions.setdefault(form.id, []).append(each)
        return each

    def campaign(self, name: str) -> int:
        """The id of a marketing e-mail's campaign."""
        return self.campaigns.setdefault(name, 17_000_001 + len(self.campaigns))

    def emailed(
        self, event: str, recipient: str, at: int, campaign: str, filtered: bool = False, url: str = ""
    ) -> EmailEvent:
        """Record what became of a marketing e-mail."""
        self._number += 1
        number = self.campaign(campaign)
        if event == "SENT":
            self._sent[recipient, number] = (self._number, at)
        sent = self._sent.get((recipient, number))
        each = EmailEvent(at, self._number, event, recipient, number, filtered, url, sent)
        self.emails.append(each)
        self._emails_sorted = False
        return each

    def newest_emails(self, low: int, high: int) -> Iterator[EmailEvent]:
        """The e-mail events from `low` to `high`, both included, newest first."""
        if not self._emails_sorted:
            self.emails.sort()
            self._emails_sorted = True
        start = bisect_left(self.emails, low, key=lambda each: each.at)
        end = bisect_right(self.emails, high, key=lambda each: each.at)
        return (self.emails[place] for place in range(end - 1, start - 1, -1))

    def follow(self, old: int, new: int) -> None:
        """Give one contact's events to another; they stay the events that they are."""
        moving = self.by_contact.pop(old, Timeline()).everything()
        for event_type in {each.event_type for each in moving}:
            self.by_type[event_type] = self.by_type[event_type].without(old)
        for each in moving:
            self._keep(each._replace(contact=new))

    def forget(self, contact: int, email: str) -> None:
        """Remove a contact's traces for good."""
        if self.by_contact.pop(contact, None):
            self.by_type = {name: each.without(contact) for name, each in self.by_type.items()}
        self.emails = [each for each in self.emails if each.recipient != email]
        for form, found in self.submissions.items():
            self.submissions[form] = [each for each in found if ("email", email) not in each.values]
