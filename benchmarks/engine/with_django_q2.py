"""Plain django-q2: its own broker, workers and results."""

from __future__ import annotations

import os

import django

from benchmarks.engine import jobs
from benchmarks.engine.driver import Driver

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.engine.plain_settings"
    django.setup()

    from django.core.management import call_command
    from django_q.models import OrmQ, Task
    from django_q.tasks import async_task

    call_command("migrate", verbosity=0)
    keeps = os.environ.get("BENCH_SAVE_LIMIT") != "-1"
    pushed: list[int] = []

    def push(number: int) -> None:
        for _ in range(number):
            async_task(jobs.nothing)
        pushed.append(number)

    def count() -> int:
        return (
            Task.objects.filter(success=True).count()
            if keeps
            else sum(pushed) - OrmQ.objects.count()
        )

    def clear() -> None:
        pushed.clear()
        OrmQ.objects.all().delete()
        Task.objects.all().delete()

    Driver(
        push=push, stamp=lambda path: async_task(jobs.stamp, path), count=count, clear=clear
    ).serve()
