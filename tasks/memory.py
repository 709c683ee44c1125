"""How much memory a process may take, so that a job that asks for too much fails by itself and the
kernel needn't choose whom to kill; and how it lies there, so that a fork costs little."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DATA = "VmData:"
LARGE_PAGE = 2 << 20
_MADV_COLLAPSE = 25  # Linux 6.1 and later
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's <malloc.h>


def limit(more: int) -> None:
    """Let this process, and each that it starts, have that many bytes beyond what it has now.

    What counts is memory it may write to (RLIMIT_DATA). The address space (RLIMIT_AS) would be no
    measure: libraries reserve several times what they use, and some die where they get less.
    """
    most = _held() + more
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _held() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(_DATA):
            return int(line.split()[1]) * 1024
    return 0


def reuse_buffers() -> None:
    """Have this process keep what buffers it lets go of held for the next ones, 16 MiB at most.

    What is read from a socket comes in pieces of 256 KiB, each of which the C library otherwise
    gets from the kernel, page by page, and gives back: a tenth of what an upload costs. Other C
    libraries than glibc have no such setting, and all is as it was.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 1 << 20)
        mallopt(_M_TRIM_THRESHOLD, 16 << 20)


def gather() -> int:
    """Have the kernel keep what is there by now in large pages, where it can; how many.

    A fork copies the table of all pages, and its end takes it down again: of an attempt that does
    nothing that was half the cost. Pages that are written to later become small again, in the
    process that writes. Each is asked for by itself, so that one that can't be had keeps none of
    the others from it; older kernels have none, and all is as it was.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return sum(
        libc.madvise(start, LARGE_PAGE, _MADV_COLLAPSE) == 0
        for first, end in _own_memory()
        for start in range(-(-first // LARGE_PAGE) * LARGE_PAGE, end - LARGE_PAGE + 1, LARGE_PAGE)
    )


def _own_memory() -> Iterator[tuple[int, int]]:
    """The spans of this process's memory that belong to no file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, access, _, _, _, *name = line.split(maxsplit=5)
        if access == "rw-p" and name in ([], ["[heap]"]):
            first, _, end = span.partition("-")
            yield int(first, 16), int(end, 16)
