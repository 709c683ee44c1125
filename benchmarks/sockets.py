"""`python -m benchmarks.sockets`: from a report of progress, written to the database, to clients
of one web process.

SOCKETS (default 500) of them are open, in two ways: each on a task of its own, of which WRITES
(default 50) a second change; and all on one and the same, which changes four times a second. Both
on SQLite and PostgreSQL, without Redis and with it. The clients need a core too: have two at least.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from backups.pipeline.postgres.scratch import ScratchPostgres
from tests.redis import redis_server

ROOT = Path(__file__).resolve().parent.parent
SOCKETS = int(os.environ.get("SOCKETS", "500"))
WRITES = float(os.environ.get("WRITES", "50"))
SECONDS = float(os.environ.get("SOCKETS_SECONDS", "10"))
SAME_WRITES = 4.0
QUIET = 3.0
_WRITTEN = re.compile(rb'"message":"written (\d+\.\d+)"')


def main() -> None:
    print(f"{SOCKETS} sockets, from a write to the client\n", flush=True)
    print("| database | Redis | tasks | p50 ms | p95 ms | most ms | messages | CPU | MiB |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backdrop-sockets-")))
        redis = stack.enter_context(redis_server(folder))
        server = stack.enter_context(ScratchPostgres(listen=True))
        for database in ("SQLite", "PostgreSQL"):
            for redis_url in ("", redis):
                with _emptied(server, folder, database) as url:
                    _run(folder, database, url, redis_url)


@contextmanager
def _emptied(server: ScratchPostgres, folder: Path, database: str) -> Iterator[str]:
    name = f"sockets_{secrets.token_hex(4)}"
    if database == "SQLite":
        yield f"sqlite:///{folder / name}.sqlite3"
    else:
        server.createdb(name)
        yield server.dsn(name)


def _run(folder: Path, database: str, url: str, redis_url: str) -> None:
    keys = {
        name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
    }
    settings = {"DJANGO_SETTINGS_MODULE": "backdrop_site.settings", "DB_URL": url}
    environment = {**os.environ, **keys, **settings, "VAR_DIR": str(folder)}
    environment |= {"REDIS_URL": redis_url, "BENCH_NAME": database}
    command = [sys.executable, "-m", "benchmarks.sockets", "site"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


# In a process of one platform --------------------------------------------------------------------


def site() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from accounts.models import Membership, Role, Team, User
    from tasks.tests.work import running_task
    from tests.web import token_of, web_process

    logging.getLogger("httpx").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)
    team = Team.objects.create(name="bench")
    user = User.objects.create(username="bench", email="bench@example.org")
    Membership.objects.create(user=user, team=team, role=Role.ADMIN)
    tasks = [str(running_task(team).task.pk) for _ in range(SOCKETS)]
    token = str(token_of(user))
    here = {"DJANGO_SETTINGS_MODULE": "backdrop_site.settings"}
    for name, chosen, pace in (("own", tasks, WRITES), ("one", tasks[:1], SAME_WRITES)):
        with web_process(Path(tempfile.mkdtemp(dir=settings.VAR_DIR)), **here) as web:
            paths = [f"/ws/tasks/{chosen[n % len(chosen)]}" for n in range(SOCKETS)]
            before = cpu_of(web.process.pid)
            delays, seconds = asyncio.run(_listen(web.netloc, paths, token, chosen, pace))
            spent = (cpu_of(web.process.pid) - before) / seconds
            redis = "yes" if settings.REDIS_URL else "no"
            figures = (statistics.median(delays), _p95(delays), max(delays))
            told = " | ".join(f"{each * 1000:.0f}" for each in figures)
            memory = _memory(web.process.pid) / 2**20
            row = (os.environ["BENCH_NAME"], redis, name, told, len(delays))
            print(f"| {' | '.join(map(str, row))} | {spent:.0%} | {memory:.0f} |", flush=True)


async def _listen(
    netloc: str, paths: Sequence[str], token: str, tasks: Sequence[str], pace: float
) -> tuple[list[float], float]:
    """Seconds from each write to each client that was to hear of it; seconds it took in all."""
    gate = asyncio.Semaphore(20)

    async def client(path: str) -> _Client:
        async with gate:
            host, port = netloc.split(":")
            made = _Client(path, token)
            await asyncio.get_running_loop().create_connection(lambda: made, host, int(port))
            await asyncio.wait_for(made.told.wait(), 30)
            return made

    clients = await asyncio.gather(*map(client, paths))
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.sockets", "write", str(pace), *tasks]
    writer = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    await writer.wait()
    await asyncio.sleep(QUIET)
    seconds = time.monotonic() - began
    delays: list[float] = []
    for each in clients:
        each.transport.abort()
        delays.extend(each.delays())
    return delays, seconds


class _Client(asyncio.Protocol):
    """One WebSocket that notes when something came, and looks only afterwards at what it was: a
    client that took as much time as the server would be measured with it."""

    transport: asyncio.Transport

    def __init__(self, path: str, token: str) -> None:
        self._head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {b64encode(os.urandom(16)).decode()}\r\n"
            f"Sec-WebSocket-Protocol: bearer, {token}\r\n\r\n"
        )
        self._came: list[tuple[float, bytes]] = []
        self.told = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._head.encode())

    def data_received(self, data: bytes) -> None:
        self._came.append((time.monotonic(), data))
        if b'"type":"snapshot"' in data:
            self.told.set()

    def delays(self) -> Iterator[float]:
        """Of what was written since; a mark that came in two pieces counts when it was whole."""
        text, last = b"", 0.0
        for at, data in self._came:
            text = text[-100:] + data
            for mark in _WRITTEN.findall(text):
                if float(mark) > last:
                    last = float(mark)
                    yield at - last


def write(pace: float, tasks: Sequence[str]) -> None:
    """Report progress of one task after another, with the moment it is written as its message."""
    import django

    django.setup()
    from tasks import processes
    from tasks.lease import Lease
    from tasks.models import Task

    rows = Task.objects.in_bulk(tasks)
    leases = {pk: Lease(row, processes.now()) for pk, row in rows.items()}
    end, n = time.monotonic() + SECONDS, 0
    pens = list(leases.values())
    while (now := time.monotonic()) < end:
        pen = pens[n % len(pens)]
        pen.note(message=f"written {now:.6f}")
        pen.renew()
        n += 1
        time.sleep(max(0.0, now + 1 / pace - time.monotonic()))


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    """Resident, at its peak."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _p95(figures: Sequence[float]) -> float:
    return statistics.quantiles(figures, n=20, method="inclusive")[18]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["site"]:
            site()
        case ["write", pace, *tasks]:
            write(float(pace), tasks)
        case _:
            main()
