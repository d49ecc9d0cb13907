"""Which activity a record of a feed's source is."""

import pytest

from connectors.hubspot.feeds import fingerprint_feeds, fitting_feed, read_attributes
from crmsync.config.tables import Feed


def test_the_first_feed_that_fits_names_the_kind():
    feeds = [
        Feed(source="calls", kind="talked", where={"status": ["DONE", "HELD"]}),
        Feed(source="calls", kind="unknown", where={"status": ""}),
    ]
    assert fitting_feed(feeds, {"status": "HELD"}).kind == "talked"
    assert fitting_feed(feeds, {"status": None}).kind == "unknown"
    assert fitting_feed(feeds, {"status": "BUSY"}) is None


@pytest.mark.parametrize("value", [False, "false"])
def test_a_yes_or_no_fits_however_it_is_written(value):
    feeds = [Feed(source="email_events", kind="opened", where={"filteredEvent": False})]
    assert fitting_feed(feeds, {"filteredEvent": value}) is feeds[0]
    assert fitting_feed(feeds, {"filteredEvent": not value if value is False else "true"}) is None
    assert fitting_feed(feeds, {}) is feeds[0]
    assert (
        fitting_feed(
            [Feed(source="calls", kind="x", where={"hs_call_status": "!CANCELED"})], {"hs_call_status": "canceled"}
        )
        is None
    )
    texts = [Feed(source="email_events", kind="opened", where={"filteredEvent": ["", "false"]})]
    assert fitting_feed(texts, {"filteredEvent": value}) is fitting_feed(texts, {}) is texts[0]


def test_a_yes_or_no_stays_one_as_an_attribute():
    feed = Feed(source="email_events", kind="opened", attributes={"machine": "filteredEvent", "size": "n"})
    assert read_attributes(feed, {"filteredEvent": False, "n": 5}) == {"machine": False, "size": "5"}


def test_other_feeds_have_another_fingerprint():
    one = [Feed(source="calls", kind="talked")]
    assert fingerprint_feeds(one) == fingerprint_feeds(list(one))
    assert fingerprint_feeds(one) != fingerprint_feeds([Feed(source="calls", kind="talked", where={"a": "b"})])
