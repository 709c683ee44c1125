"""A throwaway MariaDB server in a temporary folder of its own.

Drills restore into one; the tests use one as the database to back up.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from backups.pipeline import processes
from backups.pipeline.errors import ScratchError
from backups.pipeline.mysql import binaries, catalogue, connection
from backups.pipeline.mysql.connection import Connection, MysqlServer
from backups.pipeline.scratch import DATA, ScratchServer

ADMIN = "root"
_START_SECONDS = 60
_STOP_SECONDS = 10
_TRIES = 5  # for a free port that somebody else takes first
_PASSWORD_FILE = "init.sql"  # noqa: S105 - its name
_SETTINGS = {
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    # A dump is a program: nothing of it runs by itself, and it reads and writes no files.
    "event-scheduler": "OFF",
    "local-infile": "0",
    "symbolic-links": "0",
    "innodb-strict-mode": "0",  # takes what an older server had taken
    "innodb-buffer-pool-size": "128M",
    "key-buffer-size": "16M",
    "max-allowed-packet": "1G",
    "performance-schema": "0",
}
_THROWAWAY_SETTINGS = {
    "innodb-doublewrite": "0",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "sync-frm": "0",
}


class ScratchMariadb(ScratchServer):
    """A MariaDB server that lives as long as its context; see `ScratchServer`.

    Reached through a Unix socket in its folder; with `listen`, through a free port on loopback as
    well. A password is asked for either way. `durable` keeps the settings that a server needs to
    survive a crash.
    """

    def __init__(
        self,
        installation: binaries.Server | None = None,
        *,
        parent: Path | None = None,
        listen: bool = False,
        durable: bool = False,
        settings: Mapping[str, str] | None = None,
        opened: Callable[[str], None] | None = None,
        closed: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(parent=parent, opened=opened, closed=closed)
        self.installation = installation or binaries.server_for("mariadb", (0, 0, 0))
        self.password = secrets.token_urlsafe(24)
        self.port = 3306
        self._listen = listen
        self._settings = {
            **_SETTINGS,
            **({} if durable else _THROWAWAY_SETTINGS),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the server's process; 0 while it is stopped."""
        return self._process.pid if self._process else 0

    def begin(self) -> None:
        for name in (DATA, "files", "tmp"):
            self._make(self.folder / name)
        self._install()
        self._write_accounts()
        self.start()
        (self.folder / _PASSWORD_FILE).unlink()

    def start(self) -> None:
        """Start the server, again after `stop`; with `listen`, on another port."""
        for _ in range(_TRIES):
            if self._listen:
                self.port = _free_port()
            self._spawn()
            if self._wait_until_ready():
                return
            if "Address already in use" not in self._log():
                break
        raise ScratchError(
            "The scratch MariaDB server did not start.", remedy=f"Its log ends: {self._log()}"
        )

    def stop(self, *, immediate: bool = True) -> None:
        if self._process:
            first = signal.SIGKILL if immediate else signal.SIGTERM
            processes.stop(self._process, grace=_STOP_SECONDS, first=first)
            self._process = None

    def server(self, dbname: str = "") -> MysqlServer:
        """Its administrator's way in: over TCP when it listens."""
        return MysqlServer(
            host="127.0.0.1" if self._listen else str(self.folder),
            port=self.port,
            dbname=dbname,
            user=ADMIN,
            password=self.password,
        )

    def connect(self, dbname: str = "") -> Connection:
        """An administrator's connection in autocommit."""
        return self.server(dbname).connect(answer_seconds=60)

    def createdb(self, dbname: str) -> None:
        with self.connect() as connected:
            catalogue.query(connected, f"CREATE DATABASE {connection.quoted(dbname)}")

    def dropdb(self, dbname: str) -> None:
        with self.connect() as connected:
            catalogue.query(connected, f"DROP DATABASE IF EXISTS {connection.quoted(dbname)}")

    def create_missing_users(self, names: Iterable[str]) -> None:
        """Users in whose name views and routines run (`user@host`); none of them can log in. They
        may do everything, since a dump of a view asks whether its definer may."""
        with self.connect() as connected:
            for name in names:
                user, _, host = name.rpartition("@")
                if (user, host) == (ADMIN, "localhost"):
                    continue
                create = "CREATE USER IF NOT EXISTS %s@%s ACCOUNT LOCK"
                catalogue.query(connected, create, [user, host])
                catalogue.query(connected, "GRANT ALL ON *.* TO %s@%s", [user, host])

    def _make(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        if self.account:
            os.chown(folder, *self.account)

    def _install(self) -> None:
        process = self._launch(
            self.installation.install,
            "--no-defaults",
            f"--datadir={self.folder / DATA}",
            f"--tmpdir={self.folder / 'tmp'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-flush-method=nosync",
        )
        try:
            status = processes.wait(process, seconds=_START_SECONDS)
        finally:
            processes.stop(process, grace=1)
        if status != 0:
            raise ScratchError(
                "mariadb-install-db could not make a scratch server.",
                remedy=f"It says: {self._log()}",
            )

    def _write_accounts(self) -> None:
        """What the server does at its first start: only we get in, with the password."""
        statements = ["DELETE FROM mysql.global_priv WHERE user IN ('root', '')"]
        statements += ["FLUSH PRIVILEGES"]
        for host in ("localhost", "127.0.0.1"):
            account = f"'{ADMIN}'@'{host}'"
            statements += [
                f"CREATE USER {account} IDENTIFIED BY '{self.password}'",
                f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION",
            ]
        path = self.folder / _PASSWORD_FILE
        path.touch(mode=0o600)
        path.write_text("".join(f"{statement};\n" for statement in statements))
        if self.account:
            os.chown(path, *self.account)

    def _spawn(self) -> None:
        first = self.folder / _PASSWORD_FILE
        network = [f"--port={self.port}", "--bind-address=127.0.0.1"]
        self._process = self._launch(
            self.installation.program,
            "--no-defaults",
            f"--datadir={self.folder / DATA}",
            f"--tmpdir={self.folder / 'tmp'}",
            f"--secure-file-priv={self.folder / 'files'}",
            f"--socket={self.folder / connection.SOCKET}",
            f"--pid-file={self.folder / 'pid'}",
            *(network if self._listen else ["--skip-networking"]),
            *([f"--init-file={first}"] if first.exists() else []),
            "--skip-name-resolve",
            *(f"--{name}={value}" for name, value in self._settings.items()),
        )

    def _launch(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("wb") as log:
            return processes.start(
                [program, *arguments],
                env=connection.environment(),
                stdout=log,
                stderr=log,
                cwd=self.folder / DATA,
                account=self.account,
                # It has no children, and nothing of it is to be kept.
                death_signal=signal.SIGKILL,
                own_session=True,
            )

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while self._process and self._process.poll() is None and time.monotonic() < deadline:
            if self._greets():
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def _greets(self) -> bool:
        """The server speaks first, once it has run its first statements."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.folder / connection.SOCKET))
                return bool(probe.recv(1))
            except OSError:
                return False

    def _log(self) -> str:
        """The last words of the server, in one line."""
        try:
            text = (self.folder / "log").read_text(errors="replace")
        except OSError:
            return ""
        return " | ".join(text.strip().splitlines()[-5:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
