"""Tokens: wrong ones, and those of an OAuth app, which end and are renewed."""

import json

import pytest

from connectors.hubspot import Settings, connect
from connectors.hubspot.errors import Unauthorized
from connectors.hubspot.tokens import Tokens
from crmsync.errors import ConfigError
from tests.support.hubspot import NAMES, calls, contacts, hubspot
from tests.support.stop import Hurried


def test_a_wrong_token_is_told_and_not_shown(sandbox):
    with pytest.raises(Unauthorized) as told:
        contacts(hubspot(sandbox, token="canary-secret"))
    assert "CRMSYNC_HUBSPOT__TOKEN" in str(told.value)
    assert "canary" not in f"{told.value!r} {told.value} {told.value.__cause__!r} {told.value.__context__!r}"


def test_no_token_at_all(sandbox):
    with pytest.raises(ConfigError, match="CRMSYNC_HUBSPOT__TOKEN"):
        connect(Settings(base_url=sandbox.url), NAMES, {}, Hurried())


def oauth(sandbox, tmp_path, **more):
    return {
        "token": None,
        "client_id": "sandbox",
        "client_secret": "sandbox",
        "refresh_token": "sandbox-refresh",
        "token_file": str(tmp_path / "hubspot.token"),
        **more,
    }


def test_oauth_renews_before_the_end_and_keeps_the_rotated_token(sandbox, tmp_path):
    connector = hubspot(sandbox, **oauth(sandbox, tmp_path))
    assert contacts(connector)[0]
    kept = tmp_path / "hubspot.token"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["refresh_token"] != "sandbox-refresh"
    assert contacts(hubspot(sandbox, **oauth(sandbox, tmp_path)))[0]


def test_oauth_goes_on_when_a_token_ends_in_the_middle(sandbox, tmp_path):
    connector = hubspot(sandbox, **oauth(sandbox, tmp_path))
    connector.account()
    sandbox.clock.advance(1_801)
    assert contacts(connector)[0]


def test_oauth_that_was_revoked_is_told_once(sandbox, tmp_path):
    sandbox.do("hubspot", "revoke_token", token="sandbox-refresh")
    with pytest.raises(ConfigError, match="CRMSYNC_HUBSPOT__REFRESH_TOKEN"):
        contacts(hubspot(sandbox, **oauth(sandbox, tmp_path)))
    assert len(calls(sandbox)) == 1


def test_oauth_needs_all_its_parts(sandbox):
    with pytest.raises(ValueError, match="token_file"):
        Settings(client_id="a", client_secret="b", refresh_token="c")


class Door:
    """Hands out tokens that live half an hour; each refresh token may bring another one."""

    def __init__(self, rotate):
        self.rotate, self.given, self.now = rotate, [], 0.0

    def send(self, _method, _path, _token, *, form):
        self.given.append(dict(form)["refresh_token"])
        answer = {"access_token": f"access-{len(self.given)}", "expires_in": 1_800}
        return answer | ({"refresh_token": f"refresh-{len(self.given)}"} if self.rotate else {})


def tokens(door, path):
    given = {"client_id": "a", "client_secret": "b", "refresh_token": "refresh-0", "token_file": str(path)}
    return Tokens(Settings(**given), door.send, lambda: door.now)


@pytest.mark.parametrize("rotate", [True, False])
def test_a_token_is_renewed_before_it_ends(tmp_path, rotate):
    door = Door(rotate)
    held = tokens(door, tmp_path / "token")
    assert held.current() == "access-1"
    door.now = 1_600
    assert held.current() == "access-1"
    door.now = 1_700
    assert held.current() == "access-2"
    assert door.given == ["refresh-0", "refresh-1" if rotate else "refresh-0"]


def test_a_refused_token_is_renewed_once_for_all_who_used_it(tmp_path):
    door = Door(False)
    held = tokens(door, tmp_path / "token")
    used = held.current()
    assert {held.renewed(instead_of=used) for _ in range(5)} == {"access-2"}


def test_another_refresh_token_in_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / "token").write_text('{"from": "another", "refresh_token": "stale"}')
    door = Door(False)
    tokens(door, tmp_path / "token").current()
    assert door.given == ["refresh-0"]


def test_a_token_file_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "token").write_text("not json")
    with pytest.raises(ConfigError, match="cannot be read"):
        tokens(Door(False), tmp_path / "token").current()


def test_a_token_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        tokens(Door(True), tmp_path / "nowhere" / "token").current()
