"""What the journal says of a write, whatever a CRM does with it, and what is sent again."""

import tomllib
from dataclasses import replace
from datetime import timedelta

import pytest

from crmsync.cycle import run_cycle
from crmsync.model import Receipt, Ref
from crmsync.planning.apply import UNREADABLE
from crmsync.planning.verify import GONE_SINCE, read_present
from crmsync.store import schema
from crmsync.undo import undo_run
from crmsync.work import Work
from tests.support.cycles import ADA, DAYS, NEVER_FADES, edit, held, hot, line_breaks, refuse_ann, run
from tests.support.make import activity, config, contact, work
from tests.support.state import rows

WRITE = tomllib.loads(NEVER_FADES)["write"]
SCORES_ALONE = {**WRITE, "stage": False, "owner": False, "verify_sample": 0}


def ends(state):
    """How the changes ended, the oldest first."""
    return [row["state"] for row in sorted(rows(state, schema.change), key=lambda row: row["id"])]


def dropping(hubspot, *names):
    """Let the CRM say yes to every field and not keep some."""
    taken = hubspot.write

    def write(changes, narrow=list):
        for change in narrow(changes):
            after = {name: value for name, value in change.after.items() if name not in names}
            yield from taken([replace(change, after=after)])

    hubspot.write = write


def test_what_arrived_in_part_before_the_answer_was_lost_is_not_called_updated(state):
    hubspot = hot()
    with line_breaks(hubspot, lambda name: name == "score"):
        run(state, hubspot, at=DAYS[0])
    run(state, hubspot, at=DAYS[1])
    assert ends(state) == ["unknown", "updated"]
    assert rows(state, schema.change)[0]["reason"] == "the CRM did not answer; planned again"


def test_what_cannot_be_read_back_stays_open_until_it_can(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        yield from taken(changes, narrow)
        hubspot.unreadable.add(ADA)

    hubspot.write = write
    assert run(state, hubspot, at=DAYS[0]).crms["hubspot"].unknown == 1
    hubspot.write = taken
    hubspot.unreadable.clear()
    assert run(state, hubspot, at=DAYS[1]).crms["hubspot"].resumed == 1
    assert (ends(state), held(hubspot)["1"]) == (["updated"], (65, "mql", "hubspot-ann"))


def test_whom_nobody_can_look_at_just_before_the_write_is_not_written_and_tried_again(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        hubspot.unreadable.add(ADA)
        yield from taken(changes, narrow)
        hubspot.unreadable.clear()

    hubspot.write = write
    run(state, hubspot, at=DAYS[0])
    ((ended, reason),) = [(row["state"], row["reason"]) for row in rows(state, schema.change)]
    assert (ended, reason, hubspot.writes) == ("rejected", UNREADABLE, [])
    hubspot.write = taken
    run(state, hubspot, at=DAYS[1])
    assert held(hubspot)["1"] == (65, "mql", "hubspot-ann")


@pytest.mark.parametrize("retry", [True, False])
def test_whom_a_crm_did_not_take_keeps_whose_turn_it_was_until_patience_with_the_refusal_ends(state, retry):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        for change in narrow(changes):
            yield Receipt(change.ref, ok=False, reason="Budget is required", retry=retry)

    hubspot.write = write
    run(state, hubspot, at=DAYS[0].replace(hour=12))
    hubspot.write = taken
    edit(hubspot, ADA, fields={"title": "VP Sales", "employees": 501}, changed_at=DAYS[0].replace(hour=13))
    run(state, hubspot, at=DAYS[0].replace(hour=14))
    assert held(hubspot)["1"][2] == "hubspot-ann"


def test_who_cannot_get_the_first_owner_of_a_pool_gets_the_next_one_when_the_patience_ends(state):
    hubspot = hot()
    refuse_ann(hubspot)
    for day in DAYS[:10]:
        run(state, hubspot, at=day)
    assert held(hubspot)["1"][2] == "hubspot-bob"


def test_who_cannot_get_the_first_owner_gets_the_next_one_also_where_somebody_edits_the_record_every_few_hours(state):
    hubspot = hot()
    refuse_ann(hubspot)
    for number in range(12):
        at = DAYS[0] + timedelta(hours=10 * number)
        edit(hubspot, ADA, changed_at=at)
        run(state, hubspot, at=at)
    assert held(hubspot)["1"][2] == "hubspot-bob"


def test_a_stage_is_read_back_also_where_no_score_is(state):
    hubspot = hot()
    dropping(hubspot, "stage")
    ran = run(state, hubspot, at=DAYS[0], write={**WRITE, "verify_sample": 0})
    assert (ran.crms["hubspot"].partly, ran.crms["hubspot"].updated) == (1, 0)
    assert "stage is 'lead' instead of 'mql'" in rows(state, schema.change)[0]["reason"]


@pytest.mark.parametrize("theirs", [{"stage": "sql"}, {"stage": "sql", "owner": "hubspot-bob"}])
def test_what_gave_way_to_a_value_that_a_user_took_back_again_is_written_in_the_next_run(state, theirs):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], write={**WRITE, "stage": False, "owner": False})
    taken = hubspot.write

    def write(changes, narrow):
        before = hubspot.records[ADA]
        edit(hubspot, ADA, **theirs)
        yield from taken(changes, narrow)
        edit(hubspot, ADA, **{name: getattr(before, name) for name in theirs})

    hubspot.write = write
    run(state, hubspot, at=DAYS[1])
    hubspot.write = taken
    run(state, hubspot, at=DAYS[2])
    assert held(hubspot)["1"][:2] == (65, "mql")


def test_what_the_crm_did_not_keep_waits_alone(state):
    hubspot = hot()
    dropping(hubspot, "stage")
    run(state, hubspot, at=DAYS[0])
    hubspot.happen(activity(9, hubspot.records[ADA], kind="page_viewed", url="/pricing"))
    run(state, hubspot, at=DAYS[0].replace(hour=13))
    assert "stage" not in rows(state, schema.change)[-1]["after"]
    assert held(hubspot)["1"] == (80, "lead", "hubspot-ann")
    edit(hubspot, ADA, current={**hubspot.records[ADA].current, "fit": 1})
    run(state, hubspot, at=DAYS[0].replace(hour=14))
    assert hubspot.records[ADA].current["fit"] == 35
    assert len(rows(state, schema.change)) == 3


@pytest.mark.parametrize(
    ("retry", "attempts", "tried"), [(True, 1, 1), (True, 2, 2), (True, 3, 3), (False, 1, 1), (False, 3, 2)]
)
def test_what_a_crm_may_take_later_is_tried_as_often_as_the_file_says_and_the_rest_once_more(
    state, retry, attempts, tried
):
    hubspot, asked = hot(), []

    def write(changes, narrow):
        for change in narrow(changes):
            asked.append(change)
            yield Receipt(change.ref, ok=False, reason="locked for a moment", retry=retry)

    hubspot.write = write
    for minute in range(4):
        run(state, hubspot, at=DAYS[0].replace(minute=minute), write={**WRITE, "attempts": attempts})
    assert len(asked) == tried


def test_who_was_deleted_just_before_the_write_is_gone_with_all_that_is_personal(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        edit(hubspot, ADA, gone=True)
        yield from taken(changes, narrow)

    hubspot.write = write
    run(state, hubspot, at=DAYS[0], write=SCORES_ALONE)
    (change,), (record,) = rows(state, schema.change), rows(state, schema.record)
    assert (change["state"], change["reason"]) == ("edited", "there is no such record")
    assert record["gone"]
    assert "ada@x.example" not in str(record)


def test_who_was_deleted_between_the_write_and_the_look_at_it_is_gone_with_all_that_is_personal(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        yield from taken(changes, narrow)
        edit(hubspot, ADA, gone=True)

    hubspot.write = write
    run(state, hubspot, at=DAYS[0])
    (change,), (record,) = rows(state, schema.change), rows(state, schema.record)
    assert (change["state"], change["reason"]) == ("edited", GONE_SINCE)
    assert record["gone"]
    assert "ada@x.example" not in str(record)


def test_a_run_tells_how_many_changes_of_a_crm_were_written_as_it_goes(state):
    told = []
    settings = config(NEVER_FADES)
    run_cycle(Work(settings, state, {"hubspot": hot()}, DAYS[0], progress=lambda *said: told.append(said)))
    assert [said for said in told if said[0] == "written"] == [("written", "hubspot", 1)]


def test_an_answer_about_a_record_that_nobody_asked_about_changes_nothing(state):
    hubspot = hot()
    taken = hubspot.write

    def write(changes, narrow):
        yield Receipt(Ref("hubspot", "contact", "99"), ok=False, gone=True)
        yield from taken(changes, narrow)

    hubspot.write = write
    run(state, hubspot, at=DAYS[0])
    assert ends(state) == ["updated"]


def test_where_the_crm_refuses_one_part_and_a_user_replaced_the_other_nothing_was_written(state):
    hubspot = hot()
    run(state, hubspot, at=DAYS[0], write={**WRITE, "stage": False, "owner": False})
    taken = hubspot.write

    def write(changes, narrow=list):
        hubspot.write = taken
        for change in narrow(changes):
            edit(hubspot, ADA, owner="hubspot-bob")
            for receipt in taken([replace(change, after={"owner": change.after["owner"]})]):
                yield replace(receipt, refused={"stage": "not this"})

    hubspot.write = write
    run(state, hubspot, at=DAYS[1])
    assert (held(hubspot)["1"], ends(state)) == ((65, "lead", "hubspot-bob"), ["updated", "rejected"])


@pytest.mark.parametrize("refusal", ["whole", "silent"])
def test_an_undo_that_the_crm_does_not_take_leaves_nothing_on_hold(state, refusal):
    hubspot = hot()
    ran = run(state, hubspot, at=DAYS[0])
    if refusal == "whole":
        hubspot.refusing[ADA] = "locked"
    else:
        dropping(hubspot, "stage")
    undo_run(work(state, hubspot, now=DAYS[1], settings=config(NEVER_FADES)), ran.run)
    assert held(hubspot)["1"][1] == "mql"
    assert rows(state, schema.record)[0]["on_hold"] == ""


class Reading:
    """A CRM that answers a reading with these records."""

    def __init__(self, *records):
        self.records = records

    def read(self, _refs):
        return self.records


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_records_under_one_id_the_live_one_counts_in_whatever_order_they_come(order):
    dead = contact(1, gone=True)
    live = contact(2, aliases=("1",))
    assert read_present(Reading(*[dead, live][::order]), [ADA])[0] == {ADA: live}


@pytest.mark.parametrize("name", ["merged_into", "converted_into"])
def test_a_record_that_became_another_one_is_not_there_any_more(name):
    became = contact(1, **{name: Ref("hubspot", "contact", "2")})
    assert read_present(Reading(became), [ADA])[0] == {ADA: None}
