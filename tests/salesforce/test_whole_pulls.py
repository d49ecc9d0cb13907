"""What was pulled bit by bit is what a full pull brings, and which sources came whole."""

import contextlib
import itertools
from random import Random

import pytest

from tests.support.pages import pulled
from tests.support.salesforce import by_ref, connect, do, happened, live


def edit(sandbox, crm, random):
    """Something that a person might do next."""
    tables = sandbox.snapshot("salesforce")

    def some(name):
        return random.choice([each["Id"] for each in tables[name].values() if not each.get("IsDeleted")])

    leads = [
        each["Id"] for each in tables["Lead"].values() if not each.get("IsDeleted") and not each.get("IsConverted")
    ]
    who = random.choice(leads)
    deeds = [
        ("update", {"id": who, "fields": {"Title": f"Title {random.random()}"}}),
        ("update", {"id": some("Account"), "fields": {"Industry": random.choice(["Banking", "Energy", "Retail"])}}),
        ("update", {"id": some("Task"), "fields": {"Subject": f"Subject {random.random()}"}}),
        ("delete", {"id": random.choice([some("Task"), some("Event"), who])}),
        ("delete", {"id": random.choice([some("EmailMessage"), some("CampaignMember")])}),
        ("merge", {"winner": leads[0], "losers": [leads[-1]]}),
        ("convert", {"id": who}),
        ("add_activity", {"who": some("Contact"), "fields": {"TaskSubtype": "Call"}}),
        ("add_activity", {"who": who, "object": "Event", "fields": {"Subject": "Demo"}}),
        ("reparent", {"id": some("Task"), "fields": {"WhoId": random.choice([who, some("Contact"), None])}}),
        ("update", {"id": some("CampaignMember"), "fields": {"Status": random.choice(["Sent", "Responded"])}}),
        ("bulk_stamp", {"object": random.choice(["Lead", "Contact", "Task"])}),
    ]
    action, body = random.choice(deeds)
    with contextlib.suppress(ValueError):
        do(sandbox, action, **body)


def folded(activities, into, came=None):
    """What a store holds after these pages: an id that comes again replaces what was there, and what was to come whole
    and did not is no more. `came` are the ids that came before, where the pages go on with a pull that broke off."""
    came = set() if came is None else came
    for page in activities:
        for id_ in {each.id for each in page.items}:
            into.pop(id_, None)
        for each in page.items:
            if not each.gone:
                into.setdefault(each.id, {})[each.ref] = each
        came |= {each.id for each in page.items if not each.gone}
        for id_ in [each for each in into if each.startswith(tuple(page.whole)) and each not in came]:
            del into[id_]
    return page.cursor


WHOLE = frozenset({"00T", "00U", "02s", "00v"})


def whole(pages):
    return [prefix for page in pages for prefix in page.whole]


def test_a_full_pull_says_of_each_source_that_it_came_whole(sandbox, crm):
    pages = list(crm.activities(None))
    assert sorted(whole(pages)) == sorted(WHOLE)
    for number, page in enumerate(pages):
        for later in pages[number + 1 :]:
            assert not any(each.id.startswith(tuple(page.whole)) for each in later.items)
    assert whole(crm.activities(pages[-1].cursor)) == []


def test_a_source_without_rows_came_whole_too(sandbox, crm):
    sandbox.do("salesforce", "capture_emails")
    assert "02s" in whole(connect(sandbox).activities(None))


@pytest.mark.parametrize("by_bulk", [False, True])
def test_a_full_pull_that_broke_off_says_the_same(sandbox, crm, bulky, by_bulk):
    sandbox.do("salesforce", "set", page_size=7)
    made = bulky if by_bulk else (lambda: connect(sandbox))
    pages = list(made().activities(None))
    for number in range(0, len(pages), 5):
        rest = list(made().activities(pages[number].cursor))
        assert sorted(whole([*pages[: number + 1], *rest])) == sorted(WHOLE)


def test_what_is_edited_during_a_full_pull_comes_in_it(sandbox, crm):
    stored, came = {}, set()
    folded(crm.activities(None), stored)
    last = max((each for each in stored if each.startswith("00T")), key=lambda id_: next(iter(stored[id_].values())).at)
    sandbox.do("salesforce", "set", page_size=7)
    cursor = folded(itertools.islice(connect(sandbox).activities(None), 1), stored, came)
    sandbox.clock.advance(7_200)
    do(sandbox, "update", id=last.split(":")[0], fields={"Subject": "Edited meanwhile"})
    folded(connect(sandbox).activities(cursor), stored, came)
    assert {each.attributes["subject"] for each in stored[last].values()} == {"Edited meanwhile"}


def test_a_stream_that_goes_on_as_another_begins_again(sandbox, crm):
    sandbox.do("salesforce", "set", page_size=7)
    cursor = next(iter(crm.activities(None))).cursor
    calls = [{"source": "Task", "kind": "phone", "where": {"TaskSubtype": "Call"}}]
    found, _ = happened(connect(sandbox, activities=calls), cursor)
    assert found == happened(connect(sandbox, activities=calls))[0]


def test_what_goes_on_from_a_cursor_is_not_whole_even_where_a_source_is_read_again(sandbox, crm):
    _, cursor = happened(crm)
    made = connect(sandbox, activities=[{"source": "Task", "kind": "phone", "where": {"TaskSubtype": "Call"}}])
    assert whole(made.activities(cursor)) == []


def test_what_the_user_may_not_see_did_not_come_whole(sandbox, crm):
    sandbox.org.state.tables.pop("campaignmember")
    do(sandbox, "hide_field", object="Event", field="SystemModstamp")
    do(sandbox, "hide_field", object="Task", field="TaskSubtype")
    assert whole(connect(sandbox).activities(None)) == ["02s"]


@pytest.mark.parametrize("action", ["delete", "reparent", "purge"])
def test_a_full_pull_notices_what_went_away_unseen(sandbox, crm, action):
    stored = {}
    folded(crm.activities(None), stored)
    task, mail, member = (next(each for each in stored if each.startswith(one)) for one in ("00T", "02s", "00v"))
    for each in (task, mail, member):
        if action == "reparent":
            do(sandbox, "update", id=task.split(":")[0], fields={"WhoId": None})
        else:
            do(sandbox, "delete", id=each.split(":")[0])
    if action == "purge":
        do(sandbox, "purge", objects=["Task", "EmailMessage", "CampaignMember"])
    sandbox.clock.advance(86_400)
    folded(connect(sandbox).activities(None), stored)
    fresh = {}
    folded(connect(sandbox).activities(None), fresh)
    assert task not in stored
    assert stored == fresh


@pytest.mark.parametrize("seed", range(6))
def test_what_was_pulled_bit_by_bit_is_what_a_full_pull_brings(sandbox, crm, seed):
    random = Random(seed)
    contacts, activities, cursors = {}, {}, [None, None]
    for _ in range(5):
        sandbox.do("salesforce", "set", page_size=random.choice([3, 7, 2000]))
        made = connect(sandbox)
        news, cursors[0] = pulled(made.contacts(cursors[0]))
        contacts |= by_ref(news)
        cursors[1] = folded(made.activities(cursors[1]), activities)
        for _ in range(4):
            edit(sandbox, crm, random)
        sandbox.clock.advance(random.choice([1, 60, 3_600]))
    made = connect(sandbox)
    contacts |= by_ref(pulled(made.contacts(cursors[0]))[0])
    folded(made.activities(cursors[1]), activities)
    full = {}
    folded(connect(sandbox).activities(None), full)
    assert activities == full
    whole = by_ref(pulled(connect(sandbox).contacts(None))[0])
    for ref, each in whole.items():
        assert contacts[ref] == each
    assert set(contacts) == set(whole)


def test_a_record_that_is_restored_comes_back(sandbox, crm):
    lead = live(crm)[0]
    do(sandbox, "delete", id=lead.ref.id)
    _, cursor = pulled(connect(sandbox).contacts(None))
    do(sandbox, "undelete", id=lead.ref.id)
    assert not by_ref(pulled(connect(sandbox).contacts(cursor))[0])[lead.ref].gone


def test_a_cursor_ahead_of_the_server_loses_nothing(sandbox, crm):
    sandbox.clock.advance(86_400)
    _, cursor = pulled(connect(sandbox).contacts(None))
    sandbox.clock.advance(-86_400)
    lead = live(crm)[0]
    do(sandbox, "update", id=lead.ref.id, fields={"Title": "Earlier"})
    assert by_ref(pulled(connect(sandbox).contacts(cursor))[0])[lead.ref].fields["title"] == "Earlier"


@pytest.mark.parametrize("kind", ["email_sent", "email_replied", "email_auto_replied"])
def test_the_task_of_a_deleted_e_mail_comes_with_the_next_pull(sandbox, crm, kind):
    stored, fresh = {}, {}
    cursor = folded(crm.activities(None), stored)
    mail = next(each for each in stored if each.startswith("02s") and kind in {it.kind for it in stored[each].values()})
    sandbox.clock.advance(7_200)
    do(sandbox, "delete", id=mail.split(":")[0])
    folded(connect(sandbox).activities(cursor), stored)
    folded(connect(sandbox).activities(None), fresh)
    assert stored == fresh


def test_the_task_of_a_deleted_e_mail_counts_in_its_place(sandbox, crm):
    mail = next(each for each in happened(crm)[0] if each.kind == "email_sent")
    task = sandbox.snapshot("salesforce")["EmailMessage"][mail.id.split(":")[0]]["ActivityId"]
    do(sandbox, "delete", id=mail.id.split(":")[0])
    ids = {each.id for each in happened(connect(sandbox))[0]}
    assert mail.id not in ids
    assert f"{task}:email_sent" in ids
