"""Having the disk begin early with what is to be durable in the end."""

from __future__ import annotations

import ctypes

_WRITE = 2  # SYNC_FILE_RANGE_WRITE
_ask = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
if _ask is not None:
    _ask.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


def begin(handle: int, offset: int, length: int) -> None:
    """Have these bytes of a file written, without waiting for it; fsync then waits for little more.

    It promises nothing: where it can't be had, fsync does all of it.
    """
    if _ask is not None:
        _ask(handle, offset, length, _WRITE)
