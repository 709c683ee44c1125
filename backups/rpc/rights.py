"""Whether who follows may still be told: a stream outlives the call that was let in.

As with the live pages' sockets, it is asked again every few seconds, and when the token expires.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from backups.rpc import finding
from backups.rpc.callers import Caller
from backups.rpc.database import ask
from backups.rpc.refusals import Code, status_of
from tasks.live.access import seconds_until_recheck


async def lost(caller: Caller, work_id: str) -> NoReturn:
    """Wait until the caller may no longer be told of that work; raises StatusError, saying why."""
    while True:
        await asyncio.sleep(seconds_until_recheck(caller.expires_at))
        try:
            caller = await ask(_still_told, caller, work_id)
        except Exception as error:
            refusal = status_of(error)
            if refusal.code != Code.UNAVAILABLE:  # while it is away nothing can be told either
                raise refusal from None


def _still_told(caller: Caller, work_id: str) -> Caller:
    caller = caller.again()
    finding.work(caller, work_id)
    return caller
