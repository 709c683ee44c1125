"""What happens to uploads when processes die, others interfere, or there is no room."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tasks.models import Task, Upload
from tasks.states import Status
from tasks.tests.crew import until
from tasks.uploads import capability
from tasks.uploads.tests.conftest import Service
from tests.web import Web, token_of, web_process

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 6_000_000
CONTENT = random.Random(7).randbytes(SIZE)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TUS = {"Tus-Resumable": "1.0.0"}


@contextmanager
def served(folder: Path, **environment: str) -> Iterator[Web]:
    folder.mkdir(exist_ok=True)
    with web_process(folder, **environment) as web:
        yield web


def through(web: Web, url: str) -> str:
    """The same upload at another web process."""
    return web.url + url[url.index("/task/") :]


def patch(url: str, content, at: int) -> httpx.Response:
    headers = {**TUS, "Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
    return httpx.patch(url, content=content, headers=headers, timeout=60)


def offset(url: str) -> int:
    answer = httpx.head(url, headers=TUS, timeout=60)
    assert answer.status_code == 200, answer.status_code
    return int(answer.headers["Upload-Offset"])


def half(web: Web, url: str, at: int, content: bytes) -> socket.socket:
    """A PATCH that stays open after some of what it promised."""
    wire = socket.create_connection(web.netloc.split(":"))
    path = url[url.index("/task/") :]
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: {web.netloc}\r\nTus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: {at}\r\nContent-Type: application/offset+octet-stream\r\n"
        f"Content-Length: {SIZE - at}\r\n\r\n"
    )
    wire.sendall(head.encode() + content)
    return wire


def sha256_of(url: str) -> str:
    pk = capability.opened(url.rsplit("/", 1)[1])
    return Upload.objects.get(pk=pk).sha256


def test_two_web_processes_do_not_write_at_once(service, owner):
    url = service.url(size=SIZE)
    folder = service.web.log.parent
    with served(folder) as other, half(service.web, url, 0, CONTENT[:2_000_000]) as old:
        until(lambda: service.upload_at(url).offset > 0)
        there = through(other, url)
        found = offset(there)
        assert 0 < found <= 2_000_000
        assert patch(there, CONTENT[found:], found).status_code == 204
        old.settimeout(60)
        assert old.recv(100).startswith(b"HTTP/1.1 409")
    assert sha256_of(url) == SHA256


def test_bytes_that_another_process_wrote_anew_are_hashed_anew(service):
    """What a process remembers of a file is of no use once another has begun it again."""
    url = service.url(size=2000)
    assert patch(url, b"a" * 1000, 0).status_code == 204
    with served(service.web.log.parent) as other:
        there = through(other, url)
        assert httpx.post(there, content=iter([b"b" * 1999])).status_code == 422
        assert patch(there, b"b" * 1500, 0).status_code == 204
    assert offset(url) == 1500
    assert patch(url, b"b" * 500, 1500).status_code == 204
    assert sha256_of(url) == hashlib.sha256(b"b" * 2000).hexdigest()


def test_many_senders_at_once_never_spoil_the_file(service):
    """Each goes on where the file is, and is overtaken by the next: at the end it is whole. Who
    asks how far it is always learns it."""
    url = service.url(size=SIZE, sha256=SHA256)
    done = threading.Event()
    asked: set[int] = set()
    seen: set[int] = set()

    def send(seed: int) -> None:
        rolls = random.Random(seed)
        while not done.is_set():
            try:
                answer = httpx.head(url, headers=TUS, timeout=60)
                asked.add(answer.status_code)
                at = int(answer.headers["Upload-Offset"])
                if at == SIZE:
                    done.set()
                end = min(SIZE, at + rolls.randrange(100_000, 900_000))
                seen.add(patch(url, CONTENT[at:end], at).status_code)
            except httpx.HTTPError:
                continue  # its connection was ended by whoever overtook it

    senders = [threading.Thread(target=send, args=(seed,)) for seed in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    done.set()
    assert sha256_of(url) == SHA256
    assert asked == {200}
    assert seen <= {204, 403, 409}
    assert service.upload_at(url).task.status == Status.QUEUED


def test_a_killed_web_process_loses_nothing_that_was_written(service, tmp_path):
    with served(tmp_path / "a") as web, Service(web, service.user) as told:
        url = told.url(size=SIZE, sha256=SHA256)
        path = tmp_path / "a" / "uploads" / "incoming" / told.upload_at(url).pk.hex
        with half(web, url, 0, CONTENT[:4_000_000]):
            until(lambda: path.exists() and path.stat().st_size >= 3_000_000)
            os.kill(web.process.pid, signal.SIGKILL)
            web.process.wait()
    with served(tmp_path / "a") as web:
        url = through(web, url)
        at = offset(url)
        assert at >= 3_000_000
        assert patch(url, CONTENT[at:], at).status_code == 204
    assert sha256_of(url) == SHA256


def test_the_address_outlives_the_login(service):
    with service.web.client() as client:
        token = token_of(service.user, lifetime=timedelta(seconds=6))
        client.headers["Authorization"] = f"Bearer {token}"
        url = client.post("/task/request", json={"job": "toy-file"}).json()["upload_url"]
        until(lambda: client.get("/api/tasks/").status_code == 401)
        assert client.post(url, content=CONTENT).status_code == 202


def test_no_room_is_told_and_what_came_stays(service, tmp_path):
    with served(tmp_path / "a") as web, Service(web, service.user) as told:
        content = bytes(80_000_000)
        url = told.url(size=len(content))
        room = 64_000_000  # the database's own files are smaller than that
        resource.prlimit(web.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        answer = patch(url, content, 0)
        assert answer.status_code == 507
        assert "no room" in answer.json()["detail"]
        resource.prlimit(
            web.process.pid,
            resource.RLIMIT_FSIZE,
            (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        )
        at = offset(url)
        assert 0 < at <= room
        assert patch(url, content[at:], at).status_code == 204
    assert sha256_of(url) == hashlib.sha256(content).hexdigest()


def test_who_sends_nothing_is_let_go_and_can_go_on(service, tmp_path):
    with served(tmp_path / "a", UPLOAD_IDLE_SECONDS="3") as web, Service(web, service.user) as told:
        url = told.url(size=SIZE)
        with half(web, url, 0, CONTENT[:1_500_000]) as wire:
            wire.settimeout(60)
            assert wire.recv(100).startswith(b"HTTP/1.1 408")
        assert offset(url) == 1_500_000


def test_limits_hold(service, tmp_path):
    limits = {"UPLOAD_SESSIONS": "2", "UPLOAD_QUOTA_BYTES": "1000", "UPLOAD_MAX_BYTES": "800"}
    with served(tmp_path / "a", **limits) as web, Service(web, service.user) as told:
        assert told.ask(size=801).status_code == 413
        first = told.url(size=600)
        over = told.ask(size=500)
        assert over.status_code == 413
        assert "1100 bytes, of the 1000" in over.json()["detail"]
        told.url(size=100)
        many = told.ask(size=1)
        assert many.status_code == 429
        assert many.headers["Retry-After"]
        assert told.nobody.post(first, content=b"a" * 600).status_code == 202
        assert told.ask(size=1).status_code == 201
    assert Task.objects.count() == 3


def test_memory_stays_the_same_however_large_the_file(service, tmp_path):
    with served(tmp_path / "a") as web, Service(web, service.user) as told:
        told.nobody.post(told.url(), content=b"x")
        before = _resident(web)
        size = 300_000_000
        block = bytes(1_000_000)
        url = told.url(size=size)
        assert told.nobody.post(url, content=(block for _ in range(300))).status_code == 202
        assert _peak(web) - before < 20 * 2**20


def _resident(web: Web) -> int:
    return _status(web, "VmRSS")


def _peak(web: Web) -> int:
    return _status(web, "VmHWM")


def _status(web: Web, name: str) -> int:
    lines = Path(f"/proc/{web.process.pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


@pytest.mark.alone
def test_a_slow_disk_holds_the_sender_back_and_not_the_service(service):
    """While one upload is under way the pages still answer."""
    url = service.url(size=SIZE)
    with half(service.web, url, 0, CONTENT[:1_000_000]):
        began = time.monotonic()
        assert service.http.get("/healthz").status_code == 200
        assert time.monotonic() - began < 2
