"""The scheduler of a daemon that dies once it has claimed a moment, before it calls."""

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
    scheduler.HOLD = timedelta(seconds=3)  # so that the test need not wait for half a minute
    await scheduler.serve(daemon)
