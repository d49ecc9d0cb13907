"""What each refusal of HubSpot means."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from connectors.hubspot.client import next_midnight
from connectors.hubspot.errors import DailyLimit, Forbidden, Locked, RequestRefused, Unauthorized, classify
from crmsync.errors import ConfigError, Transient, Unavailable

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {}, type(None)),
        (204, None, type(None)),
        (207, {"errors": []}, type(None)),
        (200, None, Transient),
        (301, None, Unavailable),
        (400, {"category": "VALIDATION_ERROR"}, RequestRefused),
        (401, None, Unauthorized),
        (403, {"category": "MISSING_SCOPES"}, Forbidden),
        (403, None, Transient),
        (404, None, RequestRefused),
        (409, {"category": "OBJECT_ALREADY_EXISTS"}, RequestRefused),
        (409, {}, Locked),
        (410, None, ConfigError),
        (414, None, RequestRefused),
        (423, {}, Locked),
        (429, {"policyName": "DAILY"}, DailyLimit),
        (429, {"message": "You have reached your daily limit."}, DailyLimit),
        (429, None, Transient),
        (477, {}, Transient),
        (500, None, Transient),
        (524, None, Transient),
    ],
)
def test_every_answer_means_one_thing(status, body, kind):
    assert isinstance(classify(status, body, {}, NOW, "read x"), kind)


@pytest.mark.parametrize(
    "body",
    [
        {"category": "MISSING_SCOPES", "context": {"requiredGranularScopes": ["crm.lists.read"]}},
        {"category": "MISSING_SCOPES", "errors": [{"context": {"requiredGranularScopes": ["crm.lists.read"]}}]},
    ],
)
def test_missing_scopes_are_found_wherever_they_are(body):
    assert classify(403, body, {}, NOW, "read x").scopes == ("crm.lists.read",)


@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2026-11-21T09:00:00+00:00", "UTC", "2026-11-22T00:00:00+00:00"),
        ("2026-11-21T23:30:00+00:00", "Europe/Berlin", "2026-11-22T23:00:00+00:00"),
        ("2026-03-28T12:00:00+00:00", "Europe/Berlin", "2026-03-28T23:00:00+00:00"),
        ("2026-03-29T12:00:00+00:00", "Europe/Berlin", "2026-03-29T22:00:00+00:00"),
    ],
)
def test_the_day_ends_at_the_portals_midnight(now, zone, midnight):
    assert next_midnight(datetime.fromisoformat(now), ZoneInfo(zone)).isoformat() == midnight
