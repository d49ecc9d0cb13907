"""The address of the state: what may be shown of it, and whether it is a place where a state can be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, make_url

from crmsync.errors import ConfigError

NETWORK_FILESYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "glusterfs"})
"""Where SQLite's WAL loses data: it needs shared memory and real locks (https://www.sqlite.org/wal.html, 2026-11)."""


def make_private(address: URL) -> None:
    """A state holds people: its files are for their owner alone; SQLite makes those beside it like the first one."""
    if address.drivername != "sqlite" or not address.database or address.database == ":memory:":
        return
    with suppress(OSError):  # only where it is new: to close a file takes SQLite's locks on it away from this process
        os.close(os.open(address.database, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    for file in _files_of(address):
        with suppress(OSError):  # it may be another user's
            if os.stat(file).st_mode & 0o077:
                os.chmod(file, 0o600)


def files_of(url: str) -> tuple[Path, ...]:
    """The files of a state, whether or not they are there; none where it is in no file of this machine."""
    address = address_of(url)
    return _files_of(address) if address.drivername == "sqlite" and address.database else ()


def _files_of(address: URL) -> tuple[Path, ...]:
    return tuple(Path(f"{address.database}{end}") for end in ("", "-wal", "-shm", ".lock"))


def address_of(url: str) -> URL:
    try:
        parsed = make_url(url)
    except Exception as error:
        raise ConfigError(
            "[state] url is not a valid address; write sqlite:///crmsync.db or postgresql://user@host/database"
        ) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ConfigError(f"[state] url: {parsed.drivername!r} is not supported; use sqlite:/// or postgresql://")
    return parsed


SHOWN = frozenset({"host", "port", "dbname", "user", "service"})
"""What is shown of the query of an address: the rest may be a password."""


def shown_address(address: URL) -> str:
    """The address of a state without its secrets, in whatever place they stand."""
    query = {name: value for name, value in address.query.items() if name in SHOWN}
    return address.set(query=query).render_as_string(hide_password=True)


def is_there(address: URL) -> bool:
    """Whether there may be a state; an empty file is none."""
    path = Path(address.database or "")
    return address.drivername != "sqlite" or (path.is_file() and path.stat().st_size > 0)


def refuse_network_filesystem(path: Path) -> None:
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"[state] url: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"[state] url: the folder {folder} cannot be written to")
    kind = _filesystem(folder)
    if kind in NETWORK_FILESYSTEMS:
        raise ConfigError(
            f"[state] url: {folder} is on a network file system ({kind}), where SQLite can lose data; "
            "use a local disk or postgresql://"
        )


def _filesystem(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that holds `folder`; empty where the system does not say."""
    if not mounts.exists():
        return ""
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _device, point, filesystem, *_ = line.split(" ")
        # The last of equal ones: a later mount hides an earlier one.
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, filesystem
    return kind
