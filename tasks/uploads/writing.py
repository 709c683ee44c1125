"""Writing the bytes of one request into the upload's file; everything here runs in threads.

One request at a time holds the file's lock. Its number (`upload.writer`) is looked at twice a
second, with the statement that also writes how much has arrived: an older request that still
sends, in this process or another, sees that it was overtaken and lets go.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NoReturn
from uuid import UUID

from tasks.models import Upload
from tasks.uploads import files, flushing, limits, refusals, room, sessions, sniffing
from tasks.uploads.refusals import UploadError

logger = logging.getLogger(__name__)

TICK = 0.5
LOCK_SECONDS = 5.0
STEP = 64 << 20
FLUSHED = 8 << 20
_READ = 1 << 20
_HASHES_KEPT = 64
_hashes: OrderedDict[UUID, tuple[int, int, Any]] = OrderedDict()
"""SHA-256 so far of uploads that stopped in this process, with the number of the request and its
offset: saves reading again."""


class Writer:
    """One request's hold on one upload. Make it with `Writer.take`; `close` lets go."""

    def __init__(
        self, upload: Upload, handle: int, *, whole: bool = False, provisional: bool = False
    ) -> None:
        self.upload = upload
        self._most = 0  # bytes of a file whose size nobody told, once it was asked for
        self._whole = whole
        self._typed = self._closed = False
        self._lock = threading.RLock()  # the writes, and the look at whether we may go on
        self.begun = self.offset = self._flushed = upload.offset
        self._handle = handle
        self._provisional = provisional
        self._noted = time.monotonic()
        self._hashed, self._sha256 = _remembered(upload)

    @classmethod
    def take(
        cls,
        upload: Upload,
        *,
        from_start: bool = False,
        at: int | None = None,
        size: int | None = None,
        provisional: bool = False,
    ) -> Writer:
        """Overtake whoever writes it now, and wait until that has let go.

        `at` is where the sender goes on: another offset than ours is a 409 that names ours. `size`
        is the file's, where it is told with these bytes. With `provisional` nothing counts until
        `keep`. Raises UploadError.
        """
        if not sessions.take_over(upload):
            refuse_late(upload)
        handle = _locked(upload.pk)
        try:
            upload.offset = 0 if from_start else _extent(upload, handle)
            if not sessions.note_offset(upload, upload.offset):
                refuse_late(upload)  # somebody newer was faster
            if at is not None and at != upload.offset:
                raise UploadError(
                    409,
                    f"The next byte is number {upload.offset}, not {at}.",
                    {"Upload-Offset": str(upload.offset)},
                )
            if size is not None:
                sessions.set_size(upload, size)
            os.ftruncate(handle, upload.offset)
            files.mark(upload.pk, provisional=provisional)
            return cls(upload, handle, whole=from_start, provisional=provisional)
        except BaseException:
            os.close(handle)
            raise

    def write(self, pieces: Sequence[bytes]) -> None:
        """Append; raises UploadError where it can't be, or where others have taken over."""
        size = sum(map(len, pieces))
        with self._lock:
            if self._closed:
                raise refusals.overtaken()
            self._refuse_too_much(self.offset + size)
            try:
                _append(self._handle, pieces, self.offset)
            except OSError as error:
                raise _full(error) from None
            if self._hashed == self.offset:
                for piece in pieces:
                    self._sha256.update(piece)
                self._hashed += size
            self.offset += size
            self._flush()
            if not self._typed and self.offset >= sniffing.LOOKED_AT:
                self._refuse_type()
            if time.monotonic() >= self._noted + TICK:
                self.note()

    def _flush(self) -> None:
        """Else the kernel would keep most of it in memory until `finish` asks for it, and the
        sender wait for the whole disk after its last byte."""
        if self.offset >= self._flushed + FLUSHED:
            flushing.begin(self._handle, self._flushed, self.offset - self._flushed)
            self._flushed = self.offset

    def _refuse_too_much(self, offset: int) -> None:
        """Bytes that belong to no file spoil all that this request brought."""
        size = self.upload.size
        if offset <= (self._most if size is None else size):
            return
        if size is None:
            self._ask_for_room(offset)
            return
        self.drop()
        if self._whole:
            raise refusals.differs("size", size, f"{offset} bytes or more")
        raise UploadError(413, f"The file was said to have {size} bytes; more than that came.")

    def _ask_for_room(self, offset: int) -> None:
        """How large it may get is asked when its first bytes come, and where that was used up:
        in steps, so that many which grow at once don't each take the same room."""
        try:
            self._most = min(room.most_bytes(self.upload, offset), offset + STEP)
        except UploadError:
            self.drop()
            raise

    def note(self) -> None:
        """Write down how much has arrived, and see whether we may go on."""
        with self._lock:
            if self._closed:
                return
            self._noted = time.monotonic()
            if not sessions.note_offset(self.upload, self._counted()):
                refuse_late(self.upload)

    def _counted(self) -> int:
        return self.begun if self._provisional else self.offset

    def keep(self) -> None:
        """What is provisional counts from now on."""
        self._provisional = False
        files.mark(self.upload.pk, provisional=False)
        self.note()

    def drop(self) -> None:
        """Forget what this request brought."""
        os.ftruncate(self._handle, self.begun)
        self.offset = self._flushed = self.begun
        self._typed = False
        self._hashed, self._sha256 = 0, hashlib.sha256()
        self.keep()

    def finish(self) -> None:
        """All has arrived: check it, make it durable, hand it over. Raises UploadError (413, 415,
        422).

        What is wrong is dropped: the next request begins at the first byte.
        """
        upload = self.upload
        untold = upload.size is None
        if untold:
            self.note()  # so that of two which end at once one sees the other's bytes
        try:
            if untold:
                room.most_bytes(upload, self.offset)  # others have sent something meanwhile
                upload.size = self.offset
            if self.offset != upload.size:
                raise refusals.differs("size", upload.size, f"{self.offset} bytes")
            sha256 = self._whole_sha256()
            if upload.wanted_sha256 and sha256 != upload.wanted_sha256:
                raise refusals.differs("SHA-256", upload.wanted_sha256, sha256)
            found = self._refuse_type()
            os.fsync(self._handle)
        except OSError as error:
            raise _full(error) from None
        except UploadError:
            self._start_over()
            raise
        _hand_over(upload)
        if not sessions.complete(upload, sha256=sha256, content_type=found):
            refuse_late(upload)

    def _refuse_type(self) -> str:
        """What its first bytes say it is. Raises UploadError (415) where its job wants others."""
        head = os.pread(self._handle, sniffing.LOOKED_AT, 0)
        found = sniffing.type_of(head, self.upload.filename)
        self._typed = True
        try:
            limits.of_upload(self.upload).check_type(found)
        except UploadError:
            self._start_over()
            raise
        return found

    def _start_over(self) -> None:
        self.begun = 0
        self.drop()

    def close(self) -> None:
        """Let go of the file, having written down what arrived."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                if not self.upload.complete:
                    sessions.note_offset(self.upload, self._counted())
            finally:
                self.upload.offset = self._counted()
                _remember(self.upload, self._hashed, self._sha256)
                os.close(self._handle)

    def _whole_sha256(self) -> str:
        """Of the file from its first byte; read again from where the hash has a gap."""
        while self._hashed < self.offset:
            piece = os.pread(self._handle, min(_READ, self.offset - self._hashed), self._hashed)
            if not piece:
                raise UploadError(500, "The file was changed by somebody else. Send it again.")
            self._sha256.update(piece)
            self._hashed += len(piece)
        return str(self._sha256.hexdigest())


def _append(handle: int, pieces: Sequence[bytes], offset: int) -> None:
    """All of them, without joining them first."""
    left = [memoryview(piece) for piece in pieces]
    while left:
        written = os.pwritev(handle, left, offset)
        offset += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


def _locked(pk: UUID) -> int:
    """The file, held by us alone. Raises UploadError (503) where another doesn't let go."""
    try:
        handle = os.open(files.path_of(pk), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _full(error) from None
    limit = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > limit:
                os.close(handle)
                raise refusals.busy() from None
            time.sleep(0.01)


def _extent(upload: Upload, handle: int) -> int:
    """How much has arrived: all that is in the file, whether its writer could still note it or not,
    unless that was provisional."""
    size = os.fstat(handle).st_size
    return min(size, upload.offset) if files.is_provisional(upload.pk) else size


def refuse_late(upload: Upload) -> NoReturn:
    """Say why it may not be written: gone, complete, or overtaken."""
    now = sessions.find(upload.pk)
    sessions.refuse_gone(now)
    if now.complete:
        raise refusals.complete(now)
    raise refusals.overtaken()


def _hand_over(upload: Upload) -> None:
    """Raises UploadError (503) where the storage doesn't take it: all bytes are here, so whoever
    asks next tries again."""
    try:
        files.hand_over(files.key_of(upload.pk))
    except OSError as error:
        raise _full(error) from None
    except Exception as error:  # each backend of django-storages has errors of its own
        logger.warning("The file storage doesn't take an upload: %s", type(error).__name__)
        raise refusals.storage_away() from None


def _full(error: OSError) -> UploadError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UploadError(507, "There is no room for the file here. Tell who runs this service.")
    return UploadError(500, "The file can't be written here. Tell who runs this service.")


def _remembered(upload: Upload) -> tuple[int, Any]:
    """What is known of the bytes that are there, unless another process has written since."""
    writer, offset, known = _hashes.pop(upload.pk, (0, 0, None))
    if known is None or writer + 1 != upload.writer or offset > upload.offset:
        return 0, hashlib.sha256()
    return offset, known


def _remember(upload: Upload, offset: int, known: Any) -> None:
    _hashes[upload.pk] = (upload.writer, offset, known)
    while len(_hashes) > _HASHES_KEPT:
        _hashes.popitem(last=False)
