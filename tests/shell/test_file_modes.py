"""Files with people or secrets are for their owner alone, and `crmsync check` names those that are not."""

import os
import stat
from contextlib import closing

import pytest

from connectors.salesforce.settings import Settings
from connectors.salesforce.tokens import _keep
from crmsync.config import load
from crmsync.doctor import _lint_secret_files
from crmsync.store import schema
from crmsync.store.copy import copy_state
from crmsync.store.database import open_existing_store, open_store


@pytest.fixture(autouse=True)
def _usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder):
    return {path.name: f"{stat.S_IMODE(path.stat().st_mode):o}" for path in sorted(folder.iterdir()) if path.is_file()}


def test_C12_a_state_is_made_for_its_owner_alone(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path}/state.db")) as store, store.writer("me"):
        with store.begin() as tx:
            tx.execute(schema.account.insert().values(crm="x", account="y"))
        assert modes(tmp_path) == dict.fromkeys(("state.db", "state.db-shm", "state.db-wal", "state.db.lock"), "600")
        with copy_state(store) as copy:
            path = tmp_path / copy.engine.url.database
            assert modes(path.parent)["copy.db"] == "600"
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_C12_a_state_that_others_can_read_is_tightened(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    with closing(open_store(url)) as store, store.writer("me"):
        for path in tmp_path.iterdir():
            path.chmod(0o644)
        open_existing_store(url).close()
        assert set(modes(tmp_path).values()) == {"644"}  # who only looks changes nothing
        open_store(url).close()
        assert set(modes(tmp_path).values()) == {"600"}


def test_a_refresh_token_is_kept_for_its_owner_alone(tmp_path):
    settings = Settings(instance_url="http://127.0.0.1:1", refresh_token_file=str(tmp_path / "token"))
    for name in ("token", "token.new"):
        (tmp_path / name).write_text("old")
    _keep(settings, "new")
    assert modes(tmp_path) == {"token": "600"}


@pytest.mark.parametrize(
    ("mode", "owner", "level"),
    [
        (0o600, True, None),
        (0o400, True, None),
        (0o440, False, None),
        (0o640, True, "warning"),
        (0o644, True, "warning"),
        (0o444, False, "note"),
        (0o620, True, "error"),
        (0o646, False, "error"),
    ],
)
def test_C12_check_names_files_with_secrets_that_are_not_private(tmp_path, monkeypatch, mode, owner, level):
    (tmp_path / "secrets").mkdir()
    secret, key = tmp_path / "secrets" / "CRMSYNC_HUBSPOT__TOKEN", tmp_path / "my key.pem"
    for path in (secret, key):
        path.write_text("x" * 20)
        path.chmod(mode)
    (tmp_path / "secrets" / "README").write_text("not read")
    path = tmp_path / "crmsync.toml"
    path.write_text(
        'secrets = "secrets"\n[hubspot]\n[salesforce]\ninstance_url = "http://127.0.0.1:1"\nauth = "jwt"\n'
        'username = "me@x.example"\nprivate_key_file = "my key.pem"\n[bands]\ncold = 0\n'
    )
    monkeypatch.setattr("os.geteuid", lambda: secret.stat().st_uid if owner else 12345)
    found = list(_lint_secret_files(load(path)))
    assert [each.level for each in found] == ([level, level] if level else [])
    if level in ("error", "warning"):
        assert found[0].sentence.endswith(f"type: chmod 600 {secret}")
        assert found[1].sentence.endswith(f"type: chmod 600 '{key}'")
