"""People as CRMs hold them: written in many ways that mean the same, within the types of the fields."""

from collections import Counter

import pytest

from connectors.conversations import is_automatic_subject, is_unanswered
from connectors.sandbox import as_written
from connectors.sandbox import names as stock
from connectors.sandbox.deals import hidden_log_odds
from connectors.sandbox.generate import make_world
from connectors.sandbox.hubspot.activity_effects import CALL_OUTCOMES
from connectors.sandbox.salesforce.values import taken
from connectors.sandbox.server import Sandbox
from connectors.sandbox.written_titles import LOCAL_WORDS, OTHER_WORDS
from crmsync.config.countries import read_country
from crmsync.config.model import Titles
from crmsync.config.values import MISSING
from crmsync.scoring.titles import title_reader
from tests.conftest import NOW

EVERY = range(2_000)


@pytest.fixture(scope="module")
def filled():
    return Sandbox(people=600, seed=1, now=NOW)


def contacts(of):
    return [each.properties for each in of.portal.state.contacts.by_id.values()]


def rows(of, name):
    table = of.org.state.of(name)
    return [table.record(row) for row in range(len(table))]


def is_missing(text):
    return text.strip().casefold() in MISSING


@pytest.mark.parametrize("title", [title for title, _ in stock.TITLES])
def test_a_title_has_the_same_seniority_however_it_is_written(title):
    read = title_reader(Titles()).read
    countries = (None, *LOCAL_WORDS)
    written = {as_written.write_title(title, country, rolled) for country in countries for rolled in EVERY}
    said = {each for each in written if not is_missing(each)}
    assert said >= {title, title.upper(), *OTHER_WORDS.get(title, ())}
    assert {read(each).seniority for each in said} == {read(title).seniority}


@pytest.mark.parametrize("country", [each.name for each in stock.COUNTRIES])
def test_a_country_stays_the_same_however_it_is_written(country):
    written = {as_written.write_country(country, rolled) for rolled in EVERY}
    assert len(written) > 2
    assert {read_country(each) for each in written} == {read_country(country)}


def test_what_stands_for_nothing_is_known_to_stand_for_nothing():
    written = {as_written.write_title(None, None, rolled) for rolled in EVERY} - {""}
    assert len(written) > 5
    assert all(map(is_missing, written))


def test_a_size_in_text_is_a_number_a_range_or_about_a_number():
    written = {as_written.write_size(1_234, rolled) for rolled in EVERY}
    assert written == {"", "1234", "1,234", "1.234", "1001-5000", "ca. 1200", "~1200", "1200+", " 1234"}


def test_a_minority_is_written_otherwise_and_each_crm_has_its_own_way(filled):
    true = {each.email: each.title for each in filled.world.humans if each.email and each.title}
    known = [each for each in contacts(filled) if each.get("email") in true]
    odd = sum(each.get("jobtitle") != true[each["email"]] for each in known) / len(known)
    assert 0.15 < odd < 0.4
    titles = {each["Email"]: each["Title"] for each in rows(filled, "Lead") if each["Email"]}
    both = [(each.get("jobtitle"), titles[each["email"]]) for each in contacts(filled) if each.get("email") in titles]
    assert 0.2 < sum(one != other for one, other in both) / len(both) < 0.7


def test_every_value_is_one_that_its_property_takes(filled):
    properties = filled.portal.state.contacts.schema
    typed = {name for name, each in properties.known.items() if not each["modificationMetadata"]["readOnlyValue"]}
    for each in contacts(filled):
        values = {name: value for name, value in each.items() if name in typed}
        assert properties.cleaned(values)[1] == []


@pytest.mark.parametrize("name", ["Lead", "Contact", "Account"])
def test_every_value_is_one_that_its_field_takes(filled, name):
    fields = [each for each in filled.org.state.of(name).sobject.fields.values() if each.updateable]
    for record in rows(filled, name):
        for each in fields:
            value = record.get(each.name)
            assert value is None or taken(each, value) == value, each.name
            assert not isinstance(value, str) or value == value.strip()


def test_an_automatic_answer_is_told_by_its_subject_and_changes_no_truth():
    humans = make_world(2_000, 1, NOW).humans
    automatic = [each for human in humans for each in human.happenings if each.kind == "email_auto_replied"]
    sent = [each for human in humans for each in human.happenings if each.kind == "email_sent"]
    sales = [each for each in sent if not each.attributes["campaign"]]
    assert 0.05 < len(automatic) / len(sales) < 0.2
    assert all(is_automatic_subject(str(each.attributes["subject"])) for each in automatic)
    answered = next(human for human in humans if any(each.kind == "email_auto_replied" for each in human.happenings))
    kept = [each for each in answered.happenings if each.kind != "email_auto_replied"]
    assert hidden_log_odds(answered) == hidden_log_odds(type(answered)(**{**vars(answered), "happenings": kept}))


def test_the_outcome_of_a_call_is_an_id_in_hubspot_and_words_in_salesforce(filled):
    calls = [each.properties for each in filled.portal.state.records["calls"].by_id.values()]
    assert {each["hs_call_status"] for each in calls} == {"COMPLETED"}
    chosen = Counter(CALL_OUTCOMES.get(each.get("hs_call_disposition", ""), "none") for each in calls)
    assert 0 < chosen["none"] < len(calls) / 5
    assert len(chosen) > 4
    words = {str(each["CallDisposition"]) for each in rows(filled, "Task") if each["TaskSubtype"] == "Call"}
    assert words >= {"Connected", "Left Voicemail", "None"}


def test_a_call_reached_nobody_however_it_is_written():
    for outcome in CALL_OUTCOMES.values():
        code = outcome.upper().replace(" ", "_")
        written = {as_written.write_call_outcome(code, rolled) for rolled in EVERY}
        assert {is_unanswered(each) for each in written} == {is_unanswered(outcome)}


def test_without_a_seed_everything_is_as_it_is():
    rolled = as_written.roll(None, "anybody")
    assert as_written.write_title("CEO", "Germany", rolled) == "CEO"
    assert as_written.write_country("Germany", rolled) == "Germany"
    assert as_written.write_count(487, rolled) == 487
    assert as_written.write_size(487, rolled) == as_written.write_phone("Germany", rolled) == ""
