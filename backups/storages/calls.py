"""Calls to a storage server, made again for a while where that can help."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    wait_random_exponential,
)

from backups.pipeline.errors import StorageError

Answer = TypeVar("Answer")

THROTTLE_FACTOR = 6
"""A server that asks for patience gets that many times as much of it."""


class Refusals(Protocol):
    """What a kind of server refuses, or what keeps us from reaching it: a module of that kind."""

    @property
    def FAILURES(self) -> tuple[type[Exception], ...]:  # noqa: N802 (a module's constant)
        """What a call raises when it did not work."""

    def is_passing(self, error: BaseException) -> bool:
        """Whether the same call may work in a moment."""

    def is_throttle(self, error: BaseException | None) -> bool:
        """Whether the server asks for patience."""

    def explained(self, error: Exception, place: Any) -> StorageError:
        """The sentence and remedy for that failure, without secrets."""


class Caller:
    """Makes calls to one place, trying again for `patience` seconds."""

    def __init__(self, place: Any, patience: float, refusals: Refusals) -> None:
        """`place` is what `refusals` tells people of."""
        self.place = place
        self._patience, self._refusals = patience, refusals

    def hurried(self, seconds: float) -> Caller:
        """The same with less patience."""
        return Caller(self.place, min(seconds, self._patience), self._refusals)

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
        enough = _Enough(self._patience, self._refusals, from_failure=long)
        tries = Retrying(
            retry=retry_if_exception(self._refusals.is_passing),
            stop=lambda state: stopped.is_set() or enough(state),
            wait=wait_random_exponential(multiplier=0.4, max=2),
            sleep=sleep_using_event(stopped),
            reraise=True,
        )
        try:
            return tries(call)
        except self._refusals.FAILURES as error:
            raise self._refusals.explained(error, self.place) from None


class _Enough:
    """Whether patience has run out."""

    def __init__(self, patience: float, refusals: Refusals, *, from_failure: bool) -> None:
        self._patience, self._refusals = patience, refusals
        self._since: float | None = None if from_failure else time.monotonic()

    def __call__(self, state: RetryCallState) -> bool:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        error = state.outcome.exception() if state.outcome else None
        factor = THROTTLE_FACTOR if self._refusals.is_throttle(error) else 1
        return now - self._since >= self._patience * factor
