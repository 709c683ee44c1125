"""Joining a file from parts that were sent side by side (tus's concatenation)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from tasks.models import Upload
from tasks.uploads import capability, files, refusals, sessions
from tasks.uploads.refusals import UploadError
from tasks.uploads.writing import Writer

_PIECE = 1 << 20


def join(upload: Upload, addresses: Sequence[str]) -> None:
    """Copy the parts into the file, in their order, and finish it. Raises UploadError.

    The parts stay until they expire: a sender may join them to something else.
    """
    if upload.complete:  # the same request once more
        return
    try:
        parts = [_part(address, upload) for address in addresses]
        sessions.set_size(upload, sum(part.size or 0 for part in parts), parts=parts)
        writer = Writer.take(upload, from_start=True)
        try:
            for part in parts:
                _copy(part, writer)
            writer.finish()
        finally:
            writer.close()
    except UploadError:
        sessions.terminate(upload)
        raise


def _part(address: str, upload: Upload) -> Upload:
    path = urlsplit(address).path
    pk = capability.opened(path.removeprefix(capability.PATH))
    part = Upload.objects.filter(pk=pk, owner=upload.owner).first() if pk else None
    if part is None:
        raise refusals.unknown()
    sessions.refuse_gone(part)
    if part.kind != Upload.Kind.PART:
        raise UploadError(400, "Only what was sent with `Upload-Concat: partial` can be joined.")
    if not part.complete:
        raise UploadError(409, "A part hasn't arrived yet: send all of it before joining.")
    return part


def _copy(part: Upload, writer: Writer) -> None:
    with files.held(files.key_of(part.pk)) as path:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        offset = 0
        while piece := os.pread(handle, _PIECE, offset):
            writer.write([piece])
            offset += len(piece)
    finally:
        os.close(handle)
