"""What `check --online` says of users and queues of the file: who is not there, in which CRM, and who was meant."""

import pytest

from crmsync.lint.owner_checks import lint_owners, names_users
from crmsync.model import Owner
from crmsync.routing.owners import owners_of
from tests.support.make import config

DIRECTORY = [
    Owner("hubspot", "1", "dana.whitlock@acme.example", "Dana Whitlock"),
    Owner("hubspot", "2", "grete@acme.example", "Grete Holm"),
    Owner("hubspot", "3", "left@acme.example", "Lea Left", active=False),
    Owner("hubspot", "4", "", "Inbound Queue", kind="queue"),
]
HEAD = "[hubspot]\n[bands]\ncold = 0\n"
ROUTE = '[[route]]\nname = "All"\nto = "{}"\n'
POOL = '[[owner_pool]]\nname = "sales"\nmembers = {}\n' + ROUTE.format("sales")
ASKING = '[[route]]\nname = "Hers"\nwhen = {{ field = "{}", is = "{}" }}\nto = "grete@acme.example"\n'
REST = ROUTE.format("grete@acme.example")


def said(text, people=DIRECTORY):
    made = config(HEAD + text)
    directories = {} if people is None else {"hubspot": owners_of(people, made.write.unassigned_users)}
    return [f"{each.level}: {each.sentence}" for each in lint_owners(made, directories)]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("dana.whitlok@acme.example", "dana.whitlock@acme.example"),
        ("dana.whitlock@acme.com", "dana.whitlock@acme.example"),
        ("grete.holm@acme.example", "grete@acme.example"),
    ],
)
def test_a_member_who_is_not_there_is_named_with_who_was_meant(written, meant):
    assert said(POOL.format(f'["grete@acme.example", "{written}"]')) == [
        f"warning: [[owner_pool]] sales: {written} is not a user in hubspot and gets no records there; "
        f"did you mean {meant!r}?"
    ]


def test_somebody_of_the_same_company_is_not_taken_for_who_was_meant():
    (only,) = said(POOL.format('["grete@acme.example", "zoe@acme.example"]'))
    assert only.endswith("correct the address, activate the user, or remove the address")


def test_nobody_who_left_and_nobody_who_counts_as_nobody_is_suggested():
    for written, nobody in (("leftt@acme.example", []), ("danawhitlok@acme.example", ["dana.whitlock@acme.example"])):
        text = f"[write]\nunassigned_users = {nobody}\n" + ROUTE.format(written)
        assert [each.partition("; ")[2] for each in said(text)] == ["correct the address, or add the user"]


def test_a_route_to_somebody_who_left_asks_to_activate_them():
    assert said(ROUTE.format("left@acme.example")) == [
        "error: [[route]] All: left@acme.example is not active in hubspot, so people who are routed to them get no "
        "owner there; correct the address, or activate the user"
    ]


def test_a_pool_of_nobody_says_of_each_who_was_meant():
    (only,) = said(POOL.format('["gretee@acme.example", "left@acme.example"]'))
    assert "(gretee@acme.example is not a user, did you mean 'grete@acme.example'?; left@acme.example is not " in only


def test_a_queue_that_is_not_there_is_named_with_the_one_that_was_meant():
    (only,) = said(ROUTE.format("queue:Inbund queue"))
    assert only.endswith("; did you mean 'Inbound Queue'?")
    assert said(ROUTE.format("queue:inbound queue")) == []


@pytest.mark.parametrize("field", ["owner", "account.owner"])
def test_an_owner_whom_a_condition_asks_for_and_nobody_knows_is_named(field):
    assert said(ASKING.format(field, "danawhitlok@acme.example") + REST) == [
        "warning: [[route]] Hers: danawhitlok@acme.example is a user of no CRM; did you mean "
        "'dana.whitlock@acme.example'?"
    ]
    assert said(ASKING.format(field, "Left@acme.example") + REST) == []


def test_a_user_who_counts_as_nobody_and_is_not_there_is_named():
    text = '[write]\nowner = false\nunassigned_users = ["import@acme.example", "left@acme.example"]\n'
    assert names_users(config(HEAD + text))
    assert said(text) == [
        "warning: [write] unassigned_users: import@acme.example is a user of no CRM; correct the address, or remove it"
    ]


def test_nothing_is_said_of_users_of_a_crm_that_was_not_reached():
    assert said('[write]\nunassigned_users = ["import@acme.example"]\n', people=None) == []


def test_a_file_that_names_nobody_asks_no_crm_for_its_users():
    assert not names_users(config(HEAD))
