"""The sandbox's Salesforce: what becomes of a world's people, and their ids."""

from connectors.sandbox.world import salesforce_id, with_checksum
from tests.support.sandbox_salesforce import BO, CONTACT, CONVERTED_TO, LEAD, QUIET, UNOWNED, found, ids, patch


def test_ids_carry_salesforces_checksum():
    # https://help.salesforce.com/s/articleView?id=000385008: an upper-case letter sets a bit in its group of five.
    assert with_checksum("00Q5g00000AbCdE") == "00Q5g00000AbCdEEAV"
    assert salesforce_id("00Q", 0) == "00Q000000000000EAA"
    assert sorted(salesforce_id("00Q", n) for n in range(5000)) == [salesforce_id("00Q", n) for n in range(5000)]


def test_people_and_what_they_did(sf):
    assert ids(sf, "SELECT Id FROM Contact ORDER BY Id") == [CONTACT, CONVERTED_TO]
    [call] = found(
        sf,
        "SELECT CallDurationInSeconds, CallDisposition, CompletedDateTime FROM Task WHERE TaskSubtype = 'Call'",
    )
    assert (call["CallDurationInSeconds"], call["CallDisposition"]) == (90, "reached")
    assert call["CompletedDateTime"] == "2026-11-18T09:00:00.000+0000"
    letters = found(
        sf, "SELECT Incoming, IsOpened, FirstOpenedDate, Activity.WhoId FROM EmailMessage ORDER BY MessageDate"
    )
    assert [(letter["Incoming"], letter["IsOpened"]) for letter in letters] == [(False, True), (True, False)]
    assert letters[0]["Activity"]["WhoId"] == CONTACT
    [member] = found(
        sf, "SELECT ContactId, Status, HasResponded, FirstRespondedDate, Campaign.Type FROM CampaignMember"
    )
    assert (member["ContactId"], member["Status"], member["Campaign"]["Type"]) == (CONVERTED_TO, "Attended", "Webinar")
    [meeting] = found(sf, "SELECT WhoId, StartDateTime, IsChild FROM Event")
    assert (meeting["WhoId"], meeting["IsChild"]) == (UNOWNED, False)
    assert ids(sf, "SELECT Id FROM User WHERE IsActive = false") == [BO]


def test_a_snapshot_tells_every_change(sf, sandbox):
    before = sandbox.snapshot("salesforce")
    patch(sf, {"id": LEAD, "Title": "CTO"}, headers=QUIET)
    after = sandbox.snapshot("salesforce")
    assert {name for name in after if after[name] != before[name]} == {"Lead"}
    assert after["Lead"][LEAD]["Title"] == "CTO"
