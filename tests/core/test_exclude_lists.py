"""Whoever is on a list that `[exclude]` names is left out from the next run on, and scored again once they left it."""

import tomllib
from dataclasses import replace

import pytest

from crmsync.config import config_of
from crmsync.cycle import preview_run, run_cycle
from crmsync.errors import ConfigError, Unavailable
from crmsync.model import Ref
from crmsync.store import schema
from crmsync.store.forgetting import forget_records
from tests.support import make
from tests.support.cycles import DAYS, NEVER_FADES, edit, run
from tests.support.make import activity, contact, crm
from tests.support.state import rows

HOT = {"title": "VP Sales", "employees": 500}
OPEN = {"owners": 1, "scores": 1, "bands": 1, "stages": 1}
LISTS = {"exclude": {"lists": ["Customers"]}}
TABLES = {"hubspot": {}, "salesforce": {"instance_url": "https://acme.my.salesforce.com"}}
WHY = 'on the list "Customers"'


def go(state, *crms, at=DAYS[0], **tables):
    given = {**{each.name: TABLES[each.name] for each in crms}, "guard": OPEN, **LISTS, **tables}
    return run(state, *crms, at=at, model=NEVER_FADES, **given)


def join(of, number, kind="contact", **values):
    made = contact(number, of.name, kind, **{"emails": (f"p{number}@firm.example",), "fields": HOT, **values})
    of.edit(made)
    of.happen(activity(str(number), made))
    return made.ref


def score_of(of, ref):
    return of.records[ref].current.get("score")


def whys(state):
    return [row["excluded"] for row in sorted(rows(state, schema.person), key=lambda row: row["id"])]


@pytest.fixture
def hubspot():
    made = crm("hubspot")
    made.lists["Customers"] = set()
    return made


def test_who_joins_is_left_out_in_the_next_run_and_who_leaves_is_scored_again(state, hubspot):
    one, two = join(hubspot, 1), join(hubspot, 2)
    go(state, hubspot)
    assert score_of(hubspot, one) == score_of(hubspot, two) == 65
    hubspot.lists["Customers"] = {one}
    result = go(state, hubspot, at=DAYS[1])
    assert (whys(state), result.routing["excluded"]) == ([WHY, ""], 1)
    assert result.crms["hubspot"].planned == 0
    edit(hubspot, one, fields={"title": "Clerk"})
    assert go(state, hubspot, at=DAYS[2]).crms["hubspot"].planned == 0
    assert score_of(hubspot, one) == 65
    hubspot.lists["Customers"] = {two}
    assert go(state, hubspot, at=DAYS[3]).crms["hubspot"].updated == 1
    assert (whys(state), score_of(hubspot, one)) == (["", WHY], 30)


def test_a_list_that_stays_makes_nobody_dirty(state, hubspot):
    hubspot.lists["Customers"] = {join(hubspot, 1)}
    join(hubspot, 2)
    go(state, hubspot)
    again = go(state, hubspot, at=DAYS[1])
    assert (again.crms["hubspot"].rescored, again.crms["hubspot"].planned) == (0, 0)


def test_clear_takes_the_score_away_from_who_joins(state, hubspot):
    one = join(hubspot, 1)
    go(state, hubspot)
    hubspot.lists["Customers"] = {one}
    go(state, hubspot, at=DAYS[1], exclude={**LISTS["exclude"], "clear": True})
    assert hubspot.records[one].current == {}


def test_one_record_on_a_list_leaves_out_the_person_in_both_crms(state, hubspot):
    salesforce = crm("salesforce")
    one = join(hubspot, 1)
    lead = join(salesforce, "00Q1", "lead", emails=("p1@firm.example",))
    hubspot.lists["Customers"] = {one}
    go(state, hubspot, salesforce)
    assert not hubspot.writes
    assert not salesforce.writes
    hubspot.lists["Customers"] = set()
    go(state, hubspot, salesforce, at=DAYS[1])
    assert score_of(hubspot, one) == score_of(salesforce, lead) == 65


def test_a_campaign_leaves_out_and_what_a_lead_became_is_still_in_it(state):
    salesforce = crm("salesforce")
    lead = join(salesforce, "00Q1", "lead", emails=("p1@firm.example",))
    salesforce.lists["Partners 2026"] = {lead}
    exclude = {"campaigns": ["Partners 2026"]}
    go(state, salesforce, exclude=exclude)
    assert whys(state) == ['in the campaign "Partners 2026"']
    became = join(salesforce, "0031", emails=("p1@firm.example",))
    edit(salesforce, lead, converted_into=became)
    go(state, salesforce, at=DAYS[1], exclude=exclude)
    assert whys(state) == ['in the campaign "Partners 2026"']
    assert not salesforce.writes


def test_a_merge_keeps_the_member_whichever_id_the_list_has(state, hubspot):
    one, two = join(hubspot, 1), join(hubspot, 2)
    hubspot.lists["Customers"] = {one}
    go(state, hubspot)
    made = join(hubspot, 3, aliases=("1", "2"))
    for old in (one, two):
        del hubspot.records[old], hubspot._numbers[old]
        hubspot.happened.pop(("form_submitted:" + old.id, old))
    go(state, hubspot, at=DAYS[1])
    assert whys(state) == [WHY]
    hubspot.lists["Customers"] = {made}
    go(state, hubspot, at=DAYS[2])
    assert whys(state) == [WHY]
    hubspot.lists["Customers"] = set()
    go(state, hubspot, at=DAYS[3])
    assert whys(state) == [""]


def test_a_list_that_went_away_holds_as_it_was_and_the_run_says_so(state, hubspot):
    one, two = join(hubspot, 1), join(hubspot, 2)
    hubspot.lists["Customers"] = {one}
    go(state, hubspot)
    del hubspot.lists["Customers"]
    edit(hubspot, one, fields={"title": "Clerk"})
    edit(hubspot, two, fields={"title": "Clerk"})
    result = go(state, hubspot, at=DAYS[1])
    assert result.problems == [
        "hubspot: there is no list 'Customers'; correct [exclude] lists; until then the last known members are left out"
    ]
    assert result.verdict == "partial"
    assert (whys(state), score_of(hubspot, one), score_of(hubspot, two)) == ([WHY, ""], None, 30)


def test_a_renamed_list_is_told_by_its_new_name(state, hubspot):
    hubspot.lists["Customers"] = {join(hubspot, 1)}
    go(state, hubspot)
    known = hubspot.list_members

    def renamed(versions):
        yield from (replace(each, name="Clients") for each in known(versions))

    hubspot.list_members = renamed
    go(state, hubspot, at=DAYS[1])
    assert whys(state) == ['on the list "Clients"']


def test_a_reading_that_is_cut_off_changes_nothing(state, hubspot):
    one, two = join(hubspot, 1), join(hubspot, 2)
    hubspot.lists["Customers"] = {one}
    go(state, hubspot)

    def cut_off(known):
        raise Unavailable("hubspot", "HubSpot could not read who is on a list (status 500)")
        yield

    hubspot.list_members = cut_off
    edit(hubspot, two, fields={"title": "Clerk"})
    result = go(state, hubspot, at=DAYS[1])
    assert result.problems == [
        "hubspot: HubSpot could not read who is on a list (status 500); until then the last known members are left out"
    ]
    assert (whys(state), score_of(hubspot, two)) == ([WHY, ""], 30)


def test_a_list_that_was_never_read_stops_who_may_be_on_it_in_both_crms(state, hubspot):
    salesforce = crm("salesforce")
    join(hubspot, 1)
    lead = join(salesforce, "00Q1", "lead", emails=("p1@firm.example",))
    other = join(salesforce, "00Q2", "lead")
    del hubspot.lists["Customers"]
    result = go(state, hubspot, salesforce)
    assert "there is no list 'Customers'" in result.skipped["hubspot"]
    assert (
        "hubspot: a list of [exclude] was never read; until it is, nobody who has a record there is scored or written "
        "in any CRM"
    ) in result.problems
    assert (score_of(salesforce, lead), score_of(salesforce, other)) == (None, 65)
    hubspot.lists["Customers"] = set()
    go(state, hubspot, salesforce, at=DAYS[1])
    assert score_of(salesforce, lead) == 65


def test_where_the_crm_of_a_list_was_never_read_nobody_is_written(state, hubspot):
    salesforce = crm("salesforce")
    lead = join(salesforce, "00Q1", "lead", emails=("p1@firm.example",))

    def down():
        raise Unavailable("hubspot", "HubSpot is down")

    account, hubspot.account = hubspot.account, down
    result = go(state, hubspot, salesforce)
    assert any("nobody is scored or written in any CRM" in each for each in result.problems)
    assert score_of(salesforce, lead) is None
    hubspot.account = account
    hubspot.lists["Customers"] = {join(hubspot, 1)}
    go(state, hubspot, salesforce, at=DAYS[1])
    assert (whys(state), salesforce.writes) == ([WHY], [])


def test_a_list_that_was_never_read_fails_the_run_where_there_is_one_crm(state, hubspot):
    del hubspot.lists["Customers"]
    join(hubspot, 1)
    with pytest.raises(ConfigError, match="there is no list 'Customers'"):
        go(state, hubspot)


def test_an_edited_config_shows_in_the_plan_and_a_list_that_it_drops_is_forgotten(state, hubspot):
    one = join(hubspot, 1)
    hubspot.lists["Customers"] = {one}
    go(state, hubspot, exclude={})
    assert score_of(hubspot, one) == 65
    settings = make.config(NEVER_FADES, hubspot={}, guard=OPEN, exclude={**LISTS["exclude"], "clear": True})
    planned = preview_run(make.work(state, hubspot, now=DAYS[1], settings=settings))
    assert planned.crms["hubspot"].planned == 1
    assert rows(state, schema.membership) == []
    go(state, hubspot, at=DAYS[2])
    assert [row["ref_id"] for row in rows(state, schema.membership)] == ["1"]
    go(state, hubspot, at=DAYS[3], exclude={})
    assert rows(state, schema.membership) == rows(state, schema.member_list) == []
    assert whys(state) == [""]


def test_who_is_left_out_has_no_owner_for_that_reason(state, hubspot):
    hubspot.lists["Customers"] = {join(hubspot, 1)}
    go(state, hubspot)
    assert [row["owner_why"] for row in rows(state, schema.person)] == [f"excluded: {WHY}"]


def test_who_is_forgotten_is_on_no_list_any_more_and_stays_off_it(state, hubspot):
    one, two = join(hubspot, 1), join(hubspot, 2)
    hubspot.lists["Customers"] = {one}
    go(state, hubspot)
    (row,) = [each for each in rows(state, schema.record) if each["ref_id"] == "1"]
    with state.begin() as tx:
        assert forget_records(tx, [row["id"]])["membership"] == 1
    hubspot.lists["Customers"] = {one, two}
    go(state, hubspot, at=DAYS[1])
    assert [row["ref_id"] for row in rows(state, schema.membership)] == ["2"]


def test_whom_the_crm_erased_is_on_no_list_any_more(state, hubspot):
    one = join(hubspot, 1)
    hubspot.lists["Customers"] = {one}
    go(state, hubspot)
    edit(hubspot, one, gone=True, erased=True, emails=(), fields={})
    hubspot.lists["Customers"] = set()
    go(state, hubspot, at=DAYS[1])
    assert rows(state, schema.membership) == []


def test_what_reads_lists_does_not_read_everybody_anew():
    with_lists = make.config(NEVER_FADES, hubspot={}, **LISTS)
    assert with_lists.field_map("hubspot").lists == ["Customers"]
    assert with_lists.mapping_hash("hubspot") == make.config(NEVER_FADES, hubspot={}).mapping_hash("hubspot")
    assert with_lists.plan_hash() != make.config(NEVER_FADES, hubspot={}).plan_hash()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[exclude]\nlists = [""]', "an empty text names nothing"),
        ('[exclude]\ncampaigns = ["a", " "]', "an empty text names nothing"),
        ('[exclude]\ncampaigns = ["Partners 2026"]', "[exclude] campaigns: the file has no [salesforce]"),
    ],
)
def test_a_list_that_nobody_could_read_is_a_mistake(text, said):
    with pytest.raises(ValueError, match=r"\[exclude\]|empty") as raised:
        make.config(NEVER_FADES, hubspot={}, **tomllib.loads(text))
    assert said in str(raised.value)


def test_an_approved_config_with_lists_can_be_read_when_their_crm_was_left_out_since():
    both = make.config(NEVER_FADES, **TABLES, **LISTS)
    left = make.config(NEVER_FADES, salesforce=TABLES["salesforce"])
    assert config_of(both.decision_text(), left).exclude.lists == []
    assert config_of(both.decision_text(), both).exclude.lists == ["Customers"]


def test_a_run_that_reads_everything_reads_the_lists_too(state, hubspot):
    hubspot.lists["Customers"] = {join(hubspot, 1)}
    go(state, hubspot)
    asked, versions = hubspot.list_members, []

    def noting(known):
        versions.append(dict(known))
        return asked(known)

    hubspot.list_members = noting
    settings = make.config(NEVER_FADES, hubspot={}, guard=OPEN, **LISTS)
    for full in (False, True):
        run_cycle(make.work(state, hubspot, now=DAYS[1], settings=settings), full=full)
    assert [bool(each["Customers"]) for each in versions] == [True, False]
    assert whys(state) == [WHY]


def test_lists_and_campaigns_of_real_crms_leave_out_and_let_back(runs):
    runs.do("hubspot", "put_on_list", name="Customers")
    campaign = runs.do("salesforce", "create", object="Campaign", fields={"Name": "Partners 2026"})["id"]
    exclude = runs.config.exclude.model_copy(update={"lists": ["Customers"], "campaigns": ["Partners 2026"]})
    runs.config = runs.config.model_copy(update={"exclude": exclude})
    runs.run("hubspot", "salesforce")
    written = [each for each in runs.rows() if "score" in each["last_written"] and each["person"]]
    contact_ = next(each for each in written if each["crm"] == "hubspot")
    lead = next(each for each in written if each["kind"] == "lead" and each["person"] != contact_["person"])
    runs.do("hubspot", "put_on_list", name="Customers", add=[contact_["ref_id"]])
    fields = {"CampaignId": campaign, "LeadId": lead["ref_id"]}
    member = runs.do("salesforce", "create", object="CampaignMember", fields=fields)["id"]
    runs.run("hubspot", "salesforce")
    told = {row["id"]: row["excluded"] for row in runs.rows(schema.person) if row["excluded"]}
    assert told == {contact_["person"]: WHY, lead["person"]: 'in the campaign "Partners 2026"'}
    runs.do("hubspot", "put_on_list", name="Customers", remove=[contact_["ref_id"]])
    runs.do("salesforce", "delete", id=member)
    runs.run("hubspot", "salesforce")
    assert {row["excluded"] for row in runs.rows(schema.person)} == {""}


def test_an_id_may_be_a_number():
    made = make.config(NEVER_FADES, hubspot={}, exclude={"lists": [42, " 42", "Customers"]})
    assert made.field_map("hubspot").lists == ["42", "Customers"]
    assert not made.field_map("salesforce").lists


def test_nobody_is_a_member_twice(state, hubspot):
    hubspot.lists |= {"Customers": {join(hubspot, 1)}, "Again": {Ref("hubspot", "contact", "1")}}
    go(state, hubspot, exclude={"lists": ["Customers", "Again"]})
    assert whys(state) == ['on the list "Again"']
