"""`python -m benchmarks.claim`: the claim among many ended tasks, by its plan and its time.

CLAIM_FINISHED (default 1000000) tasks that have ended and CLAIM_WAITING (default 10000) that wait,
every tenth with a concurrency key, and a paused queue and kind of job, on PostgreSQL and SQLite.
"""

from __future__ import annotations

import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accounts.models import Team

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = 50


def main() -> None:
    from backups.pipeline.postgres.scratch import ScratchPostgres

    with tempfile.TemporaryDirectory(prefix="backdrop-claim-") as folder:
        with ScratchPostgres(listen=True, settings={"max_wal_size": "4GB"}) as server:
            _measure(folder, server.dsn())
        _measure(folder, f"sqlite:///{folder}/site.sqlite3")


def _measure(folder: str, url: str) -> None:
    """In a process of its own, for each has its own settings."""
    keys = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
    environment = {
        **os.environ,
        **{name: secrets.token_urlsafe(48) for name in keys},
        "DJANGO_SETTINGS_MODULE": "benchmarks.engine.our_settings",
        "DB_URL": url,
        "VAR_DIR": folder,
    }
    command = [sys.executable, "-m", "benchmarks.claim", "site"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def site() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from accounts.models import Team
    from tasks import queue

    finished = int(os.environ.get("CLAIM_FINISHED", "1000000"))
    waiting = int(os.environ.get("CLAIM_WAITING", "10000"))
    call_command("migrate", verbosity=0)
    fill(Team.objects.create(name="bench"), finished, waiting)
    print(f"\n{connection.vendor}: {finished} have ended, {waiting} wait\n\n```")
    print(plan(["default"]), "```\n", sep="\n")
    for queues in (["default"], ["default", "other"]):
        seconds = []
        for _ in range(CLAIMS):
            begun = time.perf_counter()
            if queue.claim(queues, "bench") is None:
                raise RuntimeError("Nothing to claim.")
            seconds.append(time.perf_counter() - begun)
        middle = statistics.median(seconds) * 1000
        print(f"A claim from {len(queues)} queue(s), whole: {middle:.1f} ms", flush=True)


def plan(queues: list[str]) -> str:
    """The claim's query, explained by the database it runs on, with its true times where it can."""
    from django.db import connection, transaction

    from tasks import queue

    with transaction.atomic():
        best = queue.due(queues)
        if connection.vendor == "sqlite":
            return best[:1].explain()
        return best.select_for_update(skip_locked=True)[:1].explain(analyze=True)


def fill(team: Team, finished: int, waiting: int) -> None:
    """Rows as the engine leaves them, made by the database itself."""
    from django.db import connection

    from tasks.models import Pause, Task, Turn

    Pause.objects.create(kind=Pause.Kind.QUEUE, name="held")
    Pause.objects.create(kind=Pause.Kind.JOB, name="held-job")
    model = Task(job="bench-nothing", team=team, title="Benchmark")
    columns = {
        field.column: field.get_db_prep_save(getattr(model, field.attname), connection)
        for field in Task._meta.concrete_fields
    }
    moment = _ago("n")
    ended = {"status": "'succeeded'", "finished_at": moment, "started_at": moment}
    keyed = "CASE WHEN n % 10 = 0 THEN 'key ' || (n % 50) ELSE '' END"
    waits = {"priority": "n % 7", "concurrency_key": keyed, "queue": _queue()}
    for first, count, changes in ((0, finished, ended), (finished, waiting, waits)):
        _insert(columns, {**changes, "run_at": moment, "created_at": moment}, first, count)
    keys = Task.objects.exclude(concurrency_key="").order_by("concurrency_key")
    for task in keys.filter(concurrency_key__in=["key 0", "key 10"])[:2]:
        Turn.objects.get_or_create(key=task.concurrency_key, place=0, defaults={"task": task})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.vendor == "sqlite" else "VACUUM ANALYZE")


def _ago(seconds: str) -> str:
    from django.db import connection

    if connection.vendor == "sqlite":
        return f"datetime('now', '-' || ({seconds}) || ' seconds')"
    return f"now() - ({seconds}) * interval '1 second'"


def _queue() -> str:
    return "CASE n % 20 WHEN 0 THEN 'held' WHEN 1 THEN 'other' ELSE 'default' END"


def _insert(columns: dict, changes: dict[str, str], first: int, count: int) -> None:
    from django.db import connection

    lite = connection.vendor == "sqlite"
    identity = "lower(hex(randomblob(16)))" if lite else "gen_random_uuid()"
    values = {**changes, "id": identity}
    names = ", ".join(f'"{name}"' for name in columns)
    selected = ", ".join(values.get(name, "%s") for name in columns)
    numbers = f"generate_series({first + 1}, {first + count}) AS s(n)"
    if lite:
        numbers = (
            f"(WITH RECURSIVE s(n) AS (SELECT {first + 1} UNION ALL SELECT n + 1 FROM s"
            f" WHERE n < {first + count}) SELECT n FROM s)"
        )
    selected = selected.replace("% ", "%% ")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO tasks_task ({names}) SELECT {selected} FROM {numbers}",
            [value for name, value in columns.items() if name not in values],
        )


if __name__ == "__main__":
    site() if "site" in sys.argv else main()
