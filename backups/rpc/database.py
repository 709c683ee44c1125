"""Asking the database from the event loop, in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
Answer = TypeVar("Answer")


class Threads:
    """A few threads that keep their connections; what takes all of them makes no other wait."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix=f"rpc-{name}")

    async def ask(self, function: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Call a function that uses the database. It runs to its end though the caller goes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: _called(function, *args, **kwargs))


ask = Threads("database", 4).ask
"""For what takes moments."""
ask_login = Threads("logins", 2).ask
"""For what hashes passwords, which is slow on purpose."""
ask_status = Threads("status", 4).ask
"""For what waits for the answers of other machines."""


def _called(function: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
    close_old_connections()  # one that the server has closed meanwhile is opened anew
    return function(*args, **kwargs)
