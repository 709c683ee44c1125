"""A timer of the kernel's own that kills this process at a moment, whatever keeps it from noticing.

A minder lights one for the end of its lease: should it be frozen, alone or with its whole machine,
it dies before others may take its task, and its child, which is tied to it, with it. Neither need
run for that: SIGKILL ends a stopped process too. So no attempt wakes up beside the next one.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal

logger = logging.getLogger(__name__)

_CLOCK_BOOTTIME, _TIMER_ABSTIME = 7, 1  # of <time.h>; the clock is that of `processes.now`
_SIGEV_SIGNAL = 0


class _Sigevent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    )


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("every_seconds", ctypes.c_long),
        ("every_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_timers: dict[int, ctypes.c_void_p | None] = {}
"""The timer of each process that has one: a fork inherits none."""


def light(at: float) -> None:
    """This process dies at that moment of `processes.now()`, unless another is set or none."""
    _set(at)


def put_out() -> None:
    """It goes on."""
    if _timers.get(os.getpid()) is not None:
        _set(0.0)


def _set(at: float) -> None:
    pid = os.getpid()
    if pid not in _timers:
        _timers.clear()  # what a fork knows of its parent's
        _timers[pid] = _created()
    timer = _timers[pid]
    if timer is None:
        return
    whole = int(at)
    wanted = _Itimerspec(0, 0, whole, int((at - whole) * 1e9))
    if _libc.timer_settime(timer, _TIMER_ABSTIME, ctypes.byref(wanted), None):
        logger.error("The end of a lease can't be timed: %s", os.strerror(ctypes.get_errno()))


def _created() -> ctypes.c_void_p | None:
    event = _Sigevent(None, signal.SIGKILL, _SIGEV_SIGNAL)
    timer = ctypes.c_void_p()
    try:
        failed = _libc.timer_create(_CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(timer))
    except AttributeError:  # a C library that has it elsewhere
        failed = -1
    if failed:
        logger.warning("This system has no timer that ends a frozen worker at its lease's end")
        return None
    return timer
