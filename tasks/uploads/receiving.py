"""From the socket to the writer: bounded, one batch ahead, and ended the moment it is overtaken.

While one batch is being written in a thread the next is received; then the sender has to wait, so
that memory stays the same however large the file and however slow the disk.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections

from tasks.models import Upload
from tasks.uploads import refusals, tus
from tasks.uploads.refusals import UploadError
from tasks.uploads.writing import TICK, Writer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Answer = TypeVar("Answer")

BATCH = 1 << 20
PIECES = 256  # of a batch, however small
_threads = ThreadPoolExecutor(max_workers=64, thread_name_prefix="upload")


class GoneError(Exception):
    """The sender hung up."""


async def in_thread(call: Callable[[], Answer]) -> Answer:
    """Do what blocks (disk, database) elsewhere; a database connection is not kept over it."""

    def run() -> Answer:
        try:
            return call()
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


async def body_of(receive: Receive) -> AsyncIterator[bytes]:
    """The request's body in pieces; raises GoneError where it breaks off."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        more = message.get("more_body", False)
        if piece := message.get("body", b""):
            yield piece


class _Hold:
    """One request at work on an upload in this process."""

    def __init__(self) -> None:
        self.overtaken = asyncio.Event()


_holds: defaultdict[UUID, set[_Hold]] = defaultdict(set)


@asynccontextmanager
async def _holding(pk: UUID) -> AsyncIterator[_Hold]:
    """Tell those before us in this process at once; those in others see it by their number."""
    for other in _holds[pk]:
        other.overtaken.set()
    mine = _Hold()
    _holds[pk].add(mine)
    try:
        yield mine
    finally:
        _holds[pk].discard(mine)
        if not _holds[pk]:
            del _holds[pk]


def cut(pk: UUID) -> None:
    """End what writes that upload in this process, at once."""
    for hold in _holds.get(pk, ()):
        hold.overtaken.set()


async def settle(upload: Upload) -> None:
    """End whoever writes it, and have `upload.offset` say what has arrived."""
    async with _holding(upload.pk):
        writer = await in_thread(lambda: Writer.take(upload))
        await in_thread(writer.close)


async def receive_into(
    upload: Upload,
    pieces: AsyncIterator[bytes],
    *,
    at: int | None = None,
    whole: bool = False,
    checking: tus.Checking | None = None,
) -> None:
    """Write what comes, and finish the upload where that was all of it.

    A `whole` file begins at its first byte and ends with the body. With `checking` nothing counts
    until the last piece has come and its checksum is right. Raises UploadError, GoneError; what had
    arrived by then stays, where it counts.
    """
    async with _holding(upload.pk) as hold:
        writer = await in_thread(
            lambda: Writer.take(upload, at=at, from_start=whole, provisional=checking is not None)
        )
        try:
            await _guarded(_pour(writer, pieces, checking), writer, hold)
            await in_thread(lambda: _end(writer, checking, whole=whole))
        finally:
            await in_thread(writer.close)


def _end(writer: Writer, checking: tus.Checking | None, *, whole: bool) -> None:
    if checking is not None:
        try:
            checking.check()
        except UploadError:
            writer.drop()
            raise
        writer.keep()
    if whole or writer.offset == writer.upload.size:
        writer.finish()


async def _guarded(pouring: Any, writer: Writer, hold: _Hold) -> None:
    """Pour until the end, or until we are overtaken, cancelled, or nothing comes any more."""
    pour = asyncio.create_task(pouring)
    watch = asyncio.create_task(_watch(writer, hold))
    try:
        await asyncio.wait({pour, watch}, return_when=asyncio.FIRST_COMPLETED)
        if watch.done() and not pour.done():
            watch.result()  # raises what ended it
        await pour
    finally:
        for task in (pour, watch):
            task.cancel()
        await asyncio.gather(pour, watch, return_exceptions=True)


async def _watch(writer: Writer, hold: _Hold) -> None:
    """Ends, by raising, when this request may not go on."""
    last, moved = writer.offset, asyncio.get_running_loop().time()
    while True:
        try:
            await asyncio.wait_for(hold.overtaken.wait(), TICK)
        except TimeoutError:
            await in_thread(writer.note)
        else:
            await in_thread(writer.note)  # says why, where it was cancelled
            raise refusals.overtaken()
        now = asyncio.get_running_loop().time()
        if writer.offset != last:
            last, moved = writer.offset, now
        elif now > moved + settings.UPLOAD_IDLE_SECONDS:
            raise UploadError(
                408, f"Nothing came for {settings.UPLOAD_IDLE_SECONDS:g} s. Go on with the rest."
            )


async def _pour(
    writer: Writer, pieces: AsyncIterator[bytes], checking: tus.Checking | None
) -> None:
    """Write batch by batch; what came before the connection broke is written too."""

    def write(batch: list[bytes]) -> asyncio.Future[None]:
        return asyncio.ensure_future(in_thread(lambda: _write(writer, batch, checking)))

    batch: list[bytes] = []
    size = 0
    writing: asyncio.Future[None] | None = None
    broken: GoneError | None = None
    try:
        async for piece in pieces:
            batch.append(piece)
            size += len(piece)
            if size >= BATCH or len(batch) >= PIECES:
                if writing is not None:
                    await writing
                writing, batch, size = write(batch), [], 0
    except GoneError as error:
        broken = error
    if writing is not None:
        await writing
    if batch:
        await write(batch)
    if broken is not None:
        raise broken


def _write(writer: Writer, batch: list[bytes], checking: tus.Checking | None) -> None:
    if checking is not None:
        for piece in batch:
            checking.update(piece)
    writer.write(batch)
