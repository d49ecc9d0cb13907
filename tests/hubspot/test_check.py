"""What the check-up says of a portal."""

from crmsync.connector import FieldMap
from tests.support.hubspot import hubspot, post


def test_check_names_what_is_missing(sandbox):
    names = FieldMap(
        fields={"title": "job_title", "size": "company.size_of_it"},
        score_fields={"score": "ls_score"},
        stages={"mql": "marketing_qualified"},
    )
    said = "\n".join(hubspot(sandbox, names).check().problems)
    for word in ("job_title", "company.size_of_it", "ls_score", "marketing_qualified", "crmsync setup"):
        assert word in said


def test_check_names_the_stages_that_contacts_can_be_in_and_the_config_does_not_name(sandbox, ready):
    sandbox.do("hubspot", "add_stage", id="7000123", label="Nurture", before="marketingqualifiedlead")
    (note,) = [each for each in ready.check().notes if "[[stage]]" in each]
    assert "subscriber, 7000123" in note
    assert "customer" not in note
    stages = {name: name for name in ("subscriber", "lead")}
    assert not [each for each in hubspot(sandbox, FieldMap(stages=stages)).check().notes if "[[stage]]" in each]


def test_check_names_a_portal_without_room_for_our_properties(sandbox):
    sandbox.portal.switches.tier = "free"
    for number in range(8):
        post(sandbox, "/crm/v3/properties/contacts", name=f"p{number}", label="x", type="string", fieldType="text")
    said = "\n".join(hubspot(sandbox).check().problems)
    assert "allows 2 more" in said
    assert any("limit of 10" in each for each in hubspot(sandbox).create_fields())


def test_check_names_missing_scopes_in_words(sandbox):
    sandbox.portal.switches.scopes = ["crm.objects.contacts.read"]
    said = "\n".join(hubspot(sandbox).check().problems)
    assert "crm.objects.contacts.write" in said
    assert "crm.objects.owners.read" in said


def test_check_changes_nothing(sandbox, ready):
    before = sandbox.snapshot("hubspot")
    ready.check()
    assert sandbox.snapshot("hubspot") == before
