"""Backdrop, with the whole history of every task: its row, attempts and events."""

from __future__ import annotations

import os

import django

from benchmarks.engine.driver import Driver

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.engine.our_settings"
    django.setup()

    from django.core.management import call_command
    from django.db import connection

    from accounts.models import Team
    from tasks import queue
    from tasks.models import Attempt, Event, Task
    from tasks.states import Status

    call_command("migrate", verbosity=0)
    team, _ = Team.objects.get_or_create(name="benchmark")
    suffix = os.environ["BENCH_KIND"]

    def push(number: int) -> None:
        for _ in range(number):
            queue.push(job=f"bench-nothing{suffix}", team=team)

    def stamp(path: str) -> None:
        queue.push(job=f"bench-stamp{suffix}", team=team, args={"path": path})

    def count() -> int:
        return Task.objects.filter(status=Status.SUCCEEDED).count()

    def clear() -> None:
        if connection.vendor == "sqlite":
            for model in (Event, Attempt, Task):
                model.objects.all().delete()
            return
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE tasks_task CASCADE")

    Driver(push=push, stamp=stamp, count=count, clear=clear).serve()
