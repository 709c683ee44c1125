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
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from backups.pipeline import binaries, copies, processes
from backups.pipeline.connection import PostgresServer
from backups.pipeline.errors import PipelineError

PREFIX = "backdrop-scratch-"
_SUPERUSER = "postgres"
_START_SECONDS = 60
_STOP_SECONDS = 10
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


class ScratchError(PipelineError):
    """The scratch server could not be made or started; says nothing about a backup."""


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
        self.listen = listen
        self.password = secrets.token_urlsafe(24)
        self.port = 5432
        self._parent = parent
        self._settings = {
            **_SETTINGS,
            **({} if durable else _THROWAWAY_SETTINGS),
            **(settings or {}),
        }
        self._opened = opened
        self._closed = closed
        self._account = _unprivileged() if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self.folder: Path

    def __enter__(self) -> Self:
        try:
            self._make_folder()
            self._initialise()
            self.start()
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

    def start(self) -> None:
        """Start the server (again); returns when it takes connections."""
        for _ in range(5):
            if self.listen:
                self.port = _free_port()
            self._spawn()
            if self._wait_until_ready():
                return
            if "Address already in use" not in self.log():
                break
        raise ScratchError(
            "The scratch PostgreSQL server did not start.", remedy=f"Its log ends: {self.log()}"
        )

    def stop(self, *, immediate: bool = True) -> None:
        """Stop the server; `immediate` drops connections without a word, as a crash would."""
        if self._process:
            first = signal.SIGQUIT if immediate else signal.SIGINT
            processes.stop(self._process, grace=_STOP_SECONDS, first=first)
            self._process = None

    def remove(self) -> None:
        """Stop the server and remove everything it had."""
        self.stop()
        if self._lock is None:
            return
        remove(self.folder)
        os.close(self._lock)
        self._lock = None
        if self._closed:
            self._closed(str(self.folder))

    def server(self, dbname: str = "postgres") -> PostgresServer:
        """Its superuser's way in: over TCP when it listens."""
        return PostgresServer(
            host="127.0.0.1" if self.listen else str(self._socket_folder),
            port=self.port,
            dbname=dbname,
            user=_SUPERUSER,
            password=self.password,
        )

    def dsn(self, dbname: str = "postgres") -> str:
        """A URL with the password in it."""
        place = self.server(dbname)
        if self.listen:
            return f"postgresql://{_SUPERUSER}:{self.password}@{place.place}/{dbname}"
        return f"postgresql://{_SUPERUSER}:{self.password}@/{dbname}?host={place.host}"

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

    def create_missing_roles(self, names: list[str]) -> None:
        """Roles that a dump names as owners or grantees; none of them can log in."""
        with self.connect() as connection:
            known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
            for name in sorted(set(names) - known):
                create = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))
                connection.execute(create)

    def log(self) -> str:
        """The last words of the server, in one line."""
        try:
            text = (self.folder / "log").read_text(errors="replace")
        except OSError:
            return ""
        return " | ".join(text.strip().splitlines()[-5:])

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _socket_folder(self) -> Path:
        return self.folder

    def _make_folder(self) -> None:
        parent = self._parent or _temporary(self._account)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if self._opened:
            self._opened(str(self.folder))
        if self._account:
            os.chown(self.folder, *self._account)

    def _initialise(self) -> None:
        self.installation = copies.enterable(
            self.installation, self._account, parent=_temporary(self._account)
        )
        passfile = self.folder / "password"
        passfile.touch(mode=0o600)
        passfile.write_text(self.password)
        if self._account:
            os.chown(passfile, *self._account)
        self._run_initdb(passfile)
        passfile.unlink()
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())

    def _run_initdb(self, passfile: Path) -> None:
        command = [
            self.installation.program("initdb"),
            f"--pgdata={self._data}",
            f"--username={_SUPERUSER}",
            f"--pwfile={passfile}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        with (self.folder / "log").open("wb") as log:
            process = self._launch(command, log.fileno())
            try:
                status = process.wait(_START_SECONDS)
            finally:
                processes.stop(process, grace=1)
        if status:
            raise ScratchError(
                "initdb could not make a scratch database cluster.",
                remedy=f"It says: {self.log()}",
            )

    def _spawn(self) -> None:
        command = [self.installation.program("postgres"), "-D", str(self._data)]
        runtime = {
            "listen_addresses": "127.0.0.1" if self.listen else "",
            "port": str(self.port),
            "unix_socket_directories": str(self._socket_folder),
        }
        for name, value in runtime.items():
            command += ["-c", f"{name}={value}"]
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        with (self.folder / "log").open("wb") as log:
            self._process = self._launch(command, log.fileno())

    def _launch(self, command: list[str], log: int) -> subprocess.Popen[bytes]:
        return processes.start(
            command,
            env=processes.clean_environment(),
            stdout=log,
            stderr=log,
            cwd=self.folder,
            account=self._account,
            # SIGQUIT is an immediate shutdown: it takes the backends with it.
            death_signal=signal.SIGQUIT,
            own_session=True,
        )

    def _wait_until_ready(self) -> bool:
        """The server writes its state into the last line of its pid file."""
        deadline = time.monotonic() + _START_SECONDS
        while self._process and self._process.poll() is None and time.monotonic() < deadline:
            try:
                lines = (self._data / "postmaster.pid").read_text().splitlines()
            except OSError:
                lines = []
            if len(lines) >= 8 and lines[7].strip() == "ready":
                return True
            time.sleep(0.01)
        self.stop()
        return False


def free_bytes(folder: Path | None = None) -> int:
    """Room for a scratch server there (default: where one is made unless told otherwise)."""
    account = _unprivileged() if os.geteuid() == 0 else None
    return shutil.disk_usage(folder or _temporary(account)).free


def remove(folder: str | Path) -> None:
    """End the server of that folder, if it runs, and remove the folder. Idempotent."""
    folder = Path(folder)
    if not folder.name.startswith(PREFIX):
        raise ValueError(f"{folder} is not a scratch server's folder.")
    pid = _postmaster_of(folder)
    if pid:
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + _STOP_SECONDS
        while _postmaster_of(folder) and time.monotonic() < deadline:
            time.sleep(0.02)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path | None = None) -> int:
    """Remove the scratch folders whose owner is dead; returns how many."""
    account = _unprivileged() if os.geteuid() == 0 else None
    swept = 0
    for folder in (parent or _temporary(account)).glob(f"{PREFIX}*"):
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


def _postmaster_of(folder: Path) -> int:
    """Its process id while it runs, else 0; a stale pid file may name somebody else's process."""
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        return pid if Path(f"/proc/{pid}/cwd").readlink() == folder / "data" else 0
    except (OSError, ValueError):
        return 0


def _unprivileged() -> tuple[int, int]:
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
