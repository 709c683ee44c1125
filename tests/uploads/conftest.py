"""A web process that can be killed and comes back at the same address."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from tasks.models import Upload
from tests.browser.conftest import browser
from tests.uploads.cutting import CuttingProxy
from tests.web import environment, token_of

assert browser  # a fixture

TOKEN_SECONDS = 6
CUTS = 20
MB = 1_000_000


class Phoenix:
    """The web process. Its listening socket stays open here while it is dead."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._log = (folder / "web.log").open("ab")
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen:
        descriptor = self._listening.fileno()
        return subprocess.Popen(
            [sys.executable, "manage.py", "runweb", "--fd", str(descriptor)],
            pass_fds=[descriptor],
            cwd=settings.BASE_DIR,
            env=environment(self.folder),
            stdout=self._log,
            stderr=self._log,
        )

    def die(self) -> None:
        self.process.kill()
        self.process.wait()

    def rise(self) -> None:
        self.process = self._begin()

    def end(self) -> None:
        self.die()
        self._listening.close()
        self._log.close()


class Ordeal:
    """What a client goes through: cut connections, a dead web process, a token that runs out."""

    def __init__(self, phoenix: Phoenix, proxy: CuttingProxy, token: str, size: int) -> None:
        self.phoenix, self.proxy, self.token, self.size = phoenix, proxy, token, size
        self.until = time.monotonic() + TOKEN_SECONDS
        self.risen = threading.Event()
        self.path = phoenix.folder / "sent.bin"
        content = random.Random(size).randbytes(size)
        self.path.write_bytes(content)
        self.sha256 = hashlib.sha256(content).hexdigest()

    @property
    def endpoint(self) -> str:
        return f"{self.proxy.url}/task/upload/"

    def strike(self) -> None:
        """Once half of it has come the process dies, and rises when the token is of no use."""
        deadline = time.monotonic() + 120
        while self.proxy.received < self.size / 2:
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        self.phoenix.die()
        time.sleep(max(0.5, self.until - time.monotonic() + 0.5))
        self.phoenix.rise()
        self.risen.set()

    def check(self) -> None:
        """All of it has happened, and the file is whole."""
        assert self.risen.is_set()
        assert self.proxy.cuts == CUTS
        who = httpx.get(
            f"{self.proxy.url}/auth/me",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        assert who.status_code == 401, "the token has expired"
        upload = Upload.objects.get()
        assert upload.complete
        assert (upload.size, upload.sha256) == (self.size, self.sha256)
        kept = self.phoenix.folder / "uploads" / "incoming" / upload.pk.hex
        with kept.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == self.sha256


@pytest.fixture
def ordeal(transactional_db, owner, tmp_path):
    """ordeal(200 * MB): a context in which a client sends `.path` to `.endpoint`."""

    @contextmanager
    def begin(size: int) -> Iterator[Ordeal]:
        phoenix = Phoenix(tmp_path)
        span = size // 100, size // 30
        try:
            with CuttingProxy(phoenix.port, cuts=CUTS, low=span[0], high=span[1]) as proxy:
                httpx.get(f"{proxy.url}/healthz", timeout=60)  # it is up
                # The last moment to make the token: from here on it runs out.
                content = Ordeal(phoenix, proxy, "", size)
                content.token = str(token_of(owner, lifetime=timedelta(seconds=TOKEN_SECONDS)))
                content.until = time.monotonic() + TOKEN_SECONDS
                striking = threading.Thread(target=content.strike)
                striking.start()
                try:
                    yield content
                finally:
                    striking.join(130)
        finally:
            phoenix.end()
            (tmp_path / "sent.bin").unlink(missing_ok=True)

    return begin


@pytest.fixture
def node_modules() -> Path:
    folder = Path(__file__).parent / "node_modules"
    assert folder.exists(), "Run: sh scripts/npm.sh"
    return folder


@pytest.fixture
def bundle(node_modules, tmp_path) -> str:
    """uppy.js and all it imports, as one script."""
    out = tmp_path / "uppy.bundle.js"
    subprocess.run(
        [
            node_modules / ".bin" / "esbuild",
            str(Path(__file__).parent / "uppy.js"),
            "--bundle",
            "--log-level=error",
            f"--outfile={out}",
        ],
        check=True,
        timeout=60,
        env={"PATH": os.environ["PATH"]},
    )
    return out.read_text()
