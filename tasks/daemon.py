"""The daemon: one event loop that keeps services going, housekeeping among them.

A service is a coroutine function that takes the daemon and runs until `daemon.stopping` is set.
`settings.DAEMON_SERVICES` names them; each is started again when it fails. One that raises
ImproperlyConfigured ends the daemon: what a person set makes no sense. Nothing here forks:
services may bring libraries that don't survive it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from tasks import housekeeper, periodic, watcher
from tasks.housekeeper import guarded, see, tend
from tasks.models import Worker
from tasks.periodic import Rounds
from tasks.presence import HEARTBEAT, Presence
from tasks.upkeep import Upkeep

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

STOP_SECONDS = 10.0
LONGEST_PAUSE = 10.0

Service = Callable[["Daemon"], Awaitable[None]]


class Daemon:
    """One `rundaemon`."""

    def __init__(self) -> None:
        self.name = watcher.own_name()
        self.presence = Presence(self.name, Worker.Kind.DAEMON)
        self.stopping = asyncio.Event()
        self.refusal = ""

    async def run(self) -> None:
        """Keep all services going until SIGTERM or SIGINT, then give them a while to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        services = [import_string(path) for path in settings.DAEMON_SERVICES]
        keepers = [asyncio.create_task(self._keep(service)) for service in services]
        await self.stopping.wait()
        _, late = await asyncio.wait(keepers, timeout=STOP_SECONDS)
        for keeper in late:
            keeper.cancel()

    async def _keep(self, service: Service) -> None:
        pause = 0.5
        while not self.stopping.is_set():
            try:
                await service(self)
            except ImproperlyConfigured as error:
                self.refusal = str(error)
                self.stopping.set()
            except Exception as error:
                logger.error("%s failed with %s", service.__qualname__, type(error).__name__)
            await self.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def sleep(self, seconds: float) -> None:
        """Sleep, or until it's time to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


async def keep_house(daemon: Daemon) -> None:
    """The heartbeat row, what is seen to beside others, and in a thread of their own the apps'
    periodic functions.
    """
    chores = Chores(daemon.presence)
    with _thread("house") as house:
        await asyncio.gather(_keep_on(daemon, house, chores.do), do_rounds(daemon))
        await _in(house, lambda: guarded(chores.presence.end))


class Chores:
    """What a daemon does in one tick; as a worker's housekeeper, without what takes a fork."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self._upkeep = Upkeep(self.presence)

    def do(self) -> float:
        """All of it; how many seconds until the next."""
        sight = see(self._upkeep, self.presence)
        guarded(*tend(sight))
        return housekeeper.TICK if sight.elected or sight.here else HEARTBEAT


async def do_rounds(daemon: Daemon) -> None:
    """Call the periodic functions that are due, one after another; those that mustn't wait for slow
    ones apart from them."""
    await asyncio.gather(*(_round(daemon, prompt=prompt) for prompt in (True, False)))


async def _round(daemon: Daemon, *, prompt: bool) -> None:
    rounds = Rounds(daemon.name, periodic.those(prompt=prompt))
    with _thread("rounds") as thread:
        await _keep_on(daemon, thread, lambda: guarded(rounds.go) or housekeeper.TICK)
        await _in(thread, connections.close_all)


async def _keep_on(daemon: Daemon, thread: ThreadPoolExecutor, chore: Callable[[], float]) -> None:
    """Do it again and again; it says how many seconds later."""
    while not daemon.stopping.is_set():
        await daemon.sleep(await _in(thread, chore))


async def _in(thread: ThreadPoolExecutor, chore: Callable[[], Result]) -> Result:
    """Each thread keeps its own database connection, so always the same one."""
    return await asyncio.get_running_loop().run_in_executor(thread, chore)


def _thread(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)


def main() -> None:
    """Run a daemon; a thread that hangs doesn't keep it from ending."""
    daemon = Daemon()
    asyncio.run(daemon.run())
    if daemon.refusal:
        logger.error("%s", daemon.refusal)
    logging.shutdown()
    os._exit(1 if daemon.refusal else 0)
