"""A daemon that writes down, ten times a second, what its event loop has under way."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from tasks.daemon import Daemon
from tasks.live.poller import poller

SETTINGS = {"DJANGO_SETTINGS_MODULE": "backups.rpc.tests.open_calls_settings"}
FILE = "open-calls.json"


async def serve(daemon: Daemon) -> None:
    path = settings.VAR_DIR / FILE
    while not daemon.stopping.is_set():
        names = Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks())
        del names["Event.wait"]  # naps of the services, which come and go
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps({**names, "poller": poller.running}))
        draft.rename(path)
        await asyncio.sleep(0.1)


def under_way(folder: Path) -> dict[str, int]:
    """By the name of the coroutine, of the daemon that keeps its files there."""
    with suppress(FileNotFoundError):
        told: dict[str, int] = json.loads((folder / FILE).read_text())
        return told
    return {}


def calls_in(told: dict[str, int]) -> int:
    """How many calls that are."""
    return told.get("_handle_exceptions", 0)
