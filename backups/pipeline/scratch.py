"""A throwaway PostgreSQL server in a temporary folder of its own.

Drills restore into one; the demo and the tests use one as the database to back up.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from backups.pipeline import binaries, copies
from backups.pipeline.cluster import SUPERUSER, Cluster, ScratchError, postmaster_of
from backups.pipeline.connection import PostgresServer

PREFIX = "backdrop-scratch-"
_STOP_SECONDS = 10
_REMOVE_TRIES = 5
_SOCKET_PATH_MOST = 90  # the kernel takes 107 bytes, of which the file name needs 17
# `nobody` before `postgres`: a dump is a program, and the latter may own this machine's databases.
_ACCOUNTS = ("nobody", "postgres")

_SETTINGS = {
    # Shared memory in the folder, so that not even SIGKILL leaves anything elsewhere.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "128MB",
    "max_locks_per_transaction": "1024",
    "log_min_messages": "warning",
    "logging_collector": "off",
    "lc_messages": "C",
    "timezone": "UTC",
}
_THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "128MB",
    "autovacuum": "off",
    "max_connections": "20",
}


class ScratchPostgres:
    """A server that lives as long as its context, or the thread that started it.

    Reached through a Unix socket in a folder that only its account and root can enter; with
    `listen`, through a free port on loopback as well. A password is asked for either way. As root
    the server runs as an unprivileged account. `durable` keeps the settings that a server needs
    to survive a crash. `opened` is told the folder before it is used and `closed` when it is
    gone, so that `remove` can clean up after a killed process.
    """

    def __init__(
        self,
        installation: binaries.Installation | None = None,
        *,
        parent: Path | None = None,
        listen: bool = False,
        durable: bool = False,
        settings: dict[str, str] | None = None,
        opened: Callable[[str], None] | None = None,
        closed: Callable[[str], None] | None = None,
    ) -> None:
        self.installation = installation or binaries.server_for(0)
        self.password = secrets.token_urlsafe(24)
        self._parent = parent
        self._listen = listen
        self._settings = {
            **_SETTINGS,
            **({} if durable else _THROWAWAY_SETTINGS),
            **(settings or {}),
        }
        self._opened = opened
        self._closed = closed
        self._account = _unprivileged()
        self._superuser = SUPERUSER
        self._lock: int | None = None
        self._cluster: Cluster
        self.folder: Path

    def __enter__(self) -> Self:
        self.installation = copies.enterable(
            self.installation, self._account, parent=_temporary(self._account)
        )
        self._make_folder()
        try:
            if self._opened:
                self._opened(str(self.folder))
            self._cluster.initialise(self.password)
            self._cluster.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    @property
    def port(self) -> int:
        return self._cluster.port

    @property
    def pid(self) -> int:
        """Of the server's first process; 0 while it is stopped."""
        return self._cluster.pid

    def start(self) -> None:
        """Start the server again after `stop`; with `listen`, on another port."""
        self._cluster.start()

    def stop(self, *, immediate: bool = True) -> None:
        """Stop the server; `immediate` drops connections without a word, as a crash would."""
        self._cluster.stop(immediate=immediate)

    def remove(self) -> None:
        """Stop the server and remove everything it had. Idempotent."""
        if self._lock is None:
            return
        self._cluster.stop(immediate=True)
        remove(self.folder)
        os.close(self._lock)
        self._lock = None
        if self._closed:
            self._closed(str(self.folder))

    def server(self, dbname: str = "postgres") -> PostgresServer:
        """Its superuser's way in: over TCP when it listens."""
        return PostgresServer(
            host="127.0.0.1" if self._listen else str(self.folder),
            port=self.port,
            dbname=dbname,
            user=self._superuser,
            password=self.password,
        )

    def dsn(self, dbname: str = "postgres") -> str:
        """A URL with the password in it."""
        place = self.server(dbname)
        if self._listen:
            return f"postgresql://{place.user}:{self.password}@{place.place}/{dbname}"
        return f"postgresql://{place.user}:{self.password}@/{dbname}?host={place.host}"

    def connect(self, dbname: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's connection in autocommit."""
        return self.server(dbname).connect("backdrop scratch")

    def execute(self, statements: str, dbname: str = "postgres") -> None:
        """Run statements of our own as superuser, one after another, each on its own."""
        with self.connect(dbname) as connection:
            connection.execute(statements.encode())

    def createdb(self, dbname: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(dbname)))

    def dropdb(self, dbname: str) -> None:
        with self.connect() as connection:
            drop = "DROP DATABASE IF EXISTS {} WITH (FORCE)"
            connection.execute(sql.SQL(drop).format(sql.Identifier(dbname)))

    def rename_superuser(self, name: str) -> None:
        """Give the superuser another name: a foreign dump may have a role of the usual one."""
        helper = f"{name}_helper"
        as_helper = replace(self.server(), user=helper)
        with self.connect() as connection:
            make = sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}")
            connection.execute(make.format(sql.Identifier(helper), sql.Literal(self.password)))
        with as_helper.connect("backdrop scratch") as connection:
            rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
            ours = sql.Identifier(self._superuser), sql.Identifier(name)
            connection.execute(rename.format(*ours))
        self._superuser = name
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(helper)))

    def create_missing_roles(self, names: list[str]) -> None:
        """Roles that a dump names as owners or grantees; none of them can log in."""
        with self.connect() as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for name in sorted(set(names) - known):
                create = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))
                connection.execute(create)

    def create_missing_tablespaces(self, names: list[str]) -> None:
        """Tablespaces that a dump puts tables into; all lie in the server's folder, which a
        server below version 15 does not allow."""
        if self.installation.major < 15:
            return
        with self.connect() as connection:
            known = {name for (name,) in connection.execute("SELECT spcname FROM pg_tablespace")}
            for name in sorted(set(names) - known):
                connection.execute("SET allow_in_place_tablespaces = on")
                create = sql.SQL("CREATE TABLESPACE {} LOCATION ''").format(sql.Identifier(name))
                connection.execute(create)

    def _make_folder(self) -> None:
        """The lock says that the folder has an owner who lives; see `sweep`."""
        parent = self._parent or _temporary(self._account)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if self._account:
            os.chown(self.folder, *self._account)
        made = self.folder / "lock.new"  # renamed when it is held, so that no sweep comes between
        self._lock = os.open(made, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        made.rename(self.folder / "lock")
        self._cluster = Cluster(
            self.installation,
            self.folder,
            account=self._account,
            listen=self._listen,
            settings=self._settings,
        )


def free_bytes(folder: Path | None = None) -> int:
    """Room for a scratch server there (default: where one is made unless told otherwise)."""
    return shutil.disk_usage(folder or _temporary(_unprivileged())).free


def runnable(
    installation: binaries.Installation,
) -> tuple[binaries.Installation, copies.Account | None]:
    """The installation where the account of scratch servers can run it, and that account."""
    account = _unprivileged()
    return copies.enterable(installation, account, parent=_temporary(account)), account


def remove(folder: str | Path) -> None:
    """End the server of that folder, if it runs, and remove the folder. Idempotent."""
    folder = Path(folder)
    if not folder.name.startswith(PREFIX):
        raise ValueError(f"{folder} is not a scratch server's folder.")
    pid = postmaster_of(folder)
    if pid:
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + _STOP_SECONDS
        while postmaster_of(folder) and time.monotonic() < deadline:
            time.sleep(0.02)
    for _ in range(_REMOVE_TRIES):  # a process that is dying may still make a file
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)


def sweep(parent: Path | None = None) -> int:
    """Remove the scratch folders whose owner is dead; returns how many."""
    swept = 0
    for folder in (parent or _temporary(_unprivileged())).glob(f"{PREFIX}*"):
        if not _is_locked(folder):
            remove(folder)
            swept += 1
    return swept


def _is_locked(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # another user's, or so new that it has no lock yet
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _unprivileged() -> tuple[int, int] | None:
    """Whom the server runs as in our place; None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    raise ScratchError(
        "PostgreSQL refuses to run as root, and there is no unprivileged account to run it as.",
        remedy="Create one: useradd --system nobody.",
        permanent=True,
    )


def _temporary(account: tuple[int, int] | None) -> Path:
    """The temporary folder, or one of the usual ones where that account can't enter it or where
    a socket's path in it would be too long."""
    chosen = Path(tempfile.gettempdir()).resolve()
    for folder in (chosen, Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        short = len(str(folder)) + len(PREFIX) + 9 <= _SOCKET_PATH_MOST
        if short and (account is None or copies.can_enter(folder, account)):
            return folder
    return chosen
