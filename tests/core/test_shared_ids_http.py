"""One e-mail in both CRMs over HTTP: its Message-ID is read from both, and what it costs."""

from datetime import timedelta

import pytest

from connectors.hubspot.activities import MESSAGE_ID
from crmsync.reporting.person import explain_person
from crmsync.store import schema
from crmsync.store.shared_ids import hash_shared_id

BOTH = ("hubspot", "salesforce")
MAIL, HOURS = "ada@twice.example", timedelta(hours=3)


def switch_off(runs):
    identity = runs.config.identity.model_copy(update={"same_activity": timedelta(0)})
    runs.config = runs.config.model_copy(update={"identity": identity})


def write_mail(runs, id_, *, sent=timedelta(0), in_salesforce=True):
    """An e-mail to somebody in both CRMs, which Salesforce dates later."""
    at = runs.sandbox.clock() - timedelta(days=1) + sent
    attributes = {"subject": "Your question", **({"message_id": f"<{id_}>"} if id_ else {})}
    runs.do("hubspot", "add_activity", id=runs.hubspot, kind="email_sent", at=at.isoformat(), attributes=attributes)
    return log_in_salesforce(runs, id_, at + HOURS) if in_salesforce else ""


def log_in_salesforce(runs, id_, at):
    said = {"Subject": "Your question", "MessageDate": f"{at:%Y-%m-%dT%H:%M:%S}.000+0000", "MessageIdentifier": id_}
    letter = runs.do("salesforce", "create", object="EmailMessage", fields={**said, "Status": "3"})["id"]
    to = {"EmailMessageId": letter, "RelationId": runs.salesforce, "RelationType": "ToAddress"}
    runs.do("salesforce", "create", object="EmailMessageRelation", fields=to)
    return letter


@pytest.fixture
def twice(runs):
    """Somebody who is in both CRMs and did nothing yet."""
    runs.hubspot = runs.do("hubspot", "create", properties={"email": MAIL})["id"]
    fields = {"LastName": "Twice", "Company": "Twice", "Email": MAIL}
    runs.salesforce = runs.do("salesforce", "create", object="Lead", fields=fields)["id"]
    return runs


def told(runs):
    return explain_person(runs.config, runs.state, MAIL, runs.sandbox.clock())


def twice_logged(runs):
    return [each["said"] for each in told(runs)["logged_twice"]]


SAID = "1 email sent counts once: two CRMs log it 3.0 hours apart, with one Message-ID"


def test_an_e_mail_with_one_message_id_in_both_crms_counts_once(twice):
    letter = write_mail(twice, "one@mail.example")
    twice.run(*BOTH)
    assert twice_logged(twice) == [SAID]
    write_mail(twice, None)
    twice.run(*BOTH)
    assert twice_logged(twice) == [SAID]
    twice.do("salesforce", "delete", id=letter)
    twice.run(*BOTH)
    assert twice_logged(twice) == []


def test_an_id_that_a_crm_tells_later_joins_what_was_two(twice):
    letter = write_mail(twice, None)
    write_mail(twice, "late@mail.example", in_salesforce=False, sent=timedelta(minutes=5))
    twice.run(*BOTH)
    assert twice_logged(twice) == []
    twice.do("salesforce", "update", id=letter, fields={"MessageIdentifier": " <late@mail.example>"})
    twice.run(*BOTH)
    assert twice_logged(twice) == [SAID.replace("3.0", "2.9")]


def test_every_e_mail_that_both_crms_log_is_found_in_both(runs):
    runs.run(*BOTH)
    crm_of = {row["id"]: row["crm"] for row in runs.rows()}
    found = {crm: {row["hash"] for row in runs.rows(schema.shared_id) if crm_of[row["record"]] == crm} for crm in BOTH}
    state = runs.sandbox.snapshot("hubspot")["emails"].values()
    assert found["hubspot"] <= {hash_shared_id(each[MESSAGE_ID].strip("<>")) for each in state}
    assert found["hubspot"] & found["salesforce"]


def pull_activities(runs, crm):
    """How many calls a whole pull and the next one make, and whether they name the property of the id."""
    made, calls = runs.connect(crm), runs.sandbox.calls
    calls.clear()
    pages = list(made.activities(None))
    whole = made.calls
    list(made.activities(pages[-1].cursor))
    counts = whole, made.calls - whole
    made.close()
    named = {"hubspot": MESSAGE_ID, "salesforce": "MessageIdentifier"}[crm]
    return counts, any(named in each.query for each in calls.of(crm)), [each for page in pages for each in page.items]


@pytest.mark.parametrize("crm", BOTH)
def test_no_id_is_asked_for_where_it_is_of_no_use_and_none_costs_a_call(runs, crm):
    counts, is_named, items = pull_activities(runs, crm)
    assert is_named
    assert any(each.shared_id for each in items)
    switch_off(runs)
    assert pull_activities(runs, crm)[:2] == (counts, False)


def test_one_crm_alone_is_not_asked_for_ids(runs):
    assert runs.config.field_map("hubspot").shared_ids
    assert not runs.config.model_copy(update={"salesforce": None}).field_map("hubspot").shared_ids


def test_a_crm_that_hides_the_ids_is_read_without_them(runs):
    runs.do("hubspot", "hide_property", type="emails", property=MESSAGE_ID)
    runs.do("salesforce", "hide_field", object="EmailMessage", field="MessageIdentifier")
    for crm in BOTH:
        made = runs.connect(crm)
        assert not [each for each in made.missing_fields() if "essage" in each.sentence]
        items = [each for page in made.activities(None) for each in page.items]
        assert {each.shared_id for each in items} == {None}
        assert {"email_sent", "email_replied"} & {each.kind for each in items}
        made.close()
    assert runs.run(*BOTH).verdict == "ok"


def test_whoever_switches_it_on_has_the_ids_of_what_was_read_before(runs):
    on = runs.config
    switch_off(runs)
    runs.run(*BOTH)
    assert runs.rows(schema.shared_id) == []
    runs.config = on
    runs.run(*BOTH)
    crm_of = {row["id"]: row["crm"] for row in runs.rows()}
    assert {crm_of[row["record"]] for row in runs.rows(schema.shared_id)} == {*BOTH}
