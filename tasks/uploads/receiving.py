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
from tasks.uploads import refusals, sessions, tus
from tasks.uploads.refusals import FencedError, UploadError
from tasks.uploads.writing import TICK, Writer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Answer = TypeVar("Answer")

BATCH = 2 << 20  # less means more turns of threads, more no longer fits into a CPU's cache
PIECES = 256  # of a batch, however small
SETTLE_TRIES = 5
SETTLE_PAUSE = 0.05
FINISH_SECONDS = 20.0
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
        self.finishing = False
        self.ended = asyncio.Event()


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
        mine.ended.set()
        _holds[pk].discard(mine)
        if not _holds[pk]:
            del _holds[pk]


def cut(pk: UUID) -> None:
    """End what writes that upload in this process, at once."""
    for hold in _holds.get(pk, ()):
        hold.overtaken.set()


async def settle(upload: Upload) -> None:
    """End whoever writes it, and have `upload.offset` say what has arrived. What has arrived whole
    is finished: a sender who hears that nothing is missing comes never again.

    Who only asks is not told that another was faster, nor that the storage is away: clients take
    any refusal of a HEAD but 423 for the end of the upload. Where newer requests come again and
    again, what the row says is near enough.
    """
    for _ in range(SETTLE_TRIES):
        await _others_finish(upload.pk)
        await in_thread(lambda: _read_again(upload))
        if upload.complete:
            return
        try:
            await _settle(upload)
            return
        except FencedError:
            await asyncio.sleep(SETTLE_PAUSE)
        except UploadError as error:
            if error.status == 503:
                raise refusals.finishing() from None
            if error.status not in (409, 415, 422):  # complete by now; or it has to come anew
                raise
            break
    await in_thread(lambda: _read_again(upload))


async def _settle(upload: Upload) -> None:
    async with _holding(upload.pk) as hold:
        writer = await in_thread(lambda: Writer.take(upload))
        try:
            if writer.offset == upload.size:
                hold.finishing = True
                await in_thread(writer.finish)
        finally:
            await in_thread(writer.close)


async def _others_finish(pk: UUID) -> None:
    """Wait for a request of this process that has all bytes and is making a file of them."""
    ends = [hold.ended.wait() for hold in _holds.get(pk, ()) if hold.finishing]
    try:
        async with asyncio.timeout(FINISH_SECONDS):
            await asyncio.gather(*ends)
    except TimeoutError:
        raise refusals.finishing() from None


def _read_again(upload: Upload) -> None:
    """As the row has it now. Raises UploadError (410) where it is gone by now."""
    upload.refresh_from_db()
    sessions.refuse_gone(upload)


async def receive_into(
    upload: Upload,
    pieces: AsyncIterator[bytes],
    *,
    at: int | None = None,
    size: int | None = None,
    whole: bool = False,
    checking: tus.Checking | None = None,
) -> None:
    """Write what comes, and finish the upload where that was all of it.

    `size` is that of the file, where the sender tells it now. A `whole` file begins at its first
    byte and ends with the body. With `checking` nothing counts
    until the last piece has come and its checksum is right. Raises UploadError, GoneError; what had
    arrived by then stays, where it counts.
    """
    async with _holding(upload.pk) as hold:
        writer = await in_thread(
            lambda: Writer.take(
                upload, at=at, size=size, from_start=whole, provisional=checking is not None
            )
        )
        try:
            await _guarded(_Pour(writer, pieces, checking), writer, hold)
            hold.finishing = True
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


async def _guarded(pour: _Pour, writer: Writer, hold: _Hold) -> None:
    """Pour until the end, or until we are overtaken, cancelled, or nothing comes any more."""
    pouring = asyncio.create_task(pour.run())
    watch = asyncio.create_task(_watch(pour, writer, hold))
    try:
        await asyncio.wait({pouring, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not pouring.done():
            watch.result()  # raises what ended it
        await pouring
    finally:
        for task in (pouring, watch):
            task.cancel()
        await asyncio.gather(pouring, watch, return_exceptions=True)


async def _watch(pour: _Pour, writer: Writer, hold: _Hold) -> None:
    """Ends, by raising, when this request may not go on. What came by then is written first."""
    clock = asyncio.get_running_loop().time
    last, moved = writer.offset, clock()
    while True:
        overtaken = await _happens(hold.overtaken, TICK)
        await pour.flush()
        await in_thread(writer.note)  # says why, where it was cancelled
        if overtaken:
            raise refusals.overtaken()
        if writer.offset != last:
            last, moved = writer.offset, clock()
        elif clock() > moved + settings.UPLOAD_IDLE_SECONDS:
            raise UploadError(
                408, f"Nothing came for {settings.UPLOAD_IDLE_SECONDS:g} s. Go on with the rest."
            )


async def _happens(event: asyncio.Event, within: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within)
    except TimeoutError:
        return False
    return True


class _Pour:
    """Gathers pieces into batches; while one is being written the next is gathered."""

    def __init__(
        self, writer: Writer, pieces: AsyncIterator[bytes], checking: tus.Checking | None
    ) -> None:
        self._writer, self._pieces, self._checking = writer, pieces, checking
        self._batch: list[bytes] = []
        self._size = 0
        self._turn = asyncio.Lock()  # batches are written in their order
        self._writing: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """To the end of the body. What came before a connection broke is written too."""
        try:
            async for piece in self._pieces:
                self._batch.append(piece)
                self._size += len(piece)
                if self._size >= BATCH or len(self._batch) >= PIECES:
                    await self._start()
        except GoneError:
            await self.flush()
            raise
        await self.flush()

    async def flush(self) -> None:
        """Returns once all that has come is written."""
        await self._start()
        async with self._turn:
            await self._written()

    async def _start(self) -> None:
        """Begin to write what has been gathered, once what came before is written."""
        async with self._turn:
            await self._written()
            if self._batch:
                batch, self._batch, self._size = self._batch, [], 0
                self._writing = asyncio.ensure_future(in_thread(lambda: self._write(batch)))

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    def _write(self, batch: list[bytes]) -> None:
        if self._checking is not None:
            for piece in batch:
                self._checking.update(piece)
        self._writer.write(batch)
