"""What the tests of the Salesforce connector share: an org of the sandbox, and what happens in it."""

import connectors.salesforce as salesforce
from connectors.sandbox.faults import Fault
from crmsync.connector import FieldMap
from crmsync.model import Change
from tests.support.pages import pulled
from tests.support.stop import Hurried

NAMES = FieldMap(
    fields={
        "title": "Title",
        "industry": {"lead": "Industry", "contact": "Account.Industry"},
        "employees": {"lead": "NumberOfEmployees", "contact": "Account.NumberOfEmployees"},
    },
    score_fields={name: f"Crmsync_{name.title()}__c" for name in ("score", "fit", "behavior", "band", "reason")},
    stages={
        "new": {"lead": "Open - Not Contacted", "contact": "New"},
        "mql": {"lead": "Working - Contacted", "contact": "MQL"},
    },
)
OUTPUT_FIELDS = [
    (object_, f"Crmsync_{name}__c", type_, size)
    for object_ in ("Lead", "Contact")
    for name, type_, size in (
        ("Score", "double", 9), ("Fit", "double", 9), ("Behavior", "double", 9), ("Band", "string", 80),
        ("Reason", "string", 255), ("Stage", "string", 40),
    )
]  # fmt: skip


def connect(sandbox, names=NAMES, notes=None, stop=None, **settings):
    given = {"instance_url": sandbox.url, "client_id": "sandbox", "client_secret": "sandbox", **settings}
    return salesforce.connect(salesforce.Settings(**given), names, {} if notes is None else notes, stop or Hurried())


def org_with_our_fields(sandbox):
    """A connector to an org that has our fields."""
    for object_, field, type_, size in OUTPUT_FIELDS:
        sandbox.do("salesforce", "add_field", object=object_, field=field, type=type_, size=size)
    sandbox.clock.advance(3_600)
    return connect(sandbox)


def by_ref(contacts):
    return {each.ref: each for each in contacts}


def live(crm, kind="lead"):
    contacts, _ = pulled(crm.contacts(None))
    return [each for each in contacts if each.ref.kind == kind and not (each.gone or each.converted_into)]


def do(sandbox, action, **body):
    sandbox.clock.advance(30)
    return sandbox.do("salesforce", action, **body)


def fault(sandbox, do, path="", **how):
    sandbox.faults.add(Fault(do=do, vendor="salesforce", path=path, **how))


CANARY = "canary-3f9a77"


def happened(crm, cursor=None):
    return pulled(crm.activities(cursor))


def change(ref, group="", **after):
    after = after or {"score": 42}
    return Change(ref, dict.fromkeys(after), after, group=group)


def written(made, *changes, narrow=list):
    return {receipt.ref: receipt for receipt in made.write(changes, narrow)}


def row(sandbox, ref):
    return sandbox.snapshot("salesforce")[ref.kind.title()][ref.id]


def patches(sandbox):
    return [call for call in sandbox.calls if call.method == "PATCH" and call.path.endswith("composite/sobjects")]
