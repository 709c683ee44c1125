"""Procrastinate on PostgreSQL, which wakes its workers by LISTEN and NOTIFY."""

from __future__ import annotations

import os

import psycopg
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.engine import jobs
from benchmarks.engine.driver import Driver

_DSN = os.environ["BENCH_POSTGRES"]

app = App(connector=PsycopgConnector(conninfo=_DSN))
nothing = app.task(name="nothing")(jobs.nothing)
stamp = app.task(name="stamp")(jobs.stamp)

if __name__ == "__main__":
    session = psycopg.connect(_DSN, autocommit=True)
    found = session.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()
    with app.replace_connector(SyncPsycopgConnector(conninfo=_DSN)) as here, here.open():
        if found == (None,):
            here.schema_manager.apply_schema()

        def push(number: int) -> None:
            for _ in range(number):
                nothing.defer()

        def count() -> int:
            done = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
            return int(session.execute(done).fetchone()[0])

        def clear() -> None:
            session.execute("TRUNCATE procrastinate_jobs CASCADE")

        Driver(
            push=push, stamp=lambda path: stamp.defer(path=path), count=count, clear=clear
        ).serve()
