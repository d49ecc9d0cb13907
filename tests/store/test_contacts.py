"""What is stored of a record as it is pulled: what changed, since when, what stays on hold, and who is concerned."""

from dataclasses import replace

import orjson
import pytest

from crmsync.model import Company, Ref
from crmsync.store import schema
from crmsync.store.contacts import save_contacts
from crmsync.store.edits import EMAILS, MOVED, REPLACED
from crmsync.store.sql import dump_json, to_ms
from tests.store.test_store import dirty, happen, settle
from tests.support.make import NOW, activity, contact
from tests.support.state import rows, save

MS = to_ms(NOW)
COMPANY = Company("77", "X")


def one(state, number=1):
    (row,) = [row for row in rows(state, schema.record) if row["ref_id"] == str(number)]
    return row


def update(state, **values):
    with state.begin() as tx:
        tx.execute(schema.record.update().values(values))


def past(state):
    return sorted((row["field"], row["value"], row["until"]) for row in rows(state, schema.past_field))


def save_all(state, *contacts, **named):
    with state.begin() as tx:
        return save_contacts(tx, "r2", contacts, NOW, **named)


def test_a_record_is_stored_as_the_crm_says_it(state):
    made = contact(
        1, name="Ada", emails=("a@x.example",), fields={"title": "VP"}, links=(Ref("salesforce", "lead", "00Q1"),),
        company=Company("77", "X"), created_at=NOW, group="eu", stage="lead", owner="ann",
        current={"score": 5, "band": "cold"},
    )  # fmt: skip
    assert save_all(state, made) == [(one(state)["id"], to_ms(made.changed_at))]
    row = one(state)
    told = {
        "crm": "hubspot", "kind": "contact", "ref_id": "1", "seen_run": "r2", "known": True, "dirty": True,
        "forgotten": False, "seen_at": MS, "changed_at": to_ms(made.changed_at), "name": "Ada",
        "emails": '["a@x.example"]', "fields": '{"title":"VP"}', "links": '[["salesforce","lead","00Q1"]]',
        "company": "77", "domain": "x.example", "created_at": MS, "crm_group": "eu", "stage": "lead", "owner": "ann",
        "band": "cold", "gone": False, "merged_into": "", "converted_into": "", "on_hold": "", "attempts": 0,
        "edited": True, "overrides": "{}",
    }  # fmt: skip
    assert {name: row[name] for name in told} == told
    assert orjson.loads(row["current"]) == {"score": 5, "band": "cold"}
    assert save_all(state, made) == []


def test_what_comes_twice_on_a_page_counts_as_it_came_last(state):
    save(state, contact(1, name="Ada"), contact(1, name="Bea"))
    assert one(state)["name"] == "Bea"


def test_since_when_a_record_is_known_stays_until_it_is_deleted_and_comes_back(state):
    save(state, contact(1))
    update(state, seen_at=7)
    save(state, contact(1, name="Ada"))
    assert one(state)["seen_at"] == 7
    save(state, contact(1, gone=True, merged_into=Ref("hubspot", "contact", "2")))
    assert one(state)["seen_at"] == 7
    save(state, contact(1, gone=True))
    assert one(state)["seen_at"] is None
    save(state, contact(1))
    assert one(state)["seen_at"] == MS


def test_a_record_of_which_only_activities_were_known_is_seen_and_edited_when_it_comes(state):
    happen(state, activity(1, contact(1)))
    assert (one(state)["known"], one(state)["seen_at"]) == (False, None)
    save(state, contact(1, stage="lead", owner="ann"))
    row = one(state)
    assert (row["known"], row["seen_at"], row["edited"], row["overrides"], past(state)) == (True, MS, True, "{}", [])


# What of it is past


def test_what_a_record_was_until_now_is_kept(state):
    save(state, contact(1, fields={"title": "Clerk", "city": "Rome"}, emails=("a@x.example",), stage="lead"))
    save(state, contact(1, fields={"title": "VP", "city": "Rome", "size": 3}, emails=("b@x.example",), stage="lead"))
    assert past(state) == [
        (EMAILS, '["a@x.example"]', MS), ("size", "null", MS), ("title", '"Clerk"', MS),
    ]  # fmt: skip


def test_a_stage_and_an_owner_that_are_read_by_another_name_are_moved_and_not_edited(state):
    save(state, contact(1, stage="lead", owner="ann"))
    save_all(state, contact(1, stage="mql", owner="bob"), noticing=())
    assert past(state) == [(f"{MOVED}owner", '"ann"', MS), (f"{MOVED}stage", '"lead"', MS)]
    assert one(state)["overrides"] == "{}"


def test_an_empty_owner_and_none_are_the_same_and_no_users_choice(state):
    save(state, contact(1, owner="", stage="lead"))
    save(state, contact(1, owner=None, stage="mql"))
    assert orjson.loads(one(state)["overrides"]) == {"stage": {"value": "mql", "since": MS}}
    assert not any("owner" in field for field, _value, _until in past(state))
    update(state, overrides=dump_json({"owner": {"value": "eve", "since": 3}}))
    save(state, contact(1, owner=None, stage="lead"))
    assert orjson.loads(one(state)["overrides"]) == {
        "owner": {"value": "eve", "since": 3}, "stage": {"value": "lead", "since": MS},
    }  # fmt: skip
    save(state, contact(1, gone=True, stage="lead"))
    assert one(state)["overrides"] == "{}"


@pytest.mark.parametrize(
    "how",
    [{"gone": True, "merged_into": Ref("hubspot", "contact", "2")}, {"converted_into": Ref("hubspot", "contact", "2")}],
)
def test_a_record_that_another_one_replaces_is_marked_so_once(state, how):
    save(state, contact(1, fields={"title": "VP"}, emails=("a@x.example",)))
    save(state, contact(1, fields={"title": "VP"}, emails=("a@x.example",), **how))
    marks = [each for each in past(state) if each[0] == REPLACED]
    assert marks == [(REPLACED, "null", MS)]
    assert (("title", '"VP"', MS) in past(state)) is ("gone" in how)
    with state.begin() as tx:
        tx.execute(schema.past_field.delete())
    save(state, contact(1, fields={"title": "VP"}, emails=("a@x.example",), name="Ada", **how))
    assert [each for each in past(state) if each[0] == REPLACED] == []


def test_nothing_personal_comes_with_a_record_that_is_gone_whatever_the_crm_delivers(state):
    save(state, contact(1, name="Ada", fields={"title": "VP"}))
    told = {"name": "Ada", "fields": {"title": "VP"}, "current": {"reason": "VP"}, "group": "eu", "company": COMPANY}
    save(state, contact(1, gone=True, merged_into=Ref("hubspot", "contact", "2"), created_at=NOW, **told))
    row = one(state)
    empty = ("name", "emails", "fields", "current", "band", "crm_group", "company", "domain", "created_at")
    assert [row[name] for name in empty] == ["", "[]", "{}", "{}", "", "", "", "", None]


def test_of_a_record_that_is_deleted_nothing_is_past(state):
    save(state, contact(1, fields={"title": "VP"}, emails=("a@x.example",), stage="lead"))
    save(state, contact(1, gone=True))
    assert past(state) == []


@pytest.mark.parametrize(
    "before",
    [
        {},
        {"gone": True, "merged_into": Ref("hubspot", "contact", "9")},
        {"converted_into": Ref("hubspot", "contact", "9")},
    ],
)
def test_what_a_record_knew_until_its_survivor_names_it_is_kept(state, before):
    save(state, contact(1, fields={"title": "VP"}, emails=("a@x.example",)))
    if before:
        save(state, contact(1, **before))
    with state.begin() as tx:
        tx.execute(schema.past_field.delete())
    save(state, contact(2, aliases=("1", "2")))
    kept = [(EMAILS, '["a@x.example"]', MS), (REPLACED, "null", MS), ("title", '"VP"', MS)]
    assert past(state) == ([] if before else sorted(kept))


# What is on hold


def hold(state, **of):
    update(state, on_hold=dump_json({"after": {"score": 5}, "reason": "no", "at": 0, **of}), attempts=2, dirty=False)


@pytest.mark.parametrize(
    ("moves", "stays"),
    [({"current": {"score": 1}}, True), ({"name": "Ada"}, False), ({"current": {"score": 1}, "stage": "mql"}, False)],
)
def test_what_was_refused_stays_on_hold_while_nothing_moves_but_what_crmsync_writes(state, moves, stays):
    save(state, contact(1))
    hold(state, whole=True)
    save(state, contact(1, **moves))
    row = one(state)
    assert (bool(row["on_hold"]), row["attempts"]) == ((True, 2) if stays else (False, 0))


def test_attempts_stay_where_nothing_is_on_hold(state):
    save(state, contact(1))
    update(state, attempts=2)
    save(state, contact(1, current={"score": 1}))
    assert (one(state)["on_hold"], one(state)["attempts"]) == ("", 2)
    save(state, replace(contact(1, current={"score": 1}), changed_at=NOW))
    assert (one(state)["attempts"], one(state)["changed_at"]) == (2, MS)


def test_a_partial_refusal_is_tried_again_at_the_second_touch_and_the_attempt_counts(state):
    save(state, contact(1), contact(2))
    hold(state, whole=False)
    save(state, replace(contact(1), changed_at=NOW))
    first, other = one(state), one(state, 2)
    assert (orjson.loads(first["on_hold"])["ours"], first["attempts"], first["dirty"]) == (False, 2, False)
    assert "ours" not in orjson.loads(other["on_hold"])
    save(state, replace(contact(1), changed_at=NOW.replace(hour=13)))
    assert (one(state)["on_hold"], one(state)["attempts"], one(state)["dirty"]) == ("", 3, True)
    assert one(state, 2)["dirty"] is False


# Whom it concerns


def of_firm(number, **over):
    return contact(number, **{"company": COMPANY, "emails": (f"{number}@x.example",), **over})


OTHER = contact(9, company=Company("88", "Y"), emails=("9@y.example",))


def colleagues(state):
    """Three people of one company, and one of another, whom nothing concerns."""
    save(state, *(of_firm(number) for number in (1, 2, 3)), OTHER)
    settle(state)


@pytest.mark.parametrize(
    ("news", "asks", "concerned"),
    [
        (of_firm(1, company=None), True, ["1", "2", "3"]),
        (of_firm(1, company=None), False, ["1"]),
        (of_firm(1, name="Ada"), True, ["1"]),
        (of_firm(1, gone=True), True, ["1", "2", "3"]),
        (of_firm(1, converted_into=Ref("hubspot", "contact", "5")), True, ["1", "2", "3"]),
        (replace(OTHER, company=COMPANY), True, ["1", "2", "3", "9"]),
    ],
)
def test_who_leaves_or_joins_an_account_concerns_those_who_belong_to_it(state, news, asks, concerned):
    colleagues(state)
    save_all(state, news, colleagues=asks)
    assert dirty(state) == concerned


def test_who_takes_the_place_of_somebody_concerns_their_colleagues(state):
    colleagues(state)
    save_all(state, replace(OTHER, aliases=("1", "9")), colleagues=True)
    assert {"2", "3"} <= {*dirty(state)}


# Merges


def ids(state):
    return {row["ref_id"]: row["id"] for row in rows(state, schema.record)}


def aliases(state):
    names = {row_id: number for number, row_id in ids(state).items()}
    return {row["old_id"]: names.get(row["record"]) for row in rows(state, schema.alias)}


def test_old_ids_lead_to_the_last_survivor_of_a_chain_of_merges(state):
    save(state, contact(1), contact(2), contact(3), contact(4))
    happen(state, activity(1, contact(1)), activity(2, contact(4)))
    save(state, contact(2, aliases=("1",)))
    save(state, contact(3, aliases=("2",)))
    assert aliases(state) == {"1": "3", "2": "3"}
    assert {row["id"]: row["record"] for row in rows(state, schema.activity)} == {
        "form_submitted:1": ids(state)["3"], "form_submitted:2": ids(state)["4"],
    }  # fmt: skip
    row = one(state, 2)
    assert (row["gone"], row["merged_into"], row["emails"], row["domain"]) == (True, "hubspot:contact:3", "[]", "")


def test_a_survivor_that_comes_again_is_no_news(state):
    save(state, contact(1), contact(2))
    save(state, contact(2, aliases=("1",)))
    settle(state)
    save(state, contact(2, aliases=("1",)), run="r3")
    assert dirty(state) == []
    assert one(state, 2)["seen_run"] == "r3"


def test_nothing_of_who_was_merged_away_leads_to_them_but_their_ids(state):
    save(state, contact(1, name="Ada", emails=("a@x.example",), company=COMPANY, created_at=NOW), contact(2))
    save(state, contact(2, aliases=("1",)))
    row = one(state)
    empty = ("name", "fields", "current", "band", "company", "created_at")
    assert [row[name] for name in empty] == ["", "{}", "{}", "", "", None]
    keys = {each["key"] for each in rows(state, schema.identity) if each["record"] == row["id"]}
    assert keys == {"record:hubspot:contact:1", "record:hubspot:contact:2"}
    assert rows(state, schema.name_word) == []


# Records that a CRM has no more


def test_of_a_purged_record_stays_only_to_whom_its_id_leads(state):
    became = Ref("hubspot", "contact", "2")
    save(state, contact(2), contact(1, converted_into=became))
    happen(state, activity(1, contact(1)))
    settle(state)
    save(state, contact(1, gone=True, erased=True))
    assert aliases(state) == {"1": "2"}
    assert [row["record"] for row in rows(state, schema.activity)] == [ids(state)["2"]]
    assert "2" in dirty(state)
    keys = {each["key"] for each in rows(state, schema.identity) if each["record"] == ids(state)["2"]}
    assert "record:hubspot:contact:1" in keys
    settle(state)
    save(state, contact(2, name="Ada"))
    keys = {each["key"] for each in rows(state, schema.identity) if each["record"] == ids(state)["2"]}
    assert {"record:hubspot:contact:1", "mail:person2@firm.example"} <= keys
    settle(state)
    save(state, contact(1))  # it was there all the time
    assert aliases(state) == {}
    assert "2" in dirty(state)
    keys = {each["key"] for each in rows(state, schema.identity) if each["record"] == ids(state)["2"]}
    assert "record:hubspot:contact:1" not in keys


def test_a_lead_that_was_converted_and_is_there_keeps_what_it_did_and_leads_nowhere(state):
    save(state, contact(2))
    for name in ("Ada", "Ada B."):
        save(state, contact(1, name=name, converted_into=Ref("hubspot", "contact", "2")))
        happen(state, activity(1, contact(1)))
    assert aliases(state) == {}
    assert [row["record"] for row in rows(state, schema.activity)] == [ids(state)["1"]]


def test_a_purged_record_that_became_nobody_known_leads_nowhere(state):
    save(state, contact(1, converted_into=Ref("hubspot", "contact", "5")), contact(2))
    settle(state)
    save(state, contact(1, gone=True, erased=True))
    assert (aliases(state), "2" in dirty(state)) == ({}, False)
