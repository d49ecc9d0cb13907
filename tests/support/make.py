"""What the core's tests are made of: contacts, activities and a config with everything overridable."""

import threading
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.memory import Memory
from crmsync.config import config_class
from crmsync.cycle import run_cycle
from crmsync.model import Activity, Contact, Owner, Ref
from crmsync.planning import approval
from crmsync.store import run_journal
from crmsync.store.database import open_store
from crmsync.work import Work
from tests.support.sharing import migrated

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

MODEL = """
[bands]
cold = 0
warm = 20
mql = 50

[[fit]]
name = "VP or above"
points = 20
when = { field = "title", seniority = ["vp", "c_level"] }

[[fit]]
name = "Over 200 employees"
points = 15
when = { field = "employees", gt = 200 }

[[behavior]]
name = "Demo requested"
points = 30
on = "form_submitted"
where = { form = { contains = "demo" } }
window = "60d"

[[behavior]]
name = "Pricing page viewed"
points = 15
on = "page_viewed"
where = { url = { contains = "pricing" } }
cap = 45

[[stage]]
name = "lead"
values = { hubspot = "lead", salesforce = { lead = "Open", contact = "Lead" } }

[[stage]]
name = "mql"
band = "mql"
values = { hubspot = "marketingqualifiedlead", salesforce = { lead = "Working", contact = "MQL" } }

[[owner_pool]]
name = "sales"
members = ["ann@acme.example", "bob@acme.example"]

[[route]]
name = "Sales"
when = { field = "band", is = "mql" }
to = "sales"

[[route]]
name = "Everybody else"
to = "nurture"

[tracks]
nurture = {}

[fields]
title = { hubspot = "jobtitle", salesforce = "Title" }
employees = { hubspot = "company.numberofemployees", salesforce = { lead = "NumberOfEmployees" } }

[write.fields]
score = { hubspot = "crmsync_score", salesforce = "Crmsync_Score__c" }
fit = { hubspot = "crmsync_fit", salesforce = "Crmsync_Fit__c" }
behavior = { hubspot = "crmsync_behavior", salesforce = "Crmsync_Behavior__c" }
band = { hubspot = "crmsync_band", salesforce = "Crmsync_Band__c" }
reason = { hubspot = "crmsync_reason", salesforce = "Crmsync_Reason__c" }
"""


def config(text=MODEL, **tables):
    return config_class()(**{**tomllib.loads(text), **tables})


def contact(number=1, crm="hubspot", kind="contact", **over):
    given = {"changed_at": NOW - timedelta(days=1), "emails": (f"person{number}@firm.example",), **over}
    return Contact(Ref(crm, kind, str(number)), **given)


def activity(number, of, kind="form_submitted", days_ago=1, **attributes):
    return Activity(of.ref, f"{kind}:{number}", kind, NOW - timedelta(days=days_ago), attributes or {"form": "demo"})


def owners(crm):
    return [
        Owner(crm, f"{crm}-ann", "ann@acme.example", "Ann"),
        Owner(crm, f"{crm}-bob", "Bob@acme.example", "Bob"),
        Owner(crm, f"{crm}-eve", "eve@acme.example", "Eve", active=False),
        Owner(crm, f"{crm}-queue", "", "Inbound", kind="queue"),
    ]


def crm(name="hubspot", page_size=100):
    made = Memory(name, threading.Event(), page_size)
    made.people = owners(name)
    return made


def work(store, *crms, now=NOW, settings=None):
    return Work(settings or config(), store, {each.name: each for each in crms}, now)


def apply_plan(of, plan_id):
    """Approve a plan and run, as `crmsync apply` does."""
    with of.store.begin() as tx:
        found = approval.find_plan(tx, of.config.decision_hash(), plan_id, of.now_ms)
        assert run_journal.approve_plan(tx, found.id, of.now_ms, "ann")
    return run_cycle(of, "apply")


def new_sqlite(folder, name="state.db"):
    """The address of an empty state; to migrate each one anew would take longer than most tests."""
    path = Path(folder, name)
    path.touch(mode=0o600)
    path.write_bytes(migrated())
    return f"sqlite:///{path}"


def store(folder, name="state.db"):
    """An empty state that is open."""
    return open_store(new_sqlite(folder, name))
