"""Whole cycles over CRMs that are dictionaries: who is in them, and what a cycle leaves."""

import random
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import select

from crmsync.cycle import run_cycle
from crmsync.errors import Unavailable
from crmsync.model import Receipt, Ref
from crmsync.store import schema
from tests.support.make import MODEL, NOW, activity, config, contact, crm, work
from tests.support.state import ledgers


def two_crms():
    """Ada (in both, hot), Bo (HubSpot only, a look at the prices), Cy (Salesforce only, cold)."""
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    ada = contact(1, emails=("ada@x.example",), fields={"title": "VP Sales", "employees": 500})
    ada_too = contact("00Q1", crm="salesforce", kind="lead", emails=("ada@x.example",), stage="lead")
    bo, cy = contact(2), contact("0032", crm="salesforce", kind="contact", owner="salesforce-bob")
    for each in (ada, bo):
        hubspot.edit(each)
    for each in (ada_too, cy):
        salesforce.edit(each)
    hubspot.happen(activity(1, ada))
    hubspot.happen(activity(2, bo, kind="page_viewed", url="https://x.example/pricing"))
    salesforce.happen(activity(1, ada_too))
    return hubspot, salesforce


def held(of):
    return {ref.id: (record.current.get("score"), record.stage, record.owner) for ref, record in of.records.items()}


def balanced(result):
    for counts in result.crms.values():
        assert counts.pulled == counts.scored + sum(counts.skipped.values())
        assert counts.planned == counts.updated + counts.partly + counts.rejected + counts.edited + counts.unknown
    return result


def world(seed, people=40):
    rng = random.Random(seed)
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    for number in range(people):
        mail = (f"p{number}@x.example",)
        fields = {"title": rng.choice(["VP", "Clerk", "CEO"]), "employees": rng.choice([5, 500])}
        records = []
        if rng.random() < 0.7 or number == 0:
            records.append((hubspot, contact(number, emails=mail, fields=fields)))
        if rng.random() < 0.7 or number == 0:
            owner = rng.choice([None, "salesforce-bob", "salesforce-eve"])
            records.append((salesforce, contact(number, "salesforce", "lead", emails=mail, stage="lead", owner=owner)))
        for where, record in records:
            where.edit(record)
            for event in range(rng.randrange(4)):
                where.happen(activity(f"{number}.{event}", record, days_ago=rng.randrange(1, 80)))
    return hubspot, salesforce


def totals(state):
    lines = ledgers(state)
    with state.read() as reading:
        return {row.id: (row.total, row.fit, lines[row.id]) for row in reading.execute(select(schema.person))}


def after_pull(of, act):
    """Let something happen in a CRM between the pull and the write of the next run."""
    asked = of.owners

    def owners():
        of.owners = asked
        act()
        return asked()

    of.owners = owners


@contextmanager
def line_breaks(of, arrives):
    """Of each change the CRM takes the fields of which `arrives` says so, and its answer is lost."""
    taken = of.write

    def write(changes, narrow):
        some = [replace(each, after={n: v for n, v in each.after.items() if arrives(n)}) for each in changes]
        list(taken(some, narrow))
        raise Unavailable(of.name, "the line broke before the answer")
        yield

    of.write = write
    with suppress(Unavailable):
        yield
    of.write = taken


ADA = Ref("hubspot", "contact", "1")


NEVER_FADES = MODEL.replace('window = "60d"\n', "")


DAYS = [NOW + timedelta(days=number) for number in range(60)]


def edit(of, ref, **values):
    of.edit(replace(of.records[ref], **values))


def hot():
    """Ada, whose score earns mql and an owner, as the only person of a HubSpot."""
    hubspot = crm("hubspot")
    ada = contact(1, emails=("ada@x.example",), fields={"title": "VP Sales", "employees": 500}, stage="lead")
    hubspot.edit(ada)
    hubspot.happen(activity(1, ada))
    return hubspot


def run(state, *crms, at, model=NEVER_FADES, **tables):
    return balanced(run_cycle(work(state, *crms, now=at, settings=config(model, **tables))))


def refuse_ann(hubspot):
    """Let the CRM refuse every record that is to be hers."""
    taken = hubspot.write

    def write(changes, narrow):
        for change in narrow(changes):
            if change.after.get("owner") == "hubspot-ann":
                yield Receipt(change.ref, ok=False, reason="this record cannot be hers")
            else:
                yield from taken([change])

    hubspot.write = write
