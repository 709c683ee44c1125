"""How tasks stand, kept in Redis for two seconds at most, for those who poll.

Each is versioned by its `seq`: what was read earlier never takes the place of what was read later.
A Redis that is away or slow is passed over, and left alone for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast
from uuid import UUID

from django.conf import settings

logger = logging.getLogger(__name__)

KEPT_SECONDS = 2.0
SECONDS_TO_ANSWER = 0.1
SECONDS_TO_RECOVER = 5.0
CONNECTIONS = 32
_KEEP = """
local known = redis.call('HGET', KEYS[1], 'seq')
if known and tonumber(known) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'seq', ARGV[1], 'team', ARGV[2], 'etag', ARGV[3], 'body', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
"""
_silent_until = 0.0
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A task's status, ready to be sent; `team` is who may see it."""

    team: int
    seq: int
    etag: str
    body: bytes


_asking: dict[UUID, asyncio.Future[Standing | None]] = {}


async def get(pk: UUID) -> Standing | None:
    """None where nothing is kept, or nobody answers. Called in the event loop of the process."""
    if not settings.REDIS_URL:
        return None
    asking = _asking.get(pk)
    if asking is None:  # who asks for the same meanwhile gets the same answer
        asking = _asking[pk] = asyncio.ensure_future(_get(pk))
        asking.add_done_callback(lambda _: _asking.pop(pk, None))
    return await asyncio.shield(asking)


async def _get(pk: UUID) -> Standing | None:
    found = await _asked(_client().hmget(_key(pk), "team", "seq", "etag", "body"))
    if not found or None in found:
        return None
    team, seq, etag, body = found
    return Standing(team=int(team), seq=int(seq), etag=etag.decode(), body=body)


async def put(pk: UUID, standing: Standing) -> None:
    """Keep it, unless a later one is kept."""
    if not settings.REDIS_URL:
        return
    told = (standing.seq, standing.team, standing.etag, standing.body, int(KEPT_SECONDS * 1000))
    await _asked(_client().eval(_KEEP, 1, _key(pk), *told))


def _key(pk: UUID) -> str:
    return f"backdrop:status:{pk.hex}"


async def _asked(question: Awaitable[Any]) -> Any:
    """The answer, or None where there is none in time; never fails."""
    global _silent_until  # noqa: PLW0603 (one Redis, one process)
    from redis import RedisError

    if time.monotonic() < _silent_until:
        cast("Any", question).close()
        return None
    try:
        async with asyncio.timeout(SECONDS_TO_ANSWER):
            return await question
    except (RedisError, OSError, TimeoutError) as error:
        _silent_until = time.monotonic() + SECONDS_TO_RECOVER
        kind = type(error).__name__
        logger.warning("Redis doesn't say how tasks stand, the database is asked: %s", kind)
        return None


@cache
def _client() -> Any:
    """Loaded where it is used: most platforms run without Redis."""
    from redis.asyncio import BlockingConnectionPool, Redis

    pool = BlockingConnectionPool.from_url(
        settings.REDIS_URL, max_connections=CONNECTIONS, timeout=SECONDS_TO_ANSWER
    )
    return Redis(connection_pool=pool)
