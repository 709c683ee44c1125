"""Where the suite's processes meet: a database that can fail in its own ways, and a Redis."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg

from backups.pipeline.postgres.scratch import ScratchPostgres
from tests.ports import free_port
from tests.redis import wait_for_redis

DISK_BYTES = 96 * 1024 * 1024


class Sqlite:
    """A file on a small disk of its own where this may be mounted."""

    vendor = "sqlite"

    def __init__(self, folder: Path, *, plain: bool) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "chaos", str(self.folder)]
        if not plain:
            with suppress(FileNotFoundError):
                subprocess.run(command, stderr=subprocess.DEVNULL)
        self.small = os.path.ismount(self.folder)
        self.path = self.folder / "chaos.sqlite3"
        self.url = f"sqlite:///{self.path}"

    def __enter__(self) -> Sqlite:
        return self

    def __exit__(self, *_: object) -> None:
        if self.small:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def fill(self, seconds: float, pids: Callable[[], Iterable[int]]) -> None:
        """Leave no byte of room for a while. Where no disk could be mounted, files can't grow."""
        if self.small:
            self._fill_disk(seconds)
        else:
            self._limit(seconds, pids)

    def _fill_disk(self, seconds: float) -> None:
        ballast = self.folder / "ballast"
        end = time.monotonic() + seconds
        try:
            with ballast.open("wb", buffering=0) as file:
                while time.monotonic() < end:  # what others free is taken too
                    with suppress(OSError):
                        while file.write(bytes(65536)):
                            pass
                    with suppress(OSError):
                        file.write(bytes(1))
                    time.sleep(0.01)
        finally:
            ballast.unlink()

    def _limit(self, seconds: float, pids: Callable[[], Iterable[int]]) -> None:
        end = time.monotonic() + seconds
        room = max(1, self.path.stat().st_size - 65536)
        try:
            while time.monotonic() < end:
                _limit_files(pids(), room)
                time.sleep(0.05)
        finally:
            for _ in range(3):  # forks of those that had it still
                _limit_files(pids(), resource.RLIM_INFINITY)
                time.sleep(0.05)


def _limit_files(pids: Iterable[int], room: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, hard))


class Postgres:
    """A server of its own, reached through its socket, so that it comes back at its address."""

    vendor = "postgresql"
    CONNECTIONS = 300

    def __init__(self) -> None:
        # A stop without a word must lose nothing that was committed, as on a server that counts.
        careful = {"synchronous_commit": "on", "full_page_writes": "on"}
        room = {"max_connections": str(self.CONNECTIONS), "max_locks_per_transaction": "64"}
        self.server = ScratchPostgres(settings={**careful, **room})

    def __enter__(self) -> Postgres:
        self.server.__enter__()
        place = self.server.server("postgres")
        self.socket = f"{place.host}/.s.PGSQL.{place.port}"
        self.url = self.url_at(quote(place.host, safe=""), place.port)
        return self

    def url_at(self, host: str, port: int) -> str:
        """Its address for who sees it there."""
        login = f"{self.server.server().user}:{quote(self.server.password)}"
        return f"postgres://{login}@{host}:{port}/postgres"

    def __exit__(self, *_: object) -> None:
        self.server.remove()

    def stop(self) -> None:
        self.server.stop(immediate=True)

    def start(self) -> None:
        self.server.start()

    def end_sessions(self, share: float) -> None:
        """`pg_terminate_backend` for that share of all sessions but this one."""
        with self.server.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND random() < %s",
                [share],
            )

    def exhaust(self, seconds: float) -> None:
        """Hold every connection that is left, and each that others let go of, for a while."""
        held: list[psycopg.Connection] = []
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                try:
                    held.append(self.server.connect())
                except Exception:
                    time.sleep(0.05)
        finally:
            for each in held:
                each.close()


class Redis:
    """A Redis that stops and comes back at the same address."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL
        )
        wait_for_redis(self.port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def flush(self) -> None:
        import redis

        with redis.Redis.from_url(self.url) as client:
            client.flushall()
