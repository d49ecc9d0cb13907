"""What is written to HubSpot: one bad record or value holds back nothing else."""

import threading

import pytest

from connectors.sandbox.faults import Fault
from tests.support.hubspot import MASS, Look, calls, change, contacts, create, hubspot, properties
from tests.support.pages import pulled
from tests.support.stop import Hurried

# What it writes


def test_everything_is_written_and_read_back(sandbox, ready):
    ids = sorted(contacts(ready)[0])
    owner = ready.owners()[0].id
    wanted = {"score": 55, "band": "hot", "reason": "Bodø ™ 🚀 שלום", "owner": owner}
    receipts = list(ready.write([change(contact_id, **wanted) for contact_id in ids]))
    assert sorted(each.ref.id for each in receipts) == ids
    assert all(each.ok and not each.refused for each in receipts)
    for each in ready.read([each.ref for each in receipts]):
        assert each.current == {"score": 55, "band": "hot", "reason": "Bodø ™ 🚀 שלום"}
        assert each.owner == owner


def test_none_clears_a_field(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example", ls_score="12", ls_band="hot")
    list(ready.write([change(contact_id, score=None, band=None)]))
    assert contacts(ready)[0][contact_id].current == {}


def test_text_that_is_no_unicode_or_too_long_is_made_to_fit(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example")
    (receipt,) = ready.write([change(contact_id, reason="a\0b\ud800c" + "x" * 100_000)])
    assert receipt.ok
    assert properties(sandbox, contact_id)["ls_reason"].startswith("abcxx")


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("partial", ["multi_status", "ok"])
def test_one_deleted_contact_does_not_lose_its_batch(sandbox, ready, traced, partial):
    sandbox.portal.switches.traced_updates, sandbox.portal.switches.partial_failures = traced, partial
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(100)]
    sandbox.do("hubspot", "archive", id=ids[57])
    receipts = {each.ref.id: each for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert {contact_id for contact_id, each in receipts.items() if not each.ok} == {ids[57]}
    assert receipts[ids[57]].gone
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 99


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("place", [0, 57, 99])
def test_one_poisonous_value_does_not_lose_its_batch(sandbox, ready, traced, place):
    sandbox.portal.switches.traced_updates = traced
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(100)]
    ready.owners()
    list(ready.write([change(ids[0], stage="lead")]))
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    sandbox.calls.clear()
    changes = [
        change(contact_id, score=9, **({"stage": "sql"} if number == place else {}))
        for number, contact_id in enumerate(ids)
    ]
    receipts = {each.ref.id: each for each in ready.write(changes)}
    assert len(receipts) == 100
    assert all(each.ok for each in receipts.values())
    assert {contact_id for contact_id, each in receipts.items() if each.refused} == {ids[place]}
    assert set(receipts[ids[place]].refused) == {"stage"}
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 100
    assert len(calls(sandbox, "batch/update")) <= 16


def test_three_poisonous_values_are_three_receipts(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(100)]
    list(ready.write([change(ids[0], stage="lead")]))
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    bad = {ids[3], ids[4], ids[88]}
    receipts = list(
        ready.write(
            [change(contact_id, score=9, **({"stage": "sql"} if contact_id in bad else {})) for contact_id in ids]
        )
    )
    assert {each.ref.id for each in receipts if each.refused} == bad
    assert len(receipts) == 100
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 100


def test_a_stage_that_the_portal_lacks_is_refused_before_it_is_sent(sandbox, ready):
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    contact_id = create(sandbox, email="a@acme.example")
    (receipt,) = ready.write([change(contact_id, score=9, stage="sql")])
    assert "salesqualifiedlead" in receipt.refused["stage"]
    assert properties(sandbox, contact_id)["ls_score"] == "9"
    assert len(calls(sandbox, "batch/update")) == 1


def test_a_property_that_became_read_only_is_left_out_of_the_whole_batch(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(50)]
    list(ready.write([change(ids[0], score=1)]))
    sandbox.do("hubspot", "lock_property", property="ls_band")
    sandbox.calls.clear()
    receipts = list(ready.write([change(contact_id, score=9, band="hot") for contact_id in ids]))
    assert all(each.ok and set(each.refused) == {"band"} for each in receipts)
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 50
    assert len(calls(sandbox, "batch/update")) <= 3


def test_a_property_that_vanished_is_named_and_the_rest_written(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example")
    list(ready.write([change(contact_id, score=1)]))
    sandbox.do("hubspot", "hide_property", property="ls_band")
    (receipt,) = ready.write([change(contact_id, score=9, band="hot")])
    assert (receipt.ok, set(receipt.refused)) == (True, {"band"})
    assert properties(sandbox, contact_id)["ls_score"] == "9"


def test_a_deactivated_owner_does_not_drag_the_score_down(sandbox, ready):
    contact_id, owner = create(sandbox, email="a@acme.example"), ready.owners()[0].id
    list(ready.write([change(contact_id, owner=None, score=1)]))
    sandbox.do("hubspot", "archive_owner", id=owner)
    for connector in (ready, hubspot(sandbox)):
        (receipt,) = connector.write([change(contact_id, score=9, owner=owner)])
        assert (receipt.ok, set(receipt.refused)) == (True, {"owner"})
    assert "remove them where a pool has them" in receipt.refused["owner"]
    assert properties(sandbox, contact_id)["ls_score"] == "9"
    assert not properties(sandbox, contact_id).get("hubspot_owner_id")


def test_a_conditional_rule_of_the_admin_costs_the_stage_and_not_the_score(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(10)]
    sandbox.portal.switches.required = [
        {"property": "lifecyclestage", "equals": "salesqualifiedlead", "requires": "phone"}
    ]
    receipts = list(
        ready.write([change(contact_id, score=9, stage="sql" if contact_id == ids[4] else "mql") for contact_id in ids])
    )
    assert {each.ref.id for each in receipts if each.refused} == {ids[4]}
    assert all(each.ok for each in receipts)
    assert properties(sandbox, ids[4])["ls_score"] == "9"


def test_an_email_address_is_no_id(sandbox, ready):
    (receipt,) = ready.write([change("ann@acme.example", score=9)])
    assert (receipt.ok, receipt.code) == (False, "NO_ID")
    assert calls(sandbox, "batch/update") == []


def test_an_id_twice_is_two_batches(sandbox, ready):
    contact_id = create(sandbox, email="a@acme.example")
    receipts = list(ready.write([change(contact_id, score=1), change(contact_id, band="hot")]))
    assert [each.ok for each in receipts] == [True, True]
    assert (properties(sandbox, contact_id)["ls_score"], properties(sandbox, contact_id)["ls_band"]) == ("1", "hot")


@pytest.mark.parametrize("pair", ["refused", "applied"])
def test_two_ids_of_one_survivor_are_both_accounted_for(sandbox, ready, pair):
    sandbox.portal.switches.merged_pair = pair
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(20)]
    survivor = sandbox.do("hubspot", "merge", id=ids[3], other=ids[11])["id"]
    receipts = {each.ref.id: each for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert set(receipts) == set(ids)
    assert {receipts[ids[3]].moved_to.id, receipts[ids[11]].moved_to.id} == {survivor}
    assert (
        sum(
            properties(sandbox, contact_id).get("ls_score") == "9"
            for contact_id in ids
            if contact_id not in (ids[3], ids[11])
        )
        == 18
    )


def test_a_locked_record_is_waited_for(sandbox):
    stop = Hurried()
    connector = hubspot(sandbox, stop=stop)
    connector.create_fields()
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(5)]
    sandbox.do("hubspot", "lock", ids=[ids[2]], times=1)
    receipts = list(connector.write([change(contact_id, score=9) for contact_id in ids]))
    assert all(each.ok for each in receipts)
    assert max(stop.waited) >= 2


def test_a_record_that_stays_locked_is_for_later_and_the_others_are_written(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(8)]
    sandbox.do("hubspot", "lock", ids=[ids[2]], times=1_000)
    receipts = {each.ref.id: each for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert {contact_id for contact_id, each in receipts.items() if not each.ok} == {ids[2]}
    assert receipts[ids[2]].retry
    assert sum(properties(sandbox, contact_id).get("ls_score") == "9" for contact_id in ids) == 7


def test_success_without_results_is_looked_up_and_was_written(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(5)]
    sandbox.faults.add(Fault(do="empty", path="batch/update", nth=1))
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert [each.ok for each in receipts] == [True] * 5


def test_success_without_results_that_wrote_nothing_is_a_failure(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(5)]
    body = {"status": "COMPLETE", "results": []}
    sandbox.faults.add(Fault(do="answer", status=200, body=body, path="batch/update", nth=1))
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert sorted(each.ref.id for each in receipts) == sorted(ids)
    assert {(each.ok, each.retry, each.code) for each in receipts} == {(False, True, "NOT_KEPT")}


def test_errors_that_name_no_record_are_looked_up(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(3)]
    body = {
        "status": "COMPLETE",
        "results": [{"id": ids[0]}, {"id": "31337"}],
        "numErrors": 7,
        "errors": [{"status": "error"}],
    }
    sandbox.faults.add(Fault(do="answer", status=207, body=body, path="batch/update", nth=1))
    receipts = {each.ref.id: each.ok for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert receipts == {ids[0]: True, ids[1]: False, ids[2]: False}


@pytest.mark.parametrize(
    ("category", "passes"),
    [("INTERNAL_ERROR", True), ("RATE_LIMITS", True), ("LOCKED", True), ("VALIDATION_ERROR", False)],
)
def test_what_fails_for_a_moment_inside_a_batch_is_for_the_next_run(sandbox, ready, category, passes):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(2)]
    error = {"status": "error", "category": category, "message": "not now", "context": {"ids": [ids[1]]}}
    body = {"status": "COMPLETE", "results": [{"id": ids[0]}], "numErrors": 1, "errors": [error]}
    sandbox.faults.add(Fault(do="answer", status=207, body=body, path="batch/update", nth=1))
    receipts = {each.ref.id: each for each in ready.write([change(contact_id, score=9) for contact_id in ids])}
    assert receipts[ids[0]].ok
    assert (receipts[ids[1]].ok, receipts[ids[1]].retry) == (False, passes)
    assert "not now" in receipts[ids[1]].reason


@pytest.mark.parametrize(
    ("said", "passes"),
    [({}, True), ({"category": "RATE_LIMITS"}, True), ({"category": "VALIDATION_ERROR"}, False)],
)
def test_a_whole_batch_refused_for_nothing_that_lasts_is_for_the_next_run(sandbox, ready, said, passes):
    ids = [create(sandbox, email=f"{number}@x.example") for number in range(3)]
    body = {"status": "error", "message": "Bad request", **said}
    sandbox.faults.add(Fault(do="answer", status=400, body=body, path="/batch/update$"))
    receipts = list(ready.write([change(each, score=9) for each in ids]))
    assert [(each.ok, each.retry, each.reason) for each in receipts] == [(False, passes, "Bad request")] * 3
    sandbox.faults.clear()
    assert all(each.ok for each in ready.write([change(each, score=9) for each in ids]))


def test_an_answer_lost_after_the_write_is_repeated_without_harm(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(3)]
    sandbox.faults.add(Fault(do="drop", path="batch/update", nth=1))
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert all(each.ok for each in receipts)


def test_batches_go_out_several_at_once_and_every_change_has_a_receipt(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(1_050)]
    sandbox.calls.clear()
    receipts = list(ready.write([change(contact_id, score=9) for contact_id in ids]))
    assert sorted(each.ref.id for each in receipts) == sorted(ids)
    assert len(calls(sandbox, "batch/update")) == 11


def test_nothing_but_updates_by_id_is_ever_sent(sandbox, ready):
    list(ready.write([change(contact_id, score=9) for contact_id in sorted(contacts(ready)[0])]))
    pulled(ready.activities(None))
    assert {each.path.rpartition("contacts/")[2] for each in sandbox.calls.writes("hubspot")} == {"batch/update"}


# The last look before a batch is sent


def test_each_batch_is_looked_at_just_before_it_is_sent(sandbox):
    connector = hubspot(sandbox, concurrency=1)
    connector.create_fields()
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(250)]
    sandbox.calls.clear()
    look = Look(sandbox)
    receipts = list(connector.write([change(each, score=9) for each in ids], look))
    assert sorted(each.ref.id for each in receipts) == sorted(ids)
    assert [each for batch in look.asked for each in batch] == ids
    assert [len(each) for each in look.asked] == [100, 100, 50]
    assert look.threads == {threading.get_ident()}
    assert look.written == [0, 1, 2]


def test_those_whose_stage_or_owner_is_written_share_batches(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(220)]
    moved = set(ids[::10])
    look = Look(sandbox)
    list(ready.write([change(each, score=9, **({"stage": "mql"} if each in moved else {})) for each in ids], look))
    assert [len(moved & set(batch)) for batch in look.asked] == [22, 0, 0]
    assert sorted(each for batch in look.asked for each in batch) == sorted(ids)


def test_an_owner_who_left_within_the_hour_gets_nobody_and_is_known_to_have_left(sandbox, ready):
    ada = create(sandbox, email="ada@acme.example")
    left = next(each.id for each in ready.owners() if each.active)
    sandbox.clock.advance(900)
    sandbox.do("hubspot", "archive_owner", id=left)
    ready.account()
    assert next(each.active for each in ready.owners() if each.id == left)
    (receipt,) = ready.write([change(ada, score=9, owner=left)])
    assert (receipt.ok, receipt.refused.keys()) == (True, {"owner"})
    assert len(sandbox.calls.writes("hubspot")) == 1  # it was not tried
    assert not next(each.active for each in ready.owners() if each.id == left)


@pytest.mark.parametrize("settings", [{}, {"mass_write": "import", "import_threshold": 100}])
def test_only_what_the_look_leaves_is_sent(sandbox, ready, settings):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(250)]
    skipped, halved = set(ids[100:200]), set(ids[:5])

    def less(each):
        if each.ref.id in skipped:
            return None
        return change(each.ref.id, score=9) if each.ref.id in halved else each

    receipts = list(
        hubspot(sandbox, **settings).write([change(each, score=9, band="a") for each in ids], Look(sandbox, less))
    )
    assert {each.ref.id for each in receipts if each.ok} == set(ids) - skipped
    assert {properties(sandbox, each).get("ls_score") for each in skipped} == {None}
    assert {properties(sandbox, each).get("ls_band") for each in halved} == {None}
    assert {properties(sandbox, each).get("ls_score") for each in halved} == {"9"}


def test_a_batch_of_which_nothing_is_left_is_not_sent(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(120)]
    sandbox.calls.clear()
    for settings in ({}, MASS, {"backward_stages": True}):
        stages = {} if settings is MASS else {"stage": "lead"}
        changes = [change(each, {"stage": "mql"}, score=9, **stages) for each in ids]
        assert list(hubspot(sandbox, **settings).write(changes, lambda _: [])) == []
    assert sandbox.calls.writes("hubspot") == []


def test_a_batch_that_is_halved_is_looked_at_once(sandbox, ready):
    ids = [create(sandbox, email=f"n{number}@acme.example") for number in range(8)]
    list(ready.write([change(ids[0], stage="lead")]))
    sandbox.do("hubspot", "remove_option", property="lifecyclestage", value="salesqualifiedlead")
    look = Look(sandbox)
    receipts = list(
        ready.write([change(each, score=9, stage="sql" if each == ids[3] else "mql") for each in ids], look)
    )
    assert [each.ref.id for each in receipts if each.refused] == [ids[3]]
    assert look.asked == [ids]
