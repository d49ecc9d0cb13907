"""The world and the clients that the tests of the sandbox's HubSpot share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import requests

from connectors.sandbox.hubspot import SandboxPortal
from connectors.sandbox.world import Deal, Firm, Happening, Human, Rep, World

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)
BOTH = frozenset({"hubspot", "salesforce"})
FIRM = Firm(1, "Umbra Clinics", "umbra.example", "Healthcare", 420, "Germany", 9_000_000)
REPS = (Rep(1, "Rita", "Reed", "rita@ours.example"), Rep(2, "Olaf", "Old", "olaf@ours.example", active=False))
DID = (
    ("page_viewed", {"url": "https://www.ours.example/pricing?x=1", "seconds": 30}),
    ("page_viewed", {"url": "https://www.ours.example/docs", "seconds": 9}),
    ("form_submitted", {"form": "Request a demo", "url": "https://www.ours.example/demo"}),
    ("content_downloaded", {"asset": "Whitepaper"}),
    ("email_sent", {"subject": "News", "campaign": "Newsletter"}),
    ("email_opened", {"subject": "News", "campaign": "Newsletter"}),
    ("email_clicked", {"subject": "News", "campaign": "Newsletter"}),
    ("email_sent", {"subject": "Hello", "campaign": ""}),
    ("email_opened", {"subject": "Hello", "campaign": ""}),
    ("email_replied", {"subject": "Hello", "campaign": ""}),
    ("meeting_held", {"subject": "Demo", "outcome": "COMPLETED"}),
    ("call_completed", {"subject": "Intro", "outcome": "CONNECTED", "seconds": 60}),
    ("webinar_attended", {"campaign": "Scoring"}),
    ("task_completed", {"subject": "Send offer"}),
    ("note_logged", {"subject": "Likes tea"}),
)
HAPPENINGS = tuple(
    Happening(kind, NOW - timedelta(hours=20 - place), about, BOTH) for place, (kind, about) in enumerate(DID)
)


def human(number: int, **given: object) -> Human:
    known = {
        "number": number,
        "first": f"First{number}",
        "last": f"Last{number}",
        "email": f"person{number}@umbra.example",
        "title": "VP, IT Security",
        "firm": FIRM,
        "country": "Germany",
        "in_hubspot": 1,
        "in_salesforce": (),
        "created_at": NOW - (400 - number) * DAY,
        "owner": None,
    }
    return Human(**(known | given))


WORLD = World(
    NOW,
    REPS,
    (FIRM,),
    (
        human(1, owner=1, happenings=HAPPENINGS, in_salesforce=("lead",), native_link=True),
        human(2, in_hubspot=2, email="Double@Umbra.example"),
        human(3, in_hubspot=0, in_salesforce=("contact",)),
        human(4, in_salesforce=("converted", "contact"), native_link=True),
        human(5, email=None, firm=None, title=None, country=None),
        *(human(number) for number in range(6, 31)),
    ),
)


WON = Deal(
    number=1,
    name="Umbra Clinics 1",
    contacts=(1, 6, 3),
    firm=1,
    owner=1,
    amount=12_000,
    stages=(("Qualification", NOW - 30 * DAY), ("Negotiation", NOW - 20 * DAY), ("Closed Won", NOW - 10 * DAY)),
    expected=(NOW + 5 * DAY).date(),
    source="Webinar",
    campaign="Autumn",
)
LOST = replace(
    WON,
    number=2,
    contacts=(2,),
    firm=None,
    amount=None,
    stages=(("Proposal", NOW - 9 * DAY), ("Closed Lost", NOW - 8 * DAY)),
    source="PAID_SEARCH",
    campaign="",
    lost_reason="No budget",
)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


class Served:
    """The portal of the present test behind a server that all of them share."""

    app = None
    url = ""

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class Asker:
    """Plain HTTP with the token."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self.url, self.session = url, session

    def __call__(self, method: str, path: str, body=None, token="sandbox-token", **query):
        headers = {"Authorization": f"Bearer {token}"}
        return self.session.request(method, self.url + path, json=body, params=query, headers=headers, timeout=10)

    def get(self, path: str, **query):
        return self("GET", path, **query).json()

    def post(self, path: str, body):
        return self("POST", path, body).json()

    def search(self, *filters, kind="contacts", **more):
        body = {"filterGroups": [{"filters": list(filters)}] if filters else [], "limit": 200, **more}
        return self.post(f"/crm/objects/2026-09/{kind}/search", body)

    def found(self, *filters, **more) -> set[str]:
        return {each["properties"].get("firstname") for each in self.search(*filters, **more)["results"]}


def only(portal: SandboxPortal, first: str) -> str:
    """The id of the contact with that first name."""
    found = [each for each in portal.state.contacts.by_id.values() if each.properties.get("firstname") == first]
    return str(found[0].id)


def does(name, operator, *values):
    key = "values" if operator in ("IN", "NOT_IN") else "value"
    given = {key: list(values) if key == "values" else values[0]} if values else {}
    return {"propertyName": name, "operator": operator, **given}


def updated(ask, *inputs, version="2026-09"):
    return ask("POST", f"/crm/objects/{version}/contacts/batch/update", {"inputs": list(inputs)})


def stage(ask, contact, value=None, name="lifecyclestage"):
    path = f"/crm/objects/2026-09/contacts/{contact}"
    if value is not None:
        assert ask("PATCH", path, {"properties": {"lifecyclestage": value}}).status_code == 200
    return ask.get(path, properties=name)["properties"][name]
