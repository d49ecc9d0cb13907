"""A stage or owner that somebody set while our write was on its way is given back, or said to need them once more."""

import tomllib
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from connectors.hubspot import Settings, connect
from connectors.hubspot.history import replaced_value, versions_of
from connectors.sandbox.faults import Fault
from crmsync.cycle import run_cycle
from crmsync.errors import Unavailable
from crmsync.model import Change, Receipt, Ref
from crmsync.planning.review import group_refusals
from crmsync.store import schema
from crmsync.store.database import open_store
from crmsync.store.queries import refused_changes
from tests.support.cycles import ADA, DAYS, NEVER_FADES, balanced, edit, held, hot, run
from tests.support.make import config, work
from tests.support.stop import Hurried

WRITE = tomllib.loads(NEVER_FADES)["write"]


def too_late(hubspot, **theirs):
    """Let somebody edit Ada between our last look at her and the landing of the next write."""
    taken = hubspot.write

    def write(changes, narrow=list):
        hubspot.write = taken

        def slow(batch):
            going = list(narrow(batch))
            edit(hubspot, ADA, **theirs)
            return going

        return taken(changes, slow)

    hubspot.write = write


def rows(state):
    """How the changes of Ada ended: the state, the reason and what was refused."""
    it = schema.change.c
    with state.read() as reading:
        query = select(it.state, it.reason, it.refused).where(it.ref_id == ADA.id).order_by(it.id)
        return [tuple(row) for row in reading.execute(query)]


THEIRS = [{"stage": "sql"}, {"owner": "hubspot-bob"}, {"stage": "sql", "owner": "hubspot-bob"}]


@pytest.mark.parametrize("theirs", THEIRS)
def test_who_edits_while_the_write_is_on_its_way_wins(state, theirs):
    hubspot = hot()
    too_late(hubspot, **theirs)
    ran = run(state, hubspot, at=DAYS[0])
    expected = (65, theirs.get("stage", "mql"), theirs.get("owner", "hubspot-ann"))
    assert held(hubspot)["1"] == expected
    assert (ran.crms["hubspot"].partly, ran.crms["hubspot"].updated) == (1, 0)
    ((ended, reason, refused),) = rows(state)
    assert ended == "partly"
    assert all(f'"{name}":"a user set it a moment before; restored"' in refused for name in theirs)
    assert "a user set it a moment before; restored" in reason
    for day in DAYS[1:14]:
        assert run(state, hubspot, at=day).crms["hubspot"].planned == 0
        assert held(hubspot)["1"] == expected


def test_a_cleared_owner_is_a_value_too(state):
    hubspot = hot()
    edit(hubspot, ADA, owner="hubspot-eve")  # who left: somebody else's turn
    too_late(hubspot, owner=None)
    run(state, hubspot, at=DAYS[0])
    assert held(hubspot)["1"] == (65, "mql", None)
    assert run(state, hubspot, at=DAYS[1]).crms["hubspot"].planned == 0


def test_the_override_ends_by_itself(state):
    hubspot = hot()
    edit(hubspot, ADA, stage=None)
    too_late(hubspot, stage="lead", owner="hubspot-bob")
    run(state, hubspot, at=DAYS[0])
    for day in DAYS[1:14]:
        run(state, hubspot, at=day)
        assert held(hubspot)["1"] == (65, "lead", "hubspot-bob")
    run(state, hubspot, at=DAYS[14])
    assert held(hubspot)["1"][1] == "mql"


@pytest.mark.parametrize("theirs", THEIRS)
def test_a_change_of_nothing_else_is_edited(state, theirs):
    hubspot = hot()
    both = {"stage": "sql", "owner": "hubspot-bob"}
    quiet = {"stage": False, "owner": False}
    run(state, hubspot, at=DAYS[0], write={**WRITE, **quiet})
    too_late(hubspot, **theirs)
    ran = run(state, hubspot, at=DAYS[1])
    _first, (ended, _reason, _refused) = rows(state)
    assert held(hubspot)["1"] == (65, theirs.get("stage", "mql"), theirs.get("owner", "hubspot-ann"))
    assert ended == ("edited" if theirs == both else "partly")
    assert ran.crms["hubspot"].edited == (theirs == both)
    assert run(state, hubspot, at=DAYS[2]).crms["hubspot"].planned == 0


def test_what_cannot_be_given_back_is_told_with_the_value(state):
    hubspot = hot()
    refuse_again(hubspot, "stage", "stages only move forward")
    too_late(hubspot, stage="sql")
    ran = run(state, hubspot, at=DAYS[0])
    ((ended, reason, _refused),) = rows(state)
    assert (ran.verdict, ran.crms["hubspot"].partly, ended) == ("partial", 1, "partly")
    assert (
        reason == "stage: a user set it to sql a moment before, and this could not be restored; set it again in hubspot"
    )
    assert held(hubspot)["1"] == (65, "mql", "hubspot-ann")
    assert run(state, hubspot, at=DAYS[1]).crms["hubspot"].planned == 0


def refuse_again(hubspot, name, why):
    """Let the CRM refuse a field from its second write on."""
    taken = hubspot.write

    def write(changes, narrow=list):
        for change in changes:
            if hubspot.writes and name in change.after:
                yield Receipt(change.ref, ok=False, reason=why)
            else:
                yield from taken([change], narrow)

    hubspot.write = write


def test_who_sets_it_once_more_while_it_is_given_back_wins_too(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow=list):
        yield from taken(changes, narrow)
        if len(hubspot.writes) == 2:
            edit(hubspot, ADA, owner="hubspot-queue")

    hubspot.write = write
    too_late(hubspot, owner="hubspot-bob")
    run(state, hubspot, at=DAYS[0])
    for day in DAYS[1:14]:
        run(state, hubspot, at=day)
        assert held(hubspot)["1"][2] == "hubspot-queue"


def test_a_change_that_was_refused_in_part_is_looked_at_too(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow=list):
        for receipt in taken(changes, narrow):
            yield replace(receipt, refused={"band": "not an option"})

    hubspot.write = write
    too_late(hubspot, owner="hubspot-bob")
    run(state, hubspot, at=DAYS[0])
    ((ended, reason, _refused),) = rows(state)
    assert ended == "partly"
    assert reason == "band: not an option; owner: a user set it a moment before; restored"
    assert held(hubspot)["1"][2] == "hubspot-bob"


def test_a_run_that_was_cut_off_after_the_write_gives_back_in_the_next_one(state):
    hubspot = hot()
    too_late(hubspot, owner="hubspot-bob")

    def down(_changes):
        raise Unavailable("hubspot", "it does not answer")

    kept, hubspot.read_back = hubspot.read_back, down
    ran = balanced(run_cycle(work(state, hubspot, now=DAYS[0], settings=config(NEVER_FADES))))
    assert (held(hubspot)["1"][2], ran.crms["hubspot"].unknown) == ("hubspot-ann", 1)
    hubspot.read_back = kept
    again = run(state, hubspot, at=DAYS[0] + timedelta(minutes=15))
    assert (held(hubspot)["1"][2], again.crms["hubspot"].resumed) == ("hubspot-bob", 1)
    assert rows(state)[0][0] == "partly"
    assert run(state, hubspot, at=DAYS[1]).crms["hubspot"].planned == 0


@pytest.mark.parametrize("chosen", ["by hand", "by a tool"])
def test_who_chooses_our_value_before_it_was_sent_is_overruled_only_where_the_history_cannot_tell(state, chosen):
    hubspot = hot()
    taken = hubspot.write

    def lost(changes, narrow=list):
        hubspot.write = taken
        list(narrow(changes))
        edit(hubspot, ADA, owner="hubspot-bob")
        hubspot.edit(replace(hubspot.records[ADA], owner="hubspot-ann"), by_hand=chosen == "by hand")
        raise Unavailable("hubspot", "the connection broke")
        yield

    hubspot.write = lost
    run(state, hubspot, at=DAYS[0])
    run(state, hubspot, at=DAYS[1])
    assert held(hubspot)["1"][2] == {"by hand": "hubspot-ann", "by a tool": "hubspot-bob"}[chosen]


def test_the_report_asks_needs_action_nothing_where_a_users_value_is_the_cause(state):
    hubspot = hot()
    too_late(hubspot, owner="hubspot-bob")
    ran = run(state, hubspot, at=DAYS[0])
    with state.read() as reading:
        (group,) = group_refusals(refused_changes(reading, ran.run))
    assert (group["cause"], group["fields"], group["fix"]) == (
        "a user set it a moment before; restored",
        ["owner"],
        "",
    )


# HubSpot, over real HTTP


def late(connector, contact_id, act):
    """Let somebody act between our last look and the landing of a write: just before the call that writes a contact."""
    post, left = connector._api.post, [contact_id]

    def slow(place, *rest):
        if place.path.endswith("batch/update") and left and contact_id in str(rest):
            left.clear()
            act()
        return post(place, *rest)

    connector._api.post = slow


def late_edit(sandbox, connector, contact_id, **theirs):
    late(connector, contact_id, lambda: sandbox.do("hubspot", "update", id=contact_id, properties=theirs))


@pytest.fixture
def portal(sandbox):
    """A connector to a portal that has our properties; `backward_stages` is what the config says."""
    made = []

    def connected(**settings):
        settings = {"token": "sandbox-token", "calls_per_10s": 100_000, "searches_per_second": 100_000, **settings}
        made.append(connect(Settings(base_url=sandbox.url, **settings), SCHEME.field_map("hubspot"), {}, Hurried()))
        made[-1].create_fields()
        sandbox.clock.advance(3_600)
        sandbox.calls.clear()
        return made[-1]

    yield connected
    for each in made:
        each.close()


SCHEME = config(NEVER_FADES)


def person(sandbox, number=1, **values):
    values = {"email": f"new{number}@acme.example", **values}
    return sandbox.do("hubspot", "create", properties=values)["id"]


def people(connector):
    return [each.id for each in connector.owners() if each.active and each.kind == "user"]


def held_there(sandbox, contact_id):
    properties = sandbox.portal.state.contacts.by_id[int(contact_id)].properties
    return properties.get("lifecyclestage", ""), properties.get("hubspot_owner_id", "")


def written(connector, contact_id, before, **after):
    change = Change(Ref("hubspot", "contact", contact_id), before, after)
    assert all(each.ok for each in connector.write([change]))
    (back,) = connector.read_back([change])
    assert back.contact.ref == change.ref
    return back.replaced


def test_hubspot_knows_whom_our_write_replaced(sandbox, portal):
    connector = portal()
    ann, bob = people(connector)[:2]
    contact_id = person(sandbox, lifecyclestage="subscriber")
    theirs = {"hubspot_owner_id": bob, "lifecyclestage": "lead"}
    late_edit(sandbox, connector, contact_id, **theirs)
    before = {"stage": "subscriber", "owner": None, "score": None}
    assert written(connector, contact_id, before, stage="mql", owner=ann, score=3) == {"stage": "lead", "owner": bob}


def test_hubspot_knows_of_an_owner_who_was_taken_away(sandbox, portal):
    connector = portal()
    ann, bob = people(connector)[:2]
    contact_id = person(sandbox, hubspot_owner_id=bob)
    late_edit(sandbox, connector, contact_id, hubspot_owner_id="")
    assert written(connector, contact_id, {"owner": bob}, owner=ann) == {"owner": None}


def test_a_stage_that_the_config_does_not_name_comes_back_as_hubspot_has_it(sandbox, portal):
    connector = portal()
    contact_id = person(sandbox)
    theirs = {"lifecyclestage": "subscriber"}
    sandbox.do("hubspot", "update", id=contact_id, properties={"lifecyclestage": ""})
    late_edit(sandbox, connector, contact_id, **theirs)
    assert written(connector, contact_id, {"stage": None}, stage="mql") == {"stage": "subscriber"}


def test_our_own_clearing_of_a_stage_that_moves_back_is_nobody_elses(sandbox, portal):
    connector = portal(backward_stages=True)
    first, second = (person(sandbox, number, lifecyclestage="opportunity") for number in (1, 2))
    assert written(connector, first, {"stage": "opportunity"}, stage="lead") == {}
    theirs = {"lifecyclestage": "customer"}
    late_edit(sandbox, connector, second, **theirs)
    assert written(connector, second, {"stage": "opportunity"}, stage="lead") == {"stage": "customer"}


def test_who_chose_our_value_after_another_one_is_not_given_that_one_back(sandbox, portal):
    connector = portal()
    ann, bob = people(connector)[:2]
    contact_id = person(sandbox)

    def hesitate():
        for owner in (bob, ann):
            sandbox.do("hubspot", "update", id=contact_id, properties={"hubspot_owner_id": owner})

    late(connector, contact_id, hesitate)
    assert written(connector, contact_id, {"owner": None}, owner=ann) == {}


def test_histories_are_asked_for_fifty_at_a_time_and_only_of_what_was_written(sandbox, portal):
    connector = portal()
    refs = [Ref("hubspot", "contact", person(sandbox, number)) for number in range(51)]
    ann = people(connector)[0]
    changes = [Change(ref, {"owner": None}, {"owner": ann}) for ref in refs]
    list(connector.write(changes))
    list(connector.read(refs))  # which asks how the portal is read
    calls = connector.calls
    assert [(each.contact.owner, each.replaced) for each in connector.read_back(changes)] == [(ann, {})] * 51
    assert connector.calls - calls == 2
    scores = [Change(ref, {"score": None}, {"score": 1}) for ref in refs]
    assert [each.contact.ref for each in connector.read_back(scores)] == refs
    assert connector.calls - calls == 3


def test_a_portal_that_refuses_histories_is_written_to_all_the_same(sandbox, portal):
    connector = portal()
    contact_id, ann = person(sandbox), people(connector)[0]
    body = {"status": "error", "category": "VALIDATION_ERROR", "message": "no histories"}
    ours = [Change(Ref("hubspot", "contact", contact_id), {"owner": None}, {"owner": ann})]
    list(connector.write(ours))
    sandbox.faults.add(Fault(do="answer", status=400, path="batch/read", body=body, nth=1))
    assert [(each.contact.owner, each.replaced) for each in connector.read_back(ours)] == [(ann, {})]


def listed(*values):
    """A history with a second between two values, oldest first."""
    return [
        {"value": value, "timestamp": f"2026-11-21T09:00:{number:02}Z", "sourceType": "INTEGRATION"}
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("values", "theirs"),
    [
        (("bob", "eve", "ann"), "eve"),
        (("bob", "", "ann"), ""),
        (("bob", "ann"), None),
        (("bob", "eve", "bob", "ann"), None),
        (("bob", "eve", "ann", "ann"), "eve"),
        (("bob", "ann", "eve"), None),
        (("ann",), None),
        ((), None),
    ],
)
def test_a_history_is_read_whichever_way_it_comes(values, theirs, order):
    record = {"propertiesWithHistory": {"hubspot_owner_id": listed(*values)[::order]}}
    assert replaced_value(versions_of(record, "hubspot_owner_id"), "bob", "ann", was_cleared=False) == theirs


def test_a_value_from_long_before_our_write_did_not_come_in_between():
    """A merge mixes the histories of two records."""
    bob, eve, ann = listed("bob", "eve", "ann")
    record = {"propertiesWithHistory": {"hubspot_owner_id": [{**ann, "timestamp": "2026-11-21T11:00:00Z"}, eve, bob]}}
    assert replaced_value(versions_of(record, "hubspot_owner_id"), "bob", "ann", was_cleared=False) is None


def test_of_one_instant_the_value_that_hubspot_lists_first_is_the_latest():
    same = [{**each, "timestamp": "1763715600000"} for each in listed("ann", "eve", "bob")]
    record = {"propertiesWithHistory": {"hubspot_owner_id": same}}
    assert replaced_value(versions_of(record, "hubspot_owner_id"), "bob", "ann", was_cleared=False) == "eve"


# The same from pull to pull


@pytest.fixture
def store(tmp_path):
    made = open_store(f"sqlite:///{tmp_path}/state.db")
    yield made
    made.close()


def hot_there(sandbox, **values):
    """A contact that earns the stage `mql` and an owner."""
    contact_id = person(sandbox, jobtitle="VP Sales", **values)
    for _ in range(2):
        sandbox.do("hubspot", "add_activity", id=contact_id, kind="form_submitted", attributes={"form": "Demo"})
    return contact_id


def sync(sandbox, store, connector, days=0.0):
    sandbox.clock.advance(days * 86_400 + 900)
    sales = next(each.email for each in connector.owners() if each.id == people(connector)[0])
    settings = config(NEVER_FADES, owner_pool=[{"name": "sales", "members": [sales]}])
    return balanced(run_cycle(work(store, connector, now=sandbox.clock(), settings=settings), approved=True))


def ended(store, contact_id):
    it = schema.change.c
    with store.read() as reading:
        query = select(it.state, it.reason).where(it.ref_id == contact_id).order_by(it.id.desc())
        return tuple(reading.execute(query).first())


def test_what_a_person_set_meanwhile_stands_after_the_run_and_is_respected(sandbox, portal, store):
    connector = portal(backward_stages=True)
    bob = people(connector)[-1]
    sync(sandbox, store, connector)
    contact_id = hot_there(sandbox, lifecyclestage="subscriber")
    late_edit(sandbox, connector, contact_id, hubspot_owner_id=bob, lifecyclestage="lead")
    ran = sync(sandbox, store, connector)
    assert held_there(sandbox, contact_id) == ("lead", bob)
    assert ran.crms["hubspot"].partly == 1
    said = "a user set it a moment before; restored"
    assert ended(store, contact_id) == ("partly", f"owner: {said}; stage: {said}")
    for days in (0, 5, 5):
        sync(sandbox, store, connector, days)
        assert held_there(sandbox, contact_id) == ("lead", bob)
    sync(sandbox, store, connector, 5)
    assert held_there(sandbox, contact_id)[0] == "marketingqualifiedlead"


def test_a_stage_that_hubspot_does_not_take_back_is_told(sandbox, portal, store):
    connector = portal()
    sync(sandbox, store, connector)
    contact_id = hot_there(sandbox, lifecyclestage="subscriber")
    late_edit(sandbox, connector, contact_id, lifecyclestage="lead")
    ran = sync(sandbox, store, connector)
    assert held_there(sandbox, contact_id)[0] == "marketingqualifiedlead"
    assert (ran.verdict, ran.crms["hubspot"].partly) == ("partial", 1)
    state_, reason = ended(store, contact_id)
    assert state_ == "partly"
    assert "set it to lead a moment before, and this could not be restored; set it again in hubspot" in reason
    assert sync(sandbox, store, connector).crms["hubspot"].planned == 0
