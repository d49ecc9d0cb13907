"""Companies and accounts: who belongs together, whose they are, and who of them is active."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event

from crmsync.identity.domains import first_own_domain, is_free_mail, registrable_domain, site_domain
from crmsync.identity.matching import match_people
from crmsync.model import AccountFacts, Company
from crmsync.store import schema
from crmsync.store.activities import save_activities
from crmsync.store.companies import active_people, colleague_owners, drop_unused_companies, read_accounts
from crmsync.store.contacts import save_contacts
from crmsync.store.people import refresh_people
from crmsync.store.scores import clear_dirty
from tests.support.make import NOW, activity, contact
from tests.support.state import rows, save

ACME = Company("001A", "Acme", "acme.example", "sf-ann")
ACME_TOO = Company("77", "Acme Inc.", "www.acme.example", "hs-ann")
SINCE = int((NOW - timedelta(days=30)).timestamp())


def sf(number, address, company=None, **over):
    return contact(number, "salesforce", emails=(address,), company=company, **over)


def hs(number, address, company=None, **over):
    return contact(number, "hubspot", emails=(address,), company=company, **over)


def settled(state, *contacts):
    """The id of the person of each of these records."""
    save(state, *contacts)
    with state.begin() as tx:
        refresh_people(tx, partial(match_people, shared_address_limit=5, shared_mailboxes=()))
        clear_dirty(tx, ["hubspot", "salesforce"], {})
    known = {(row["crm"], row["ref_id"]): row["person"] for row in rows(state, schema.record)}
    return [known[each.ref.crm, each.ref.id] for each in contacts]


def accounts(state, people):
    with state.read() as reading:
        return {
            each: facts._replace(colleagues=list(facts.colleagues))
            for each, facts in read_accounts(reading, people).items()
        }


def the_record(state, ref):
    return next(row for row in rows(state, schema.record) if (row["crm"], row["ref_id"]) == (ref.crm, ref.id))


# What is kept


def test_a_record_keeps_its_company_its_domain_and_when_it_was_made(state):
    made = NOW - timedelta(days=3)
    save(state, sf(1, "ann@mail.acme.co.uk", ACME, created_at=made))
    row = the_record(state, sf(1, "").ref)
    assert (row["company"], row["domain"]) == ("001A", "acme.co.uk")
    assert row["created_at"] == int(made.timestamp() * 1000)
    (kept,) = rows(state, schema.company)
    assert kept == {"crm": "salesforce", **ACME._asdict()}


def test_the_domain_is_that_of_the_first_address_that_is_no_free_mail(state):
    save(state, contact(1, emails=("ann@gmail.com", "ann@acme.example", "ann@other.example")))
    save(state, contact(2, emails=("bob@gmail.com",)))
    assert [row["domain"] for row in rows(state, schema.record)] == ["acme.example", ""]


def test_a_record_that_comes_without_a_company_has_none(state):
    settled(state, sf(1, "ann@acme.example", ACME))
    save(state, sf(1, "ann@acme.example"))
    row = the_record(state, sf(1, "").ref)
    assert (row["company"], row["created_at"], row["dirty"]) == ("", None, True)


def test_a_record_that_moves_to_another_company_is_dirty(state):
    settled(state, sf(1, "ann@acme.example", ACME))
    save(state, sf(1, "ann@acme.example", ACME._replace(id="001B")))
    assert the_record(state, sf(1, "").ref)["dirty"]
    assert not the_record(state, sf(1, "").ref)["edited"]


def test_a_company_that_changes_hands_is_kept_and_makes_nobody_dirty(state):
    settled(state, sf(1, "ann@acme.example", ACME))
    save(state, sf(1, "ann@acme.example", ACME._replace(owner="sf-bob", name="Acme Ltd")))
    assert not the_record(state, sf(1, "").ref)["dirty"]
    (kept,) = rows(state, schema.company)
    assert (kept["owner"], kept["name"]) == ("sf-bob", "Acme Ltd")


def test_of_a_company_that_cannot_be_read_holds_what_was_known(state):
    save(state, sf(1, "ann@acme.example", ACME))
    save(state, sf(1, "ann@acme.example", Company("001A")))
    assert rows(state, schema.company)[0]["owner"] == "sf-ann"
    save(state, sf(1, "ann@acme.example", ACME._replace(owner="")))
    assert rows(state, schema.company)[0]["owner"] == ""


def test_a_page_that_comes_again_writes_no_company(state):
    page = [sf(number, f"p{number}@acme.example", ACME) for number in range(3)]
    save(state, *page)
    said = []
    event.listen(state.engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    save(state, *page)
    assert said
    assert not [each for each in said if "INTO company" in each]


def test_a_company_without_a_record_is_forgotten(state):
    save(state, sf(1, "ann@acme.example", ACME), hs(1, "bob@acme.example", ACME_TOO._replace(id="001A")))
    save(state, sf(1, "ann@acme.example"))
    with state.begin() as tx:
        drop_unused_companies(tx)
    assert [row["crm"] for row in rows(state, schema.company)] == ["hubspot"]


@pytest.mark.parametrize("erased", [False, True])
def test_nothing_of_a_company_stays_with_a_deleted_record(state, erased):
    gone = sf(1, "ann@acme.example", ACME, created_at=NOW)
    settled(state, gone)
    settled(state, sf(1, "ann@acme.example", ACME, created_at=NOW, gone=True, erased=erased))
    row = the_record(state, gone.ref)
    assert (row["company"], row["domain"], row["created_at"]) == ("", "", None)
    save(state, sf(1, "", gone=True, erased=erased), run="r3")
    assert not the_record(state, gone.ref)["dirty"]


# Domains


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("Ann@Mail.ACME.co.uk", "acme.co.uk"),
        ("ann@acme.example", "acme.example"),
        ("acme.example.", "acme.example"),
        ("ann@bücher.de", "xn--bcher-kva.de"),
        ("ann@acme.github.io", "acme.github.io"),
        ("ann@co.uk", ""),
        ("ann@localhost", ""),
        ("ann@[192.0.2.1]", ""),
        ("192.0.2.1", ""),
        ("ann@acme..example", ""),
        ("ann@ac me.example", ""),
        (f"ann@{'a' * 70}.example", ""),
        ("", ""),
    ],
)
def test_a_registrable_domain_is_what_somebody_registered(address, domain):
    assert registrable_domain(address) == domain


def test_where_anybody_can_have_an_address_or_a_page_is_no_domain_of_a_company():
    assert is_free_mail("ann@GMAIL.com")
    assert is_free_mail("ann@mail.gmail.com")
    assert not is_free_mail("ann@acme.example")
    assert first_own_domain(["nobody", "ann@gmail.com", "ann@localhost", "ann@acme.example"]) == "acme.example"
    assert site_domain("facebook.com") == site_domain("gmail.com") == ""
    assert site_domain("shop.acme.example") == "acme.example"


# Accounts


def test_an_account_is_what_the_record_points_to(state):
    ann, bob, eve = settled(
        state,
        sf(1, "ann@gmail.com", ACME),
        sf(2, "bob@gmail.com", ACME),
        sf(3, "eve@gmail.com", Company("001B", "Other", "", "sf-bob")),
    )
    assert accounts(state, [ann, eve]) == {
        ann: AccountFacts("Acme", {"salesforce": "sf-ann"}, [bob]),
        eve: AccountFacts("Other", {"salesforce": "sf-bob"}, []),
    }


def test_who_points_to_no_company_belongs_to_the_one_with_the_domain_of_their_address(state):
    ann, bob, lead = settled(
        state, sf(1, "ann@gmail.com", ACME), sf(2, "bob@other.example"), sf(3, "eve@shop.acme.example", kind="lead")
    )
    found = accounts(state, [lead, bob])
    assert found[lead] == AccountFacts("Acme", {"salesforce": "sf-ann"}, [ann])
    assert found[bob] == AccountFacts("", {}, [])


def test_free_mail_makes_no_colleagues(state):
    ann, bob = settled(state, sf(1, "ann@gmail.com", ACME._replace(domain="gmail.com")), sf(2, "bob@gmail.com"))
    assert accounts(state, [ann, bob])[bob] == AccountFacts("", {}, [])
    assert accounts(state, [ann])[ann].colleagues == []


def test_an_account_in_both_crms_is_one_by_its_domain(state):
    ann, bob, eve = settled(
        state,
        sf(1, "ann@gmail.com", ACME),
        hs(2, "bob@yahoo.com", ACME_TOO),
        hs(3, "eve@acme.example"),
    )
    both = {"salesforce": "sf-ann", "hubspot": "hs-ann"}
    found = accounts(state, [ann, bob, eve])
    assert found[ann] == AccountFacts("Acme", both, [bob, eve])
    assert found[bob] == AccountFacts("Acme Inc.", both, [ann, eve])
    assert found[eve].owners == both
    assert found[eve].colleagues == [ann, bob]


def test_a_company_without_a_domain_has_that_of_its_peoples_addresses(state):
    ann, bob, eve = settled(
        state,
        sf(1, "ann@acme.example", ACME._replace(domain="")),
        hs(2, "bob@yahoo.com", ACME_TOO),
        hs(3, "eve@acme.example"),
    )
    both = {"salesforce": "sf-ann", "hubspot": "hs-ann"}
    found = accounts(state, [ann, bob, eve])
    assert found[ann] == AccountFacts("Acme", both, [bob, eve])
    assert found[eve] == AccountFacts("Acme Inc.", {"hubspot": "hs-ann", "salesforce": "sf-ann"}, [ann, bob])


def test_who_points_to_no_company_belongs_where_their_colleagues_do(state):
    site = ACME._replace(domain="acme-group.example")
    ann, bob, _, eve = settled(
        state,
        sf(1, "ann@acme.example", site),
        sf(2, "bob@acme.example", site),
        sf(3, "dan@acme.example", Company("001C", "Another", "another.example", "sf-eve")),
        hs(4, "eve@acme.example"),
    )
    found = accounts(state, [eve])[eve]
    assert (found.name, found.owners) == ("Acme", {"salesforce": "sf-ann"})
    assert {ann, bob} <= set(found.colleagues)


def test_an_address_of_another_company_does_not_count_beside_a_company(state):
    consultant, ann, partner = settled(
        state,
        sf(1, "cleo@consulting.example", ACME),
        sf(2, "ann@acme.example", ACME),
        sf(3, "pat@consulting.example", Company("001C", "Consulting", "consulting.example", "sf-bob")),
    )
    found = accounts(state, [consultant, ann, partner])
    assert found[consultant] == AccountFacts("Acme", {"salesforce": "sf-ann"}, [ann])
    assert found[ann].colleagues == [consultant]
    assert found[partner] == AccountFacts("Consulting", {"salesforce": "sf-bob"}, [])


def test_a_persons_company_in_one_crm_counts_for_their_record_in_the_other(state):
    cleo, _, partner = settled(
        state,
        sf(1, "cleo@consulting.example", ACME),
        hs(1, "cleo@consulting.example"),
        hs(2, "pat@consulting.example", Company("88", "Consulting", "consulting.example", "hs-bob")),
    )
    found = accounts(state, [cleo, partner])
    assert found[cleo] == AccountFacts("Acme", {"salesforce": "sf-ann"}, [])
    assert found[partner] == AccountFacts("Consulting", {"hubspot": "hs-bob"}, [])


def test_ones_own_company_counts_before_another_with_the_same_domain(state):
    twin = ACME._replace(id="001B", name="Acme West", owner="sf-bob")
    ann, _, _, eve, bob = settled(
        state,
        sf(1, "ann@acme.example", ACME),
        sf(2, "p2@acme.example", twin),
        sf(3, "p3@acme.example", twin),
        sf(4, "eve@acme.example"),
        sf(5, "bob@acme.example", ACME._replace(id="001D", name="", owner="")),
    )
    found = accounts(state, [ann, eve, bob])
    assert (found[ann].name, found[ann].owners) == ("Acme", {"salesforce": "sf-ann"})
    # of several the one with the most records; and where nobody owns one's own, whoever owns the other
    assert (found[eve].name, found[eve].owners) == ("Acme West", {"salesforce": "sf-bob"})
    assert (found[bob].name, found[bob].owners) == ("Acme West", {"salesforce": "sf-bob"})


def test_only_live_records_make_colleagues(state):
    ann, *_ = settled(
        state,
        sf(1, "ann@acme.example", ACME),
        sf(2, "gone@acme.example", ACME, gone=True),
        sf(3, "converted@acme.example", kind="lead", converted_into=contact(1, "salesforce").ref),
    )
    assert accounts(state, [ann])[ann].colleagues == []


def dirty_after(state, moved, *, colleagues):
    """Who is planned for again (the ids of people) once this record came as it is now."""
    with state.begin() as tx:
        save_contacts(tx, "r2", [moved], NOW, colleagues=colleagues)
    return {row["person"] for row in rows(state, schema.record) if row["dirty"]}


@pytest.mark.parametrize("colleagues", [True, False])
def test_who_leaves_an_account_and_joins_another_one_makes_both_dirty_where_that_is_asked_for(state, colleagues):
    other, third = ACME._replace(id="001C", domain="c.example"), ACME._replace(id="001D", domain="d.example")
    ann, bob, eve, _dan = settled(
        state,
        sf(1, "ann@acme.example", ACME),
        sf(2, "bob@gmail.com", ACME),
        sf(3, "eve@c.example", other),
        sf(4, "dan@d.example", third),
    )
    dirty = dirty_after(state, sf(2, "bob@gmail.com", other), colleagues=colleagues)
    assert dirty == ({ann, bob, eve} if colleagues else {bob})


def test_who_stays_in_an_account_makes_no_colleague_dirty(state):
    _ann, bob = settled(state, sf(1, "ann@acme.example", ACME), sf(2, "bob@acme.example", ACME))
    assert dirty_after(state, sf(2, "bob@acme.example", ACME, name="Bob"), colleagues=True) == {bob}


def test_whom_nobody_knows_has_no_account(state):
    assert accounts(state, [4711]) == {4711: AccountFacts("", {}, [])}
    with state.read() as reading:
        assert colleague_owners(reading, [4711]) == {4711: ()}
        assert active_people(reading, [4711], SINCE) == {4711: 0}
        assert read_accounts(reading, []) == {}


def test_colleagues_are_a_sequence(state):
    everybody = settled(state, *(sf(number, f"p{number}@acme.example", ACME) for number in range(1, 6)))
    with state.read() as reading:
        for at, found in enumerate(read_accounts(reading, everybody).values()):
            others = [*everybody[:at], *everybody[at + 1 :]]
            colleagues = found.colleagues
            assert list(colleagues) == others
            assert [colleagues[each] for each in range(4)] == others
            assert (len(colleagues), colleagues[-1], list(colleagues[1:3])) == (4, others[-1], others[1:3])
            assert everybody[at] not in colleagues


def test_the_owners_of_colleagues_come_by_the_number_of_their_records(state):
    ann, bob, *_ = settled(
        state,
        sf(1, "ann@acme.example", ACME, owner="sf-ann"),
        sf(2, "bob@acme.example", ACME, owner="sf-bob"),
        sf(3, "p3@acme.example", ACME, owner="sf-bob"),
        hs(4, "p4@acme.example", owner="hs-eve"),
        sf(5, "p5@acme.example", kind="lead"),
        hs(5, "p3@acme.example", owner="hs-eve"),
        sf(6, "p6@other.example", owner="sf-bob"),
    )
    with state.read() as reading:
        found = colleague_owners(reading, [ann, bob])
    assert found == {
        ann: [("hubspot", "hs-eve", 2), ("salesforce", "sf-bob", 2)],
        bob: [("hubspot", "hs-eve", 2), ("salesforce", "sf-ann", 1), ("salesforce", "sf-bob", 1)],
    }


def test_a_colleagues_records_all_count(state):
    """One that does not say where it belongs, too."""
    ann, bob, _ = settled(
        state,
        sf(1, "ann@acme.example", ACME),
        sf(2, "bob@gmail.com", ACME),
        hs(2, "bob@gmail.com", owner="hs-bob"),
    )
    with state.begin() as tx:
        save_activities(tx, [activity(1, hs(2, ""), days_ago=2)])
    with state.read() as reading:
        assert colleague_owners(reading, [ann])[ann] == [("hubspot", "hs-bob", 1)]
        assert active_people(reading, [ann, bob], SINCE) == {ann: 1, bob: 0}


def test_the_active_people_of_an_account_are_the_others_who_did_something_since_then(state):
    people = [sf(1, "p1@acme.example", ACME), hs(2, "p2@acme.example"), hs(3, "p3@acme.example"), hs(4, "p4@b.example")]
    one, two, three, four = settled(state, *people)
    with state.begin() as tx:
        did = [activity(1, people[1]), activity(2, people[1]), activity(3, people[2], days_ago=31)]
        save_activities(tx, [*did, activity(4, people[0]), activity(5, people[3])])
    with state.read() as reading:
        found = active_people(reading, [one, two, three, four], SINCE)
    assert found == {one: 1, two: 1, three: 2, four: 0}


def test_accounts_are_found_by_their_indexes_and_in_few_queries(tmp_path):
    from crmsync.store.database import open_store

    made = open_store(f"sqlite:///{tmp_path}/state.db")
    people = settled(made, *(sf(each, f"p{each}@f{each % 40}.example", ACME) for each in range(400)))
    said = []
    event.listen(made.engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    with made.read() as reading:
        read_accounts(reading, people)
        colleague_owners(reading, people)
        active_people(reading, people, SINCE)
        asked = [each for each in said if each[0].lstrip().startswith("SELECT")]
        assert len(asked) < 25
        for statement, parameters in asked:
            plan = reading.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert not [step for *_, step in plan if step.startswith("SCAN") and "CONSTANT" not in step], plan
    made.close()
