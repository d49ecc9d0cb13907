"""Where alerts go: addresses come from outside the file where they are secrets, and are shown nowhere."""

import os

import pytest

from crmsync.config import config_of, load
from crmsync.config.alerts import name_url, read_urls
from crmsync.errors import ConfigError
from crmsync.redaction import hide_secrets, secrets_of
from tests.core.test_config import GOOD

CANARY = "Canary3f9d1c7e55"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch):
    for name in [name for name in os.environ if name.startswith("CRMSYNC_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path):
    def written(text=""):
        path = tmp_path / "crmsync.toml"
        path.write_text(GOOD + text, encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize(
    "value",
    [
        "slack://a/b/c json://localhost:8000/",
        "  slack://a/b/c\n\tjson://localhost:8000/ slack://a/b/c ",
        '["slack://a/b/c", "json://localhost:8000/"]',
    ],
)
def test_addresses_are_a_json_list_or_separated_by_blanks(write, monkeypatch, value):
    monkeypatch.setenv("CRMSYNC_ALERTS__URLS", value)
    assert read_urls(load(write()).alerts) == ["slack://a/b/c", "json://localhost:8000/"]


@pytest.mark.parametrize("value", [f'["{CANARY}', f"slack:{CANARY}", f'[{{"url": "{CANARY}"}}]', f"slack:// {CANARY}"])
def test_what_is_no_address_is_a_sentence_without_it(write, monkeypatch, value):
    monkeypatch.setenv("CRMSYNC_ALERTS__URLS", value)
    with pytest.raises(ConfigError) as caught:
        load(write())
    assert "CRMSYNC_ALERTS__URLS" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_the_secrets_folder_may_hold_them(write, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "CRMSYNC_ALERTS__URLS").write_text("slack://a/b/c\njson://localhost/\n", encoding="utf-8")
    (folder / "CRMSYNC_ALERTS__HEARTBEAT").write_text("https://hc-ping.com/x\n", encoding="utf-8")
    monkeypatch.setenv("CRMSYNC_SECRETS", str(folder))
    alerts = load(write()).alerts
    assert read_urls(alerts) == ["slack://a/b/c", "json://localhost/"]
    assert alerts.heartbeat.get_secret_value() == "https://hc-ping.com/x"


@pytest.mark.parametrize(
    "url",
    [
        f"slack://{CANARY}/b/c",
        f"https://hooks.slack.com/services/T1/B1/{CANARY}",
        f"mailtos://ops:{CANARY}@mail.acme.example",
        f"json://mail.acme.example/{CANARY}",
        f"json://mail.acme.example/hook?+X-Key={CANARY}",
        f"mailtos://mail.acme.example?pass={CANARY}",
        f"json://localhost/ slack://{CANARY}",
    ],
)
def test_an_address_with_a_secret_in_the_file_is_refused(write, url):
    with pytest.raises(ConfigError) as caught:
        load(write(f"[alerts]\nurls = {[url] if ' ' not in url else repr(url)}\n"))
    assert "line 13: alerts → urls: an address with a secret does not belong in this file" in str(caught.value)
    assert "CRMSYNC_ALERTS__URLS" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_heartbeat_with_a_secret_in_the_file_is_refused(write):
    with pytest.raises(ConfigError) as caught:
        load(write(f'[alerts]\nheartbeat = "https://hc-ping.com/{CANARY}"\n'))
    assert "CRMSYNC_ALERTS__HEARTBEAT" in str(caught.value)
    assert CANARY not in str(caught.value)
    with pytest.raises(ConfigError, match="begins with https://"):
        load(write('[alerts]\nheartbeat = "hc-ping.com"\n'))


def test_an_address_without_a_secret_may_stand_in_the_file(write):
    urls = ["mailto://mail.acme.example?from=crmsync@acme.example&to=ops@acme.example", "json://localhost:8000/hook"]
    config = load(write(f'[alerts]\nurls = {urls}\nheartbeat = "https://uptime.acme.example/crmsync"\n'))
    assert read_urls(config.alerts) == urls


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("json://127.0.0.1:8000/x", "json://127.0.0.1"),
        ("mailtos://ops:secret@mail.acme.example:587?to=x", "mailtos://mail.acme.example"),
        ("https://hooks.slack.com/services/T/B/X", "https://hooks.slack.com"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "slack://…"),
        ("tgram://123456789:AABBccDDee/1", "tgram://…"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://…"),
    ],
)
def test_an_address_is_named_without_what_may_be_a_token(url, name):
    assert name_url(url) == name


def test_addresses_are_hidden_wherever_they_may_be_repeated(write, monkeypatch):
    path = f"/workflows/643e69f8/{CANARY}?sig={CANARY}%2Fx"
    monkeypatch.setenv(
        "CRMSYNC_ALERTS__URLS", f"https://prod.logic.azure.com:443{path} slack://T1JJ3T3L2/{CANARY}Slack"
    )
    monkeypatch.setenv("CRMSYNC_ALERTS__HEARTBEAT", f"https://hc-ping.com/{CANARY}Beat")
    config = load(write())
    for said in (f'"POST {path} HTTP/1.1" 401', f"{CANARY}/x is wrong", f"T1JJ3T3L2: {CANARY}Slack", f"{CANARY}Beat"):
        assert CANARY not in hide_secrets(said, secrets_of(config))
    for said in ("workflows of prod.logic.azure.com", "slack, hc-ping.com"):
        assert hide_secrets(said, secrets_of(config)) == said
    monkeypatch.setenv("CRMSYNC_ALERTS__HEARTBEAT", "https://uptime.acme.example/crmsync")
    assert hide_secrets("/opt/crmsync/bin", secrets_of(load(write()))) == "/opt/crmsync/bin"
    assert CANARY not in repr(config) + config.model_dump_json() + config.decision_text()
    assert config_of(config.decision_text(), config).alerts == config.alerts
