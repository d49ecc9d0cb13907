"""The world and the calls that the tests of the sandbox's Salesforce share."""

import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import requests

from connectors.sandbox.world import Deal, Firm, Happening, Human, Rep, World, salesforce_id

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
QUEUE = salesforce_id("00G", 1)
ANA, BO = salesforce_id("005", 1), salesforce_id("005", 2)
LEAD, CONTACT = salesforce_id("00Q", 4), salesforce_id("003", 8)
CONVERTED, CONVERTED_TO = salesforce_id("00Q", 12), salesforce_id("003", 13)
UNOWNED = salesforce_id("00Q", 16)


def happened(kind, days, **attributes):
    return Happening(kind, NOW - timedelta(days=days), attributes, frozenset({"salesforce"}))


def human(number, records, owner=1, happenings=(), **more):
    given = {"first": f"First{number}", "last": f"Last{number}", "email": f"p{number}@firm.example", "title": "VP, IT"}
    given |= {"firm": FIRM, "country": "Germany", "in_hubspot": 0, "created_at": NOW - timedelta(days=60)}
    return Human(number=number, in_salesforce=records, owner=owner, happenings=tuple(happenings), **given | more)


FIRM = Firm(1, "Firm & Söhne", "firm.example", "Technology", 250, "Germany", 5_000_000)
LETTER = (happened("email_sent", 9, subject="Hello"), happened("email_opened", 8, subject="Hello"))
PEOPLE = (
    human(1, ("lead",), happenings=[happened("call_completed", 3, subject="Call", outcome="reached", seconds=90)]),
    human(2, ("contact",), happenings=[*LETTER, happened("email_replied", 7, subject="Hello")]),
    human(3, ("converted", "contact"), happenings=[happened("webinar_attended", 2, campaign="Autumn webinar")]),
    human(4, ("lead",), owner=None, happenings=[happened("meeting_held", 1, subject="Demo")]),
)
WORLD = World(
    NOW,
    (Rep(1, "Ana", "Ito", "ana@sales.example"), Rep(2, "Bo", "Ek", "bo@sales.example", active=False)),
    (FIRM,),
    PEOPLE,
)


def day(number):
    """Nine o'clock, so many days ago."""
    return NOW - timedelta(days=number)


WON, LOST, OPEN, ELSEWHERE = (salesforce_id("006", number) for number in (1, 2, 3, 4))
DEALS = (
    Deal(
        1, "Firm, first order", (3, 2), 1, 1, 12_000,
        (("Qualification", day(40)), ("Proposal", day(30)), ("Closed Won", day(20))),
        date(2026, 12, 24), "Web", campaign="Autumn webinar",
    ),
    Deal(
        2, "Firm, lost", (2,), 1, 1, 500, (("Qualification", day(35)), ("Closed Lost", day(10))),
        date(2026, 11, 1), "Other", lost_reason="Price",
    ),
    Deal(3, "Firm, open", (1,), None, 1, None, (("Negotiation", day(5)),), date(2027, 1, 31), "Web"),
    Deal(
        4, "Elsewhere", (2,), 1, 1, 1, (("Proposal", day(5)),), date(2027, 1, 31), "Web",
        seen_by=frozenset({"hubspot"}),
    ),
)  # fmt: skip
SELLING = replace(WORLD, deals=DEALS)
"""The same people, and what sales made of some of them."""


class Rewritten(requests.adapters.HTTPAdapter):
    """simple-salesforce insists on https and on salesforce.com; the sandbox is neither."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    def send(self, request, **options):
        request.url = self.url + "/" + request.url.split("/", 3)[3]
        return super().send(request, **options)


def found(sf, soql, **options):
    return sf.query_all(soql, **options)["records"]


def ids(sf, soql, **options):
    return [record["Id"] for record in found(sf, soql, **options)]


def patch(sf, *records, type_="Lead", headers=None):
    body = {"allOrNone": False, "records": [{"attributes": {"type": type_}} | record for record in records]}
    return sf.restful("composite/sobjects", method="PATCH", json=body, **({"headers": headers} if headers else {}))


QUIET = {"Sforce-Auto-Assign": "FALSE"}


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))
