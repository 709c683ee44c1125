"""Asks a database or a destination whether it can be reached, in bounded time, for a person."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from backups import recipes
from backups.models import Database, Destination
from backups.pipeline.errors import PipelineError, SourceError, StorageError
from backups.pipeline.ports import SourceInfo

CHECK_SECONDS = 15.0

Answer = TypeVar("Answer")


def check_database(database: Database, *, seconds: float = CHECK_SECONDS) -> SourceInfo:
    """What the server says of itself; raises PipelineError with a sentence and a remedy."""
    silent = SourceError(
        f"{database.host}:{database.port} did not answer within {seconds:g} s.",
        remedy="Look whether a firewall or a wrong address swallows the connection.",
    )
    return _within(seconds, recipes.source_for(database).check, silent)


def check_destination(destination: Destination, *, seconds: float = CHECK_SECONDS) -> str:
    """Writes, reads and removes an object there; the place's name for people."""
    store = recipes.store_for(destination)
    place = store.describe()
    silent = StorageError(
        f"{place} did not answer within {seconds:g} s.",
        remedy="Look whether a firewall or a wrong address swallows the connection.",
    )
    _within(seconds, store.check, silent)
    return place


def _within(seconds: float, ask: Callable[[], Answer], silent: PipelineError) -> Answer:
    """What `ask` answers. A daemon thread, since one that hangs must hold up neither the caller
    nor the end of the process; the adapters' own timeouts end it."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # handed to the caller, whatever it is
            answer.set_exception(error)

    Thread(target=run, name="check", daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        if answer.done():
            raise  # the adapter's own
        raise silent from None
