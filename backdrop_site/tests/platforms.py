"""A whole platform for a test: `manage.py up` on a folder of its own, with a free port."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from backdrop_site import launch
from backdrop_site.demo.client import Client
from backdrop_site.tests.marked import Marked, marked, wait_until

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
PASSWORD = "only-for-this-test"
SECONDS = 60


class Platform:
    """A running `up` and a way to talk to it."""

    def __init__(self, run: Marked, folder: Path) -> None:
        self.run = run
        self.folder = folder
        self.url = ""
        self.grpc = ""
        self.metrics = ""

    def wait_until_ready(self) -> None:
        def ready() -> dict[str, Any] | None:
            facts = launch.running(self.folder)
            return facts if facts.get("ready") or self.run.ended else None

        facts = wait_until(ready, f"up to be ready:\n{self.run.text()}", SECONDS)
        assert "url" in facts, self.run.text()
        self.url, self.grpc, self.metrics = facts["url"], facts["grpc"], facts["metrics"]

    @property
    def client(self) -> Client:
        return Client(self.url, "admin", PASSWORD)

    def stop(self, number: int) -> int:
        """Sends the signal to `up` alone; its exit code, once it has ended."""
        self.run.process.send_signal(number)
        return self.run.process.wait(SECONDS)


def variables(folder: Path, **more: str) -> dict[str, str]:
    """The settings of a platform in `folder`; a port of 0 takes any that is free."""
    return {
        "VAR_DIR": str(folder),
        "PORT": "0",
        "GRPC_PORT": "0",
        "METRICS_PORT": "0",
        "ADMIN_PASSWORD": PASSWORD,
        "SHUTDOWN_GRACE_SECONDS": "5",
        "PYTHONWARNINGS": "ignore",
        **more,
    }


@contextmanager
def platform(folder: Path, *, bare: bool = False, **more: str) -> Iterator[Platform]:
    """Unless `bare`, its SQLite database has its tables before it starts, which saves time."""
    folder.mkdir(exist_ok=True)
    database = folder / "backdrop.sqlite3"
    if not bare and "DB_URL" not in more and not database.exists():
        database.write_bytes(_empty_database())
    with marked([*MANAGE, "up"], folder / "up.log", env=variables(folder, **more)) as run:
        up = Platform(run, folder)
        up.wait_until_ready()
        yield up


@functools.cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VAR_DIR": folder, "DB_URL": ""}
        command = [*MANAGE, "migrate", "--verbosity", "0"]
        subprocess.run(command, env=environment, check=True, timeout=SECONDS)
        return (Path(folder) / "backdrop.sqlite3").read_bytes()
