"""The jobs as Backdrop knows them: with a process for each attempt, and in a shared one."""

from __future__ import annotations

from benchmarks.engine import jobs
from tasks.registry import Context, Job, register


def nothing(context: Context) -> None:
    jobs.nothing()


def stamp(context: Context) -> None:
    jobs.stamp(context.args["path"])


for run in (nothing, stamp):
    name = f"bench-{run.__name__}"
    register(Job(name=name, run=run, title="Benchmark"))
    register(Job(name=f"{name}-shared", run=run, title="Benchmark", isolated=False))
