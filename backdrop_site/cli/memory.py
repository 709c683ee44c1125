"""What is remembered of an upload between two runs of the command.

One file for each, in the user's state folder, that only its owner can read: the address that a file
is sent to is a secret.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from backdrop_site.cli.errors import CommandError

KEPT_SECONDS = 7 * 24 * 3600


def folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME", "") or Path.home() / ".local" / "state"
    return Path(base) / "backdrop" / "uploads"


class Memory:
    """Of the upload that `what` tells from all others."""

    def __init__(self, what: dict[str, Any]) -> None:
        told = json.dumps(what, sort_keys=True)
        self._path = folder() / f"{hashlib.sha256(told.encode()).hexdigest()[:40]}.json"

    def read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def keep(self, **told: Any) -> None:
        """Add what is told to what is known."""
        known = {**self.read(), **told}
        draft = self._path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(known, file)
        draft.rename(self._path)

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One command at a time: two that send the same file would only stop each other."""
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        _forget_old()
        lock = self._path.with_suffix(".lock")
        with lock.open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError("Another command sends this file for the same job.") from None
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)


def _forget_old() -> None:
    for path in folder().iterdir():
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                path.unlink()
