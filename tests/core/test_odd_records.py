"""A record of which the CRM's answer cannot be read: nothing is believed, written or buried because of it."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from crmsync.cycle import run_cycle
from crmsync.model import Ref
from crmsync.store import schema
from crmsync.store.odd_records import MOST, read_odd_records, update_odd_records
from tests.support.cycles import after_pull, balanced, held, two_crms
from tests.support.make import contact, crm, store, work

ADA = Ref("hubspot", "contact", "1")


@pytest.fixture
def kept(tmp_path):
    made = store(tmp_path)
    yield made
    made.close()


def row(kept, ref=ADA):
    with kept.read() as reading:
        found = select(schema.record).where(schema.record.c.crm == ref.crm, schema.record.c.ref_id == ref.id)
        return reading.execute(found).one()


def states(kept):
    with kept.read() as reading:
        return [
            (each.state, each.reason) for each in reading.execute(select(schema.change).order_by(schema.change.c.id))
        ]


def test_a_record_that_cannot_be_read_before_the_write_is_left_alone_and_planned_again(kept):
    hubspot, salesforce = two_crms()
    after_pull(hubspot, lambda: hubspot.unreadable.add(ADA))
    balanced(run_cycle(work(kept, hubspot, salesforce)))
    assert held(hubspot)["1"] == (None, None, None)
    assert ("rejected", "the CRM's answer about the record cannot be read, so nothing was written") in states(kept)
    assert not row(kept).gone
    hubspot.unreadable.clear()
    assert balanced(run_cycle(work(kept, hubspot, salesforce))).verdict == "ok"
    assert held(hubspot)["1"] == (65, "mql", "hubspot-ann")


def test_a_record_that_cannot_be_read_after_the_write_is_looked_up_in_the_next_run(kept):
    hubspot, salesforce = two_crms()
    write = hubspot.write

    def writing(*args):
        yield from write(*args)
        hubspot.unreadable.add(ADA)

    hubspot.write = writing
    result = balanced(run_cycle(work(kept, hubspot, salesforce)))
    assert result.crms["hubspot"].unknown == 1
    assert not row(kept).gone
    hubspot.write = write
    hubspot.unreadable.clear()
    again = run_cycle(work(kept, hubspot, salesforce))
    assert again.crms["hubspot"].resumed == 1
    assert again.verdict == "ok"
    assert balanced(run_cycle(work(kept, hubspot, salesforce))).crms["hubspot"].planned == 0


def test_a_record_that_did_not_come_and_cannot_be_read_is_not_buried(kept):
    hubspot, salesforce = two_crms()
    run_cycle(work(kept, hubspot, salesforce))
    hubspot.unreadable.add(ADA)
    result = run_cycle(work(kept, hubspot, salesforce), full=True)
    assert any("contact 1 arrived" in each and "the last known values are used" in each for each in result.problems)
    assert result.verdict == "partial"
    assert (row(kept).gone, row(kept).emails) == (False, '["ada@x.example"]')


def test_a_page_that_is_mostly_odd_is_no_answer_and_the_cursor_stays_before_it(kept):
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    for number in range(30):
        hubspot.edit(contact(number))
    salesforce.edit(contact("0031", crm="salesforce"))
    hubspot.unreadable = set(list(hubspot.records)[:16])
    result = run_cycle(work(kept, hubspot, salesforce))
    assert (
        "16 of 30 records arrived without its properties, so the whole answer is ignored" in result.skipped["hubspot"]
    )
    assert result.crms["salesforce"].updated == 1
    hubspot.unreadable = set(list(hubspot.records)[:12])
    result = run_cycle(work(kept, hubspot, salesforce))
    assert result.crms["hubspot"].updated == 18
    assert any(each.count("contact") == 10 and "and 2 more arrived" in each for each in result.problems)
    hubspot.unreadable.clear()
    assert run_cycle(work(kept, hubspot, salesforce)).crms["hubspot"].updated == 12


def test_a_record_that_can_be_read_again_brings_what_changed_meanwhile(kept):
    hubspot, salesforce = two_crms()
    run_cycle(work(kept, hubspot, salesforce))
    bo = Ref("hubspot", "contact", "2")
    hubspot.edit(replace(hubspot.records[bo], fields={"title": "CEO"}))
    hubspot.unreadable.add(bo)
    for _ in range(2):
        assert any("contact 2 arrived" in each for each in run_cycle(work(kept, hubspot, salesforce)).problems)
    assert hubspot.records[bo].current["score"] == 15
    hubspot.unreadable.clear()
    assert run_cycle(work(kept, hubspot, salesforce)).verdict == "ok"
    assert hubspot.records[bo].current["score"] == 35


def test_so_many_odd_records_are_remembered_and_no_more(kept):
    refs = [Ref("hubspot", "contact", str(number)) for number in range(MOST + 5)]
    with kept.begin() as writing:
        update_odd_records(writing, "hubspot", add=refs)
        update_odd_records(writing, "hubspot", drop={refs[0]})
    with kept.read() as reading:
        assert read_odd_records(reading, "hubspot") == refs[1:MOST]
        assert read_odd_records(reading, "salesforce") == []
