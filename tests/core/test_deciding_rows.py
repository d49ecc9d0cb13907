"""What deciding must be able to do, row by row, through whole runs."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from crmsync.reporting.people import people_document
from crmsync.reporting.person import explain_person
from crmsync.reporting.print_person import print_explanation
from crmsync.reporting.route import route_document
from crmsync.routing.why_not import OTHER
from crmsync.store import schema
from tests.support import make
from tests.support.cycles import DAYS, NEVER_FADES, edit, run
from tests.support.make import activity, contact, crm
from tests.support.state import rows

BARE = NEVER_FADES[: NEVER_FADES.index("[[owner_pool]]")] + NEVER_FADES[NEVER_FADES.index("[fields]") :]
OPEN = {"guard": {"owners": 1, "scores": 1, "bands": 1, "stages": 1, "first_run": 5_000}}
POINTS = [{"field": "score", "gte": 20}, {"field": "score", "gte": 50}]


def join(of, number, demos=1, kind="contact", **values):
    made = contact(number, of.name, kind, emails=(f"p{number}@firm.example",), **values)
    of.edit(made)
    for each in range(demos):
        of.happen(activity(f"{number}.{each}", made))
    return made


def decided(state):
    return {row["id"]: row for row in rows(state, schema.person)}


def test_S0_27_a_lead_is_assigned_put_into_a_queue_or_nurtured_and_never_disappears(state):
    salesforce = crm("salesforce")
    for number, demos in ((1, 2), (2, 1), (3, 0)):
        join(salesforce, number, demos, "lead")
    routes = [
        {"name": "Hot", "when": {"field": "score", "gte": 60}, "to": "ann@acme.example"},
        {"name": "Warm", "when": {"field": "score", "gte": 30}, "to": "queue:Inbound"},
        {"name": "Rest", "to": "nurture"},
    ]
    result = run(state, salesforce, at=DAYS[0], model=BARE, route=routes, tracks={"nurture": {}}, **OPEN)
    assert [record.owner for record in salesforce.records.values()] == ["salesforce-ann", "salesforce-queue", None]
    told = {name: result.routing[name] for name in ("in", "owned", "routed", "nurture", "excluded", "waiting")}
    assert told == {"in": 3, "owned": 0, "routed": 2, "nurture": 1, "excluded": 0, "waiting": 0}


def test_S0_28_values_are_equal_in_both_crms_or_on_the_list_of_disagreements(state):
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    ada = join(hubspot, 1)
    lead = contact(1, "salesforce", "lead", emails=ada.emails, stage="lead")
    salesforce.edit(lead)
    run(state, hubspot, salesforce, at=DAYS[0])
    assert people_document(make.config(), state, "disagreements")["count"] == 0
    edit(hubspot, ada.ref, owner="hubspot-bob", stage="mql")
    edit(salesforce, lead.ref, owner="salesforce-ann")
    run(state, hubspot, salesforce, at=DAYS[1])
    listed = people_document(make.config(), state, "disagreements")["people"]
    values = {each["field"]: each["values"] for each in listed}
    assert values["owner"] == {"hubspot": "bob@acme.example", "salesforce": "ann@acme.example"}
    assert (values["stage"]["hubspot"], values["stage"]["salesforce"]) == ("mql", "lead")


def test_S3_09_and_S1_13_the_hottest_are_handed_over_first_and_the_coldest_wait(state):
    hubspot = crm("hubspot")
    for number, demos in ((1, 0), (2, 3), (3, 1), (4, 2)):
        join(hubspot, number, demos)
    pool = {
        "name": "sales",
        "members": [{"email": "ann@acme.example", "daily": 2}, {"email": "bob@acme.example", "daily": 1}],
    }
    run(state, hubspot, at=DAYS[0], model=BARE, owner_pool=[pool], route=[{"name": "All", "to": "sales"}], **OPEN)
    handed = [(row["total"], row["owner"].partition("@")[0]) for row in rows(state, schema.hand_off)]
    assert handed == sorted(handed, reverse=True)
    assert [who for _points, who in handed] == ["ann", "bob", "ann"]
    (waiting,) = [row for row in decided(state).values() if row["waiting"]]
    assert waiting["total"] < min(points for points, _who in handed)


@pytest.mark.parametrize(("demos", "track"), [(0, "a"), (1, "b"), (2, None)])
def test_S4_33_and_S1_11_the_score_gives_the_track_and_a_field_holds_it(state, demos, track):
    hubspot = crm("hubspot")
    join(hubspot, 1, demos)
    tracks = {
        "a": {"when": {"field": "score", "lt": 20}},
        "b": {"when": {"all": [{"field": "score", "gte": 20}, {"field": "score", "lt": 50}]}},
    }
    text = BARE.replace("[write.fields]", '[write.fields]\ntrack = { hubspot = "crmsync_track" }')
    run(state, hubspot, at=DAYS[0], model=text, tracks=tracks, **OPEN)
    (record,) = hubspot.records.values()
    assert record.current.get("track") == track
    assert run(state, hubspot, at=DAYS[0], model=text, tracks=tracks, **OPEN).crms["hubspot"].planned == 0


def test_S4_22_whoever_fulfils_the_entry_and_then_the_exit_leaves_with_a_reason(state):
    salesforce = crm("salesforce")
    ada = join(salesforce, 1, 2, "lead", fields={"employees": 500}, stage="lead")
    stages = [
        {"name": "lead", "values": {"salesforce": "Open"}},
        {
            "name": "mql",
            "values": {"salesforce": "Working"},
            "enter": {"field": "score", "gte": 50},
            "exit": {"field": "employees", "lt": 200},
        },
    ]
    run(state, salesforce, at=DAYS[0], model=BARE, stage=stages, **OPEN)
    assert salesforce.records[ada.ref].stage == "mql"
    edit(salesforce, ada.ref, fields={"employees": 10})
    run(state, salesforce, at=DAYS[1], model=BARE, stage=stages, **OPEN)
    assert salesforce.records[ada.ref].stage == "lead"
    settings = make.config(BARE, stage=stages)
    said = explain_person(settings, state, "p1@firm.example", DAYS[1])
    assert said["lifecycle"]["why"] == "leaves mql: employees is under 200; back to lead"
    assert said["lifecycle"]["since"] == DAYS[1].isoformat()


def test_S4_24_high_ones_go_to_reps_medium_ones_to_nurture_and_leads_and_contacts_to_their_own_team(state):
    salesforce = crm("salesforce")
    for number, demos, kind in ((1, 2, "lead"), (2, 2, "contact"), (3, 1, "lead"), (4, 0, "contact")):
        join(salesforce, number, demos, kind)
    hot = {"field": "score", "gte": 60}
    routes = [
        {"name": "SDR", "when": {"all": [hot, {"field": "lead_type", "is": "lead"}]}, "to": "ann@acme.example"},
        {"name": "AE", "when": hot, "to": "bob@acme.example"},
        {"name": "Rest", "to": "nurture"},
    ]
    run(state, salesforce, at=DAYS[0], model=BARE, route=routes, tracks={"nurture": {}}, **OPEN)
    owners = {ref.id: record.owner for ref, record in salesforce.records.items()}
    assert owners == {"1": "salesforce-ann", "2": "salesforce-bob", "3": None, "4": None}
    assert {row["destination"] for row in decided(state).values()} == {"owned", "nurture"}


def test_S3_10_two_thousand_leads_of_a_month_are_decided_in_one_run_each_with_a_destination(state):
    hubspot = crm("hubspot")
    for number in range(2_000):
        hubspot.edit(
            contact(number, emails=(f"p{number}@firm{number}.example",), fields={"title": "VP", "employees": number})
        )
    routes = [{"name": "Large", "when": POINTS[0], "to": "sales"}, {"name": "Rest", "to": "nurture"}]
    pool = [{"name": "sales", "members": ["ann@acme.example", "bob@acme.example"]}]
    tables = {"route": routes, "owner_pool": pool, "tracks": {"nurture": {}}, **OPEN}
    result = run(state, hubspot, at=DAYS[0], model=BARE, **tables)
    assert result.routing["in"] == 2_000
    assert result.routing["routed"] + result.routing["nurture"] == 2_000
    by_owner = result.routing["by_owner"]
    assert max(by_owner.values()) - min(by_owner.values()) <= 1


EUROPE = {"field": "country", "in": ["Austria", "Germany"]}
DESTINATIONS = {"Large in Europe": "ann", "Europe": "bob", "Directors": "ann", "Rest": None}
ASKED = [
    {
        "name": "Large in Europe",
        "when": {"all": [EUROPE, {"field": "employees", "gt": 1_000}]},
        "to": "ann@acme.example",
    },
    {"name": "Europe", "when": EUROPE, "to": "bob@acme.example"},
    {"name": "Directors", "when": {"field": "title", "seniority_at_least": "director"}, "to": "ann@acme.example"},
    {"name": "Rest", "to": "nurture"},
]


@pytest.mark.parametrize("state_url", ["sqlite"], indirect=True)
def test_a_thousand_changes_that_route_names_give_the_owner_that_it_names(state):
    drawn, hubspot = random.Random(5), crm("hubspot")
    for number in range(1_000):
        fields = {
            "title": drawn.choice(["VP Sales", "Clerk", None]),
            "country": drawn.choice(["Austria", "Germany", "France", None]),
            "employees": drawn.choice([5, 900, 5_000, None]),
        }
        hubspot.edit(contact(number, emails=(f"p{number}@firm{number}.example",), fields=fields))
    fields = {name: {"hubspot": name} for name in ("title", "country", "employees")}
    tables = {"tracks": {"nurture": {}}, "fields": fields, **OPEN}
    run(state, hubspot, at=DAYS[0], model=BARE, route=ASKED[-1:], **tables)
    settings, wanted = make.config(BARE, route=ASKED, **tables), {}
    for ref, record in hubspot.records.items():
        instead = route_document(settings, state, str(ref), DAYS[1])["instead"]
        name, change = drawn.choice([(name, change) for name, change in instead.items() if change is not None])
        values = {field: "Elsewhere" if value == OTHER else value for field, value in change.items()}
        hubspot.edit(replace(record, fields={**record.fields, **values}))
        wanted[ref] = DESTINATIONS[name]
    run(state, hubspot, at=DAYS[1], model=BARE, route=ASKED, **tables)
    got = {ref: record.owner and record.owner.split("-")[1] for ref, record in hubspot.records.items()}
    assert got == wanted
    assert set(Counter(got.values())) == {"ann", "bob", None}


def test_a_stage_of_the_crms_own_is_known_by_its_value_whatever_the_file_calls_it(state):
    hubspot = crm("hubspot")
    deal = join(hubspot, 1, 2, stage="deal")
    stages = [
        {"name": "lead", "values": {"hubspot": "lead"}},
        {"name": "deal", "values": {"hubspot": "opportunity"}},
        {"name": "star", "band": "cold", "values": {"hubspot": "evangelist"}},
    ]
    routes = [{"name": "Everybody", "to": "ann@acme.example"}]
    result = run(state, hubspot, at=DAYS[0], model=BARE, stage=stages, route=routes, **OPEN)
    assert (hubspot.records[deal.ref].stage, hubspot.records[deal.ref].owner) == ("deal", None)
    assert result.routing["excluded"] == 1


def routed(state, day, routes, **tables):
    settings = make.config(BARE, route=routes, tracks={"nurture": {}}, **OPEN, **tables)
    return route_document(settings, state, "p1@firm.example", DAYS[day])


def test_route_says_that_a_users_choice_is_kept_where_a_route_would_reassign(state):
    hubspot = crm("hubspot")
    ada = join(hubspot, 1, 2, owner="hubspot-bob")
    routes = [{"name": "Mine", "to": "ann@acme.example", "reassign": True}]
    tables = {"route": routes, "tracks": {"nurture": {}}, **OPEN}
    run(state, hubspot, at=DAYS[0], model=BARE, **tables)
    edit(hubspot, ada.ref, owner="hubspot-bob")
    run(state, hubspot, at=DAYS[1], model=BARE, **tables)
    said = routed(state, 1, routes)
    assert (hubspot.records[ada.ref].owner, said["to"], said["turn"]) == (
        "hubspot-bob",
        None,
        "keeps the owner, whom a user chose",
    )
    assert routed(state, 20, routes)["member"] == "ann@acme.example"


def test_route_names_the_route_that_leads_and_not_the_first_that_holds(state):
    hubspot = crm("hubspot")
    join(hubspot, 1, 2, owner="hubspot-eve")
    routes = [
        {"name": "Account", "when": {"field": "score", "gte": 20}, "to": "account_owner"},
        {"name": "Warm", "when": {"field": "score", "gte": 20}, "to": "ann@acme.example"},
        {"name": "Rest", "to": "nurture"},
    ]
    settings = {"write": {"owner": False}, "tracks": {"nurture": {}}, **OPEN}
    run(state, hubspot, at=DAYS[0], model=BARE, route=routes, **settings)
    said = routed(state, 0, routes)
    assert [rule["why"].rpartition("; ")[2] for rule in said["rules"]] == [
        "but it leads to nobody, so that the next is asked",
        "found: score 60",
        "but Warm comes first",
    ]
    assert "Warm" not in said["instead"]


def test_explain_says_of_whom_the_file_leaves_out_that_nothing_is_written(state, capsys):
    hubspot = crm("hubspot")
    join(hubspot, 1, 2)
    exclude = {"addresses": ["p1@firm.example"], "clear": True}
    run(state, hubspot, at=DAYS[0], model=BARE, exclude=exclude, **OPEN)
    settings = make.config(BARE, exclude=exclude)
    print_explanation(Console(width=300, markup=False), explain_person(settings, state, "p1@firm.example", DAYS[0]))
    said = capsys.readouterr().out
    assert "Excluded: the address is in [exclude] addresses; neither scored nor written" in said
    assert said.splitlines()[-1].endswith("no score; excluded")
    assert "the next run updates it" not in said
