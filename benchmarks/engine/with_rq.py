"""RQ on Redis, with its worker that forks for each task."""

from __future__ import annotations

import os

from redis import Redis
from rq import Queue
from rq.registry import FinishedJobRegistry

from benchmarks.engine import jobs
from benchmarks.engine.driver import Driver

if __name__ == "__main__":
    redis = Redis.from_url(os.environ["BENCH_REDIS"])
    queue = Queue(connection=redis)
    done = FinishedJobRegistry(queue=queue)

    def push(number: int) -> None:
        for _ in range(number):
            queue.enqueue(jobs.nothing)

    Driver(
        push=push,
        stamp=lambda path: queue.enqueue(jobs.stamp, path),
        count=lambda: redis.zcard(done.key),
        clear=redis.flushall,
    ).serve()
