"""Who only looks needs nothing that can be written: a read-only disk, a folder of somebody else."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from crmsync.errors import ConfigError, StateError
from crmsync.store import schema
from crmsync.store.database import open_existing_store, open_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """A folder with a state that was closed and a config."""
    made = tmp_path / "disk"
    made.mkdir()
    with closing(open_store(f"sqlite:///{made}/state.db")) as store, store.begin() as tx:
        tx.execute(schema.account.insert().values(crm="hubspot", account="of the first"))
    (made / "crmsync.toml").write_text('[state]\nurl = "sqlite:///state.db"\n[hubspot]\n[bands]\ncold = 0\n')
    return made


@pytest.fixture
def locked(folder, monkeypatch):
    """Whoever asks is told that nothing can be written (root could, whatever the mode says)."""
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)


def account(store):
    with store.read() as reading:
        return reading.scalar(select(schema.account.c.account))


@pytest.mark.usefixtures("locked")
def test_a_state_that_was_closed_is_read_where_nothing_can_be_written(folder):
    before = sorted(path.name for path in folder.iterdir())
    with closing(open_existing_store(f"sqlite:///{folder}/state.db")) as store:
        assert account(store) == "of the first"
        with pytest.raises(StateError, match="readonly"), store.begin() as tx:
            tx.execute(schema.account.delete())
    assert sorted(path.name for path in folder.iterdir()) == before
    with pytest.raises(ConfigError, match="cannot be written"):
        open_store(f"sqlite:///{folder}/state.db")


def test_a_state_that_somebody_works_on_is_read_as_it_is_now(folder, monkeypatch):
    with closing(open_store(f"sqlite:///{folder}/state.db")) as working:
        with working.begin() as tx:
            tx.execute(schema.account.update().values(account="of now"))
        monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
        with closing(open_existing_store(f"sqlite:///{folder}/state.db")) as store:
            assert account(store) == "of now"
        for end in ("", "-wal"):
            shutil.copy(f"{folder}/state.db{end}", f"{folder}/torn.db{end}")
        with pytest.raises(StateError, match="was not closed"):
            open_existing_store(f"sqlite:///{folder}/torn.db")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be somebody else")
def test_commands_that_look_work_where_nothing_can_be_written(folder, request):
    open_to_all = Path(tempfile.mkdtemp(prefix="crmsync-"))
    request.addfinalizer(partial(shutil.rmtree, open_to_all))
    folder = folder.rename(open_to_all / "disk")
    open_to_all.chmod(0o755)
    folder.chmod(0o555)
    for path in folder.iterdir():
        path.chmod(0o444)
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/"}
    imports = [*as_nobody, "-c", "import crmsync.cli.standing"]
    if subprocess.run(imports, capture_output=True, env=environment, cwd="/", check=False).returncode:
        pytest.skip("this Python is in a folder that only its owner may read")
    for words, code in (("status", 0), ("explain nobody@x.example", 2), ("check", 0)):
        command = [*as_nobody, "-m", "crmsync", *words.split(), "--json", "--config", str(folder / "crmsync.toml")]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
        assert "Traceback" not in ended.stderr
        assert "cannot be written" not in ended.stdout + ended.stderr
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert json.loads(ended.stdout)
