"""Logging in: every kind of log-in, sessions that end, and what is refused."""

import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmsync.errors import ConfigError
from tests.support.pages import pulled
from tests.support.salesforce import CANARY, by_ref, connect, fault
from tests.support.stop import Hurried


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
