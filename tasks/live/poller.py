"""One poller per web process: asks the database what has changed and tells those who wait.

The database is the one thing that all processes share, so this works with any number of them, on
any machine, with no other server. A thread asks, only while somebody waits: on SQLite each 0.05 s
(see `Look`: mostly not the tasks), on a server each 0.2 s, and at once when nudged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from tasks.live.look import Look
from tasks.live.nudges import Ear
from tasks.live.watches import Watch

logger = logging.getLogger(__name__)

SQLITE_SECONDS = 0.05
SERVER_SECONDS = 0.2  # with 500 watchers 300 ms to the client are the limit
TROUBLE_SECONDS = 1.0
BREATH_SECONDS = 0.01


class Poller:
    """Tells watches what changed. Has a thread while there are any, else does nothing at all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[None]:
        """Tell `watch` what changes, as long as this lasts."""
        with self._lock:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live-poller", daemon=True)
                self._thread.start()
        self.nudge()
        try:
            yield
        finally:
            with self._lock:
                self._watches.discard(watch)
            self.nudge()

    def nudge(self) -> None:
        """Look now instead of in a moment. From any thread."""
        self._wake.set()

    @property
    def running(self) -> bool:
        return self._thread is not None

    def _run(self) -> None:
        pause = getattr(settings, "LIVE_POLL_SECONDS", None) or _pace()
        look = Look()
        ear = Ear(self.nudge) if settings.REDIS_URL else None
        if ear is not None:
            ear.start()
        try:
            while watches := self._waiting():
                self._wake.clear()
                try:
                    look.at(watches)
                except Exception as error:  # whatever it was: those who wait must not wait for ever
                    kind = type(error).__name__
                    logger.warning("Can't see what has changed; trying again: %s", kind)
                    connection.close()
                    look = Look()
                    time.sleep(TROUBLE_SECONDS)
                time.sleep(BREATH_SECONDS)  # however many nudges come
                self._wake.wait(pause - BREATH_SECONDS)
        finally:
            connection.close()
            if ear is not None:
                ear.end()

    def _waiting(self) -> list[Watch]:
        """Those who wait; with none the thread ends, and the next one to come starts another."""
        with self._lock:
            if not self._watches:
                self._thread = None
            return list(self._watches)


def _pace() -> float:
    return SQLITE_SECONDS if connection.vendor == "sqlite" else SERVER_SECONDS


poller = Poller()
watching = poller.watching
nudge = poller.nudge
