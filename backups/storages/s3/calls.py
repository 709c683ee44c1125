"""Calls to an S3 server, made again for a while where that can help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    wait_random_exponential,
)

from backups.storages.s3 import refusals
from backups.storages.s3.refusals import Place

Answer = TypeVar("Answer")

THROTTLE_FACTOR = 6
"""A server that asks for patience gets that many times as much of it."""


class Caller:
    """Makes calls to one place, trying again for `patience` seconds."""

    def __init__(self, place: Place, patience: float) -> None:
        self.place = place
        self._patience = patience

    def hurried(self, seconds: float) -> Caller:
        """The same with less patience."""
        return Caller(self.place, min(seconds, self._patience))

    def __call__(
        self,
        call: Callable[[], Answer],
        *,
        long: bool = False,
        stopped: threading.Event | None = None,
    ) -> Answer:
        """What `call` answers; raises StorageError.

        Patience is counted from the start, or with `long`, for calls that rightly take their
        time, from the first failure: then there is a second try in any case.
        """
        stopped = stopped or threading.Event()
        enough = _Enough(self._patience, from_failure=long)
        tries = Retrying(
            retry=retry_if_exception(refusals.is_passing),
            stop=lambda state: stopped.is_set() or enough(state),
            wait=wait_random_exponential(multiplier=0.4, max=2),
            sleep=sleep_using_event(stopped),
            reraise=True,
        )
        try:
            return tries(call)
        except refusals.FAILURES as error:
            raise refusals.explained(error, self.place) from None


class _Enough:
    """Whether patience has run out."""

    def __init__(self, patience: float, *, from_failure: bool) -> None:
        self._patience = patience
        self._since: float | None = None if from_failure else time.monotonic()

    def __call__(self, state: RetryCallState) -> bool:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        error = state.outcome.exception() if state.outcome else None
        factor = THROTTLE_FACTOR if refusals.is_throttle(error) else 1
        return now - self._since >= self._patience * factor
