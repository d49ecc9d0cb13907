"""One field that a CRM keeps in two places, or that two CRMs know differently: which value counts, and who is told."""

from __future__ import annotations

from datetime import UTC

import pytest
from rich.console import Console
from sqlalchemy import select

from crmsync.config import load
from crmsync.doctor import diagnose
from crmsync.errors import ConfigError
from crmsync.planning.desk import worth_in_pools
from crmsync.planning.people_columns import read_people_columns
from crmsync.reporting.person import explain_person
from crmsync.reporting.print_person import print_explanation
from crmsync.scoring import columns_of, score
from crmsync.store import schema
from tests.support.cycles import run
from tests.support.make import MODEL, NOW, config, contact, crm
from tests.support.scoring import person

EMPLOYEES = 'employees = { hubspot = ["company.numberofemployees", "numemployees"], salesforce = "NumberOfEmployees" }'
CONFIG = """
[hubspot]
[salesforce]
instance_url = "https://x.my.salesforce.com"
[bands]
cold = 0
[[fit]]
name = "Size"
points = 10
when = { field = "employees", gte = 200 }
[fields]
"""


def read_config(tmp_path, fields):
    path = tmp_path / "crmsync.toml"
    path.write_text(CONFIG + fields, encoding="utf-8")
    return load(path)


def test_a_list_of_spellings_is_read_in_its_order(tmp_path):
    read = read_config(tmp_path, EMPLOYEES)
    assert read.field_map("hubspot").fields == {
        "employees": "company.numberofemployees",
        "employees#2": "numemployees",
    }
    assert read.field_map("salesforce").fields == {"employees": "NumberOfEmployees"}
    assert read.further_names() == {"employees": ["employees#2"]}
    by_kind = 'employees = { salesforce = { lead = ["A__c", "B__c"], contact = "C__c" } }'
    assert read_config(tmp_path, by_kind).field_map("salesforce").fields == {
        "employees": {"lead": "A__c", "contact": "C__c"},
        "employees#2": {"lead": "B__c"},
    }


@pytest.mark.parametrize("fields", ["employees = { hubspot = [] }", '"a#2" = { hubspot = "x" }\nemployees = {}'])
def test_what_maps_nothing_or_is_named_oddly_is_refused(tmp_path, fields):
    with pytest.raises(ConfigError):
        read_config(tmp_path, fields)


TWO = MODEL.replace('hubspot = "company.numberofemployees"', 'hubspot = ["company.numberofemployees", "numemployees"]')
ADA = ("ada@x.example",)


def known(state, people, of):
    with state.read() as reading:
        ids = sorted(reading.scalars(select(schema.person.c.id)))
        columns = read_people_columns(reading, of, ids, [], now=NOW)
    return columns.fields["employees"][:people]


def pulled(state, *records, model=TWO):
    hubspot, salesforce = crm("hubspot"), crm("salesforce")
    for each in records:
        (hubspot if each.ref.crm == "hubspot" else salesforce).edit(each)
    return run(state, hubspot, salesforce, at=NOW, model=model)


def test_the_first_of_two_spellings_that_has_a_value_counts(state):
    pulled(
        state,
        contact(1, fields={"employees": 500, "employees#2": "50-200"}),
        contact(2, fields={"employees#2": "300"}),
        contact(3, fields={"employees": "N/A", "employees#2": 7}),
        contact(4, fields={"title": "VP"}),
    )
    assert known(state, 4, config(TWO)) == [500, "300", 7, None]


def test_v7_what_stands_for_nothing_leaves_the_word_to_the_next_record(state):
    pulled(
        state,
        contact("00Q1", "salesforce", "lead", emails=ADA, fields={"employees": "n/a", "title": "-"}),
        contact(1, emails=ADA, fields={"employees": 500, "title": "VP"}),
    )
    assert known(state, 1, config(TWO)) == [500]
    assert known(state, 1, config(TWO, values={"missing": []})) == ["n/a"]


def test_s0_29_check_reports_records_whose_spellings_differ(state):
    pulled(
        state,
        contact(1, fields={"employees": 500, "employees#2": "500"}),
        contact(2, fields={"employees": 500, "employees#2": 50}),
        contact(3, fields={"employees": 5, "employees#2": 50}),
        contact(4, fields={"employees": 5, "employees#2": "unknown"}),
    )
    settings = config(TWO, state={"url": str(state.engine.url)})
    said = [each for each in diagnose(settings, NOW, None)["warnings"] if each.startswith("employees")]
    assert said == [
        "employees: 2 hubspot records have different values in company.numberofemployees and numemployees, and "
        "company.numberofemployees counts; for example contact 2"
    ]


def test_explain_shows_what_the_crms_say_and_what_counts(state, capsys):
    pulled(
        state,
        contact("00Q1", "salesforce", "lead", emails=ADA, fields={"employees": 20, "title": "VP"}),
        contact(1, emails=ADA, fields={"employees": 500, "employees#2": 50, "title": "vp"}),
    )
    document = explain_person(config(TWO), state, ADA[0], NOW)
    lead, hubspot = "salesforce:lead:00Q1", "hubspot:contact:1"
    assert document["differences"] == [
        {
            "field": "employees",
            "values": [
                {"ref": lead, "mapped": "NumberOfEmployees", "value": 20},
                {"ref": hubspot, "mapped": "company.numberofemployees", "value": 500},
                {"ref": hubspot, "mapped": "numemployees", "value": 50},
            ],
        }
    ]
    print_explanation(Console(width=400), document)
    assert (
        "employees: 20 (salesforce lead, NumberOfEmployees) counts, not 500 (hubspot contact, "
        "company.numberofemployees), 50 (hubspot contact, numemployees)"
    ) in capsys.readouterr().out


def test_v3_what_people_are_worth_to_a_pool_may_be_kept_as_text():
    valued = config(
        MODEL.replace('name = "sales"', 'name = "sales"\nmethod = "value_balanced"\nvalue = "employees"', 1)
    )
    people = columns_of([person(employees=each) for each in (500, "1,200", "many", None, True)])
    scores = score(valued, people, NOW, UTC)
    assert [worth_in_pools(valued, people, scores, row)["sales"] for row in range(5)] == [50_000, 120_000, 0, 0, 0]
