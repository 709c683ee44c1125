"""One PostgreSQL server process and its data folder, as `initdb` and `postgres` make them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from backups.pipeline import processes
from backups.pipeline.errors import ScratchError
from backups.pipeline.postgres.binaries import Installation

SUPERUSER = "postgres"
_START_SECONDS = 60
_STOP_SECONDS = 10
_TRIES = 5  # for a free port that somebody else takes first


class Cluster:
    """A server in `folder`: data, socket, log. It dies with the thread that started it.

    With `listen` it takes connections on a free port of loopback as well. `account` is the user
    and group that it runs as; None means our own.
    """

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        *,
        account: tuple[int, int] | None,
        listen: bool,
        settings: Mapping[str, str],
    ) -> None:
        self.port = 5432
        self._installation = installation
        self._folder = folder
        self._data = folder / "data"
        self._account = account
        self._listen = listen
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def initialise(self, password: str) -> None:
        """Make the data folder; the superuser has that password, and nobody is trusted."""
        passfile = self._folder / "password"
        passfile.touch(mode=0o600)
        passfile.write_text(password)
        if self._account:
            os.chown(passfile, *self._account)
        self._run_initdb(passfile)
        passfile.unlink()
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())

    def start(self) -> None:
        """Returns when the server takes connections."""
        for _ in range(_TRIES):
            if self._listen:
                self.port = _free_port()
            self._spawn()
            if self._wait_until_ready():
                return
            if "Address already in use" not in self.log():
                break
        raise ScratchError(
            "The scratch PostgreSQL server did not start.", remedy=f"Its log ends: {self.log()}"
        )

    def stop(self, *, immediate: bool) -> None:
        """`immediate` drops connections without a word, as a crash would. Idempotent."""
        if self._process:
            first = signal.SIGQUIT if immediate else signal.SIGINT
            processes.stop(self._process, grace=_STOP_SECONDS, first=first)
            self._process = None

    def log(self) -> str:
        """The last words of the server, in one line."""
        try:
            text = (self._folder / "log").read_text(errors="replace")
        except OSError:
            return ""
        return " | ".join(text.strip().splitlines()[-5:])

    def _run_initdb(self, passfile: Path) -> None:
        process = self._launch(
            "initdb",
            f"--pgdata={self._data}",
            f"--username={SUPERUSER}",
            f"--pwfile={passfile}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        )
        try:
            status = processes.wait(process, seconds=_START_SECONDS)
        finally:
            processes.stop(process, grace=1)
        if status != 0:
            raise ScratchError(
                "initdb could not make a scratch database cluster.",
                remedy=f"It says: {self.log()}",
            )

    def _spawn(self) -> None:
        runtime = {
            "listen_addresses": "127.0.0.1" if self._listen else "",
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
        }
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        options = [f"--{name}={value}" for name, value in runtime.items()]
        self._process = self._launch("postgres", "-D", str(self._data), *options)

    def _launch(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("wb") as log:
            return processes.start(
                [self._installation.program(program), *arguments],
                env=processes.clean_environment(),
                stdout=log,
                stderr=log,
                cwd=self._folder,
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
        self.stop(immediate=True)
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
