"""500 sockets on one web process: each hears all of its own, and nothing of others'."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from accounts.models import Team
from tasks.tests.crew import until
from tasks.tests.work import running_task
from tests.web import PATIENCE, token_of, web_process

pytestmark = pytest.mark.django_db(transaction=True)

SOCKETS = 500
TASKS = 25
LINES = 4
MEMORY_EACH = 200 * 2**10


@pytest.fixture
def calm_web(transactional_db, tmp_path):
    """A web process as it is served: it looks at who is there every ten seconds."""
    with web_process(tmp_path, DJANGO_SETTINGS_MODULE="backdrop_site.settings") as running:
        yield running


def memory_of(pid: int) -> int:
    """Resident, at its peak."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


async def listen(path: str, token: str, gate: asyncio.Semaphore) -> list[dict]:
    """All that is told until the task has ended."""
    async with gate:
        socket = await connect(path, subprotocols=["bearer", token], compression=None)
        heard = [json.loads(await socket.recv())]
    async with asyncio.timeout(6 * PATIENCE):
        while heard[-1].get("task", {}).get("status") != "succeeded":
            heard.append(json.loads(await socket.recv()))
    await socket.close()
    return heard


def test_it_works(calm_web, team, owner, stranger):
    """Half of the sockets are a stranger's, on tasks of their own team."""
    theirs = Team.home_of(stranger)
    runs = [running_task(team if n % 2 else theirs) for n in range(TASKS)]
    tokens = [str(token_of(owner if n % 2 else stranger)) for n in range(TASKS)]
    before = memory_of(calm_web.process.pid)

    async def all_listen() -> list[list[dict]]:
        gate = asyncio.Semaphore(20)
        base = f"ws://{calm_web.netloc}/ws/tasks/"
        paths = [f"{base}{runs[n % TASKS].task.pk}" for n in range(SOCKETS)]
        sockets = [
            asyncio.ensure_future(listen(path, tokens[n % TASKS], gate))
            for n, path in enumerate(paths)
        ]
        await asyncio.to_thread(write)
        return await asyncio.gather(*sockets)

    def write() -> None:
        for line in range(LINES):
            for run in runs:
                run.report(line, line=f"{run.task.pk} {line}")
        for run in runs:
            run.end()
        from django.db import connection

        connection.close()  # this thread's own

    heard = asyncio.run(all_listen())
    for n, messages in enumerate(heard):
        pk = str(runs[n % TASKS].task.pk)
        assert {m["task"]["id"] for m in messages if "task" in m} == {pk}
        told = [e for m in messages for e in m.get("events", [m.get("event")]) if e]
        lines = [e["message"] for e in told if e["kind"] == "log"]
        assert lines == [f"{pk} {line}" for line in range(LINES)]
        seqs = [e["seq"] for e in told]
        assert seqs == sorted(set(seqs))
        assert [m["seq"] for m in messages] == sorted(m["seq"] for m in messages)
    grown = memory_of(calm_web.process.pid) - before
    assert grown < SOCKETS * MEMORY_EACH
    assert until(lambda: _sockets_of(calm_web.process.pid) < 20)


def _sockets_of(pid: int) -> int:
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            count += str(link.readlink()).startswith("socket:")
    return count
