"""Reading Salesforce: the log-in and what goes wrong on the way, windows, cursors, activities, hidden fields."""

import contextlib
import csv
import io
import itertools
import json
import threading
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
import responses
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import connectors.salesforce as salesforce
from connectors.http import drop_unstorable
from connectors.salesforce import bulk, client, schema
from connectors.salesforce.activities import NOBODY
from connectors.salesforce.paging import Cursor, Source, Window, cursor_of, query_of, text_literal
from connectors.salesforce.schema import Field, Schema, clamp_text, fit_value, instant_of, reader_of
from connectors.salesforce.settings import normal_address
from connectors.sandbox.salesforce import bulk as sandbox_bulk
from crmsync.config.tables import Feed
from crmsync.connector import FieldMap
from crmsync.errors import Cancelled, ConfigError, Unavailable
from crmsync.model import Ref
from tests.support.salesforce_org import NAMES, Hurried, by_ref, connect, do, fault, live, org_with_our_fields, pulled  # noqa: F401

CANARY = "canary-3f9a77"


# Settings


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        (" https://https://acme.my.salesforce.com/home/home.jsp ", "https://acme.my.salesforce.com"),
        ("https://acme.lightning.force.com/lightning/page/home", "https://acme.my.salesforce.com"),
        ("https://acme--uat.sandbox.lightning.force.com", "https://acme--uat.sandbox.my.salesforce.com"),
        ("https://acme-dev-ed.develop.my.salesforce.com", "https://acme-dev-ed.develop.my.salesforce.com"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_the_address_is_the_my_domain_of_what_people_paste(given, address):
    assert normal_address(given) == address


@pytest.mark.parametrize(
    "given",
    [
        "https://login.salesforce.com",
        "https://na12.salesforce.com",
        "http://acme.my.salesforce.com",
        "https://acme.my.salesforce.com.evil.io",
        "https://acme.my.salesforce.com@evil.io",
        "https://169.254.169.254",
        "https://evil.io/acme.my.salesforce.com",
    ],
)
def test_a_token_goes_to_salesforce_only(given):
    with pytest.raises(ValueError, match="My Domain"):
        normal_address(given)


@pytest.mark.parametrize(
    "given", [{"auth": "password"}, {"auth": "soap"}, {"password": "x"}, {"security_token": "x", "username": "u"}]
)
def test_log_ins_that_salesforce_retires_are_refused_with_the_way_out(given):
    with pytest.raises(ValidationError, match="External Client App"):
        salesforce.Settings(instance_url="https://acme.my.salesforce.com", **given)


@pytest.mark.parametrize(("given", "version"), [("66.0", "66.0"), ("v66.0", "66.0"), ("67", "67.0")])
def test_the_version_is_spelled_as_salesforce_does(given, version):
    assert salesforce.Settings(instance_url="https://a.my.salesforce.com", api_version=given).api_version == version


def test_a_feed_of_an_unknown_source_is_refused():
    with pytest.raises(ValidationError, match="the sources are Task, Event"):
        salesforce.Settings(instance_url="https://a.my.salesforce.com", activities=[{"source": "Tsk", "kind": "x"}])


# Logging in


def test_client_credentials_and_the_org(crm):
    assert crm.account() == "00D000000000001EAA"


def test_a_wrong_secret_is_a_sentence_without_the_secret(sandbox):
    with pytest.raises(ConfigError, match="consumer secret") as told:
        connect(sandbox, client_secret=CANARY).account()
    assert CANARY not in str(told.value) + repr(told.value.__cause__)


@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
def test_a_missing_secret_names_its_variable(sandbox, missing):
    with pytest.raises(ConfigError, match=f"CRMSYNC_SALESFORCE__{missing.upper()}"):
        connect(sandbox, **{missing: ""}).account()


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    none = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()


def test_a_jwt_signed_with_the_registered_key(sandbox, key):
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    sandbox.do("salesforce", "register_key", public_key=public.decode())
    made = connect(sandbox, auth="jwt", username="crmsync@sandbox.example", private_key=pem(key))
    assert made.account()


def test_a_private_key_that_is_none_is_a_sentence(sandbox):
    with pytest.raises(ConfigError, match="PEM"):
        connect(sandbox, auth="jwt", username="u", private_key=CANARY).account()


def test_a_rotated_refresh_token_is_kept_for_the_owner_alone(sandbox, tmp_path):
    sandbox.do("salesforce", "set", rotate_refresh_tokens=True)
    kept = tmp_path / "refresh"
    how = {"auth": "refresh_token", "refresh_token": "sandbox-refresh-token", "refresh_token_file": str(kept)}
    assert connect(sandbox, **how).account()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert connect(sandbox, **how).account()
    with pytest.raises(ConfigError, match="authorise crmsync again"):
        connect(sandbox, auth="refresh_token", refresh_token="sandbox-refresh-token").account()


def test_a_revoked_refresh_token_stops_at_once(sandbox):
    stop = Hurried()
    with pytest.raises(ConfigError, match="authorise crmsync again"):
        connect(sandbox, auth="refresh_token", refresh_token="dead", stop=stop).account()
    assert len(sandbox.calls) == 1


@pytest.mark.parametrize("number", range(1, 9))
def test_a_session_that_ends_at_any_call_is_renewed_once_and_the_pull_goes_on(sandbox, crm, number):
    whole, _ = pulled(crm.contacts(None))
    sandbox.do("salesforce", "set", page_size=7)
    made = connect(sandbox)
    sandbox.calls.clear()
    body = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    fault(sandbox, "answer", "/services/data", nth=number, status=401, body=body)
    assert by_ref(pulled(made.contacts(None))[0]) == by_ref(whole)
    assert sum(call.path.endswith("/oauth2/token") for call in sandbox.calls) == 2


def test_a_session_refused_with_html_is_renewed_too(sandbox, crm):
    fault(sandbox, "html", "/query", nth=1, status=401)
    assert pulled(crm.contacts(None))[0]


def test_a_session_refused_twice_stops_with_a_sentence(sandbox, crm):
    fault(sandbox, "answer", "/query", status=401, body=[{"message": "no", "errorCode": "INVALID_SESSION_ID"}])
    with pytest.raises(ConfigError, match="API Enabled"):
        list(crm.contacts(None))
    assert sum("oauth2" in call.path for call in sandbox.calls) == 2


def test_two_threads_renew_a_session_once(sandbox, crm):
    crm.account()
    sandbox.do("salesforce", "expire_sessions")
    sandbox.calls.clear()
    threads = [threading.Thread(target=crm.owners) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum("oauth2/token" in call.path for call in sandbox.calls) == 1


# What goes wrong on the way


@pytest.mark.parametrize(
    ("do", "how"),
    [
        ("html", {}),
        ("html", {"status": 503}),
        ("html", {"status": 403}),
        ("reset", {}),
        ("drop", {}),
        ("truncate", {}),
        ("short", {}),
        ("answer", {"status": 500, "body": [{"errorCode": "UNKNOWN_EXCEPTION", "message": "An unexpected error"}]}),
        ("answer", {"status": 400, "body": [{"errorCode": "QUERY_TIMEOUT", "message": "too long"}]}),
        ("answer", {"status": 403, "body": [
            {"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}]}),
        ("answer", {"status": 200, "body": {"totalSize": 1}}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [1, 2])
def test_a_page_that_goes_wrong_is_read_again_whole(sandbox, crm, do, how, number):
    whole = by_ref(pulled(crm.contacts(None))[0])
    sandbox.do("salesforce", "set", page_size=7)
    fault(sandbox, do, "/query", nth=number, **how)
    assert by_ref(pulled(crm.contacts(None))[0]) == whole


@pytest.mark.parametrize(
    ("do", "path"),
    [("silence", "oauth2/token"), ("silence", "/query"), ("silence", "/describe"), ("drip", "/describe")],
)
def test_no_call_waits_for_ever(sandbox, monkeypatch, do, path):
    monkeypatch.setattr(client, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(client, "PATIENCE", 0.3)
    fault(sandbox, do, path, seconds=0.002, times=1)
    assert pulled(connect(sandbox).contacts(None))[0]


def test_an_org_that_never_answers_sits_out(sandbox, crm):
    fault(sandbox, "reset", "/query")
    with pytest.raises(Unavailable, match="could not be reached"):
        list(crm.contacts(None))


def test_used_up_requests_end_the_cycle_at_once(sandbox, crm):
    said = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    fault(sandbox, "answer", "/query", status=403, body=said)
    with pytest.raises(Unavailable, match="used up"):
        list(crm.contacts(None))
    assert sum("/query" in call.path for call in sandbox.calls) == 1


def test_the_share_of_the_quota_is_kept(sandbox, crm):
    do(sandbox, "set_usage", used=690, max=1000)
    sandbox.do("salesforce", "set", page_size=2)
    with pytest.raises(Unavailable, match=r"700 of the org's 1,000 .* last 30%"):
        list(crm.contacts(None))
    assert 8 < len(sandbox.calls) < 13


def test_the_quota_is_looked_at_again_after_a_while(sandbox, crm, monkeypatch):
    do(sandbox, "set_usage", used=900, max=1000)
    with pytest.raises(Unavailable):
        list(crm.contacts(None))
    do(sandbox, "set_usage", used=100, max=1000)
    monkeypatch.setattr(client, "USAGE_GOES_STALE", 0.0)
    assert pulled(crm.contacts(None))[0]


def test_a_stop_during_a_pause_ends_the_pull(sandbox, crm):
    class Stopped(Hurried):
        def wait(self, timeout=None):
            self.set()
            return True

    fault(sandbox, "html", "/query", status=503)
    with pytest.raises(Cancelled):
        list(connect(sandbox, stop=Stopped()).contacts(None))


def test_a_refusal_is_not_repeated(sandbox, crm):
    said = [{"errorCode": "MALFORMED_QUERY", "message": "unexpected token: frm"}]
    fault(sandbox, "answer", "/query", status=400, body=said)
    with pytest.raises(ConfigError, match="unexpected token"):
        list(crm.contacts(None))
    assert len([call for call in sandbox.calls if "/query" in call.path]) == 1


ACME = "https://acme.my.salesforce.com"


def acme():
    settings = salesforce.Settings(instance_url=ACME, client_id="id", client_secret=CANARY)
    return salesforce.connect(settings, NAMES, {}, Hurried())


def logged_in(mock, instance_url=ACME):
    token = {"access_token": CANARY, "instance_url": instance_url, "id": f"{ACME}/id/00D1/0051", "token_type": "Bearer"}
    mock.post(f"{ACME}/services/oauth2/token", json=token)


@pytest.fixture
def mock():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


def test_a_redirect_to_another_host_is_not_followed(mock):
    logged_in(mock)
    mock.get(f"{ACME}/services/data/v66.0/queryAll/", status=307, headers={"Location": "https://evil.example/"})
    with pytest.raises(ConfigError, match="another address"):
        acme().account()
    assert all(call.request.url.startswith(ACME) for call in mock.calls)


@pytest.mark.parametrize("evil", ["https://evil.example", "http://acme.my.salesforce.com", "https://a@evil.example"])
def test_a_log_in_that_names_another_host_gets_no_token(mock, evil):
    logged_in(mock, instance_url=evil)
    with pytest.raises(ConfigError, match="does not send its token") as told:
        acme().account()
    assert CANARY not in str(told.value)


def test_a_log_in_that_names_another_my_domain_gets_no_token_and_says_what_to_write(mock):
    logged_in(mock, instance_url="https://renamed.my.salesforce.com")
    with pytest.raises(ConfigError, match=r'set instance_url = "https://renamed\.my\.salesforce\.com"'):
        acme().account()
    assert [call.request.url for call in mock.calls] == [f"{ACME}/services/oauth2/token"]


@pytest.mark.parametrize(
    ("configured", "named", "is_ours"),
    [
        (ACME, ACME, True),
        (ACME, "https://ACME.my.salesforce.com/", True),
        ("http://127.0.0.1:8400", "http://127.0.0.1:8400", True),
        ("http://127.0.0.1:8400", "http://127.0.0.1:9999", False),
        ("http://127.0.0.1:8400", "http://localhost:8400", True),
        (ACME, "http://127.0.0.1:8400", False),
        (ACME, "https://169.254.169.254", False),
        (ACME, "https://[", False),
    ],
)
def test_a_token_goes_to_the_configured_address_only(configured, named, is_ours):
    if is_ours:
        assert client.allowed_instance(configured, named) == configured
    else:
        with pytest.raises(ConfigError, match="crmsync"):
            client.allowed_instance(configured, named)


@pytest.mark.parametrize(
    "link", ["https://evil.example/services/data/v66.0/query/01g-2", "@evil.example/query/01g-2", "/query/../../x"]
)
def test_the_link_to_the_next_page_leads_to_the_org_or_nowhere(mock, link):
    logged_in(mock)
    first = {"totalSize": 2, "done": False, "nextRecordsUrl": link, "records": [{"Id": "00D000000000001AAA"}]}
    mock.get(f"{ACME}/services/data/v66.0/queryAll/", json=first)
    mock.get(f"{ACME}/services/data/v66.0/query/01g-2", json={"totalSize": 2, "done": True, "records": []})
    with contextlib.suppress(Unavailable):
        acme().account()
    assert all(call.request.url.startswith(f"{ACME}/") for call in mock.calls)


def test_a_netrc_does_not_replace_the_token(mock, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine acme.my.salesforce.com login me password other")
    monkeypatch.setenv("NETRC", str(netrc))
    logged_in(mock)
    mock.get(
        f"{ACME}/services/data/v66.0/queryAll/",
        json={"totalSize": 1, "done": True, "records": [{"Id": "00D000000000001AAA"}]},
    )
    acme().account()
    assert mock.calls[-1].request.headers["Authorization"] == f"Bearer {CANARY}"
    assert "Authorization" not in mock.calls[0].request.headers


def test_an_answer_without_a_date_stops_a_pull(mock):
    logged_in(mock)
    mock.get(f"{ACME}/services/data/v66.0/", json={"query": "/services/data/v66.0/query"})
    with pytest.raises(Unavailable, match="Date"):
        list(acme().contacts(None))


def test_a_retired_version_says_what_to_do(mock):
    logged_in(mock)
    gone = [{"errorCode": "UNSUPPORTED_API_VERSION", "message": "Unsupported API version 66.0"}]
    mock.get(f"{ACME}/services/data/v66.0/queryAll/", status=410, json=gone)
    with pytest.raises(ConfigError, match="raise api_version"):
        acme().account()


def test_no_secret_in_what_is_shown(sandbox):
    settings = salesforce.Settings(
        instance_url=sandbox.url, client_id="a", client_secret=CANARY, private_key=CANARY, refresh_token=CANARY
    )
    made = connect(sandbox)
    made.account()
    assert CANARY not in repr(settings) + str(settings) + settings.model_dump_json()
    assert made._org.token.access not in repr(made._org.token)


# Windows and cursors

LEADS = Source("Lead", "Lead", ("Email",))
HOUR = Window(datetime(2026, 11, 21, 8, tzinfo=UTC), datetime(2026, 11, 21, 9, tzinfo=UTC))


class Typed(Schema):
    """A schema of stamps and ids."""

    def __init__(self):
        super().__init__(None)

    def of(self, name):
        return {"systemmodstamp": Field("SystemModstamp", "datetime"), "id": Field("Id", "id")}


def test_a_window_is_read_in_the_order_of_its_keyset():
    assert query_of(LEADS, HOUR, ("2026-11-21T08:30:00+00:00", "00Q1"), Typed()) == (
        "SELECT SystemModstamp, Id, Email FROM Lead "
        "WHERE SystemModstamp >= 2026-11-21T08:00:00Z AND SystemModstamp <= 2026-11-21T09:00:00Z "
        "AND SystemModstamp >= 2026-11-21T08:30:00Z AND (SystemModstamp > 2026-11-21T08:30:00Z "
        "OR (SystemModstamp = 2026-11-21T08:30:00Z AND Id > '00Q1')) ORDER BY SystemModstamp, Id"
    )


def test_text_in_a_query_is_quoted():
    assert text_literal("O'Brien\\ \n' OR Id != '") == "'O\\'Brien\\\\ \\n\\' OR Id != \\''"


@pytest.mark.parametrize("cursor", ["x", "[]", "{}", '{"v":2,"done":{},"here":["",[],"",[],"","",0]}'])
def test_a_cursor_of_another_kind_is_not_guessed_at(cursor):
    with pytest.raises(ConfigError, match="crmsync backfill"):
        cursor_of(cursor)


def test_a_cursor_is_read_as_it_was_written():
    at = Cursor(
        until="2026-11-21T09:00:00Z", finished=("Lead",), stream="Contact", job="750", locator="abc", read=7, shape="x"
    )
    assert cursor_of(at.spelled()) == at


def test_rows_that_appear_late_are_read_by_the_next_pull(sandbox, crm):
    """A row carries the time its transaction ran, which may lie behind a cursor that has passed it."""
    _, cursor = pulled(crm.contacts(None))
    lead = live(crm)[0]
    table = sandbox.org.state.of("Lead")
    late = sandbox.clock() - timedelta(minutes=9)
    table.set(table.rows[lead.ref.id], "Title", "Late")
    table.set(table.rows[lead.ref.id], "SystemModstamp", late.strftime("%Y-%m-%dT%H:%M:%S.000+0000"))
    assert by_ref(pulled(crm.contacts(cursor))[0])[lead.ref].fields["title"] == "Late"


def test_one_second_with_more_rows_than_a_page_is_read_once_and_ends(sandbox, crm):
    do(sandbox, "bulk_stamp", object="Lead")
    do(sandbox, "set", page_size=5)
    contacts, _ = pulled(crm.contacts(None))
    assert len(contacts) == len(by_ref(contacts))


def test_a_page_that_comes_again_and_again_is_noticed(sandbox, crm):
    sandbox.do("salesforce", "set", page_size=5)
    page = {"totalSize": 9, "done": False, "nextRecordsUrl": "/services/data/v66.0/query/01g-5"}
    columns = {"Id": "00Q000000000001AAA", "SystemModstamp": "2026-11-01T00:00:00.000+0000"}
    asked = crm._readers["lead"].source(crm._schema).columns
    page["records"] = [dict.fromkeys(asked) | columns]
    fault(sandbox, "answer", "/query", status=200, body=page)
    with pytest.raises(Unavailable, match="again and again"):
        list(crm.contacts(None))


def test_a_lost_locator_is_followed_by_a_query_from_the_last_row(sandbox, crm):
    whole = by_ref(pulled(crm.contacts(None))[0])
    sandbox.do("salesforce", "set", page_size=5, locator_pages=2)
    sandbox.calls.clear()
    contacts, _ = pulled(crm.contacts(None))
    assert by_ref(contacts) == whole
    assert len(contacts) == len(whole)


@pytest.mark.parametrize("skew", [timedelta(seconds=90), timedelta(seconds=-90), timedelta(hours=-1)])
def test_only_the_servers_clock_counts(sandbox, crm, skew):
    _, cursor = pulled(crm.contacts(None))
    lead = live(crm)[0]
    sandbox.clock.set(sandbox.clock() + skew)
    _, cursor = pulled(connect(sandbox).contacts(cursor))
    sandbox.do("salesforce", "update", id=lead.ref.id, fields={"Title": "Skewed"})
    assert by_ref(pulled(connect(sandbox).contacts(cursor))[0])[lead.ref].fields["title"] == "Skewed"


def test_an_idle_pull_costs_a_call_for_each_stream(sandbox, crm):
    _, cursor = pulled(crm.contacts(None))
    sandbox.clock.advance(7_200)
    made = connect(sandbox)
    made.account()
    list(made.contacts(cursor))
    sandbox.calls.clear()
    assert pulled(made.contacts(cursor))[0] == []
    assert len(sandbox.calls) == 3


def test_an_account_that_changes_brings_its_contacts(sandbox, crm):
    contact = next(each for each in live(crm, "contact") if each.group.startswith("001"))
    _, cursor = pulled(crm.contacts(None))
    sandbox.clock.advance(7_200)
    do(sandbox, "update", id=contact.group, fields={"Industry": "Banking"})
    found = by_ref(pulled(connect(sandbox).contacts(cursor))[0])
    assert found[contact.ref].fields["industry"] == "Banking"
    assert found[contact.ref].changed_at > contact.changed_at
    assert all(ref.kind == "contact" for ref in found)


def test_merged_and_converted_records_say_where_they_went(sandbox, crm):
    first, second, third, *_ = live(crm)
    _, cursor = pulled(crm.contacts(None))
    do(sandbox, "merge", winner=first.ref.id, losers=[second.ref.id])
    became = do(sandbox, "convert", id=third.ref.id)
    found = by_ref(pulled(connect(sandbox).contacts(cursor))[0])
    assert (found[second.ref].gone, found[second.ref].merged_into) == (True, first.ref)
    assert found[third.ref].converted_into == Ref("salesforce", "contact", became["contact"])
    assert found[third.ref].converted_into in found
    read = by_ref(connect(sandbox).read([second.ref, third.ref]))
    assert read[second.ref].merged_into == first.ref
    assert read[third.ref].converted_into == found[third.ref].converted_into


def test_a_purged_record_reads_as_gone(sandbox, crm):
    lead = live(crm)[0]
    do(sandbox, "delete", id=lead.ref.id)
    do(sandbox, "purge")
    assert [each.gone for each in crm.read([lead.ref])] == [True]


def test_more_records_than_a_query_takes_are_read_in_few_calls(sandbox, crm):
    refs = [each.ref for each in pulled(crm.contacts(None))[0]]
    unknown = [Ref("salesforce", "lead", f"00Q0000000{number:05}AAA") for number in range(40_000, 40_900)]
    sandbox.calls.clear()
    found = by_ref(crm.read([*refs, *unknown]))
    assert set(found) == {*refs, *unknown}
    assert all(found[ref].gone for ref in unknown)
    assert len(sandbox.calls) == 2


# What the user may see


@pytest.mark.parametrize("action", ["hide_field", "remove_field"])
def test_a_field_that_goes_is_unknown_and_the_pull_goes_on(sandbox, crm, action):
    assert any("title" in each.fields for each in pulled(crm.contacts(None))[0])
    do(sandbox, action, object="Lead", field="Title")
    contacts, _ = pulled(crm.contacts(None))
    assert not any("title" in each.fields for each in contacts if each.ref.kind == "lead")
    assert any("title" in each.fields for each in contacts if each.ref.kind == "contact")
    assert all("title" not in each.fields for each in crm.read([live(crm)[0].ref]))


def test_a_field_that_comes_back_is_read_for_everybody(sandbox, crm):
    do(sandbox, "hide_field", object="Lead", field="Title")
    _, cursor = pulled(connect(sandbox).contacts(None))
    do(sandbox, "show_field", object="Lead", field="Title")
    found = by_ref(pulled(connect(sandbox).contacts(cursor))[0])
    assert set(found) >= {each.ref for each in live(crm)}


def test_a_field_that_goes_between_describe_and_read_is_left_out(sandbox, crm):
    ref = live(crm)[0].ref
    do(sandbox, "hide_field", object="Lead", field="Title")
    assert [each.ref for each in crm.read([ref])] == [ref]


def test_an_output_field_of_the_crm_is_current(sandbox, crm):
    ref = live(crm)[0].ref
    do(sandbox, "update", id=ref.id, fields={"Crmsync_Score__c": 12, "Crmsync_Band__c": "warm"})
    assert next(iter(crm.read([ref]))).current == {"score": 12, "band": "warm"}


def test_an_org_without_composite_is_read_call_by_call(sandbox, crm):
    whole = by_ref(pulled(crm.contacts(None))[0])
    said = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
    fault(sandbox, "answer", "/composite$", status=404, body=said)
    made = connect(sandbox)
    assert by_ref(pulled(made.contacts(None))[0]) == whole
    unknown = [Ref("salesforce", "lead", f"00Q0000000{number:05}AAA") for number in range(40_000, 40_500)]
    assert len(list(made.read(unknown))) == 500


def roles(crm):
    return {(each.role, each.name, each.kind) for each in crm.missing_fields()}


def test_nothing_is_missing_in_a_healthy_org(sandbox, crm):
    assert crm.missing_fields() == []


@pytest.mark.parametrize("action", ["hide_field", "remove_field"])
def test_a_field_that_goes_is_missing_in_the_next_run_of_a_daemon(sandbox, crm, action):
    assert crm.missing_fields() == []
    for object_, field in (
        ("Lead", "Title"),
        ("Account", "Industry"),
        ("Contact", "Crmsync_Fit__c"),
        ("Contact", "Crmsync_Stage__c"),
    ):
        do(sandbox, action, object=object_, field=field)
    assert roles(crm) == {
        ("field", "title", "lead"), ("field", "industry", "contact"), ("score_field", "fit", "contact"),
        ("stage", "stage", "contact"),
    }  # fmt: skip
    problems = crm.check().problems
    assert all(each.sentence in problems for each in crm.missing_fields())
    assert any("correct [fields]" in each for each in problems)
    assert sum("run: crmsync setup" in each for each in problems) == 2


def test_a_field_that_comes_back_is_not_missing(sandbox, crm):
    do(sandbox, "hide_field", object="Lead", field="Title")
    assert roles(crm) == {("field", "title", "lead")}
    do(sandbox, "show_field", object="Lead", field="Title")
    assert crm.missing_fields() == []


def test_a_field_that_no_api_reads_whole_is_missing(sandbox, crm):
    made = connect(sandbox, names=FieldMap(fields={"place": {"contact": "MailingAddress"}}))
    [missing] = made.missing_fields()
    assert "map one of its parts" in missing.sentence


def test_what_is_missing_costs_one_call_and_no_describe_again(sandbox, crm):
    pulled(crm.contacts(None))
    pulled(crm.activities(None))
    sandbox.calls.clear()
    crm.missing_fields()
    assert len(sandbox.calls) == 1
    crm.stage_order()
    pulled(crm.contacts(None))
    assert [call.path for call in sandbox.calls if "describe" in call.path or call.path.endswith("/composite")] == [
        sandbox.calls[0].path
    ]


def test_a_describe_that_did_not_change_is_not_sent_again(sandbox, crm, monkeypatch):
    told = []
    composite = crm._org.composite
    monkeypatch.setattr(crm._org, "composite", lambda *asked: told.append(composite(*asked)) or told[-1])
    crm.missing_fields()
    crm.missing_fields()
    do(sandbox, "hide_field", object="Lead", field="Title")
    crm.missing_fields()
    assert [{part.status for part in each.values()} for each in told] == [{200}, {304}, {200}]


def test_a_describe_is_read_whole_every_hour(sandbox, crm, monkeypatch):
    told = []
    composite = crm._org.composite
    monkeypatch.setattr(crm._org, "composite", lambda *asked: told.append(composite(*asked)) or told[-1])
    crm.missing_fields()
    later = schema.time.monotonic() + schema.KEPT_FOR + 1
    monkeypatch.setattr(schema.time, "monotonic", lambda: later)
    crm.missing_fields()
    assert [{part.status for part in each.values()} for each in told] == [{200}, {200}]


def test_what_is_missing_is_found_without_composite(sandbox, crm):
    said = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "no composite"}]
    fault(sandbox, "answer", "/composite$", status=400, body=said)
    assert crm.missing_fields() == []
    do(sandbox, "hide_field", object="Lead", field="Title")
    assert roles(crm) == {("field", "title", "lead")}


def test_the_order_of_the_stages_is_the_picklists(sandbox, crm):
    do(sandbox, "remove_field", object="Contact", field="Crmsync_Stage__c")
    do(sandbox, "add_field", object="Contact", field="Crmsync_Stage__c", type="picklist", values=["New", "SQL", "MQL"])
    do(sandbox, "remove_picklist_value", object="Contact", field="Crmsync_Stage__c", value="SQL")
    assert connect(sandbox).stage_order() == {
        "lead": ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
        "contact": ("New", "MQL"),
    }


def test_a_stage_that_is_no_picklist_has_no_order(sandbox, crm):
    made = connect(sandbox, stage_field={"lead": "status", "contact": "Title"})
    assert set(made.stage_order()) == {"lead"}
    assert connect(sandbox, stage_field={"contact": "Nowhere__c"}).stage_order() == {}


# Bulk queries


def test_many_rows_come_by_a_bulk_query_and_are_the_same(sandbox, crm):
    whole = by_ref(pulled(crm.contacts(None))[0])
    made = connect(sandbox)
    object.__setattr__(made._org.settings, "bulk_query_threshold", 10)
    contacts, cursor = pulled(made.contacts(None))
    assert by_ref(contacts) == whole
    assert len(contacts) == len(whole)
    assert any(call.path.endswith("/jobs/query") for call in sandbox.calls)
    assert json.loads(cursor)["here"] == ["", [], "", [], "", "", 0, "", False]


@pytest.fixture
def bulky(sandbox, crm, monkeypatch):
    """A connector that reads everything by bulk, five rows to a page."""
    monkeypatch.setattr(bulk, "RESULT_ROWS", 5)

    def made(**how):
        connector = connect(sandbox, **how)
        object.__setattr__(connector._org.settings, "bulk_query_threshold", 1)
        return connector

    return made


def test_a_bulk_query_goes_on_from_any_page_with_the_same_job(sandbox, crm, bulky):
    whole = set(by_ref(pulled(crm.contacts(None))[0]))
    pages = list(bulky().contacts(None))
    assert len(pages) > 8
    for number, page in enumerate(pages):
        had = {each.ref for each in (item for page in pages[: number + 1] for item in page.items)}
        rest = {each.ref for each in pulled(bulky().contacts(page.cursor))[0]}
        assert had | rest == whole


@pytest.mark.parametrize("do_", ["html", "reset", "truncate", "short"])
@pytest.mark.parametrize("path", ["/jobs/query$", "/jobs/query/\\w+$", "/results$"])
def test_a_bulk_query_survives_a_call_that_goes_wrong(sandbox, crm, bulky, do_, path):
    whole = by_ref(pulled(crm.contacts(None))[0])
    fault(sandbox, do_, path, nth=1)
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


@pytest.mark.parametrize("path", ["/jobs/query$", "/jobs/query/\\w+$", "/results$"])
def test_a_session_that_ends_during_a_bulk_query_is_renewed(sandbox, crm, bulky, path):
    whole = by_ref(pulled(crm.contacts(None))[0])
    fault(sandbox, "answer", path, nth=1, status=401, body=[{"message": "x", "errorCode": "INVALID_SESSION_ID"}])
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


def interrupted(pages, why):
    """The last cursor before a pull broke off."""
    cursor = None
    try:
        for page in pages:
            cursor = page.cursor
    except Unavailable as error:
        broke_off = str(error)
    assert why in broke_off
    return cursor


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_bulk_query_that_fails_is_no_empty_answer(sandbox, crm, bulky, state):
    fault(sandbox, "answer", "/jobs/query/\\w+$", status=200, nth=1, body={"id": "750", "state": state})
    cursor = interrupted(bulky().contacts(None), "started again")
    contacts, _ = pulled(bulky().contacts(cursor))
    assert by_ref(contacts) == by_ref(pulled(crm.contacts(None))[0])


def test_a_bulk_query_that_takes_too_long_is_looked_at_again_by_the_next_cycle(sandbox, crm, bulky):
    sandbox.do("salesforce", "set", bulk_polls=6)
    cursor = interrupted(bulky(bulk_wait="3s").contacts(None), "next run")
    sandbox.calls.clear()
    first = next(page for page in bulky().contacts(cursor) if page.items)
    assert first.items
    assert not any(call.method == "POST" and call.path.endswith("/jobs/query") for call in sandbox.calls)


def test_a_field_that_goes_during_a_bulk_query_begins_another(sandbox, crm, bulky):
    cursor = next(page.cursor for page in bulky().contacts(None) if page.items)
    do(sandbox, "hide_field", object="Lead", field="Company")
    do(sandbox, "show_field", object="Lead", field="Phone")
    names = FieldMap(fields={**NAMES.fields, "phone": {"lead": "Phone"}})
    contacts, _ = pulled(bulky(names=names).contacts(cursor))
    assert by_ref(contacts) == by_ref(pulled(connect(sandbox, names=names).contacts(None))[0])


def test_a_bulk_query_short_of_rows_is_begun_again(sandbox, crm, bulky, monkeypatch):
    ended = bulk.ended_query
    monkeypatch.setattr(bulk, "ended_query", lambda org, job: ended(org, job) and 4_000)
    with pytest.raises(Unavailable, match=r"only \d+ of 4,000 rows"):
        list(bulky().contacts(None))


def on_page(number, change):
    """The sandbox's pages of a bulk query, of which one has its table (header first) changed."""
    served, seen = sandbox_bulk.csv_page, []

    def page(*asked):
        seen.append(served(*asked))
        table = list(csv.reader(io.StringIO(seen[-1].decode(), newline="")))
        return sandbox_bulk.csv_text(change(table), ",", "\n") if len(seen) == number else seen[-1]

    return page


def test_the_columns_of_a_bulk_page_are_known_by_their_names(sandbox, crm, bulky, monkeypatch):
    whole = by_ref(pulled(crm.contacts(None))[0])
    turned = on_page(2, lambda table: [row[::-1] for row in table])
    monkeypatch.setattr(sandbox_bulk, "csv_page", turned)
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


def test_the_case_of_a_column_is_salesforces(sandbox, crm, bulky):
    names = FieldMap(
        fields={"title": "TITLE", "company": {"lead": "company"}, "industry": {"contact": "account.INDUSTRY"}}
    )
    whole = by_ref(pulled(connect(sandbox, names=names).contacts(None))[0])
    assert {"title", "company", "industry"} <= {name for each in whole.values() for name in each.fields}
    assert by_ref(pulled(bulky(names=names).contacts(None))[0]) == whole


def test_a_bulk_page_that_lacks_a_column_is_begun_again_and_gives_no_values(sandbox, crm, bulky, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(sandbox_bulk, "csv_page", on_page(2, lambda table: [row[:-1] for row in table]))
        cursor = interrupted(bulky().contacts(None), "the column Crmsync_Reason__c is not in its results")
    assert by_ref(pulled(bulky().contacts(cursor))[0]) == by_ref(pulled(crm.contacts(None))[0])


def test_a_bulk_job_that_is_gone_is_begun_again(sandbox, crm, bulky):
    pages = list(bulky().contacts(None))
    at = json.loads(pages[1].cursor)
    at["here"][4] = "7500000000000zzAAA"
    contacts, _ = pulled(bulky().contacts(json.dumps(at)))
    assert by_ref(contacts) == by_ref(pulled(crm.contacts(None))[0])


def test_without_bulk_everything_comes_by_rest(sandbox, crm, bulky):
    whole = by_ref(pulled(crm.contacts(None))[0])
    said = [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "Bulk API is not enabled"}]
    fault(sandbox, "answer", "/jobs/query", status=403, body=said)
    assert by_ref(pulled(bulky().contacts(None))[0]) == whole


HOSTILE = [
    "a\x00b",
    "x" * 200_000,
    "one\r\ntwo",
    'say ""',
    "\r",
    "a\u2028b",
    "\u202eabc",
    "\U0001f680",
    "=cmd()",
    "Zoë",
]


@pytest.mark.parametrize("by_bulk", [False, True])
def test_hostile_text_is_read_as_it_is(sandbox, crm, bulky, by_bulk):
    sandbox.do("salesforce", "add_field", object="Lead", field="Note__c", type="textarea", size=262_144)
    leads = live(crm)[: len(HOSTILE)]
    table = sandbox.org.state.of("Lead")
    for lead, text in zip(leads, HOSTILE, strict=True):
        table.set(table.rows[lead.ref.id], "Note__c", text)
    names = FieldMap(fields={"note": {"lead": "Note__c"}})
    made = bulky(names=names) if by_bulk else connect(sandbox, names=names)
    found = by_ref(pulled(made.contacts(None))[0])
    assert [found[lead.ref].fields["note"] for lead in leads] == [text.replace("\x00", "") for text in HOSTILE]


# Values


@pytest.mark.parametrize(
    ("value", "type_", "read"),
    [
        (None, "string", None), ("", "string", None), ("x", "string", "x"), ("true", "boolean", True),
        (False, "boolean", False), (50.0, "double", 50), ("50.0", "double", 50), ("12.5", "currency", 12.5),
        ("a;b", "multipicklist", ("a", "b")), ("2026-03-29", "date", "2026-03-29"), ("NaN", "double", None),
        ("2020-10-22T21:03:23.000+0000", "datetime", "2020-10-22T21:03:23+00:00"), ("1e400", "double", None),
        ("2020-10-22T21:03:23.000Z", "datetime", "2020-10-22T21:03:23+00:00"), ("junk", "datetime", None),
        ({"street": "x"}, "address", None),
    ],
)  # fmt: skip
def test_a_value_is_read_in_the_type_that_describe_says(value, type_, read):
    assert (None if value in (None, "") else reader_of(type_)(value)) == read


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-29", datetime(2026, 3, 29, tzinfo=UTC)),
        ("2026-03-29T01:30:00.123456+02:00", datetime(2026, 3, 28, 23, 30, 0, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00.000+0000", datetime(1, 1, 1, tzinfo=UTC)),
        ("1633996800000", None),
        (None, None),
    ],
)
def test_instants_are_aware_utc_or_unknown(text, at):
    assert instant_of(text) == at


@pytest.mark.parametrize(
    ("text", "length", "kept"),
    [
        ("short", 255, "short"), ("x" * 300, 255, "x" * 255), ("ab" + "\U0001f680" * 3, 5, "ab\U0001f680"),
        ("e\u0301" * 3, 3, "e\u0301"), ("\U0001f468\u200d\U0001f469\u200d\U0001f467", 6, ""),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 6, "\U0001f1e9\U0001f1ea"), ("a b", 2, "a"),
        ("\U0001f44d\U0001f3fd!", 3, ""),
    ],
)  # fmt: skip
def test_text_is_cut_between_signs(text, length, kept):
    assert clamp_text(text, length) == kept


@settings(max_examples=60)
@given(st.text(max_size=40), st.integers(0, 20))
def test_cut_text_fits_and_is_a_beginning(text, length):
    cut = clamp_text(drop_unstorable(text), length)
    assert drop_unstorable(text).startswith(cut)
    assert len(cut.encode("utf-16-le")) // 2 <= length


@pytest.mark.parametrize(
    ("value", "field", "sent"),
    [
        (72.46, Field("S", "double", precision=5, scale=1), 72.5),
        (72, Field("S", "double", precision=3), 72),
        (-0.0, Field("S", "double", precision=3), 0),
        (7, Field("S", "int", digits=8), 7),
        (42, Field("S", "string", length=10), "42"),
    ],
)
def test_a_value_is_sent_as_the_field_takes_it(value, field, sent):
    assert fit_value(value, field) == sent


@pytest.mark.parametrize("value", [1000, 999.7, float("nan"), float("inf"), "many"])
def test_a_number_that_does_not_fit_is_refused_with_a_sentence(value):
    with pytest.raises(ValueError, match="Score__c"):
        fit_value(value, Field("Score__c", "double", precision=3))


# Activities


def feed(**where):
    return Feed(source="Task", kind="x", where=where)


@pytest.mark.parametrize(
    ("where", "row", "fit"),
    [
        ({}, {}, True), ({"Type": "Call"}, {"Type": "call"}, True), ({"Type": "Call"}, {}, False),
        ({"Type": ["Call", "Email"]}, {"Type": "Email"}, True), ({"Type": "!Call"}, {}, True),
        ({"Type": "!Call"}, {"Type": "Call"}, False), ({"IsClosed": True}, {"IsClosed": True}, True),
        ({"IsClosed": False}, {}, True), ({"IsClosed": True}, {}, False),
        ({"CallDurationInSeconds": 5}, {"CallDurationInSeconds": 5}, True),
        ({"Type": ["Call", "!Email"]}, {"Type": "Other"}, False),
    ],
)  # fmt: skip
def test_where_asks_for_values_and_leaves_others_out(where, row, fit):
    assert feed(**where).fits(row) is fit


def happened(crm, cursor=None):
    return pulled(crm.activities(cursor))


def logged(sandbox, crm, **how):
    """What becomes of one activity that was logged after a full pull."""
    _, cursor = happened(crm)
    made = do(sandbox, "add_activity", **how)
    return made["id"], [each for each in happened(connect(sandbox), cursor)[0] if each.id.startswith(made["id"])]


def test_a_call_is_counted_when_it_was_completed(sandbox, crm):
    who = live(crm)[0].ref
    id_, found = logged(sandbox, crm, who=who.id, fields={"TaskSubtype": "Call", "CallDisposition": "Connected"})
    [call] = [each for each in found if not each.gone]
    assert (call.id, call.ref, call.kind) == (f"{id_}:call_completed", who, "call_completed")
    assert call.at == sandbox.clock()
    assert call.attributes["outcome"] == "Connected"


def test_a_due_date_ahead_is_no_activity_ahead(sandbox, crm):
    who = live(crm)[0].ref
    _, found = logged(sandbox, crm, who=who.id, fields={"ActivityDate": "2027-05-01", "TaskSubtype": "Task"})
    assert [each.at <= sandbox.clock() for each in found if not each.gone] == [True]


def test_an_open_task_is_none_yet_and_a_reopened_one_is_gone(sandbox, crm):
    who = live(crm)[0].ref
    _, found = logged(sandbox, crm, who=who.id, fields={"Status": "Not Started", "TaskSubtype": "Task"})
    assert all(each.gone for each in found)


@pytest.mark.parametrize("action", ["delete", "reparent"])
def test_an_activity_that_goes_away_is_gone(sandbox, crm, action):
    task = next(each for each in happened(crm)[0] if each.kind == "call_completed")
    _, cursor = happened(crm)
    id_ = task.id.split(":")[0]
    do(sandbox, action, id=id_, **({"fields": {"WhoId": None}} if action == "reparent" else {}))
    found = {each.id: each for each in happened(connect(sandbox), cursor)[0]}
    assert found[task.id].gone
    assert found[task.id].ref == NOBODY


def test_an_activity_that_moves_is_its_new_persons(sandbox, crm):
    task = next(each for each in happened(crm)[0] if each.kind == "call_completed")
    other = next(each.ref for each in live(crm) if each.ref != task.ref)
    _, cursor = happened(crm)
    do(sandbox, "reparent", id=task.id.split(":")[0], fields={"WhoId": other.id})
    moved = [each for each in happened(connect(sandbox), cursor)[0] if each.id == task.id]
    assert [each.ref for each in moved] == [other]


def test_the_case_in_a_feed_does_not_matter(sandbox, crm):
    called = {"source": "Task", "kind": "x", "where": {"TASKSUBTYPE": "Call"}, "attributes": {"subject": "subject"}}
    found, _ = happened(connect(sandbox, activities=[called]))
    assert {(each.id.split(":")[0], each.attributes["subject"]) for each in found} == {
        (each.id.split(":")[0], each.attributes["subject"])
        for each in happened(crm)[0]
        if each.kind == "call_completed" and each.id.startswith("00T")
    }


def test_archived_activities_are_read(sandbox, crm):
    task = next(each for each in happened(crm)[0] if each.kind == "call_completed")
    do(sandbox, "archive", ids=[task.id.split(":")[0]])
    assert task in happened(connect(sandbox))[0]


def test_an_e_mail_counts_once_though_it_is_a_task_too(sandbox, crm):
    tables = sandbox.snapshot("salesforce")
    sent = [each for each in happened(crm)[0] if each.kind == "email_sent"]
    outgoing = [each for each in tables["EmailMessage"].values() if not each["Incoming"]]
    assert len(sent) == len(outgoing)
    assert all(each.id.startswith("02s") for each in sent)


def test_without_e_mail_records_their_tasks_count(sandbox, crm):
    tables = sandbox.snapshot("salesforce")
    mails = [each for each in tables["Task"].values() if each["TaskSubtype"] == "Email"]
    sandbox.org.state.tables.pop("emailmessage")
    found = [each for each in happened(connect(sandbox))[0] if each.kind == "email_sent"]
    assert sorted(each.id.split(":")[0] for each in found) == sorted(each["Id"] for each in mails)


def test_the_sender_of_an_answer_replied(sandbox, crm):
    tables = sandbox.snapshot("salesforce")
    incoming = [each["Id"] for each in tables["EmailMessage"].values() if each["Incoming"]]
    replied = [each for each in happened(crm)[0] if each.kind == "email_replied"]
    assert sorted(each.id.split(":")[0] for each in replied) == sorted(incoming)


def test_copies_of_a_meeting_for_its_guests_do_not_count(sandbox, crm):
    who = live(crm)[0].ref
    _, found = logged(sandbox, crm, object="Event", who=who.id, fields={"IsChild": True, "Subject": "Demo"})
    assert found == []


def test_a_campaign_member_becomes_what_its_campaign_is(sandbox, crm):
    kinds = {each.kind for each in happened(crm)[0] if each.id.startswith("00v")}
    assert kinds >= {"webinar_registered", "webinar_attended", "event_registered"}
    attended = next(each for each in happened(crm)[0] if each.kind == "webinar_attended")
    assert attended.attributes["campaign"]
    assert attended.at <= sandbox.clock()


def test_a_converted_member_is_the_contact(sandbox, crm):
    member = next(each for each in happened(crm)[0] if each.id.startswith("00v") and each.ref.kind == "lead")
    _, cursor = happened(crm)
    became = do(sandbox, "convert", id=member.ref.id)
    found = {each.id: each for each in happened(connect(sandbox), cursor)[0]}
    assert found[member.id].ref == Ref("salesforce", "contact", became["contact"])


def test_another_definition_of_a_feed_reads_its_source_again(sandbox, crm):
    _, cursor = happened(crm)
    sandbox.clock.advance(7_200)
    made = connect(sandbox, activities=[{"source": "Task", "kind": "phone", "where": {"TaskSubtype": "Call"}}])
    found, _ = happened(made, cursor)
    assert {each.kind for each in found if not each.gone} == {"phone"}
    assert {each.id for each in happened(crm)[0] if each.id.startswith("00T")} <= {
        each.id for each in found if each.gone
    }


def test_an_object_that_is_not_visible_yields_nothing(sandbox, crm):
    sandbox.org.state.tables.pop("campaignmember")
    kinds = {each.kind for each in happened(connect(sandbox))[0]}
    assert "call_completed" in kinds
    assert not any(kind.startswith("webinar") for kind in kinds)


def test_activities_come_by_bulk_too(sandbox, crm, bulky):
    whole = {(each.id, each.ref): each for each in happened(crm)[0]}
    found, _ = happened(bulky())
    assert {(each.id, each.ref): each for each in found} == whole


# Owners


def test_owners_are_users_and_lead_queues(sandbox, crm):
    owners = {each.id: each for each in crm.owners()}
    someone = next(id_ for id_, each in owners.items() if each.email.startswith("dana"))
    do(sandbox, "deactivate_user", id=someone)
    owners = {each.id: each for each in crm.owners()}
    assert owners[someone].active is False
    assert [each.name for each in owners.values() if each.kind == "queue"] == ["Inbound Leads"]


# Incremental is full


def edit(sandbox, crm, random):
    """Something that a person might do next."""
    tables = sandbox.snapshot("salesforce")

    def some(name):
        return random.choice([each["Id"] for each in tables[name].values() if not each.get("IsDeleted")])

    leads = [
        each["Id"] for each in tables["Lead"].values() if not each.get("IsDeleted") and not each.get("IsConverted")
    ]
    who = random.choice(leads)
    deeds = [
        ("update", {"id": who, "fields": {"Title": f"Title {random.random()}"}}),
        ("update", {"id": some("Account"), "fields": {"Industry": random.choice(["Banking", "Energy", "Retail"])}}),
        ("update", {"id": some("Task"), "fields": {"Subject": f"Subject {random.random()}"}}),
        ("delete", {"id": random.choice([some("Task"), some("Event"), who])}),
        ("delete", {"id": random.choice([some("EmailMessage"), some("CampaignMember")])}),
        ("merge", {"winner": leads[0], "losers": [leads[-1]]}),
        ("convert", {"id": who}),
        ("add_activity", {"who": some("Contact"), "fields": {"TaskSubtype": "Call"}}),
        ("add_activity", {"who": who, "object": "Event", "fields": {"Subject": "Demo"}}),
        ("reparent", {"id": some("Task"), "fields": {"WhoId": random.choice([who, some("Contact"), None])}}),
        ("update", {"id": some("CampaignMember"), "fields": {"Status": random.choice(["Sent", "Responded"])}}),
        ("bulk_stamp", {"object": random.choice(["Lead", "Contact", "Task"])}),
    ]
    action, body = random.choice(deeds)
    with contextlib.suppress(ValueError):
        do(sandbox, action, **body)


def folded(activities, into, came=None):
    """What a store holds after these pages: an id that comes again replaces what was there, and what was to come whole
    and did not is no more. `came` are the ids that came before, where the pages go on with a pull that broke off."""
    came = set() if came is None else came
    for page in activities:
        for id_ in {each.id for each in page.items}:
            into.pop(id_, None)
        for each in page.items:
            if not each.gone:
                into.setdefault(each.id, {})[each.ref] = each
        came |= {each.id for each in page.items if not each.gone}
        for id_ in [each for each in into if each.startswith(tuple(page.whole)) and each not in came]:
            del into[id_]
    return page.cursor


WHOLE = frozenset({"00T", "00U", "02s", "00v"})


def whole(pages):
    return [prefix for page in pages for prefix in page.whole]


def test_a_full_pull_says_of_each_source_that_it_came_whole(sandbox, crm):
    pages = list(crm.activities(None))
    assert sorted(whole(pages)) == sorted(WHOLE)
    for number, page in enumerate(pages):
        for later in pages[number + 1 :]:
            assert not any(each.id.startswith(tuple(page.whole)) for each in later.items)
    assert whole(crm.activities(pages[-1].cursor)) == []


def test_a_source_without_rows_came_whole_too(sandbox, crm):
    sandbox.do("salesforce", "capture_emails")
    assert "02s" in whole(connect(sandbox).activities(None))


@pytest.mark.parametrize("by_bulk", [False, True])
def test_a_full_pull_that_broke_off_says_the_same(sandbox, crm, bulky, by_bulk):
    sandbox.do("salesforce", "set", page_size=7)
    made = bulky if by_bulk else (lambda: connect(sandbox))
    pages = list(made().activities(None))
    for number in range(0, len(pages), 5):
        rest = list(made().activities(pages[number].cursor))
        assert sorted(whole([*pages[: number + 1], *rest])) == sorted(WHOLE)


def test_what_is_edited_during_a_full_pull_comes_in_it(sandbox, crm):
    stored, came = {}, set()
    folded(crm.activities(None), stored)
    last = max((each for each in stored if each.startswith("00T")), key=lambda id_: next(iter(stored[id_].values())).at)
    sandbox.do("salesforce", "set", page_size=7)
    cursor = folded(itertools.islice(connect(sandbox).activities(None), 1), stored, came)
    sandbox.clock.advance(7_200)
    do(sandbox, "update", id=last.split(":")[0], fields={"Subject": "Edited meanwhile"})
    folded(connect(sandbox).activities(cursor), stored, came)
    assert {each.attributes["subject"] for each in stored[last].values()} == {"Edited meanwhile"}


def test_a_stream_that_goes_on_as_another_begins_again(sandbox, crm):
    sandbox.do("salesforce", "set", page_size=7)
    cursor = next(iter(crm.activities(None))).cursor
    calls = [{"source": "Task", "kind": "phone", "where": {"TaskSubtype": "Call"}}]
    found, _ = happened(connect(sandbox, activities=calls), cursor)
    assert found == happened(connect(sandbox, activities=calls))[0]


def test_what_goes_on_from_a_cursor_is_not_whole_even_where_a_source_is_read_again(sandbox, crm):
    _, cursor = happened(crm)
    made = connect(sandbox, activities=[{"source": "Task", "kind": "phone", "where": {"TaskSubtype": "Call"}}])
    assert whole(made.activities(cursor)) == []


def test_what_the_user_may_not_see_did_not_come_whole(sandbox, crm):
    sandbox.org.state.tables.pop("campaignmember")
    do(sandbox, "hide_field", object="Event", field="SystemModstamp")
    do(sandbox, "hide_field", object="Task", field="TaskSubtype")
    assert whole(connect(sandbox).activities(None)) == ["02s"]


@pytest.mark.parametrize("action", ["delete", "reparent", "purge"])
def test_a_full_pull_notices_what_went_away_unseen(sandbox, crm, action):
    stored = {}
    folded(crm.activities(None), stored)
    task, mail, member = (next(each for each in stored if each.startswith(one)) for one in ("00T", "02s", "00v"))
    for each in (task, mail, member):
        if action == "reparent":
            do(sandbox, "update", id=task.split(":")[0], fields={"WhoId": None})
        else:
            do(sandbox, "delete", id=each.split(":")[0])
    if action == "purge":
        do(sandbox, "purge", objects=["Task", "EmailMessage", "CampaignMember"])
    sandbox.clock.advance(86_400)
    folded(connect(sandbox).activities(None), stored)
    fresh = {}
    folded(connect(sandbox).activities(None), fresh)
    assert task not in stored
    assert stored == fresh


@pytest.mark.parametrize("seed", range(6))
def test_what_was_pulled_bit_by_bit_is_what_a_full_pull_brings(sandbox, crm, seed):
    random = Random(seed)
    contacts, activities, cursors = {}, {}, [None, None]
    for _ in range(5):
        sandbox.do("salesforce", "set", page_size=random.choice([3, 7, 2000]))
        made = connect(sandbox)
        news, cursors[0] = pulled(made.contacts(cursors[0]))
        contacts |= by_ref(news)
        cursors[1] = folded(made.activities(cursors[1]), activities)
        for _ in range(4):
            edit(sandbox, crm, random)
        sandbox.clock.advance(random.choice([1, 60, 3_600]))
    made = connect(sandbox)
    contacts |= by_ref(pulled(made.contacts(cursors[0]))[0])
    folded(made.activities(cursors[1]), activities)
    full = {}
    folded(connect(sandbox).activities(None), full)
    assert activities == full
    whole = by_ref(pulled(connect(sandbox).contacts(None))[0])
    for ref, each in whole.items():
        assert contacts[ref] == each
    assert set(contacts) == set(whole)


def test_a_record_that_is_restored_comes_back(sandbox, crm):
    lead = live(crm)[0]
    do(sandbox, "delete", id=lead.ref.id)
    _, cursor = pulled(connect(sandbox).contacts(None))
    do(sandbox, "undelete", id=lead.ref.id)
    assert not by_ref(pulled(connect(sandbox).contacts(cursor))[0])[lead.ref].gone


def test_a_cursor_ahead_of_the_server_loses_nothing(sandbox, crm):
    sandbox.clock.advance(86_400)
    _, cursor = pulled(connect(sandbox).contacts(None))
    sandbox.clock.advance(-86_400)
    lead = live(crm)[0]
    do(sandbox, "update", id=lead.ref.id, fields={"Title": "Earlier"})
    assert by_ref(pulled(connect(sandbox).contacts(cursor))[0])[lead.ref].fields["title"] == "Earlier"


def test_the_task_of_a_deleted_e_mail_counts_in_its_place(sandbox, crm):
    mail = next(each for each in happened(crm)[0] if each.kind == "email_sent")
    task = sandbox.snapshot("salesforce")["EmailMessage"][mail.id.split(":")[0]]["ActivityId"]
    do(sandbox, "delete", id=mail.id.split(":")[0])
    ids = {each.id for each in happened(connect(sandbox))[0]}
    assert mail.id not in ids
    assert f"{task}:email_sent" in ids
