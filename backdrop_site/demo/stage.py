"""What the demo plays on: a PostgreSQL with sample data, and a platform of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from backdrop_site import environment, launch, processes
from backdrop_site.demo import shop
from backdrop_site.demo.screen import Screen, size
from backups import variables
from backups.pipeline import scratch
from backups.pipeline.postgres.scratch import ScratchPostgres

USERNAME = "admin"
START_SECONDS = 90
SET_ASIDE = {
    **dict.fromkeys((*environment.ELSEWHERE, *variables.names()), ""),
    **dict.fromkeys(environment.SECRET_NAMES, ""),
    **dict.fromkeys((f"{name}_FILE" for name in environment.SECRET_NAMES), ""),
    **dict.fromkeys(("DB_URL", "REDIS_URL", "GRPC_TLS_CERT", "GRPC_TLS_KEY"), ""),
    "HOST": "127.0.0.1",
    "ALLOWED_HOSTS": "localhost,127.0.0.1",
    "HTTPS": "false",
    "GRPC_REQUIRE_AUTH": "true",
    "QUEUE": "default",
}
"""The caller may have settings for a platform of their own; the demo is not that one."""
DISK_FACTOR = 7
"""Bytes on disk for a byte of dump: tables and indexes, three times (restored, and the drill's)."""


class StageError(Exception):
    """Why the demo can't begin here; one sentence with its remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A running `up`."""

    url: str
    password: str
    process: subprocess.Popen[bytes]
    log: Path

    def ended(self) -> bool:
        return self.process.poll() is not None


def clear(folder: Path) -> None:
    """Every demo begins afresh; what the last one left stays to be looked at until then.

    A demo that was killed has left its PostgreSQL's folder too.
    """
    facts = launch.running(folder)
    if facts:
        where = facts.get("url", f"process {facts.get('pid')}")
        raise StageError(f"A demo runs already: {where}. Stop it first.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    scratch.sweep()


@contextmanager
def postgres(screen: Screen, password: str) -> Iterator[ScratchPostgres]:
    """A server on a free port, with the sample data in it; gone after the block."""
    wanted = settings.DEMO_MB * 1_000_000
    if scratch.free_bytes() < wanted * DISK_FACTOR:
        raise StageError(
            f"The demo needs about {size(wanted * DISK_FACTOR)} of disk for a while. Name another "
            "place by TMPDIR, or ask for less data: make demo DEMO_MB=50"
        )
    server = ScratchPostgres(listen=True)
    with screen.step(f"Start a PostgreSQL {server.installation.version}"):
        server.__enter__()
    try:
        with screen.step(f"Fill it with a web shop of about {settings.DEMO_MB} MB"):
            shop.fill(server, password, megabytes=settings.DEMO_MB)
        yield server
    finally:
        server.remove()


@contextmanager
def platform(screen: Screen, folder: Path) -> Iterator[Platform]:
    """`manage.py up` on a folder of its own: SQLite, local disk, nothing shared with other runs."""
    password = secrets.token_urlsafe(12)
    log = folder / "up.log"
    process = _start(folder, password, log)
    try:
        with screen.step("Start Backdrop: web, worker and daemon, on SQLite and local disk"):
            url = _wait(process, folder, log)
        yield Platform(url=url, password=password, process=process, log=log)
    finally:
        _stop(process)


def _start(folder: Path, password: str, log: Path) -> subprocess.Popen[bytes]:
    """Whatever the caller's own settings are, the demo runs on the defaults."""
    given = {
        **os.environ,
        **SET_ASIDE,
        "VAR_DIR": str(folder),
        "BACKUP_DIR": str(folder / "backups"),
        "ADMIN_USERNAME": USERNAME,
        "ADMIN_PASSWORD": password,
    }
    parent = os.getpid()
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "up"],
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops it
            # Safe: no other thread runs here by now.
            preexec_fn=lambda: processes.die_with(parent, signal.SIGTERM),  # noqa: PLW1509
        )


def _wait(process: subprocess.Popen[bytes], folder: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        facts = launch.running(folder)
        if facts.get("ready"):
            return str(facts["url"])
        time.sleep(0.1)
    said = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise StageError(f"Backdrop did not come up. The end of {log}:\n{said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask, and wait for as long as it takes; who interrupts the wait makes it hurry."""
    while process.poll() is None:
        process.terminate()
        with suppress(KeyboardInterrupt):
            process.wait()
