"""Redis, where there is one, spares pollers the wait: a nudge says "look now", and nothing else.

What has changed is in the database. A nudge that is lost, late or sent in vain does no harm.
The client's package is loaded where it is used: most platforms run without Redis.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

CHANNEL = "backdrop:tasks"
DUE = "backdrop:due"  # of `tasks.wakes`
SECONDS_TO_ANSWER = 0.2
SECONDS_TO_RECOVER = 5.0

_silent_until = 0.0


def send(channel: str = CHANNEL) -> None:
    """Have every web process look, once what this transaction has written can be seen.

    Does nothing without Redis, and never fails: a Redis that doesn't answer is left alone for a
    while.
    """
    if settings.REDIS_URL:
        transaction.on_commit(partial(_publish, channel))


def _publish(channel: str) -> None:
    global _silent_until  # noqa: PLW0603 (one Redis, one process)
    if time.monotonic() < _silent_until:
        return
    import redis

    try:
        _client().publish(channel, b"")
    except redis.RedisError as error:
        _silent_until = time.monotonic() + SECONDS_TO_RECOVER
        logger.warning("Redis can't be told that a task has changed: %s", type(error).__name__)


@cache
def _client() -> Any:
    import redis

    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=SECONDS_TO_ANSWER,
        socket_connect_timeout=SECONDS_TO_ANSWER,
    )


class Ear(threading.Thread):
    """Hears nudges until told to stop."""

    def __init__(self, heard: Callable[[], None]) -> None:
        super().__init__(name="live-nudges", daemon=True)
        self._heard = heard
        self._stop_asked = threading.Event()

    def run(self) -> None:
        import redis

        while not self._stop_asked.is_set():
            try:
                self._listen(redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2))
            except redis.RedisError as error:
                logger.warning("Redis can't be listened to: %s", type(error).__name__)
                self._stop_asked.wait(SECONDS_TO_RECOVER)

    def end(self) -> None:
        self._stop_asked.set()

    def _listen(self, client: Any) -> None:
        with client, client.pubsub(ignore_subscribe_messages=True) as hearing:
            hearing.subscribe(CHANNEL)
            self._heard()  # whatever was said before
            while not self._stop_asked.is_set():
                if hearing.get_message(timeout=1.0):
                    self._heard()
