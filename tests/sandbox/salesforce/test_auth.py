"""The sandbox's Salesforce: who gets a token, how long it lives, and how Salesforce refuses."""

from datetime import UTC, datetime

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceExpiredSession

from tests.support.sandbox_salesforce import ids


def ask_token(sandbox, **form):
    return requests.post(f"{sandbox.url}/services/oauth2/token", data=form, timeout=5)


def test_client_credentials(sf, sandbox):
    answer = ask_token(sandbox, grant_type="client_credentials", client_id="sandbox", client_secret="sandbox")
    assert answer.status_code == 200
    assert answer.json().keys() >= {"access_token", "instance_url", "id", "token_type", "issued_at", "signature"}
    assert answer.json()["instance_url"] == sandbox.url
    assert sf.query("SELECT Id FROM Organization")["totalSize"] == 1


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "sandbox"}, "invalid_client_id"),
        ({"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "x"}, "invalid_client"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "client_id": "sandbox", "refresh_token": "old"}, "invalid_grant"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
    ],
)
def test_refused_logins(sandbox, org, form, error):
    answer = ask_token(sandbox, **form)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert answer.json()["error_description"]


def test_simple_salesforce_hears_why_it_was_refused(org, session):
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(consumer_key="sandbox", consumer_secret="wrong", domain="acme.my", version="66.0", session=session)
    assert caught.value.code == "invalid_client"


def test_refresh_tokens_rotate_when_told_to(sandbox, do):
    do("set", rotate_refresh_tokens=True)
    form = {"grant_type": "refresh_token", "client_id": "sandbox"}
    first = ask_token(sandbox, **form, refresh_token="sandbox-refresh-token").json()
    assert ask_token(sandbox, **form, refresh_token="sandbox-refresh-token").json()["error"] == "invalid_grant"
    assert ask_token(sandbox, **form, refresh_token=first["refresh_token"]).status_code == 200


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_jwt_bearer(org, session, key, do):
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    do("register_key", client_id="app", public_key=public.decode())
    login = {"username": "crmsync@sandbox.example", "consumer_key": "app", "domain": "acme.my", "session": session}
    sf = Salesforce(**login, privatekey=pem(key), version="66.0")
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 3
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        Salesforce(**login, privatekey=pem(other), version="66.0")
    assert caught.value.code == "invalid_grant"


def test_an_external_client_app_refuses_the_old_audience(sandbox, org, key):
    claims = {
        "iss": "sandbox",
        "sub": "a",
        "aud": "https://test.salesforce.com",
        "exp": int(datetime.now(UTC).timestamp()) + 100,
    }
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    answer = ask_token(sandbox, grant_type=grant, assertion=jwt.encode(claims, pem(key), algorithm="RS256"))
    assert answer.json()["error"] == "app_not_found"


def test_soap_login_is_over(sandbox, org):
    for version, code in (("66.0", "UNSUPPORTED_API_VERSION"), ("59.0", "INVALID_OPERATION")):
        answer = requests.post(f"{sandbox.url}/services/Soap/u/{version}", data="<x/>", timeout=5)
        assert answer.status_code == 500
        assert f"<sf:exceptionCode>{code}</sf:exceptionCode>" in answer.text


def test_a_session_ends_and_simple_salesforce_gets_another(sf, do):
    assert do("expire_sessions")["ended"] == 1
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 3
    do("set", session_calls=2)
    assert [sf.query("SELECT COUNT() FROM Lead")["totalSize"] for _ in range(5)] == [3] * 5


def test_an_ended_session_is_told_in_a_list(sandbox, session, org):
    answer = requests.get(f"{sandbox.url}/services/data/v66.0/limits", headers={"Authorization": "Bearer x"}, timeout=5)
    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    stale = Salesforce(session_id="x", instance_url=sandbox.url, version="66.0", session=session)
    with pytest.raises(SalesforceExpiredSession):
        stale.limits()


def test_who_we_are(sf, sandbox):
    headers = {"Authorization": f"Bearer {sf.session_id}"}
    said = requests.get(f"{sandbox.url}/services/oauth2/userinfo", headers=headers, timeout=5).json()
    assert said["organization_id"] == ids(sf, "SELECT Id FROM Organization")[0]
    token = {"token": sf.session_id}
    assert requests.post(f"{sandbox.url}/services/oauth2/introspect", data=token, timeout=5).json()["active"]
