"""Which fields and stages of the config a portal does not have."""

from crmsync.connector import FieldMap
from tests.support.hubspot import contacts, hubspot


def test_missing_fields_are_named_with_what_they_are_for(sandbox):
    names = FieldMap(
        fields={"title": "job_title", "city": "city", "size": "company.size_of_it", "revenue": "company.annualrevenue"},
        score_fields={"score": "ls_score"},
        stages={"mql": "marketingqualifiedlead"},
    )
    connector = hubspot(sandbox, names)
    missing = {(each.role, each.name): each for each in connector.missing_fields()}
    assert set(missing) == {("field", "title"), ("field", "size"), ("score_field", "score")}
    assert {each.kind for each in missing.values()} == {"contact"}
    assert "job_title" in missing["field", "title"].sentence
    assert "[fields]" in missing["field", "size"].sentence
    assert "crmsync setup" in missing["score_field", "score"].sentence
    assert {each.sentence for each in missing.values()} <= set(connector.check().problems)
    connector.create_fields()
    assert {each.role for each in connector.missing_fields()} == {"field"}


def test_a_field_that_went_between_two_runs_is_missing_in_the_second(sandbox, ready):
    assert ready.missing_fields() == []
    contacts(ready)
    sandbox.do("hubspot", "hide_property", property="jobtitle")
    sandbox.clock.advance(3600)
    ready.account()
    assert [each.name for each in ready.missing_fields()] == ["title"]
    sandbox.do("hubspot", "show_property", property="jobtitle")
    assert ready.missing_fields() == []
    sandbox.do("hubspot", "hide_property", property="lifecyclestage")
    sandbox.clock.advance(3600)
    ready.account()
    assert [(each.role, each.name) for each in ready.missing_fields()] == [("stage", "stage")]
