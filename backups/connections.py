"""Asks databases and destinations whether they can be reached, in bounded time, for people."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from threading import Lock, Thread
from typing import TypeVar

from django.core.cache import cache

from accounts import policy
from accounts.models import User
from backups import recipes
from backups.models import Database, Destination
from backups.pipeline.errors import PipelineError, SourceError, StorageError
from backups.pipeline.ports import SourceInfo

CHECK_SECONDS = 15.0
STANDING_SECONDS = 3.0
STANDING_KEPT = 30
_STANDING = "backups.standing"
_REMEDY = "Look whether a firewall or a wrong address swallows the connection."

logger = logging.getLogger(__name__)
_one_asks = Lock()

Answer = TypeVar("Answer")


def check_database(database: Database, *, seconds: float = CHECK_SECONDS) -> SourceInfo:
    """What the server says of itself; raises PipelineError with a sentence and a remedy."""
    asked = _ask(recipes.source_for(database).check)
    place = f"{database.host}:{database.port}"
    return _answer(asked, seconds, SourceError(_silence(place, seconds), remedy=_REMEDY))


def check_destination(destination: Destination, *, seconds: float = CHECK_SECONDS) -> str:
    """Writes, reads and removes an object there; the place's name for people."""
    store = recipes.store_for(destination)
    place = store.describe()
    silent = StorageError(_silence(place, seconds), remedy=_REMEDY)
    _answer(_ask(store.check), seconds, silent)
    return place


def storage(user: User | None = None) -> tuple[bool, list[str]]:
    """For `/statusz`: whether every destination that an enabled plan uses takes objects, and a
    sentence for each that does not and that `user` may see.

    What was found is kept for half a minute, since each try writes an object.
    """
    problems = _standing()
    visible = policy.visible(user, Destination.objects.filter(pk__in=problems))
    return not problems, [f"{row.name}: {problems[row.pk]}" for row in visible]


def _standing() -> dict[int, str]:
    """What is wrong, by the primary key of the destination."""
    with _one_asks:
        known: dict[int, str] | None = cache.get(_STANDING)
        if known is None:
            used = Destination.objects.filter(plans__enabled=True).distinct()
            known = _problems(used, time.monotonic() + STANDING_SECONDS)
            cache.set(_STANDING, known, STANDING_KEPT)
    return known


def _problems(destinations: Iterable[Destination], deadline: float) -> dict[int, str]:
    """All are asked at the same time, so that one that hangs does not hide the others."""
    asked = {row.pk: _ask(partial(_try, row)) for row in destinations}
    found = {pk: _problem(answer, deadline) for pk, answer in asked.items()}
    return {pk: sentence for pk, sentence in found.items() if sentence}


def _try(destination: Destination) -> None:
    recipes.store_for(destination).check()


def _problem(asked: Future[None], deadline: float) -> str:
    silent = StorageError(_silence("It", STANDING_SECONDS), remedy=_REMEDY)
    try:
        _answer(asked, max(0.0, deadline - time.monotonic()), silent)
    except PipelineError as error:
        return str(error)
    except Exception:
        logger.exception("A destination's check failed in a way its adapter does not know")
        return "Its check failed; the log says how."
    return ""


def _ask(question: Callable[[], Answer]) -> Future[Answer]:
    """Asks in a daemon thread: one that hangs must hold up neither the caller nor the end of the
    process; the adapters' own timeouts end it."""
    asked: Future[Answer] = Future()

    def run() -> None:
        try:
            asked.set_result(question())
        except BaseException as error:  # handed to the caller, whatever it is
            asked.set_exception(error)

    Thread(target=run, name="check", daemon=True).start()
    return asked


def _answer(asked: Future[Answer], seconds: float, silent: PipelineError) -> Answer:
    try:
        return asked.result(timeout=seconds)
    except TimeoutError:
        if asked.done():
            raise  # the adapter's own
        raise silent from None


def _silence(place: str, seconds: float) -> str:
    return f"{place} did not answer within {seconds:g} s."
