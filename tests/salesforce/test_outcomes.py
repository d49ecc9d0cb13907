"""Opportunities: read once, read again when they or their people change, and told as gone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from crmsync.connector import FieldMap
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Odd, Ref, StageEntry
from tests.support.pages import pulled
from tests.support.salesforce import NAMES, connect, do, fault, org_with_our_fields
from tests.support.sandbox_salesforce import ANA, CONTACT, CONVERTED, CONVERTED_TO, LEAD, LOST, OPEN, SELLING, WON

OUTCOMES = replace(NAMES, outcomes=True)


@pytest.fixture
def crm(sandbox):
    sandbox.between_requests(lambda: sandbox.org.load(SELLING))
    return org_with_our_fields(sandbox)


def ref(id_, kind="opportunity"):
    return Ref("salesforce", kind, id_)


def outcomes(crm, cursor=None):
    found, cursor = pulled(crm.outcomes(cursor))
    return {each.ref.id: each for each in found}, cursor


def again(sandbox, cursor):
    """What another worker reads, which does not carry on the clock of an earlier answer."""
    return outcomes(connect(sandbox, OUTCOMES), cursor)


def since(sandbox, crm):
    """A cursor behind a full pull, so long ago that its look-back has passed."""
    _, cursor = outcomes(crm)
    sandbox.clock.advance(7_200)
    return cursor


def queries(sandbox):
    return [each for each in sandbox.calls.of("salesforce") if "query" in each.path or "composite" in each.path]


def test_the_first_pull_reads_all_of_them(crm):
    found, _ = outcomes(crm)
    assert found.keys() == {WON, LOST, OPEN}
    won = found[WON]
    assert (won.ref, won.state, won.value, won.currency) == (ref(WON), "won", 12_000, "")
    assert (won.owner, won.source, won.campaign, won.pipeline) == (ANA, "Web", "Autumn webinar", "")
    assert won.records == (ref(CONVERTED_TO, "contact"), ref(CONTACT, "contact"), ref(CONVERTED, "lead"))
    assert won.company.startswith("001")
    assert (won.gone, won.lost_reason) == (False, "")
    assert (found[LOST].state, found[LOST].lost_reason) == ("lost", "Price")
    assert (found[OPEN].state, found[OPEN].value, found[OPEN].closed_at) == ("open", None, None)


def test_the_end_is_when_it_came_into_its_stage_and_not_the_day_somebody_expected(crm):
    won = outcomes(crm)[0][WON]
    days = [datetime(2026, 10, 12, 9, tzinfo=UTC) + timedelta(days=each) for each in (0, 10, 20)]
    stages = ("Qualification", "Proposal/Price Quote", "Closed Won")
    assert won.stages == tuple(map(StageEntry, stages, days))
    assert (won.stage, won.created_at, won.closed_at) == ("Closed Won", days[0], days[2])


def test_a_later_edit_moves_no_end(sandbox, crm):
    before, cursor = outcomes(crm)
    do(sandbox, "update", id=WON, fields={"Amount": 13_000, "CloseDate": "2027-05-01"})
    after = again(sandbox, cursor)[0][WON]
    assert after.value == 13_000
    assert (after.stages, after.closed_at) == (before[WON].stages, before[WON].closed_at)
    assert after.changed_at == sandbox.clock()


def test_one_that_is_closed_reopened_and_closed_again_ended_last(sandbox, crm):
    cursor = since(sandbox, crm)
    do(sandbox, "reopen_opportunity", id=LOST)
    reopened = again(sandbox, cursor)[0][LOST]
    assert (reopened.state, reopened.closed_at, reopened.stage) == ("open", None, "Negotiation/Review")
    sandbox.clock.advance(86_400)
    do(sandbox, "close_opportunity", id=LOST, won=False)
    closed = again(sandbox, cursor)[0][LOST]
    assert (closed.state, closed.closed_at) == ("lost", sandbox.clock())
    assert [each.stage for each in closed.stages] == [
        "Qualification",
        "Closed Lost",
        "Negotiation/Review",
        "Closed Lost",
    ]


def test_only_what_changed_comes_again(sandbox, crm):
    cursor = since(sandbox, crm)
    made = do(sandbox, "create_opportunity", contacts=[CONTACT])["id"]
    do(sandbox, "move_opportunity", id=OPEN, stage="Perception Analysis")
    found, cursor = again(sandbox, cursor)
    assert found.keys() == {made, OPEN}
    assert found[made].records == (ref(CONTACT, "contact"),)
    sandbox.clock.advance(7_200)
    _, cursor = again(sandbox, cursor)  # looks back at what the last pull read
    assert again(sandbox, cursor)[0] == {}


def test_rows_that_appear_late_are_read_by_the_next_pull(sandbox, crm):
    _, cursor = outcomes(crm)
    table = sandbox.org.state.of("Opportunity")
    late = sandbox.clock() - timedelta(minutes=9)
    table.set(table.rows[OPEN], "SystemModstamp", late.strftime("%Y-%m-%dT%H:%M:%S.000+0000"))
    assert again(sandbox, cursor)[0].keys() == {OPEN}


def test_a_role_that_comes_or_goes_brings_its_opportunity(sandbox, crm):
    cursor = since(sandbox, crm)
    do(sandbox, "add_contact_role", id=OPEN, contact=CONTACT)
    found, cursor = again(sandbox, cursor)
    assert found.keys() == {OPEN}
    assert (found[OPEN].records, found[OPEN].changed_at) == ((ref(CONTACT, "contact"),), sandbox.clock())
    sandbox.clock.advance(7_200)
    do(sandbox, "remove_contact_role", id=OPEN, contact=CONTACT)
    found, _ = again(sandbox, cursor)
    assert (found.keys(), found[OPEN].records) == ({OPEN}, ())


def test_the_primary_contact_is_the_first(sandbox, crm):
    do(sandbox, "add_contact_role", id=OPEN, contact=CONTACT)
    do(sandbox, "add_contact_role", id=OPEN, contact=CONVERTED_TO, fields={"IsPrimary": True})
    assert outcomes(crm)[0][OPEN].records == (ref(CONVERTED_TO, "contact"), ref(CONTACT, "contact"))


def test_a_role_that_appears_late_is_read_by_the_next_pull(sandbox, crm):
    cursor = since(sandbox, crm)
    _, cursor = again(sandbox, cursor)
    late = sandbox.clock() - timedelta(minutes=9)
    role = do(sandbox, "add_contact_role", id=OPEN, contact=CONTACT)["id"]
    table = sandbox.org.state.of("OpportunityContactRole")
    table.set(table.rows[role], "SystemModstamp", late.strftime("%Y-%m-%dT%H:%M:%S.000+0000"))
    assert again(sandbox, cursor)[0][OPEN].records == (ref(CONTACT, "contact"),)


def test_a_contact_that_an_opportunity_was_made_for_is_among_its_people(sandbox, crm):
    made = do(sandbox, "create_opportunity", fields={"ContactId": CONTACT})["id"]
    assert outcomes(crm)[0][made].records == (ref(CONTACT, "contact"),)


@pytest.mark.parametrize("there", [False, True])
def test_a_conversion_names_the_lead_and_the_contact(sandbox, crm, there):
    cursor = since(sandbox, crm)
    made = do(sandbox, "convert", id=LEAD, opportunity=OPEN if there else True)
    found = again(sandbox, cursor)[0][made["opportunity"]]
    assert found.records == (ref(made["contact"], "contact"), ref(LEAD, "lead"))


def test_a_deleted_one_is_gone_and_one_that_came_back_is_whole(sandbox, crm):
    before, cursor = outcomes(crm)
    sandbox.clock.advance(7_200)
    do(sandbox, "delete", id=WON)
    found, cursor = again(sandbox, cursor)
    assert {id_: each.gone for id_, each in found.items()} == {WON: True}
    sandbox.clock.advance(7_200)
    do(sandbox, "undelete", id=WON)
    found, _ = again(sandbox, cursor)
    assert replace(found[WON], changed_at=before[WON].changed_at) == before[WON]


def test_an_idle_pull_is_one_call(sandbox, crm):
    cursor = since(sandbox, crm)
    crm.owners()
    sandbox.calls.clear()
    assert outcomes(crm, cursor)[0] == {}
    assert [call.path.rpartition("/")[2] for call in sandbox.calls.of("salesforce")] == ["composite"]


def test_the_first_pull_of_a_small_org_is_three_calls(sandbox, crm):
    made = connect(sandbox, OUTCOMES)
    made.missing_fields()
    sandbox.calls.clear()
    assert len(outcomes(made)[0]) == 3
    # How many there are, a page, and what belongs to it: no role is read a second time for itself.
    assert [each.path.rstrip("/").rpartition("/")[2] for each in sandbox.calls.of("salesforce")] == [
        "recordCount", "queryAll", "composite",
    ]  # fmt: skip


def test_what_belongs_to_a_page_costs_one_call(sandbox, crm):
    cursor = since(sandbox, crm)
    for _ in range(30):
        do(sandbox, "create_opportunity", contacts=[CONTACT])
    crm.owners()
    sandbox.calls.clear()
    assert len(outcomes(crm, cursor)[0]) == 30
    assert len(sandbox.calls.of("salesforce")) == 2


def test_small_pages_and_bulk_read_the_same(sandbox, crm, bulky):
    for number in range(12):
        id_ = do(sandbox, "create_opportunity", contacts=[CONTACT, CONVERTED_TO], fields={"Amount": number})["id"]
        do(sandbox, "close_opportunity", id=id_, won=number % 2 == 0)
    sandbox.clock.advance(7_200)
    whole, cursor = outcomes(connect(sandbox, OUTCOMES))
    assert len(whole) == 15
    by_bulk, behind = outcomes(bulky(names=OUTCOMES))
    assert by_bulk == whole
    sandbox.do("salesforce", "set", page_size=2)
    assert outcomes(connect(sandbox, OUTCOMES))[0] == whole
    assert again(sandbox, cursor)[0] == again(sandbox, behind)[0] == {}


def test_each_page_can_be_gone_on_from(sandbox, crm):
    for _ in range(6):
        do(sandbox, "create_opportunity", contacts=[CONTACT])
    sandbox.do("salesforce", "set", page_size=2)
    whole = outcomes(crm)[0]
    seen, cursor = {}, None
    for _ in range(20):
        page = next(iter(connect(sandbox, OUTCOMES).outcomes(cursor)))
        seen |= {each.ref.id: each for each in page.items}
        cursor = page.cursor
    assert seen == whole


def test_fields_that_are_hidden_are_left_out(sandbox, crm):
    for field in ("Amount", "LeadSource", "CampaignId", "ContactId", "Loss_Reason__c", "LastStageChangeDate"):
        do(sandbox, "hide_field", object="Opportunity", field=field)
    do(sandbox, "hide_field", object="Lead", field="ConvertedOpportunityId")
    found, _ = outcomes(connect(sandbox, OUTCOMES))
    won = found[WON]
    assert (won.value, won.source, won.campaign, found[LOST].lost_reason) == (None, "", "", "")
    assert (won.state, won.closed_at) == ("won", datetime(2026, 11, 1, 9, tzinfo=UTC))
    assert won.records == (ref(CONVERTED_TO, "contact"), ref(CONTACT, "contact"))


def test_a_field_that_becomes_visible_is_read_for_all(sandbox, crm):
    do(sandbox, "hide_field", object="Opportunity", field="Amount")
    cursor = since(sandbox, connect(sandbox, OUTCOMES))
    do(sandbox, "show_field", object="Opportunity", field="Amount")
    assert outcomes(connect(sandbox, OUTCOMES), cursor)[0][WON].value == 12_000


def test_a_history_that_becomes_visible_is_read_for_all(sandbox, crm):
    hidden = sandbox.org.state.tables.pop("opportunityhistory")
    cursor = since(sandbox, connect(sandbox, OUTCOMES))
    sandbox.org.state.tables["opportunityhistory"] = hidden
    assert len(outcomes(connect(sandbox, OUTCOMES), cursor)[0][WON].stages) == 3


@pytest.mark.parametrize(
    ("object_", "field"), [("Opportunity", "Amount"), ("Lead", "ConvertedOpportunityId"), ("Opportunity", "CampaignId")]
)
def test_a_field_that_goes_away_while_we_look_is_left_out(sandbox, crm, object_, field):
    cursor = since(sandbox, crm)
    do(sandbox, "hide_field", object=object_, field=field)
    do(sandbox, "update", id=WON, fields={"Type": "New Business"})
    do(sandbox, "add_contact_role", id=OPEN, contact=CONTACT)
    crm.owners()
    found, _ = outcomes(crm, cursor)
    assert (found[WON].value is None, found[WON].campaign == "") == (field == "Amount", field == "CampaignId")
    assert (ref(CONVERTED, "lead") in found[WON].records) == (object_ == "Opportunity")
    assert found[OPEN].records == (ref(CONTACT, "contact"),)


@pytest.mark.parametrize(("shown", "closed"), [(True, 1), (False, 10)])
def test_without_a_history_the_end_is_the_change_of_stage_or_else_the_beginning(sandbox, crm, shown, closed):
    id_ = do(sandbox, "create_opportunity")["id"]
    created = sandbox.clock()
    sandbox.clock.advance(86_400)
    do(sandbox, "close_opportunity", id=id_, won=True, fields={"CloseDate": "2027-06-01"})
    moved = sandbox.clock()
    sandbox.clock.advance(86_400)
    do(sandbox, "update", id=id_, fields={"Amount": 1})
    sandbox.org.state.tables.pop("opportunityhistory")
    if not shown:
        do(sandbox, "hide_field", object="Opportunity", field="LastStageChangeDate")
    found = outcomes(connect(sandbox, OUTCOMES))[0][id_]
    assert (found.stages, found.closed_at) == ((), moved if shown else created)


def test_a_typed_close_date_is_the_last_resort(sandbox, crm):
    id_ = do(sandbox, "create_opportunity")["id"]
    sandbox.clock.advance(10 * 86_400)
    do(sandbox, "close_opportunity", id=id_, won=True, fields={"CloseDate": "2026-11-25"})
    sandbox.org.state.tables.pop("opportunityhistory")
    do(sandbox, "hide_field", object="Opportunity", field="LastStageChangeDate")
    assert outcomes(connect(sandbox, OUTCOMES))[0][id_].closed_at == datetime(2026, 11, 25, tzinfo=UTC)


def test_the_value_is_the_field_that_the_config_names(sandbox, crm):
    do(sandbox, "add_field", object="Opportunity", field="Yearly_Value__c", type="currency", size=18, scale=2)
    do(sandbox, "update", id=WON, fields={"Yearly_Value__c": 99.5})
    found, _ = outcomes(connect(sandbox, replace(OUTCOMES, opportunity_value="yearly_value__C")))
    assert (found[WON].value, found[OPEN].value) == (99.5, None)


def test_another_value_is_read_for_all(sandbox, crm):
    cursor = since(sandbox, crm)
    made = connect(sandbox, replace(OUTCOMES, opportunity_value="Probability"))
    assert outcomes(made, cursor)[0].keys() == {WON, LOST, OPEN}


def test_currency_pipeline_and_a_lost_reason_of_the_org(sandbox, crm):
    do(sandbox, "add_field", object="Opportunity", field="CurrencyIsoCode", type="picklist", values=["EUR", "USD"])
    do(sandbox, "add_field", object="Opportunity", field="Closed_Lost_Reason__c", type="multipicklist")
    do(sandbox, "remove_field", object="Opportunity", field="Loss_Reason__c")
    type_ = do(sandbox, "add_record_type", object="Opportunity", name="New business")["id"]
    fields = {"CurrencyIsoCode": "USD", "RecordTypeId": type_, "Closed_Lost_Reason__c": "Price;No budget"}
    do(sandbox, "update", id=LOST, fields=fields)
    lost = outcomes(connect(sandbox, OUTCOMES))[0][LOST]
    assert (lost.currency, lost.pipeline, lost.lost_reason) == ("USD", "New business", "Price; No budget")


def test_texts_are_those_that_people_read(sandbox, crm):
    values = [
        {"active": True, "defaultValue": False, "label": label, "validFor": None, "value": value}
        for value, label in (("Closed Won", "Gewonnen"), ("Qualification", "Qualification"))
    ]
    described = connect(sandbox, OUTCOMES)._org.rest("GET", "sobjects/Opportunity/describe")
    for each in described["fields"]:
        each["picklistValues"] = values if each["name"] == "StageName" else each["picklistValues"]
    fault(sandbox, "answer", "composite", nth=1, status=400, body=[{"errorCode": "X", "message": "no composite"}])
    fault(sandbox, "answer", "Opportunity/describe", status=200, body=described)
    won = outcomes(connect(sandbox, OUTCOMES))[0][WON]
    assert (won.stage, [each.stage for each in won.stages][-1], won.state) == ("Gewonnen", "Gewonnen", "won")
    assert won.closed_at == datetime(2026, 11, 1, 9, tzinfo=UTC)


GRANT = "give its permission set 'Read' and 'View All Records' on Opportunity"


def test_without_the_permission_it_says_what_to_grant_and_the_rest_goes_on(sandbox, crm):
    sandbox.org.state.tables.pop("opportunity")
    made = connect(sandbox, OUTCOMES)
    with pytest.raises(ConfigError, match=GRANT):
        outcomes(made)
    assert pulled(made.contacts(None))[0]
    assert pulled(made.activities(None))[0]


@pytest.mark.parametrize("code", ["INVALID_TYPE", "INSUFFICIENT_ACCESS"])
def test_a_permission_that_is_taken_away_later_is_told_too(sandbox, crm, code):
    cursor = since(sandbox, crm)
    fault(sandbox, "answer", "queryAll|composite$", first=2, status=400, body=[{"errorCode": code, "message": "no"}])
    with pytest.raises(ConfigError) as raised:
        again(sandbox, cursor)
    assert f"{GRANT}, or remove [outcome] from the config ({code})" in str(raised.value)


def test_without_contact_roles_the_leads_still_tell(sandbox, crm):
    sandbox.org.state.tables.pop("opportunitycontactrole")
    found, cursor = outcomes(connect(sandbox, OUTCOMES))
    assert found[WON].records == (ref(CONVERTED, "lead"),)
    assert outcomes(connect(sandbox, OUTCOMES), cursor)[0].keys() <= {WON, LOST, OPEN}


def pull_spoiled(sandbox, spoil):
    """What a full pull makes of opportunities of which `spoil` changed the rows."""
    made = connect(sandbox, OUTCOMES)
    asked = []
    query = made._org.query
    made._org.query = lambda soql: asked.append(soql) or query(soql)
    outcomes(made)
    body = query(asked[0])
    spoil(body["records"])
    fault(sandbox, "answer", "queryAll", nth=1, status=200, body=body)
    pages = list(connect(sandbox, OUTCOMES).outcomes(None))
    items = {each.ref.id: each for page in pages for each in page.items}
    return items, [each for page in pages for each in page.odd]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"StageName": None}, "without a StageName"),
        ({"IsClosed": "perhaps"}, "with values of an unexpected type"),
        ({"CreatedDate": {}}, "with values of an unexpected type"),
        ({"CreatedDate": "yesterday"}, "without a CreatedDate"),
        ({"CreatedDate": "9999-12-31T23:59:59-14:00"}, "without a CreatedDate"),
    ],
)
def test_one_that_cannot_be_read_leaves_the_others(sandbox, crm, spoil, why):
    def change(records):
        next(each for each in records if each["Id"] == LOST).update(spoil)

    items, odd = pull_spoiled(sandbox, change)
    assert items.keys() == {WON, OPEN}
    assert odd == [Odd(f"Opportunity {LOST}", why, ref(LOST))]


def test_a_record_that_is_none_leaves_the_others(sandbox, crm):
    items, odd = pull_spoiled(sandbox, lambda records: records.append([None]))
    assert items.keys() == {WON, LOST, OPEN}
    assert odd == [Odd("one of the Opportunity records", "without its fields")]


def test_a_row_of_the_history_that_cannot_be_read_costs_no_opportunity(sandbox, crm):
    table = sandbox.org.state.of("OpportunityHistory")
    table.set(1, "CreatedDate", None)
    pages = list(connect(sandbox, OUTCOMES).outcomes(None))
    won = next(each for page in pages for each in page.items if each.ref.id == WON)
    assert [each.stage for each in won.stages] == ["Qualification", "Closed Won"]
    assert [each for page in pages for each in page.odd] == [
        Odd(f"OpportunityHistory {table.ids[1]}", "without a CreatedDate")
    ]


def test_a_value_that_is_none_is_no_value(sandbox, crm):
    items, odd = pull_spoiled(sandbox, lambda records: [each.update(Amount="a lot") for each in records])
    assert ({each.value for each in items.values()}, odd) == ({None}, [])


def test_a_page_without_records_is_no_answer(sandbox, crm):
    fault(sandbox, "answer", "queryAll", status=200, body={"records": 1, "done": True})
    with pytest.raises(Unavailable):
        outcomes(connect(sandbox, OUTCOMES))


def test_the_check_says_what_opportunities_lack(sandbox, crm):
    assert connect(sandbox, OUTCOMES).check().problems == ()
    made = connect(sandbox, replace(OUTCOMES, opportunity_value="Value__c"))
    assert [each for each in made.check().problems if "Opportunity.Value__c (the value of opportunities)" in each]
    named = connect(sandbox, replace(OUTCOMES, opportunity_value="Name"))
    assert "Opportunity.Name (the value of opportunities) must be a number, not string" in named.check().problems
    sandbox.org.state.tables.pop("opportunityhistory")
    assert any("OpportunityHistory" in each for each in connect(sandbox, OUTCOMES).check().notes)
    sandbox.org.state.tables.pop("opportunity")
    assert any(GRANT in each for each in connect(sandbox, OUTCOMES).check().problems)
    assert not any("Opportunity" in each for each in connect(sandbox).check().problems)


def test_the_check_tells_of_opportunities_that_sharing_hides(sandbox, crm):
    counts = [{"name": "Lead", "count": 3}, {"name": "Contact", "count": 2}, {"name": "Opportunity", "count": 400}]
    fault(sandbox, "answer", "/recordCount", status=200, body={"sObjects": counts})
    said = connect(sandbox, OUTCOMES).check().problems
    assert any("of about 400 Opportunity records" in each for each in said)


def test_who_reads_no_outcomes_describes_none(sandbox, crm):
    assert FieldMap().outcomes is False
    sandbox.calls.clear()
    assert connect(sandbox).missing_fields() == connect(sandbox, OUTCOMES).missing_fields()
    assert len([each for each in sandbox.calls.of("salesforce") if "composite" in each.path]) == 2
