"""`python -m benchmarks.engine`: no-op tasks through Backdrop's engine and its peers', in one run.

ENGINE_TASKS (default 1000) is how many tasks are drained, ENGINE_ROUNDS (default 3) how often,
ENGINE_ONLY the contenders whose names hold one of these words. Contenders take turns, so that a
noisy moment hits all of them; rates are medians over the rounds.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from backups.pipeline import binaries
from backups.pipeline.scratch import ScratchPostgres
from benchmarks import peers
from benchmarks.engine import contest
from benchmarks.engine.contest import ROOT, Contender, Turn
from tests.redis import redis_server

PACKAGES = ("django-q2", "celery", "rq", "procrastinate", "redis", "psycopg")
Turns = dict[str, list[Turn]]


def main() -> None:
    tasks = int(os.environ.get("ENGINE_TASKS", "1000"))
    rounds = int(os.environ.get("ENGINE_ROUNDS", "3"))
    peers.prepare()
    folder = Path(tempfile.mkdtemp(prefix="backdrop-bench-"))
    server = ScratchPostgres(
        binaries.server_for(0), listen=True, durable=True, settings={"max_connections": "100"}
    )
    try:
        with server, redis_server(folder) as redis:
            turns = _race(_contenders(server, redis, folder), tasks, rounds, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _report(turns, tasks, rounds, server.installation.version)


def _contenders(server: ScratchPostgres, redis: str, folder: Path) -> list[Contender]:
    for dbname in ("backdrop", "plain", "procrastinate"):
        server.createdb(dbname)
    (folder / "var").mkdir()
    here, python = sys.executable, str(peers.BIN / "python")
    address = {name: f"{server.dsn().rpartition('/')[0]}/{name}" for name in ("backdrop", "plain")}
    dsn = f"{server.dsn().rpartition('/')[0]}/procrastinate"
    keys = {
        name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
    }
    ours = [
        Contender(
            name=f"Backdrop, {kind}, {where}",
            driver=[here, "-m", "benchmarks.engine.with_backdrop"],
            workers=[[here, "manage.py", "runworkers", "--workers", "2"]],
            env={
                **keys,
                "BENCH_KIND": suffix,
                "DJANGO_SETTINGS_MODULE": "benchmarks.engine.our_settings",
                "VAR_DIR": str(folder / "var"),
                "DB_URL": url,
            },
        )
        for where, url in (
            ("PostgreSQL", address["backdrop"]),
            ("SQLite", f"sqlite:///{folder / 'ours.sqlite3'}"),
        )
        for kind, suffix in (("isolated", ""), ("shared child", "-shared"))
    ]
    plain = [
        Contender(
            name=f"django-q2, {where}",
            driver=[python, "-m", "benchmarks.engine.with_django_q2"],
            workers=[[python, "-m", "django", "qcluster"]],
            env={
                "DJANGO_SETTINGS_MODULE": "benchmarks.engine.plain_settings",
                "BENCH_DATABASE": url,
                "BENCH_SAVE_LIMIT": limit,
                "PYTHONPATH": str(ROOT),
            },
        )
        for where, url, limit in (
            ("PostgreSQL", address["plain"], "0"),
            ("PostgreSQL keeping nothing", address["plain"], "-1"),
            ("SQLite", f"sqlite:///{folder / 'plain.sqlite3'}", "0"),
        )
    ]
    env = {"BENCH_REDIS": redis, "BENCH_POSTGRES": dsn, "PYTHONPATH": str(ROOT)}
    celery = [python, "-m", "celery", "-A", "benchmarks.engine.with_celery", "worker", "-c", "2"]
    procrastinate = [
        *(python, "-m", "procrastinate"),
        *("--app=benchmarks.engine.with_procrastinate.app", "worker"),
    ]
    return [
        *ours,
        *plain,
        Contender(
            name="Celery, Redis",
            driver=[python, "-m", "benchmarks.engine.with_celery"],
            workers=[[*celery, "-l", "ERROR"]],
            env=env,
        ),
        Contender(
            name="RQ forking, Redis",
            driver=[python, "-m", "benchmarks.engine.with_rq"],
            workers=[[str(peers.BIN / "rq"), "worker", "-q", "--url", redis]] * 2,
            env=env,
        ),
        Contender(
            name="Procrastinate, PostgreSQL",
            driver=[python, "-m", "benchmarks.engine.with_procrastinate"],
            workers=[procrastinate] * 2,
            env=env,
        ),
    ]


def _race(contenders: list[Contender], tasks: int, rounds: int, folder: Path) -> Turns:
    words = os.environ.get("ENGINE_ONLY", "").split(",")
    chosen = [each for each in contenders if any(word in each.name for word in words)]
    turns: Turns = {each.name: [] for each in chosen}
    for number in range(rounds):
        for each in chosen:
            turn = contest.take_turn(each, tasks, max(2, 40 // rounds), folder)
            turns[each.name].append(turn)
            print(
                f"round {number + 1}: {each.name}: {turn.drained:.0f}/s drained, "
                f"{turn.together:.0f}/s while pushing, "
                f"p50 {statistics.median(turn.latencies) * 1000:.0f} ms",
                flush=True,
            )
    return turns


def _report(turns: Mapping[str, list[Turn]], tasks: int, rounds: int, postgres: str) -> None:
    versions = {"PostgreSQL": postgres, "Python": sys.version.split()[0]}
    versions |= {"Django": version("django"), **peers.versions(PACKAGES), **_redis()}
    print(f"\n{tasks} tasks, {rounds} rounds; {', '.join(map(' '.join, versions.items()))}\n")
    print("| contender | drained/s | while pushing/s | start p50 ms | start p95 ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, found in turns.items():
        drained = statistics.median(turn.drained for turn in found)
        together = statistics.median(turn.together for turn in found)
        latencies = [seconds * 1000 for turn in found for seconds in turn.latencies]
        cuts = statistics.quantiles(latencies, n=20, method="inclusive")
        print(f"| {name} | {drained:.0f} | {together:.0f} | {cuts[9]:.0f} | {cuts[18]:.0f} |")
    kept = ROOT / "benchmarks" / "results"
    kept.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    found = {name: [asdict(turn) for turn in each] for name, each in turns.items()}
    text = {"tasks": tasks, "rounds": rounds, "versions": versions, "turns": found}
    (kept / f"engine-{moment}.json").write_text(json.dumps(text, indent=2))


def _redis() -> dict[str, str]:
    told = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
    return {"Redis": next((word[2:] for word in told.split() if word.startswith("v=")), "?")}


if __name__ == "__main__":
    main()
