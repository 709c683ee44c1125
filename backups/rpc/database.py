"""Asking the database from the event loop, in a few threads that keep their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
Answer = TypeVar("Answer")

_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="rpc-database")


async def ask(function: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
    """Call a function that uses the database. It runs to its end though the caller goes away."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, lambda: _called(function, *args, **kwargs))


def _called(function: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
    close_old_connections()  # one that the server has closed meanwhile is opened anew
    return function(*args, **kwargs)
