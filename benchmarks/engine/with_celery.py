"""Celery on Redis, with its pool of processes; results are kept, in Redis too."""

from __future__ import annotations

import os

from celery import Celery
from redis import Redis

from benchmarks.engine import jobs
from benchmarks.engine.driver import Driver

_REDIS = os.environ["BENCH_REDIS"]
_RESULTS = _REDIS.removesuffix("/0") + "/1"

app = Celery("bench", broker=_REDIS, backend=_RESULTS)
nothing = app.task(jobs.nothing, name="nothing")
stamp = app.task(jobs.stamp, name="stamp")

if __name__ == "__main__":
    broker, results = Redis.from_url(_REDIS), Redis.from_url(_RESULTS)

    def push(number: int) -> None:
        for _ in range(number):
            nothing.delay()

    def clear() -> None:
        broker.delete("celery")
        results.flushdb()

    Driver(push=push, stamp=stamp.delay, count=results.dbsize, clear=clear).serve()
