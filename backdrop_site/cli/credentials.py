"""The tokens that `backdrop login` got, by address, in a file that only its owner can read."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who is logged in at one address."""

    username: str
    access: str
    refresh: str
    expires_at: float

    def __repr__(self) -> str:
        return f"<Login {self.username}>"

    @property
    def fresh(self) -> bool:
        """Whether the access token lasts for another while."""
        return time.time() < self.expires_at - 20


def path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "") or Path.home() / ".config"
    return Path(base) / "backdrop" / "credentials.json"


def read(address: str) -> Login | None:
    with suppress(KeyError, TypeError):
        return Login(**_all()[address])
    return None


def keep(address: str, login: Login) -> None:
    _write({**_all(), address: asdict(login)})


def forget(address: str) -> None:
    _write({name: login for name, login in _all().items() if name != address})


@contextmanager
def alone() -> Iterator[None]:
    """One process at a time: a refresh token works once."""
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _all() -> dict[str, Any]:
    try:
        found = json.loads(path().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(logins: dict[str, Any]) -> None:
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path().with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(logins, file)
    draft.rename(path())
