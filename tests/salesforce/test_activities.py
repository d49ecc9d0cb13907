"""Tasks, events, e-mails and campaign members as activities."""

import pytest

from connectors.salesforce.activities import NOBODY
from crmsync.config.tables import Feed
from crmsync.model import Ref
from tests.support.salesforce import connect, do, happened, live


def feed(**where):
    return Feed(source="Task", kind="x", where=where)


@pytest.mark.parametrize(
    ("where", "row", "fit"),
    [
        ({}, {}, True), ({"Type": "Call"}, {"Type": "call"}, True), ({"Type": "Call"}, {}, False),
        ({"Type": ["Call", "Email"]}, {"Type": "Email"}, True), ({"Type": "!Call"}, {}, True),
        ({"Type": "!Call"}, {"Type": "Call"}, False), ({"IsClosed": True}, {"IsClosed": True}, True),
        ({"IsClosed": False}, {}, True), ({"IsClosed": True}, {}, False),
        ({"CallDurationInSeconds": 5}, {"CallDurationInSeconds": 5}, True),
        ({"Type": ["Call", "!Email"]}, {"Type": "Other"}, False),
    ],
)  # fmt: skip
def test_where_asks_for_values_and_leaves_others_out(where, row, fit):
    assert feed(**where).fits(row) is fit


def logged(sandbox, crm, **how):
    """What becomes of one activity that was logged after a full pull."""
    _, cursor = happened(crm)
    made = do(sandbox, "add_activity", **how)
    return made["id"], [each for each in happened(connect(sandbox), cursor)[0] if each.id.startswith(made["id"])]


def test_a_call_is_counted_when_it_was_completed(sandbox, crm):
    who = live(crm)[0].ref
    id_, found = logged(sandbox, crm, who=who.id, fields={"TaskSubtype": "Call", "CallDisposition": "Connected"})
    [call] = [each for each in found if not each.gone]
    assert (call.id, call.ref, call.kind) == (f"{id_}:call_completed", who, "call_completed")
    assert call.at == sandbox.clock()
    assert call.attributes["outcome"] == "Connected"


@pytest.mark.parametrize("outcome", ["No answer", "Left Voicemail", "Nicht erreicht"])
def test_a_call_that_reached_nobody_is_none(sandbox, crm, outcome):
    who = live(crm)[0].ref
    _, found = logged(sandbox, crm, who=who.id, fields={"TaskSubtype": "Call", "CallDisposition": outcome})
    assert [(each.kind, each.attributes["outcome"]) for each in found if not each.gone] == [("call_attempted", outcome)]


def test_a_call_that_is_corrected_is_a_conversation(sandbox, crm):
    who = live(crm)[0].ref
    id_, _ = logged(sandbox, crm, who=who.id, fields={"TaskSubtype": "Call", "CallDisposition": "Busy"})
    _, cursor = happened(crm)
    do(sandbox, "update", id=id_, fields={"CallDisposition": "Connected"})
    found = [each for each in happened(connect(sandbox), cursor)[0] if each.id == f"{id_}:call_completed"]
    assert [each.kind for each in found] == ["call_completed"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"Subject": "Automatic reply: Your demo"}, "email_auto_replied"),
        ({"Subject": "自动回复: Re"}, "email_auto_replied"),
        (
            {"Subject": "Re: Your demo", "Headers": "To: a@b.example\nAuto-Submitted: auto-replied\n"},
            "email_auto_replied",
        ),
        ({"Subject": "Re: Automatic doors"}, "email_replied"),
    ],
)
def test_an_automatic_answer_is_no_reply(sandbox, crm, fields, kind):
    mails = sandbox.snapshot("salesforce")["EmailMessage"].values()
    mail = next(each["Id"] for each in mails if each["Incoming"])
    _, cursor = happened(crm)
    do(sandbox, "update", id=mail, fields=fields)
    found = [each for each in happened(connect(sandbox), cursor)[0] if each.id.startswith(mail) and not each.gone]
    assert [each.kind for each in found] == [kind]


def test_an_open_tells_how_soon_after_the_sending_it_was(sandbox, crm):
    mails = [each for each in sandbox.snapshot("salesforce")["EmailMessage"].values() if not each["Incoming"]]
    for mail, opened in zip(mails, ("2026-11-20T09:00:02.000Z", "2026-11-20T09:05:00.000Z"), strict=False):
        sent = {"MessageDate": "2026-11-20T09:00:00.000Z", "IsOpened": True, "FirstOpenedDate": opened}
        do(sandbox, "update", id=mail["Id"], fields=sent)
    found = {each.id: each.attributes.get("seconds_after_sending") for each in happened(crm)[0]}
    assert [found[f"{each['Id']}:email_opened"] for each in mails[:2]] == [2, None]


def test_the_task_of_an_automatic_answer_is_nothing_that_was_sent(sandbox, crm):
    who = live(crm)[0].ref
    fields = {"TaskSubtype": "Email", "Subject": "Email: Abwesenheitsnotiz: Ihre Demo"}
    _, found = logged(sandbox, crm, who=who.id, fields=fields)
    assert [each.kind for each in found if not each.gone] == ["email_auto_replied"]


def test_a_due_date_ahead_is_no_activity_ahead(sandbox, crm):
    who = live(crm)[0].ref
    _, found = logged(sandbox, crm, who=who.id, fields={"ActivityDate": "2027-05-01", "TaskSubtype": "Task"})
    assert [each.at <= sandbox.clock() for each in found if not each.gone] == [True]


def test_an_open_task_is_none_yet_and_a_reopened_one_is_gone(sandbox, crm):
    who = live(crm)[0].ref
    _, found = logged(sandbox, crm, who=who.id, fields={"Status": "Not Started", "TaskSubtype": "Task"})
    assert all(each.gone for each in found)


@pytest.mark.parametrize("action", ["delete", "reparent"])
def test_an_activity_that_goes_away_is_gone(sandbox, crm, action):
    task = next(each for each in happened(crm)[0] if each.kind == "call_completed")
    _, cursor = happened(crm)
    id_ = task.id.split(":")[0]
    do(sandbox, action, id=id_, **({"fields": {"WhoId": None}} if action == "reparent" else {}))
    found = {each.id: each for each in happened(connect(sandbox), cursor)[0]}
    assert found[task.id].gone
    assert found[task.id].ref == NOBODY


def test_an_activity_that_moves_is_its_new_persons(sandbox, crm):
    task = next(each for each in happened(crm)[0] if each.kind == "call_completed")
    other = next(each.ref for each in live(crm) if each.ref != task.ref)
    _, cursor = happened(crm)
    do(sandbox, "reparent", id=task.id.split(":")[0], fields={"WhoId": other.id})
    moved = [each for each in happened(connect(sandbox), cursor)[0] if each.id == task.id]
    assert [each.ref for each in moved] == [other]


def test_the_case_in_a_feed_does_not_matter(sandbox, crm):
    called = {"source": "Task", "kind": "x", "where": {"TASKSUBTYPE": "Call"}, "attributes": {"subject": "subject"}}
    found, _ = happened(connect(sandbox, activities=[called]))
    assert {(each.id.split(":")[0], each.attributes["subject"]) for each in found} == {
        (each.id.split(":")[0], each.attributes["subject"])
        for each in happened(crm)[0]
        if each.kind in ("call_completed", "call_attempted")
    }


def test_archived_activities_are_read(sandbox, crm):
    task = next(each for each in happened(crm)[0] if each.kind == "call_completed")
    do(sandbox, "archive", ids=[task.id.split(":")[0]])
    assert task in happened(connect(sandbox))[0]


def test_an_e_mail_counts_once_though_it_is_a_task_too(sandbox, crm):
    tables = sandbox.snapshot("salesforce")
    sent = [each for each in happened(crm)[0] if each.kind == "email_sent"]
    outgoing = [each for each in tables["EmailMessage"].values() if not each["Incoming"] and each["Status"] != "5"]
    assert len(sent) == len(outgoing)
    assert all(each.id.startswith("02s") for each in sent)


def test_without_e_mail_records_their_tasks_count(sandbox, crm):
    tables = sandbox.snapshot("salesforce")
    mails = [each for each in tables["Task"].values() if each["TaskSubtype"] == "Email"]
    sandbox.org.state.tables.pop("emailmessage")
    found = [each for each in happened(connect(sandbox))[0] if each.kind in ("email_sent", "email_auto_replied")]
    assert sorted(each.id.split(":")[0] for each in found) == sorted(each["Id"] for each in mails)


def test_the_sender_of_an_answer_replied(sandbox, crm):
    tables = sandbox.snapshot("salesforce")
    incoming = [each["Id"] for each in tables["EmailMessage"].values() if each["Incoming"]]
    replied = [each for each in happened(crm)[0] if each.kind in ("email_replied", "email_auto_replied")]
    assert sorted(each.id.split(":")[0] for each in replied) == sorted(incoming)


def test_copies_of_a_meeting_for_its_guests_do_not_count(sandbox, crm):
    who = live(crm)[0].ref
    _, found = logged(sandbox, crm, object="Event", who=who.id, fields={"IsChild": True, "Subject": "Demo"})
    assert found == []


def test_a_campaign_member_becomes_what_its_campaign_is(sandbox, crm):
    kinds = {each.kind for each in happened(crm)[0] if each.id.startswith("00v")}
    assert kinds >= {"webinar_registered", "webinar_attended", "event_registered"}
    attended = next(each for each in happened(crm)[0] if each.kind == "webinar_attended")
    assert attended.attributes["campaign"]
    assert attended.at <= sandbox.clock()


def test_a_converted_member_is_the_contact(sandbox, crm):
    member = next(each for each in happened(crm)[0] if each.id.startswith("00v") and each.ref.kind == "lead")
    _, cursor = happened(crm)
    became = do(sandbox, "convert", id=member.ref.id)
    found = {each.id: each for each in happened(connect(sandbox), cursor)[0]}
    assert found[member.id].ref == Ref("salesforce", "contact", became["contact"])


def test_another_definition_of_a_feed_reads_its_source_again(sandbox, crm):
    _, cursor = happened(crm)
    sandbox.clock.advance(7_200)
    made = connect(sandbox, activities=[{"source": "Task", "kind": "phone", "where": {"TaskSubtype": "Call"}}])
    found, _ = happened(made, cursor)
    assert {each.kind for each in found if not each.gone} == {"phone"}
    assert {each.id for each in happened(crm)[0] if each.id.startswith("00T")} <= {
        each.id for each in found if each.gone
    }


def test_an_object_that_is_not_visible_yields_nothing(sandbox, crm):
    sandbox.org.state.tables.pop("campaignmember")
    kinds = {each.kind for each in happened(connect(sandbox))[0]}
    assert "call_completed" in kinds
    assert not any(kind.startswith("webinar") for kind in kinds)


def test_activities_come_by_bulk_too(sandbox, crm, bulky):
    whole = {(each.id, each.ref): each for each in happened(crm)[0]}
    found, _ = happened(bulky())
    assert {(each.id, each.ref): each for each in found} == whole


def mails_of(sandbox, **cells):
    """The ids of the e-mails with these cells."""
    mails = sandbox.snapshot("salesforce")["EmailMessage"].values()
    return {each["Id"] for each in mails if cells.items() <= each.items()}


def told_mails(crm, cursor=None):
    """The e-mails of a pull that are activities."""
    return {each.id.split(":")[0] for each in happened(crm, cursor)[0] if each.id.startswith("02s") and not each.gone}


def test_a_draft_is_no_e_mail_yet(sandbox, crm):
    drafts = mails_of(sandbox, Status="5")
    assert drafts
    assert told_mails(crm) == mails_of(sandbox) - drafts


def test_a_draft_that_is_sent_later_counts_from_then_on(sandbox, crm):
    draft = min(mails_of(sandbox, Status="5"))
    _, cursor = happened(crm)
    sandbox.clock.advance(7_200)
    sent = sandbox.clock()
    do(sandbox, "update", id=draft, fields={"Status": "3", "MessageDate": sent.isoformat()})
    [mail] = [each for each in happened(connect(sandbox), cursor)[0] if not each.gone]
    assert (mail.id, mail.at) == (f"{draft}:email_sent", sent)


def test_an_e_mail_that_is_a_draft_again_is_gone(sandbox, crm):
    mail = min(mails_of(sandbox, Status="3"))
    _, cursor = happened(crm)
    do(sandbox, "update", id=mail, fields={"Status": "5"})
    found = happened(connect(sandbox), cursor)[0]
    assert {each.id for each in found if each.gone} >= {f"{mail}:email_sent"}
    assert mail not in {each.id.split(":")[0] for each in found if not each.gone}


def test_where_nobody_can_tell_drafts_all_e_mails_count_and_are_whole(sandbox, crm):
    do(sandbox, "hide_field", object="EmailMessage", field="Status")
    sandbox.clock.advance(3_600)
    blind = connect(sandbox)
    assert told_mails(blind) == mails_of(sandbox)
    assert "02s" in {prefix for page in blind.activities(None) for prefix in page.whole}


def test_drafts_go_once_their_status_can_be_read(sandbox, crm):
    do(sandbox, "hide_field", object="EmailMessage", field="Status")
    sandbox.clock.advance(3_600)
    _, cursor = happened(connect(sandbox))
    do(sandbox, "show_field", object="EmailMessage", field="Status")
    sandbox.clock.advance(3_600)
    gone = {each.id for each in happened(connect(sandbox), cursor)[0] if each.gone}
    drafts = {f"{each}:email_sent" for each in mails_of(sandbox, Status="5")}
    assert drafts
    assert drafts <= gone


def test_e_mails_are_read_without_a_status_that_only_queries_refuse(sandbox, crm):
    do(sandbox, "hide_field", object="EmailMessage", field="Status", listed=True)
    assert told_mails(connect(sandbox)) == mails_of(sandbox)
