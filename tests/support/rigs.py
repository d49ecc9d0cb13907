"""Each connector behind the same handle: what people do in its CRM, and what the CRM holds."""

from dataclasses import replace

import connectors.hubspot as hubspot
import connectors.salesforce as salesforce
from connectors.hubspot import paging as hubspot_paging
from connectors.memory import Memory
from crmsync.connector import FieldMap
from crmsync.model import Ref
from tests.support import make
from tests.support.pages import pulled
from tests.support.stop import Hurried

WRITTEN = ("score", "fit", "behavior", "band", "reason", "stage_since")


class InMemory:
    """The memory connector, behind the same handle as the others."""

    crm, kinds = "memory", ("contact",)

    def __init__(self, now):
        self.now, self.stop = now, Hurried()
        self.made = Memory("memory", self.stop)
        self.made.people = make.owners("memory")
        for number in range(1, 46):
            person = make.contact(number, "memory", fields={"title": f"Title {number}"}, changed_at=now)
            self.made.edit(person)
            self.made.happen(make.activity(number, person))

    def connect(self, stop=None, size=None):
        self.made.stop, self.made.page_size = stop or self.stop, size or 100
        return self.made

    def set_up(self):
        pass

    def refs(self):
        return {ref for ref, each in self.made.records.items() if not each.gone}

    def retitle(self, ref, title):
        self.made.edit(replace(self.made.records[ref], fields={"title": title}))

    def remove(self, ref):
        self.made.edit(replace(self.made.records[ref], gone=True))

    def create(self, number):
        self.made.edit(make.contact(f"new{number}", "memory", fields={"title": "New"}, changed_at=self.now))

    def call(self, ref, number, owner=None):
        made = make.activity(f"new{number}", self.made.records[ref], "call_completed")
        self.made.happen(replace(made, owner=owner))

    def grow(self, ref, employees):
        fields = {**self.made.records[ref].fields, "employees": employees}
        self.made.edit(replace(self.made.records[ref], fields=fields))
        return True

    def merge(self, winner, loser):
        self.made.edit(replace(self.made.records[loser], gone=True, merged_into=winner))

    def put_on_list(self, name, *refs):
        self.made.lists[name] = set(refs)

    def day_passes(self):
        pass

    def state(self):
        return {ref: (each.current, each.stage, each.owner) for ref, each in self.made.records.items()}

    def nobody(self):
        return Ref("memory", "contact", "999999")

    def tasks(self):
        """The tasks of crmsync: whether each is open, by its key; a key that is there twice fails."""
        return {key: key not in self.made.closed_tasks for key in self.made.tasks}


class OverHttp:
    """A connector that talks to the sandbox."""

    def __init__(self, sandbox, monkeypatch):
        self.sandbox, self.monkeypatch = sandbox, monkeypatch

    def connect(self, stop=None, size=None, secret=None, url=None):
        if size:
            self.paged(size)
        settings = self.settings(url or self.sandbox.url, secret or self.secret)
        return self.module.connect(settings, self.names, {}, stop or Hurried())

    def set_up(self):
        made = self.connect()
        made.create_fields()
        made.close()
        self.sandbox.clock.advance(3_600)
        self.sandbox.calls.clear()

    def do(self, action, **body):
        self.sandbox.clock.advance(30)
        return self.sandbox.do(self.crm, action, **body)

    def calls(self):
        return self.sandbox.calls.of(self.crm)

    def day_passes(self):
        self.sandbox.clock.advance(90_000)


class InHubSpot(OverHttp):
    crm, kinds, module, secret = "hubspot", ("contact",), hubspot, "sandbox-token"
    names = FieldMap(
        fields={"title": "jobtitle", "country": "country", "employees": "company.numberofemployees"},
        score_fields={name: f"crmsync_{name}" for name in WRITTEN},
        stages={"lead": "lead", "mql": "marketingqualifiedlead"},
        tasks=True,
    )

    def settings(self, url, secret):
        return hubspot.Settings(base_url=url, token=secret, searches_per_second=10_000, calls_per_10s=10_000)

    def paged(self, size):
        self.monkeypatch.setattr(hubspot_paging, "LIST_PAGE", size)
        self.monkeypatch.setattr(hubspot_paging, "SEARCH_PAGE", size)

    def refs(self):
        return {Ref("hubspot", "contact", each) for each in self.sandbox.snapshot("hubspot")["contacts"]}

    def retitle(self, ref, title):
        self.do("update", id=ref.id, properties={"jobtitle": title})

    def remove(self, ref):
        self.do("archive", id=ref.id)

    def create(self, number):
        self.do("create", properties={"email": f"new{number}@firm.example", "jobtitle": "New"})

    def call(self, ref, number, owner=None):
        if owner is None:
            self.do("add_activity", id=ref.id, kind="call_completed", attributes={"subject": f"Call {number}"})
            return
        at = self.sandbox.clock().isoformat().replace("+00:00", "Z")
        said = {"hs_timestamp": at, "hs_call_title": f"Call {number}", "hubspot_owner_id": owner}
        made = self.do("create", type="calls", properties=said)["id"]
        self.do("associate", type="calls", id=made, to="contacts", other=ref.id)

    def grow(self, ref, employees):
        company = self.sandbox.snapshot("hubspot")["contacts"][ref.id].get("associatedcompanyid")
        if company:
            self.do("update", type="companies", id=company, properties={"numberofemployees": employees})
        return bool(company)

    def merge(self, winner, loser):
        return Ref("hubspot", "contact", self.do("merge", id=winner.id, other=loser.id)["id"])

    def put_on_list(self, name, *refs):
        lists = self.sandbox.portal.state.lists.values()
        gone = [each for known in lists if known.name == name for each in known.members if str(each) not in
                {ref.id for ref in refs}]  # fmt: skip
        self.do("put_on_list", name=name, add=[ref.id for ref in refs], remove=gone)

    def state(self):
        return self.sandbox.snapshot("hubspot")

    def nobody(self):
        return Ref("hubspot", "contact", "424242424242")

    def tasks(self):
        found = self.sandbox.snapshot("hubspot")["tasks"].values()
        return only_once(
            (each["crmsync_task_key"], each["hs_task_status"] != "COMPLETED")
            for each in found
            if "crmsync_task_key" in each
        )


class InSalesforce(OverHttp):
    crm, kinds, module, secret = "salesforce", ("lead", "contact"), salesforce, "sandbox"
    names = FieldMap(
        fields={
            "title": "Title",
            "country": {"lead": "Country", "contact": "MailingCountry"},
            "employees": {"lead": "NumberOfEmployees", "contact": "Account.NumberOfEmployees"},
        },
        score_fields={name: f"Crmsync_{name.title()}__c" for name in WRITTEN},
        stages={
            "lead": {"lead": "Open - Not Contacted", "contact": "Lead"},
            "mql": {"lead": "Working - Contacted", "contact": "MQL"},
        },
        tasks=True,
    )

    def settings(self, url, secret):
        return salesforce.Settings(instance_url=url, client_id="sandbox", client_secret=secret)

    def paged(self, size):
        self.sandbox.do("salesforce", "set", page_size=size)

    def refs(self):
        tables = self.sandbox.snapshot("salesforce")
        return {
            Ref("salesforce", kind, each["Id"])
            for kind in self.kinds
            for each in tables[kind.title()].values()
            if not each.get("IsDeleted")
        }

    def retitle(self, ref, title):
        self.do("update", id=ref.id, fields={"Title": title})

    def remove(self, ref):
        self.do("delete", id=ref.id)

    def create(self, number):
        self.do("create", object="Lead", fields={"LastName": f"New {number}", "Company": "Firm", "Title": "New"})

    def call(self, ref, number, owner=None):
        said = {} if owner is None else {"OwnerId": owner}
        self.do("add_activity", who=ref.id, fields={"Subject": f"Call {number}", "TaskSubtype": "Call", **said})

    def grow(self, ref, employees):
        row = self.sandbox.snapshot("salesforce")[ref.kind.title()][ref.id]
        where = ref.id if ref.kind == "lead" else row.get("AccountId")
        if where:
            self.do("update", id=where, fields={"NumberOfEmployees": employees})
        return bool(where)

    def merge(self, winner, loser):
        self.do("merge", winner=winner.id, losers=[loser.id])
        return winner

    def put_on_list(self, name, *refs):
        tables = self.sandbox.snapshot("salesforce")
        named = [id_ for id_, each in tables["Campaign"].items() if each["Name"] == name]
        id_ = named[0] if named else self.do("create", object="Campaign", fields={"Name": name})["id"]
        for member, each in tables["CampaignMember"].items():
            if each["CampaignId"] == id_ and not each.get("IsDeleted"):
                self.do("delete", id=member)
        for ref in refs:
            fields = {"CampaignId": id_, f"{ref.kind.title()}Id": ref.id}
            self.do("create", object="CampaignMember", fields=fields)

    def state(self):
        stamps = ("SystemModstamp", "LastModifiedDate", "LastModifiedById")
        tables = self.sandbox.snapshot("salesforce")
        return {
            name: {
                id_: {key: value for key, value in row.items() if key not in stamps}
                for id_, row in tables[name].items()
            }
            for name in ("Lead", "Contact", "Account", "Task", "Event")
        }

    def nobody(self):
        return Ref("salesforce", "lead", "00Q00000000zzzzAAQ")

    def tasks(self):
        found = self.sandbox.snapshot("salesforce")["Task"].values()
        return only_once(
            (each["Crmsync_Task_Key__c"], not each["IsClosed"]) for each in found if each.get("Crmsync_Task_Key__c")
        )


def only_once(pairs):
    """What is told of each key, each of which is there once."""
    told = list(pairs)
    assert len(dict(told)) == len(told)
    return dict(told)


OVER_HTTP = {"hubspot": InHubSpot, "salesforce": InSalesforce}


def latest(contacts):
    """A record may come twice; what came last counts."""
    return {each.ref: each for each in contacts}


def writable(rig, count=3):
    """Records that take any change: the first few that are not converted leads."""
    contacts, _ = pulled(rig.connect().contacts(None))
    live = (each for each in contacts if not (each.gone or each.converted_into))
    return sorted(each.ref for each in live)[:count]


def news(rig, cursor, size=None):
    """What the next pull brings. A new connector does not carry on the clock of an answer from before the edit."""
    return latest(pulled(rig.connect(size=size).contacts(cursor))[0])
