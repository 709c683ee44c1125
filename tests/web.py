"""A real web process for tests, on the test database, and clients for its sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings
from django.db import connection
from rest_framework_simplejwt.tokens import AccessToken
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PATIENCE = 60.0


class Web:
    """One web process on a free port, and how to talk to it."""

    def __init__(self, port: int, process: subprocess.Popen, log: Path) -> None:
        self.netloc = f"127.0.0.1:{port}"
        self.process = process
        self.log = log

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    @property
    def origin(self) -> str:
        return self.url

    def client(self, user=None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token_of(user)}"} if user else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)

    @contextmanager
    def listen(self, path: str, user=None, **options: Any) -> Iterator[Listener]:
        """A socket as `user`, by bearer token, unless `options` say otherwise."""
        if user is not None:
            options.setdefault("subprotocols", ["bearer", str(token_of(user))])
        with connect(f"ws://{self.netloc}{path}", **options) as connection:
            yield Listener(connection)


class Listener:
    """What comes over one socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.heard: list[dict[str, Any]] = []

    def next(self, timeout: float = PATIENCE) -> dict[str, Any]:
        message = json.loads(self.connection.recv(timeout=timeout))
        self.heard.append(message)
        return message

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is wanted; those before it are in `heard`."""
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self.next(max(0.01, deadline - time.monotonic()))
            if wanted(message):
                return message

    def until_status(self, status: str) -> dict[str, Any]:
        return self.until(lambda m: (m.get("task") or {}).get("status") == status)

    def quiet(self, seconds: float = 0.5) -> bool:
        """Whether nothing comes for a while."""
        try:
            self.next(seconds)
        except TimeoutError:
            return True
        return False

    def closed(self) -> int:
        """The code it is closed with; messages before that are in `heard`."""
        try:
            while True:
                self.next()
        except ConnectionClosed as error:
            return error.rcvd.code


def token_of(user, **lifetime) -> AccessToken:
    token = AccessToken.for_user(user)
    if lifetime:
        token.set_exp(**lifetime)
    return token


@contextmanager
def web_process(folder: Path, **more: str) -> Iterator[Web]:
    """Serve the test database; `more` is environment. The process is stopped at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        log = folder / "web.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "runweb", "--fd", str(listening.fileno())],
                pass_fds=[listening.fileno()],
                cwd=settings.BASE_DIR,
                env={**environment(folder), **more},
                stdout=output,
                stderr=output,
            )
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz", process, log)
        yield Web(port, process, log)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment(folder: Path) -> dict[str, str]:
    """For processes that shall meet the tests in the test database."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.web_settings",
        "VAR_DIR": str(folder),
        "DB_URL": _database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "JWT_SECRET": settings.JWT_SECRET,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEY,
    }


def _database_url() -> str:
    known = connection.settings_dict
    if connection.vendor == "sqlite":
        assert "memory" not in str(known["NAME"]), "another process can't see it"
        return f"sqlite:///{known['NAME']}"
    login = f"{quote(known['USER'])}:{quote(known['PASSWORD'])}"
    return f"postgres://{login}@{known['HOST']}:{known['PORT'] or 5432}/{known['NAME']}"


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"The web process does not answer: {log.read_text()}")
