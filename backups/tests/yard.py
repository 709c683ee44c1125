"""A whole set-up to break: a real PostgreSQL, a destination, real workers, and a look at all."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backups.models import Backup, Database, Destination, Plan
from backups.pipeline.postgres.scratch import ScratchPostgres
from tasks.tests.crew import Crew, Work, until

SHOP = """
    CREATE TABLE customers AS SELECT n AS id, md5(n::text) AS name FROM generate_series(1, 500) n;
    CREATE TABLE notes (id int PRIMARY KEY, body text);
    INSERT INTO notes SELECT n, repeat(md5(n::text), 1000) FROM generate_series(1, {rows}) n;
"""
NOTE_BYTES = 32_000
"""Of dump text for each note; the server stores a fiftieth of it."""
REAL = {"DJANGO_SETTINGS_MODULE": "backdrop_site.settings"}
"""Workers with the patience of a real set-up: leases of eight seconds."""


@dataclass
class Yard:
    """One database to back up, and where to."""

    server: ScratchPostgres
    plan: Plan
    crew: Crew

    def start(self) -> tuple[Backup, Work]:
        backup = self.plan.start(by=None)
        return backup, Work(backup.task)

    def start_and_wait_for_bytes(self, least: int = 20_000_000) -> tuple[Backup, Work]:
        """Started, and in the middle of its dump."""
        backup, work = self.start()
        until(
            lambda: work.row.ended or work.row.progress_done >= least,
            30,
            f"bytes move: {work.row.status} {work.row.message}",
        )
        assert not work.row.ended, work.row.error or "the dump is too small for this test"
        return backup, work

    def sessions(self) -> int:
        """Backdrop's sessions on the server."""
        with self.server.connect() as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'backdrop shop%'"
            ).fetchone()
        return int(row[0])

    def pg_dumps(self) -> list[int]:
        """Those that read this server; the crew's mark is not in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                if b"pg_dump" in line and f"port={self.server.port}".encode() in line:
                    found.append(int(entry.name))
        return found

    def secrets_seen(self) -> list[str]:
        """Command lines and logs of all our processes that hold the password."""
        secret = self.server.password.encode()
        seen = []
        for pid in [*self.crew.everyone(), *self.pg_dumps()]:
            with suppress(OSError):
                if secret in Path(f"/proc/{pid}/cmdline").read_bytes():
                    seen.append(f"command line of {pid}")
        if secret in self.crew.log.read_bytes():
            seen.append("log")
        return seen


def plan_for(team, server: ScratchPostgres, dbname: str, destination: Destination, **more) -> Plan:
    address = server.server(dbname)
    database = Database.objects.create(
        team=team,
        name="shop",
        host=address.host,
        port=address.port,
        dbname=dbname,
        username=address.user,
        password=server.password,
    )
    return Plan.objects.create(
        team=team, name="nightly", database=database, destination=destination, **more
    )


def folder_at(team, path: Path) -> Destination:
    path.mkdir(exist_ok=True)
    return Destination.objects.create(
        team=team, name="disk", kind="local", options={"folder": str(path)}
    )


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def child_of(work: Work) -> int:
    """The process id of the running attempt."""
    return int(work.runs(work.row.attempt).child.split(".")[0])


def minder_of(work: Work) -> int:
    return int(work.runs(work.row.attempt).minder.split(".")[0])


def peak_memory(pid: int) -> int:
    """Bytes; 0 when it has gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def everything_told(work: Work) -> str:
    """All text that people may read about a task."""
    row = work.row
    attempts: list[Any] = [(a.error, a.opened) for a in work.attempts]
    return repr([row.error, row.message, row.title, row.args, row.result, work.history, attempts])
