"""`python -m benchmarks.latency`: how soon work starts, what wakes cost, and what idling does.

Backdrop runs on SQLite and on PostgreSQL at the same time, with two quiet workers each, and single
requests are made to both in turn. LATENCY_REQUESTS (default 100) is how many to each.
"""

from __future__ import annotations

import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from accounts.models import Team

ROOT = Path(__file__).resolve().parent.parent
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 11.0  # an idle session of PostgreSQL tells its counts ten seconds late
PUSHES = 160
ROUNDS = 6


def main() -> None:
    requests = int(os.environ.get("LATENCY_REQUESTS", "100"))
    from backups.pipeline.postgres.scratch import ScratchPostgres

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backdrop-latency-")))
        server = stack.enter_context(ScratchPostgres(listen=True, durable=True))
        sites = {
            "SQLite": stack.enter_context(_site(folder, f"sqlite:///{folder / 'site.sqlite3'}")),
            "PostgreSQL": stack.enter_context(_site(folder, server.dsn())),
        }
        told: dict[str, list[float]] = {name: [] for name in sites}
        for _ in range(requests):
            for name, site in sites.items():
                time.sleep(random.uniform(0.2, 0.5))  # at any moment of whoever polls
                told[name].append(float(_ask(site, "one")))
        print(f"{requests} requests, from the call to the first line of the job\n")
        print("| database | p50 ms | p95 ms | most ms |")
        print("| --- | ---: | ---: | ---: |")
        for name, seconds in told.items():
            cuts = statistics.quantiles(seconds, n=20, method="inclusive")
            figures = (cuts[9], cuts[18], max(seconds))
            print(f"| {name} | {' | '.join(f'{each * 1000:.0f}' for each in figures)} |")
        _ask(sites["SQLite"], "end")
        print(f"\n{_ask(sites['PostgreSQL'], 'push')}\n\n{_ask(sites['PostgreSQL'], 'idle')}")
        _ask(sites["PostgreSQL"], "end")


@contextmanager
def _site(folder: Path, url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has a platform of its own, and is told what to measure line by line."""
    keys = {
        name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
    }
    settings = {"DJANGO_SETTINGS_MODULE": "benchmarks.engine.our_settings", "DB_URL": url}
    environment = {**os.environ, **keys, **settings, "VAR_DIR": str(folder)}
    command = [sys.executable, "-m", "benchmarks.latency", "site"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.stdin.close()  # which ends it, its workers too
            process.wait(60)


def _ask(site: subprocess.Popen[str], words: str) -> str:
    site.stdin.write(words + "\n")
    site.stdin.flush()
    answer = site.stdout.readline()
    if not answer:
        raise RuntimeError(f"The site ended over {words!r}.")
    return answer.strip().replace("\t", "\n")


# In a site's process --------------------------------------------------------------------------


def serve() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from accounts.models import Team

    call_command("migrate", verbosity=0)
    team = Team.objects.create(name="bench")
    workers = _start("runworkers", "--workers", "2")
    try:
        for _ in range(5):
            one(team)
        for line in sys.stdin:
            match line.strip():
                case "one":
                    print(one(team), flush=True)
                case "push":
                    print(price_of_wakes(team), flush=True)
                case "idle":
                    workers = _stop(workers)
                    print(price_of_idling(), flush=True)
                case "end":
                    print("ended", flush=True)
                    return
    finally:
        _stop(workers)


def _start(*command: str) -> subprocess.Popen[bytes]:
    with Path(os.environ["VAR_DIR"], f"{command[0]}-{os.getpid()}.log").open("ab") as log:
        line = [sys.executable, "manage.py", *command]
        return subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)


def _stop(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    process.terminate()
    process.wait(30)
    return process


def one(team: Team) -> float:
    """Seconds from a request to the first line of its job."""
    from tasks import queue

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stamp")
        asked = time.time()
        queue.push(job="bench-stamp", team=team, args={"path": str(path)})
        limit = time.monotonic() + 30
        while not (path.exists() and path.read_text().endswith("\n")):
            if time.monotonic() > limit:
                raise RuntimeError("A task wasn't started within 30 s.")
            time.sleep(0.01)
        return float(path.read_text()) - asked


def price_of_wakes(team: Team) -> str:
    """Pushes a second: without a wake, with ours, and with one in the transaction itself."""
    from django.db import connection

    from tasks import wakes

    def within(after: float = 0.0) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {wakes.CHANNEL}")

    ways = {"none": lambda after=0.0: None, "after": wakes.send, "within": within}
    lines = [
        "| clients that push | no wakes/s | after the commit | within it |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for clients in (1, 4):
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            names = list(ways)
            for name in names[number % 3 :] + names[: number % 3]:
                with mock.patch.object(wakes, "send", new=ways[name]):
                    rates[name].append(_push_rate(team, clients))
        none, *others = (statistics.median(rates[name]) for name in ways)
        told = " | ".join(f"{rate / none:.2f}" for rate in others)
        lines.append(f"| {clients} | {none:.0f} | {told} |")
    return "\t".join(lines)


def _push_rate(team: Team, clients: int) -> float:
    from django.db import connection

    from tasks import queue

    def push() -> None:
        for _ in range(PUSHES // clients):
            queue.push(job="bench-nothing", team=team, queue="nobody's")
        if clients > 1:
            connection.close()

    return PUSHES / _seconds_of([push] * clients)


def _seconds_of(acts: list[Callable[[], None]]) -> float:
    begun = time.monotonic()
    if len(acts) == 1:
        acts[0]()
    else:
        threads = [threading.Thread(target=act) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return time.monotonic() - begun


def price_of_idling() -> str:
    from tasks.models import Task

    Task.objects.all().delete()
    lines = ["| idle | transactions/s |", "| --- | ---: |"]
    for what, command in (
        ("`runworkers --workers 3`", ["runworkers", "--workers", "3"]),
        ("`rundaemon`, no workers beside it", ["rundaemon"]),
    ):
        process = _start(*command)
        try:
            time.sleep(SETTLE_SECONDS)
            before, begun = _transactions(), time.monotonic()
            time.sleep(IDLE_SECONDS)
            rate = (_transactions() - before) / (time.monotonic() - begun)
        finally:
            _stop(process)
        lines.append(f"| {what} | {rate:.1f} |")
    return "\t".join(lines)


def _transactions() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
        return cursor.fetchone()[0]


if __name__ == "__main__":
    serve() if "site" in sys.argv else main()
