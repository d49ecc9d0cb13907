"""Who is who, on tables of contacts."""

from hypothesis import given
from hypothesis import strategies as st

from crmsync.identity.matching import Identified, identity_keys, match_people, normal_email
from crmsync.model import Ref
from tests.support.make import contact

SHARED = ("info",)


def marked(*contacts):
    return [
        Identified(number, each.ref.crm, frozenset(identity_keys(each)), bool(each.merged_into or each.converted_into))
        for number, each in enumerate(contacts, start=1)
    ]


def people_of(*contacts, most=5):
    return match_people(marked(*contacts), most, SHARED)


def test_one_address_in_both_crms_is_one_person():
    one = contact(1, emails=("Ada@Firm.example",))
    other = contact(2, crm="salesforce", kind="lead", emails=(" ada@firm.example ",))
    assert people_of(one, other) == ({1: 1, 2: 1}, set())


def test_S0_19_a_duplicate_inside_a_crm_is_the_same_person():
    assert people_of(contact(1, emails=("a@x.example",)), contact(2, emails=("a@x.example",)))[0] == {1: 1, 2: 1}


def test_a_link_of_the_crm_joins_without_an_address():
    lead = Ref("salesforce", "lead", "00Q1")
    people, unclear = people_of(contact(1, emails=(), links=(lead,)), contact("00Q1", "salesforce", "lead", emails=()))
    assert people == {1: 1, 2: 1}
    assert not unclear


def test_a_converted_lead_and_its_contact_are_one_person():
    became = Ref("salesforce", "contact", "0031")
    lead = contact("00Q1", "salesforce", "lead", emails=(), converted_into=became)
    assert people_of(lead, contact("0031", "salesforce", "contact", emails=()))[0] == {1: 1, 2: 1}


def test_a_merged_record_stays_with_its_survivor_and_a_deleted_one_with_nobody():
    merged = contact(1, gone=True, merged_into=Ref("hubspot", "contact", "2"), emails=())
    deleted = contact(3, gone=True, emails=("b@x.example",))
    assert people_of(merged, contact(2), deleted, contact(4, emails=("b@x.example",)))[0] == {1: 1, 2: 1, 3: 3, 4: 4}


def test_a_deleted_record_is_not_held_together_by_what_it_was_linked_to():
    deleted = contact(1, gone=True, emails=(), links=(Ref("salesforce", "lead", "00Q1"),))
    assert people_of(deleted, contact("00Q1", "salesforce", "lead", emails=()))[0] == {1: 1, 2: 2}


def test_a_shared_mailbox_on_several_records_says_nothing_about_anybody():
    shared = ("info@firm.example",)
    people, unclear = people_of(contact(1, emails=shared), contact(2, emails=shared), contact(3))
    assert people == {3: 3}
    assert unclear == {1, 2}


def test_a_shared_mailbox_on_one_record_of_each_crm_is_one_person():
    shared = ("info@firm.example",)
    assert people_of(contact(1, emails=shared), contact(2, "salesforce", "lead", emails=shared))[0] == {1: 1, 2: 1}


def test_an_address_on_too_many_records_joins_nobody():
    people, unclear = people_of(*(contact(number, emails=("a@x.example",)) for number in range(1, 5)), most=3)
    assert people == {}
    assert unclear == {1, 2, 3, 4}


def test_W28_a_replaced_record_neither_makes_an_address_ambiguous_nor_is_made_so_by_one():
    shared = ("info@firm.example",)
    merged = contact(1, emails=shared, gone=True, merged_into=Ref("hubspot", "contact", "2"))
    assert people_of(merged, contact(2, emails=shared)) == ({1: 1, 2: 1}, set())
    assert people_of(merged, contact(2), contact(3, emails=shared)) == ({1: 1, 2: 1, 3: 3}, set())
    people, unclear = people_of(merged, contact(2), contact(3, emails=shared), contact(4, emails=shared))
    assert (people, unclear) == ({1: 1, 2: 1}, {3, 4})


def test_a_plus_address_is_somebody_else():
    assert normal_email("A+b@X.example") == "a+b@x.example"
    assert people_of(contact(1, emails=("a+b@x.example",)), contact(2, emails=("a@x.example",)))[0] == {1: 1, 2: 2}


def test_what_follows_goes_with_the_person_of_its_marks_and_joins_nobody():
    def follower(number, *marks):
        return Identified(number, "events", frozenset(marks), follows=True)

    people = [Identified(2, "hubspot", frozenset({"record:a"})), Identified(3, "hubspot", frozenset({"record:b"}))]
    both, early, nobody = follower(4, "record:a", "record:b"), follower(1, "record:b"), follower(5, "record:c")
    found, unclear = match_people([*people, both, early, nobody], 5, SHARED)
    assert (found, unclear) == ({2: 2, 3: 3, 4: 2, 1: 3}, set())


def test_whoever_follows_only_people_who_cannot_be_told_apart_is_nobody():
    unclear = [Identified(each, "hubspot", frozenset({"mail:info@x.example"})) for each in (1, 2)]
    late = Identified(3, "events", frozenset({"mail:info@x.example"}), follows=True)
    assert match_people([*unclear, late], 5, SHARED)[0] == {}


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), max_size=3), max_size=12), st.randoms())
def test_the_order_of_the_contacts_does_not_matter(all_marks, random):
    contacts = [
        Identified(n, "hubspot", frozenset(f"record:{mark}" for mark in some)) for n, some in enumerate(all_marks)
    ]
    shuffled = list(contacts)
    random.shuffle(shuffled)
    assert match_people(contacts, 5, SHARED) == match_people(shuffled, 5, SHARED)
