"""What the tests of the HubSpot connector share: a portal of the sandbox, and what happens in it."""

import threading

from hypothesis import settings as hypothesis_settings

from connectors.hubspot import Settings, connect
from crmsync.config.tables import Feed
from crmsync.connector import FieldMap
from crmsync.model import Change, Ref
from tests.support.pages import pulled
from tests.support.stop import Hurried

NAMES = FieldMap(
    fields={"title": "jobtitle", "country": "country", "employees": "company.numberofemployees"},
    score_fields={"score": "ls_score", "band": "ls_band", "reason": "ls_reason"},
    stages={"lead": "lead", "mql": "marketingqualifiedlead", "sql": "salesqualifiedlead"},
)


def hubspot(sandbox, names=NAMES, notes=None, stop=None, **settings):
    """A connector that is in a hurry, so that tests are too."""
    settings = {"token": "sandbox-token", "calls_per_10s": 100_000, "searches_per_second": 100_000, **settings}
    return connect(Settings(base_url=sandbox.url, **settings), names, {} if notes is None else notes, stop or Hurried())


def contacts(connector, cursor=None):
    """The contacts that a run pulls by id, a later one in place of an earlier one, and the cursor behind them."""
    connector.account()
    items, cursor = pulled(connector.contacts(cursor))
    return {each.ref.id: each for each in items}, cursor


def create(sandbox, **properties):
    return sandbox.do("hubspot", "create", properties=properties)["id"]


def crowd(sandbox, count):
    """Many contacts at once."""
    for number in range(count):
        sandbox.portal.actions["create"]({"properties": {"email": f"crowd{number}@acme.example"}})


def update(sandbox, contact_id, **properties):
    return sandbox.do("hubspot", "update", id=contact_id, properties=properties)


def calls(sandbox, part=""):
    return [each for each in sandbox.calls.of("hubspot") if part in each.path]


def properties(sandbox, contact_id):
    return sandbox.portal.state.contacts.by_id[int(contact_id)].properties


def change(contact_id, before=None, **after):
    return Change(Ref("hubspot", "contact", contact_id), before or dict.fromkeys(after), after)


def refused(status=400, **body):
    return {"do": "answer", "status": status, "body": {"status": "error", **body}}


def post(sandbox, path, **body):
    """Send something as another client would."""
    import requests

    answer = requests.post(
        sandbox.url + path,
        json={"groupName": "contactinformation", **body},
        headers={"Authorization": "Bearer sandbox-token"},
    )
    answer.raise_for_status()


def sent(sandbox, contact_id, number=1, form="Demo request"):
    attributes = {"form": form, "url": f"https://acme.example/{number}"}
    sandbox.do("hubspot", "add_activity", id=contact_id, kind="form_submitted", attributes=attributes)


def sell(sandbox, *contacts, company=None, **properties):
    """A new deal about these contacts, as somebody makes it in HubSpot."""
    values = {"dealname": "Umbra 1", "dealstage": "qualifiedtobuy", "amount": "9000", **properties}
    deal = sandbox.do("hubspot", "create", type="deals", properties=values)["id"]
    for contact in contacts:
        join_deal(sandbox, deal, contact)
    if company:
        sandbox.do("hubspot", "associate", type="deals", id=deal, to="companies", other=company, primary=True)
    return deal


def join_deal(sandbox, deal, contact):
    sandbox.do("hubspot", "associate", type="deals", id=deal, to="contacts", other=contact)


def edit_deal(sandbox, deal, **properties):
    sandbox.do("hubspot", "update", type="deals", id=deal, properties=properties)


def deals(connector, cursor=None):
    """The deals that a run pulls by id, a later one in place of an earlier one, and the cursor behind them."""
    connector.account()
    connector.missing_fields()
    found, cursor = pulled(connector.outcomes(cursor))
    return {each.ref.id: each for each in found}, cursor


RENEWALS = {
    "id": "88001",
    "label": "Renewals",
    "stages": [
        {"id": "990010", "label": "Talking", "probability": 0.5},
        {"id": "99-B7", "label": "Renewed", "probability": 1.0, "closed": True},
        {"id": "990012", "label": "Left", "probability": 0.1, "closed": True},
    ],
}


FORMS = [Feed(source="forms", kind="form_submitted", attributes={"form": "form"})]


class Look:
    """A `narrow` that remembers what it was asked, where, and what was written by then."""

    def __init__(self, sandbox, less=lambda change: change):
        self.sandbox, self.less, self.asked, self.threads, self.written = sandbox, less, [], set(), []

    def __call__(self, changes):
        self.asked.append([each.ref.id for each in changes])
        self.threads.add(threading.get_ident())
        self.written.append(len(self.sandbox.calls.writes("hubspot")))
        return [left for each in changes if (left := self.less(each))]


MASS = {"mass_write": "import", "import_threshold": 100}


def scores_of(sandbox, ids):
    return {properties(sandbox, contact_id).get("ls_score") for contact_id in ids}


YES_NO = [
    {"label": "Yes", "value": "true", "displayOrder": 0, "hidden": False},
    {"label": "No", "value": "false", "displayOrder": 1, "hidden": False},
]
unhurried = hypothesis_settings(deadline=None, max_examples=60)
