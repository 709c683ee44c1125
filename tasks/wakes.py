"""Wakes workers: who makes a task due says so here; the pools' pushers sleep until they hear it.

A wake says "something may be due" and nothing else. One that is lost costs the time to the next
slow look, one sent in vain a query. It travels through Redis where that is set, else by NOTIFY on
PostgreSQL; on SQLite nothing is sent: pushers there see every commit (`PRAGMA data_version`).
"""

from __future__ import annotations

import logging
import secrets
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

from tasks import forks, processes
from tasks.live import nudges

logger = logging.getLogger(__name__)

CHANNEL = "backdrop_due"
SLOW_SECONDS = 2.0
"""How long a pusher that hears wakes sleeps without one."""
QUICK_SECONDS = 0.25
"""How long one that hears none sleeps."""
ECHO_SECONDS = 0.3
LONGEST_PAUSE = 60.0  # between tries to hear again


def send(after: float = 0.0) -> None:
    """Wake workers once this transaction has committed: a task is due, `after` so many seconds.

    To be called wherever a task may have become due: pushed, put back into the queue, its turn or
    its queue set free. However often a transaction calls it, it is one wake. Commits that notify
    take turns on the whole PostgreSQL server: don't call it for what is not due soon.
    """
    if after > SLOW_SECONDS:
        return  # they look again before that
    if settings.REDIS_URL:
        nudges.send(nudges.DUE)
    elif connection.vendor == "postgresql" and not _sent_before():
        transaction.on_commit(_sent)
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


def _sent() -> None:
    """Marks, among what is to be done after the commit, that this transaction sends a wake.

    There the mark goes with a savepoint that is rolled back, as the wake itself does.
    """


def _sent_before() -> bool:
    return any(entry[1] is _sent for entry in connection.run_on_commit)


class Ear:
    """Hears no wakes, as on SQLite: sleeps for a short while."""

    def wait(self, seconds: float, bell: int = -1) -> None:
        """Sleep until a wake comes or that handle can be read, so many seconds at most; less long
        where no wakes can be heard.
        """
        _sleep(min(seconds, QUICK_SECONDS), bell)

    def found(self) -> None:
        """Something was due after that sleep. Where a wake should have told, look into it."""

    def close(self) -> None:
        """Hear nothing more until the next wait."""


def new_ear() -> Ear:
    """The best one for this platform; it belongs to one thread of one process."""
    if settings.REDIS_URL:
        return RedisEar()
    return PostgresEar() if connection.vendor == "postgresql" else Ear()


def _sleep(seconds: float, *handles: int) -> set[int]:
    return forks.wait_for([handle for handle in handles if handle >= 0], seconds)


class Line(Ear, ABC):
    """Hears by a line that may break or lead nowhere. Then it is deaf for a while: others look
    more often, and it tries again ever more seldom.
    """

    def __init__(self) -> None:
        self._open = False
        self._silent = False  # the last sleep was a long one, and no wake ended it
        self._pause = 0.5
        self._try_at = 0.0

    @abstractmethod
    def _connect(self) -> None:
        """Make a line that works; any exception says that there is none."""

    @abstractmethod
    def _disconnect(self) -> None: ...

    @abstractmethod
    def _hear(self, seconds: float, bell: int) -> bool:
        """Wait; whether a wake came."""

    @abstractmethod
    def _works(self) -> bool:
        """Whether what is sent now is heard here."""

    @property
    def hears(self) -> bool:
        return self._open

    def wait(self, seconds: float, bell: int = -1) -> None:
        self._silent = False
        if not self._open and processes.now() < self._try_at:
            super().wait(seconds, bell)
            return
        try:
            if self._open:
                long = seconds >= SLOW_SECONDS
                heard = self._hear(min(seconds, SLOW_SECONDS), bell)
                self._silent = long and not heard
            else:
                self._begin()
        except Exception as error:
            self._lose(type(error).__name__)

    def _begin(self) -> None:
        """Open the line. Nobody sleeps yet: what became due before must be looked for."""
        self._connect()
        self._open = True
        if not self._works():
            self._lose("what is sent doesn't arrive; is there a pooling proxy in between?")
        elif self._try_at:
            logger.info("Wakes can be heard again")
            self._pause, self._try_at = 0.5, 0.0

    def found(self) -> None:
        if not self._silent:
            return
        self._silent = False
        try:
            if not self._works():
                self._lose("what is sent doesn't arrive")
        except Exception as error:
            self._lose(type(error).__name__)

    def _lose(self, why: str) -> None:
        if not self._try_at:
            logger.warning("Wakes can't be heard (%s): looking more often instead", why)
        self._pause = min(LONGEST_PAUSE, self._pause * 2)
        self._try_at = processes.now() + self._pause
        self.close()

    def close(self) -> None:
        self._open = False
        with suppress(Exception):
            self._disconnect()


class PostgresEar(Line):
    """LISTENs on a connection of its own, which must be a session: a proxy that lends sessions by
    the transaction swallows what is sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self._session: Any = None
        self._echo = f"backdrop_echo_{secrets.token_hex(8)}"

    def _connect(self) -> None:
        self._session = connections.create_connection(DEFAULT_DB_ALIAS)
        with self._session.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
            cursor.execute(f"LISTEN {self._echo}")

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _hear(self, seconds: float, bell: int) -> bool:
        if bell in _sleep(seconds, self._session.connection.fileno(), bell):
            return True
        return bool(self._heard())

    def _heard(self, seconds: float = 0.0) -> list[str]:
        """The channels of all that has arrived, after so many seconds at most."""
        told = self._session.connection.notifies(timeout=seconds, stop_after=1)
        return [notification.channel for notification in told]

    def _works(self) -> bool:
        # Not by the line itself: PostgreSQL tells a session at once what it has sent itself.
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {self._echo}")
        limit = processes.now() + ECHO_SECONDS
        while (left := limit - processes.now()) > 0:
            if self._echo in self._heard(left):
                return True
        return False


class RedisEar(Line):
    """Subscribes to Redis, whatever the database."""

    SLICE = 0.2  # seconds after which the bell is looked at

    def __init__(self) -> None:
        super().__init__()
        self._client: Any = None
        self._hearing: Any = None

    def _connect(self) -> None:
        import redis

        self._client = redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1
        )
        self._hearing = self._client.pubsub(ignore_subscribe_messages=True)
        self._hearing.subscribe(nudges.DUE)

    def _disconnect(self) -> None:
        hearing, client = self._hearing, self._client
        self._hearing = self._client = None
        if hearing is not None:
            hearing.close()
        if client is not None:
            client.close()

    def _hear(self, seconds: float, bell: int) -> bool:
        limit = processes.now() + seconds
        while (left := limit - processes.now()) > 0:
            if self._hearing.get_message(timeout=min(left, self.SLICE)) or _sleep(0, bell):
                return True
        return False

    def _works(self) -> bool:
        return bool(self._client.ping())
