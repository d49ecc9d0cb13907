"""What the check-up says of an org."""

import pytest

from crmsync.connector import FieldMap
from crmsync.errors import ConfigError
from tests.support.salesforce import NAMES, connect, do, fault, live


def test_a_healthy_org_has_no_problems(sandbox, crm):
    found = crm.check()
    assert found.problems == ()
    assert found.account == "00D000000000001EAA"


def test_the_check_names_what_is_missing(sandbox, crm):
    do(sandbox, "hide_field", object="Lead", field="Title")
    do(sandbox, "hide_field", object="Lead", field="Crmsync_Score__c", readable=True)
    do(sandbox, "remove_picklist_value", object="Lead", field="Status", value="Working - Contacted")
    do(sandbox, "add_field", object="Contact", field="Tier__c", formula="Account.Industry")
    names = FieldMap(
        fields={**NAMES.fields, "tier": {"contact": "Tier__c"}},
        score_fields=NAMES.score_fields,
        stages={**NAMES.stages, "customer": {"lead": "Closed - Converted"}},
    )
    found = connect(sandbox, names=names).check()
    said = "\n".join(found.problems)
    assert "Lead.Title (the field 'title') does not exist" in said
    assert "Lead.Crmsync_Score__c (the score field 'score') cannot be edited" in said
    assert "no active value 'Working - Contacted'" in said
    assert "'customer' is the converted status" in said
    assert any("is a formula" in each for each in found.notes)


def test_the_check_tells_of_records_that_sharing_hides(sandbox, crm):
    body = {"sObjects": [{"name": "Lead", "count": 4_000}, {"name": "Contact", "count": 3}]}
    fault(sandbox, "answer", "/recordCount", status=200, body=body)
    assert any("of about 4,000 Lead records" in each for each in crm.check().problems)


def test_the_check_tells_of_activity_that_is_captured_elsewhere(sandbox, crm):
    lead = live(crm)[0]
    assert not any("Einstein" in each for each in crm.check().problems)
    for name in ("Task", "Event", "EmailMessage", "CampaignMember"):
        for id_ in list(sandbox.snapshot("salesforce")[name]):
            sandbox.do("salesforce", "delete", id=id_)
    table = sandbox.org.state.of("Lead")
    table.set(table.rows[lead.ref.id], "LastActivityDate", "2026-11-20")
    assert any("Einstein" in each for each in crm.check().problems)


@pytest.mark.parametrize(
    ("source", "grant"), [("Event", "Access Activities"), ("CampaignMember", "'Read' on Campaign")]
)
def test_the_check_says_how_to_show_a_source(sandbox, crm, source, grant):
    sandbox.org.state.tables.pop(source.lower())
    assert any(each.startswith(source) and grant in each for each in connect(sandbox).check().notes)


def test_the_check_of_a_wrong_secret_is_a_problem(sandbox):
    assert "consumer secret" in connect(sandbox, client_secret="wrong").check().problems[0]


def test_an_org_without_lead_access_says_what_to_grant(sandbox, crm):
    sandbox.org.state.tables.pop("lead")
    with pytest.raises(ConfigError, match="View All Records"):
        list(connect(sandbox).contacts(None))
