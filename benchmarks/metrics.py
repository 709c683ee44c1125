"""`python -m benchmarks.metrics`: what a scrape of `/metrics` costs, with few tasks and with many.

METRICS_TASKS (default 100000) tasks that have ended, a fifth of them backups of 50 databases, each
with its receipt, a twentieth proofs of such; and a hundredth of all that, to compare. SQLite and
PostgreSQL. METRICS_SCRAPES (default 20) by HTTP, of the exporter that the daemon runs.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backups.models import Plan
    from tasks.models import Task

ROOT = Path(__file__).resolve().parent.parent
MOST = 1_000_000
DATABASES = 50
SHARES = {"backup": 20, "drill": 5, "restore": 1}
"""Percent of all tasks; the others are of the job that does nothing."""
BATCH = 2_000
LONGEST_SECONDS = 60.0


def main() -> None:
    from backups.pipeline.postgres.scratch import ScratchPostgres

    tasks = min(int(os.environ.get("METRICS_TASKS", "100000")), MOST)
    print("| database | tasks ended | scrape p50 ms | most ms | kB | queries |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory(prefix="backdrop-metrics-") as folder:
        for count in (tasks // 100, tasks):
            _measure(folder, f"sqlite:///{folder}/{count}.sqlite3", count)
        with ScratchPostgres(listen=True) as server:
            for count in (tasks // 100, tasks):
                server.createdb(f"ended_{count}")
                _measure(folder, server.dsn(f"ended_{count}"), count)


def _measure(folder: str, url: str, count: int) -> None:
    """In a process of its own, for each has its own settings."""
    keys = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
    environment = {
        **os.environ,
        **{name: secrets.token_urlsafe(48) for name in keys},
        "DJANGO_SETTINGS_MODULE": "backdrop_site.settings",
        "DB_URL": url,
        "VAR_DIR": folder,
    }
    command = [sys.executable, "-m", "benchmarks.metrics", "site", str(count)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def site(count: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    fill(count)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    seconds, size = scrape(int(os.environ.get("METRICS_SCRAPES", "20")))
    figures = f"{statistics.median(seconds) * 1000:.0f} | {max(seconds) * 1000:.0f}"
    row = f"| {connection.vendor} | {count} | {figures} | {size / 1000:.0f} | {queries()} |"
    print(row, flush=True)


def scrape(times: int) -> tuple[list[float], int]:
    """How long each took, the first one left out, and how much came."""
    seconds = []
    with serving() as url:
        for _ in range(times + 1):
            begun = time.perf_counter()
            with urllib.request.urlopen(url, timeout=LONGEST_SECONDS) as answer:
                body = answer.read()
            seconds.append(time.perf_counter() - begun)
    return seconds[1:], len(body)


@contextmanager
def serving() -> Iterator[str]:
    from tasks.exporter import Exporter
    from tasks.metrics import new_registry

    server = Exporter("127.0.0.1", 0, new_registry())
    Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield server.url
    finally:
        server.shutdown()
        server.server_close()


def queries() -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from prometheus_client.exposition import generate_latest

    from tasks.metrics import new_registry

    registry = new_registry()
    with CaptureQueriesContext(connection) as asked:
        generate_latest(registry)
    return len(asked)


def fill(count: int) -> None:
    """Rows as the platform leaves them: tasks with attempts and histories, receipts and proofs of
    backups, and what was counted of each."""
    from accounts.models import Team

    plans = _plans(Team.objects.create(name="bench"))
    for first in range(0, count, BATCH):
        _ended(plans, range(first, min(first + BATCH, count)))


def _plans(team: object) -> list[Plan]:
    from backups.models import Database, Destination, Plan, Schedule

    destination = Destination.objects.create(team=team, name="disk", kind="local")
    found = []
    for number in range(DATABASES):
        names = {"name": f"db{number}", "dbname": f"db{number}", "username": "bench"}
        database = Database.objects.create(team=team, **names)
        plan = Plan.objects.create(
            team=team, name=f"plan{number}", database=database, destination=destination
        )
        Schedule.objects.create(team=team, plan=plan, cron="0 2 * * *")
        found.append(plan)
    return found


def _ended(plans: list[Plan], numbers: range) -> None:
    from django.db import transaction

    from tasks.models import Attempt, Event, Task
    from tasks.states import Outcome, Status

    tasks = [_task(plans, number) for number in numbers]
    outcomes = {Status.SUCCEEDED: Outcome.SUCCEEDED, Status.FAILED: Outcome.FAILED}
    with transaction.atomic():
        Task.objects.bulk_create(tasks)
        Attempt.objects.bulk_create(
            Attempt(
                task=task, number=1, outcome=outcomes[task.status], finished_at=task.finished_at
            )
            for task in tasks
        )
        Event.objects.bulk_create(
            Event(task=task, seq=seq, kind=Event.Kind.MOVE, message=message)
            for task in tasks
            for seq, message in enumerate(("Queued.", "Started.", f"{task.status}."), 1)
        )
        _receipts(plans, tasks)
        _count(tasks)


def _task(plans: list[Plan], number: int) -> Task:
    from django.utils import timezone

    from tasks.models import Task
    from tasks.states import Status

    share, job = number % 100, "canary"
    for name, percent in SHARES.items():
        if share < percent:
            job = name
            break
        share -= percent
    plan = plans[(number + number // 100) % DATABASES]
    ended = timezone.now() - timedelta(minutes=number)
    return Task(
        job=job,
        subject=str(plan.database_id) if job == "backup" else "",
        team=plans[0].team,
        status=Status.FAILED if number % 17 == 0 else Status.SUCCEEDED,
        started_at=ended - timedelta(seconds=number % 600),
        finished_at=ended,
        attempt=1,
        tries=1,
        seq=3,
    )


def _receipts(plans: list[Plan], tasks: list[Task]) -> None:
    from backups.models import Backup, Proof
    from tasks.states import Status

    planned = {str(plan.database_id): plan for plan in plans}
    tables = {f"public.t{n}": {"rows": n, "digest": "d" * 64} for n in range(20)}
    made = [
        Backup(
            team=task.team,
            plan=planned[task.subject],
            database=planned[task.subject].database,
            destination=planned[task.subject].destination,
            task=task,
            completed_at=task.finished_at if task.status == Status.SUCCEEDED else None,
            stored_bytes=10_000,
            tables=tables,
        )
        for task in tasks
        if task.job == "backup"
    ]
    Backup.objects.bulk_create(made)
    drills = [task for task in tasks if task.job == "drill"]
    Proof.objects.bulk_create(
        Proof(
            team=task.team,
            backup=backup,
            task=task,
            verdict=Proof.Verdict.PROVEN,
            completed_at=task.finished_at,
        )
        for task, backup in zip(drills, made, strict=False)
    )


def _count(tasks: list[Task]) -> None:
    from collections import Counter

    from django.db.models import F

    from tasks.models import Tally
    from tasks.tallies import bound_of

    counted: Counter[tuple[str, str, str, str]] = Counter()
    seconds: Counter[tuple[str, str, str, str]] = Counter()
    for task in tasks:
        took = (task.finished_at - task.started_at).total_seconds()
        key = (task.job, task.subject, str(task.status), bound_of(took))
        counted[key] += 1
        seconds[key] += took
    for (job, subject, status, le), number in counted.items():
        row, _ = Tally.objects.get_or_create(job=job, subject=subject, status=status, le=le)
        more = {"count": F("count") + number}
        more["seconds"] = F("seconds") + seconds[job, subject, status, le]
        Tally.objects.filter(pk=row.pk).update(**more)


if __name__ == "__main__":
    site(int(sys.argv[2])) if "site" in sys.argv else main()
