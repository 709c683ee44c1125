"""Following tasks, fed by the poller that all of this process share: a stream costs a place in
it, not a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

from backups.rpc.database import ask
from backups.rpc.refusals import Code, StatusError
from tasks import places
from tasks.live import report
from tasks.live.mailbox import BehindError, Change
from tasks.live.poller import watching
from tasks.live.watches import TaskWatch
from tasks.models import Task
from tasks.states import ENDED, Status

Standing = Mapping[str, Any]

GONE = "Its record has been removed."
SPARE_SECONDS = 0.2  # before the caller's deadline, so that our sentence still arrives


class Stopping:
    """Says to all who wait here that the server stops."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


async def standings(task_id: UUID, stopping: Stopping) -> AsyncIterator[Standing]:
    """How the task stands, now and whenever that changes; last of all how it ended.

    A slow reader gets fewer. Raises StatusError when the server stops or the row has gone.
    """
    standing = await ask(_standing, task_id)
    yield standing
    watch = TaskWatch(task_id=task_id, seen=standing["seq"], place=report.place_of(standing))
    stop: asyncio.Future[Any] = asyncio.ensure_future(stopping.wait())
    try:
        with watching(watch):
            while standing["status"] not in ENDED:
                standing = await _next(watch, stop, task_id)
                yield standing
    finally:
        stop.cancel()


async def _next(watch: TaskWatch, stop: asyncio.Future[Any], task_id: UUID) -> Standing:
    take: asyncio.Future[Any] = asyncio.ensure_future(watch.mailbox.take())
    try:
        await asyncio.wait({take, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not take.done():
            raise StatusError(Code.UNAVAILABLE, "The daemon is stopping; what it followed goes on.")
        changes: list[Change] = take.result()
    except BehindError:
        return await ask(_standing, task_id)
    finally:
        take.cancel()
    task = changes[-1].task
    if task is None:
        raise StatusError.missing(GONE)
    return task


async def end_of(task_id: UUID, stopping: Stopping, context: Any) -> Standing:
    """How it ended; StatusError where it failed or was cancelled, or the caller's time is up."""
    left = context.time_remaining()
    try:
        async with asyncio.timeout(None if left is None else max(0.0, left - SPARE_SECONDS)):
            async for standing in standings(task_id, stopping):
                last = standing
    except TimeoutError:
        raise StatusError(
            Code.DEADLINE_EXCEEDED, "It has not ended within your deadline, and goes on."
        ) from None
    if last["status"] == Status.SUCCEEDED:
        return last
    if last["status"] == Status.FAILED:
        raise StatusError(Code.ABORTED, last["error"] or "It failed.")
    raise StatusError(Code.CANCELLED, f"It was {Status(last['status']).label.lower()}.")


def _standing(task_id: UUID) -> Standing:
    task = Task.objects.filter(pk=task_id).first()
    if task is None:
        raise StatusError.missing(GONE)
    return report.told(task, places.of(task))
