"""The scheduler of a daemon that dies once it has claimed a moment, before it calls. It looks far
more often than others, so that the moment is its own."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

from backups import scheduler
from tasks.daemon import Daemon


def die(pk: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def serve(daemon: Daemon) -> None:
    scheduler.start = die
    scheduler.TICK = 0.02
    scheduler.HOLD = timedelta(seconds=3)  # so that the test need not wait for half a minute
    await scheduler.serve(daemon)
