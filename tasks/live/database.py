"""Asking the database from the event loop, in a few threads that keep their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, connection

P = ParamSpec("P")
Answer = TypeVar("Answer")

_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="live-database")


async def ask(function: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
    """Call a function that only reads; once more where its connection turns out to be dead.

    Raises DatabaseError where the database can't be asked.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, lambda: _twice(function, *args, **kwargs))


def _twice(function: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
    try:
        return function(*args, **kwargs)
    except (DatabaseError, InterfaceError):
        connection.close()
    try:
        return function(*args, **kwargs)
    except InterfaceError as error:
        raise DatabaseError(type(error).__name__) from error
