"""A first config as text: whatever a CRM calls its things, the file parses, checks, and says exactly that."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crmsync.cli.interview import take_offers
from crmsync.config.load import load_text
from crmsync.config.starter import Starter, write_first_config
from crmsync.config.starter.description import CRMS, STANDARD_FIELDS, usual_stages
from crmsync.config.starter.offers import (
    Choice,
    CrmFacts,
    choose_stage_field,
    find_shared_users,
    list_choices,
    make_stages,
    offer_field,
    offer_fields,
    offer_handed_over,
    spell_choices,
)
from crmsync.connector import DescribedField
from crmsync.doctor import diagnose
from crmsync.model import Owner
from tests.support import make

SIZES = ("small", "standard", "full")
NASTY = [
    '"',
    "\\",
    '"""',
    "'",
    "\x00",
    "\x1b[31m",
    "\n[hubspot]\n",
    "\u2028",
    "🔥",
    "true",
    "[a]",
    "# x",
    "\x7f",
    "é",
    "null",
]
ODD = [("a\nb", 'x" }'), ("\\", "\\\\"), ("\ud800", "half a character"), ("  ", " "), ("inf", "[[stage]]"), ("7", "7")]

texts = st.text(max_size=30) | st.sampled_from(NASTY)
choices = st.lists(st.tuples(texts, texts), max_size=6, unique_by=lambda each: each[0])


def facts(crm, picks, stages, names=(), owners=()):
    """What a CRM says whose pick lists hold these, and which has further fields of these names."""
    if crm == "hubspot":
        usual = [("contact", "company.industry", picks), ("contact", "lifecyclestage", stages)]
    else:
        usual = [("lead", "Industry", picks), ("contact", "Account.Industry", picks), ("lead", "Status", stages)]
    fields = [DescribedField(kind, name, name, "choice", values) for kind, name, values in usual]
    fields += [DescribedField("contact", name, f"Job title {name}", "text") for name in names]
    return CrmFacts(crm, "1", fields, [Owner(crm, str(at), email, "x") for at, email in enumerate(owners)])


def assert_sound(start, tmp_path):
    config = load_text(write_first_config(start), tmp_path / "crmsync.toml")
    found = diagnose(config, datetime(2026, 11, 21, tzinfo=UTC), None)
    assert found["problems"] == []
    return config


@settings(max_examples=40)
@given(choices, choices, st.lists(texts, max_size=3, unique=True), st.sampled_from(SIZES), st.data())
@example(ODD, ODD, ["true", 'a" = 1', "inf", "[fields]"], "full", None)
@example([], [], [], "standard", None)
def test_whatever_a_crm_calls_its_things_the_file_says_exactly_that(tmp_path_factory, picks, stages, names, size, data):
    known = {crm: facts(crm, picks, stages, names) for crm in CRMS}
    numbers = st.none() | st.integers(0, len(stages) - 1) if stages else st.none()
    handed = {
        crm: len(each.stage_choices()) - 1 if data is None else data.draw(numbers)
        for crm, each in known.items()
        if each.stage_choices()
    }
    handed = {crm: at if at is None else min(at, len(known[crm].stage_choices()) - 1) for crm, at in handed.items()}
    fields = offer_fields(known.values(), CRMS)
    values = spell_choices(list_choices(known.values(), fields.get("industry", {})))
    start = Starter(
        size,
        instance_url="https://globex.my.salesforce.com",
        fields=fields,
        customers={"industry": values} if values else {},
        stages=make_stages(CRMS, known, handed),
        stage_field=choose_stage_field(handed.get("salesforce")),
    )
    config = assert_sound(start, tmp_path_factory.getbasetemp())
    asked = [each.when for each in config.fit if each.name == "Industry of our customers"]
    assert [each.in_ for condition in asked for each in condition.parts()] == ([values] if values else [])
    title = offer_field(known["hubspot"], "title", "contact")
    assert config.fields.get("title", {}).get("hubspot") == (title.name if title else None)
    for crm, at in handed.items():
        (stage,) = [each for each in config.stage if each.band] or [None]
        if at is not None and stage is not None:
            value = stage.values[crm]
            assert (value if isinstance(value, str) else value["lead"]) == known[crm].stage_choices()[at][0]


def test_five_thousand_values_are_a_rule(tmp_path):
    many = [f'Industry "{number}" 🏭' for number in range(5_000)]
    start = Starter(customers={"industry": many}, stages=usual_stages(CRMS))
    assert len(write_first_config(start).splitlines()) <= 120
    config = assert_sound(start, tmp_path)
    assert [len(part.in_) for rule in config.fit for part in rule.when.parts() if part.in_] == [5_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crms", [CRMS, CRMS[:1], CRMS[1:]])
@pytest.mark.parametrize("lacking", [(), ("title",), ("employees",), ("title", "employees"), tuple(STANDARD_FIELDS)])
def test_no_rule_names_a_field_that_no_crm_has(tmp_path, size, crms, lacking):
    fields = {name: value for name, value in STANDARD_FIELDS.items() if name not in lacking}
    customers = {"industry": ["Banking"], "country": ["Spain"]}
    members = ["ann@acme.example"]
    start = Starter(size, crms, "", fields, customers, usual_stages(crms), members=members)
    config = assert_sound(start, tmp_path)
    read = set().union(*(rule.when.fields() for rule in config.fit))
    assert read <= {"email", *fields}
    assert {"industry", "country"} - set(lacking) <= read
    assert [each.email for pool in config.owner_pool for each in pool.members] == members
    assert len(write_first_config(start).splitlines()) <= {"small": 90, "standard": 120, "full": 600}[size]


def test_bands_and_rules_can_be_somebody_elses():
    text = write_first_config(
        Starter(), '[bands]\ncold = 0\n\n[[fit]]\nname = "x"\npoints = 1\nwhen = { field = "email", exists = true }\n'
    )
    assert list(tomllib.loads(text)["bands"]) == ["cold"]
    assert len(tomllib.loads(text)["fit"]) == 1


def test_values_of_both_crms_with_one_label_are_one_choice():
    hubspot = facts("hubspot", [("BANKING", "Banking"), ("NON_PROFIT", "Non-profit")], [])
    salesforce = facts("salesforce", [("Banking", "Banking"), ("Non Profit", "Non Profit")], [])
    found = list_choices([hubspot, salesforce], STANDARD_FIELDS["industry"])
    assert found == [
        Choice("Banking", {"hubspot": ["BANKING"], "salesforce": ["Banking"]}),
        Choice("Non-profit", {"hubspot": ["NON_PROFIT"], "salesforce": ["Non Profit"]}),
    ]
    assert spell_choices(found) == ["BANKING", "Banking", "NON_PROFIT", "Non Profit"]


@pytest.mark.parametrize(
    ("stages", "at"),
    [
        ([("lead", "Lead"), ("marketingqualifiedlead", "Handed over")], 1),
        ([("11", "Our MQL"), ("12", "SQL")], 0),
        ([("Open", "Open"), ("Marketing Qualified", "Marketing Qualified")], 1),
        ([("Open", "Open"), ("Qualified", "Qualified")], None),
        ([], None),
    ],
)
def test_the_stage_that_is_handed_to_sales_is_known_by_its_name_alone(stages, at):
    assert offer_handed_over(stages) == at


def test_a_usual_field_that_nobody_fills_gives_way_to_one_whose_name_says_the_same():
    fields = [
        DescribedField("contact", name, label, "text")
        for name, label in (("jobtitle", "Job Title"), ("rolle", "Position"))
    ]
    empty = [make.contact(number, "hubspot", fields={}) for number in range(30)]
    filled = [make.contact(number, "hubspot", fields={"title": "CEO"}) for number in range(30)]
    assert offer_field(CrmFacts("hubspot", fields=fields, records=filled), "title", "contact").name == "jobtitle"
    assert offer_field(CrmFacts("hubspot", fields=fields, records=empty[:5]), "title", "contact").name == "jobtitle"
    assert offer_field(CrmFacts("hubspot", fields=fields, records=empty), "title", "contact").name == "rolle"
    assert offer_field(CrmFacts("hubspot", fields=fields[:1], records=empty), "title", "contact").name == "jobtitle"


def test_a_number_is_not_asked_of_a_pick_list():
    field = DescribedField("contact", "company.numberofemployees", "Employees", "choice", (("1-5", "1-5"),))
    assert offer_fields([CrmFacts("hubspot", fields=[field])], ["hubspot"])["employees"] == {}


def test_only_users_whom_all_crms_know_are_offered_and_only_those_who_own_somebody():
    ann, bob, out = "ann@acme.example", "Bob@acme.example", "out@acme.example"
    one = facts("hubspot", [], [], owners=[ann, bob, "no address", "two words@acme.example"])
    other = facts("salesforce", [], [], owners=[bob.lower(), ann, out])
    assert [each.email for each in find_shared_users([one, other])] == [ann, bob]
    owned = CrmFacts("hubspot", "1", one.fields, one.owners, records=[make.contact(1, "hubspot", owner="1")])
    start = take_offers(Starter(), {"hubspot": owned, "salesforce": other})
    assert start.members == [bob]
    admin = Owner("hubspot", "1", bob, "Org Admin")
    assert take_offers(Starter(), {"hubspot": replace(owned, owners=[admin]), "salesforce": other}).members == []
    many = [f"u{number}@acme.example" for number in range(20)]
    crowd = CrmFacts(
        "hubspot", "1", one.fields, facts("hubspot", [], [], owners=many).owners,
        records=[make.contact(number, "hubspot", owner=str(number)) for number in range(20)],
    )  # fmt: skip
    assert take_offers(Starter(crms=("hubspot",)), {"hubspot": crowd}).members == []
