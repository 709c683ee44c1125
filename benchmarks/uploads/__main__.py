"""`python -m benchmarks.uploads`: one large file to Backdrop and to other servers that take files.

UPLOAD_MB (default 500) is its size, UPLOAD_ROUNDS (default 3) how often each takes it after a first
round that warms up. Contenders take turns, so that a noisy moment hits all of them; times are
medians. All get the same bytes by the same sender, over loopback, and keep them on the same disk.

Memory is what the server's peak is above what it held before the file came; written is what it had
the kernel write to disk, per byte sent.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.sockets import cpu_of
from benchmarks.uploads import sender

if TYPE_CHECKING:
    from accounts.models import User
    from tests.web import Web

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
SIZE = int(os.environ.get("UPLOAD_MB", "500")) * 1_000_000
ROUNDS = int(os.environ.get("UPLOAD_ROUNDS", "3"))
NODE = (20, 19)  # that @tus/server asks for
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@dataclass(frozen=True, slots=True)
class Contender:
    """A server. `take` sends it the file; seconds, and the file that it has kept."""

    name: str
    pid: int
    take: Callable[[Path], tuple[float, Path]]


@dataclass(frozen=True, slots=True)
class Figures:
    wall: float
    cpu: float
    memory: int
    written: int


def main() -> None:
    """Prepare the peers, then measure in a process of one platform."""
    peers.prepare()
    subprocess.run(["sh", "scripts/npm.sh", "benchmarks/uploads"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="backdrop-uploads-") as folder:
        names = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
        environment = {
            **os.environ,
            **{name: secrets.token_urlsafe(48) for name in names},
            "DJANGO_SETTINGS_MODULE": "backdrop_site.settings",
            "DB_URL": f"sqlite:///{folder}/uploads.sqlite3",
            "VAR_DIR": folder,
        }
        command = [sys.executable, "-m", "benchmarks.uploads", "site"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)


def site() -> None:
    import logging

    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from accounts.models import Membership, Role, Team, User
    from tests.web import web_process

    logging.getLogger("httpx").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)
    user = User.objects.create(username="bench", email="bench@example.org")
    team = Team.objects.create(name="bench")
    Membership.objects.create(user=user, team=team, role=Role.ADMIN)
    folder = Path(settings.VAR_DIR)
    file = _file(folder / "file")
    here = {"DJANGO_SETTINGS_MODULE": "backdrop_site.settings", "CANARY_SECONDS": "0"}
    with ExitStack() as stack:
        (folder / "web").mkdir()
        web = stack.enter_context(web_process(folder / "web", **here))
        contenders = [
            Contender("Backdrop, POST", web.process.pid, lambda file: _posted(web, user, file)),
            Contender("Backdrop, tus", web.process.pid, lambda file: _by_tus(web, user, file)),
            *stack.enter_context(_tus_server(folder / "tus")),
            *stack.enter_context(_plain(folder / "asgi", "ASGI, uvicorn", _UVICORN)),
            *stack.enter_context(_plain(folder / "wsgi", "WSGI, gunicorn", _GUNICORN)),
        ]
        _report(_race(contenders, file))


def _file(path: Path) -> Path:
    """Bytes that no file system makes small."""
    block = os.urandom(1_000_000)
    with path.open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)
    return path


def _race(contenders: list[Contender], file: Path) -> dict[str, list[Figures]]:
    wanted = _sha256(file)
    runs: dict[str, list[Figures]] = {each.name: [] for each in contenders}
    for number in range(ROUNDS + 1):
        for each in contenders:
            figures, kept = _measured(each, file)
            if kept.stat().st_size != SIZE or (not number and _sha256(kept) != wanted):
                raise RuntimeError(f"{each.name} has kept other bytes than it was sent.")
            kept.unlink()
            if number:
                runs[each.name].append(figures)
            print(f"round {number}: {each.name}: {figures.wall:.2f} s", flush=True)
    return runs


def _measured(contender: Contender, file: Path) -> tuple[Figures, Path]:
    process = Path(f"/proc/{contender.pid}")
    (process / "clear_refs").write_text("5")  # its peak begins anew
    held = _status(process, "VmRSS")
    cpu, written = cpu_of(contender.pid), _written(process)
    wall, kept = contender.take(file)
    figures = Figures(
        wall=wall,
        cpu=cpu_of(contender.pid) - cpu,
        memory=_status(process, "VmHWM") - held,
        written=_written(process) - written,
    )
    with kept.open("rb") as file_kept:  # none shall pay for what another has left to be written
        os.fsync(file_kept.fileno())
    return figures, kept


def _status(process: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _written(process: Path) -> int:
    found = re.search(r"^write_bytes: (\d+)", (process / "io").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _report(runs: Mapping[str, list[Figures]]) -> None:
    base = statistics.median(each.wall for each in runs["Backdrop, POST"])
    print(f"\n{SIZE // 1_000_000} MB, medians of {ROUNDS} rounds\n")
    print("| server | wall s | ratio | MB/s | CPU s | memory MiB | written |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, figures in runs.items():
        wall = statistics.median(each.wall for each in figures)
        cpu = statistics.median(each.cpu for each in figures)
        memory = max(each.memory for each in figures) / 2**20
        written = statistics.median(each.written for each in figures) / SIZE
        rate = SIZE / wall / 1e6
        told = f"{wall:.2f} | {wall / base:.2f} | {rate:.0f} | {cpu:.2f} | {memory:.0f}"
        print(f"| {name} | {told} | {written:.2f} |")


# Backdrop ---------------------------------------------------------------------------------------


def _posted(web: Web, user: User, file: Path) -> tuple[float, Path]:
    path = _asked(web, user)
    return _kept(web, path, sender.send(web.netloc, "POST", path, {}, file), 202)


def _by_tus(web: Web, user: User, file: Path) -> tuple[float, Path]:
    path = _asked(web, user)
    return _kept(web, path, sender.send(web.netloc, "PATCH", path, {**TUS, **BYTES}, file), 204)


def _asked(web: Web, user: User) -> str:
    """The path of an upload; its token goes by a header."""
    with web.client(user) as client:
        answer = client.post("/task/request", json={"job": "inspect", "size": SIZE})
        answer.raise_for_status()
        return str(answer.json()["upload_url"].removeprefix(web.url))


def _kept(web: Web, path: str, answer: sender.Answer, wanted: int) -> tuple[float, Path]:
    from tasks.uploads import capability

    _expect(answer, wanted)
    pk = capability.opened(path.rsplit("/", 1)[1])
    if pk is None:
        raise RuntimeError(path)
    return answer.seconds, web.log.parent / "uploads" / "incoming" / pk.hex


def _expect(answer: sender.Answer, status: int) -> None:
    if answer.status != status:
        raise RuntimeError(answer.head)


# The others -------------------------------------------------------------------------------------


@contextmanager
def _tus_server(folder: Path) -> Iterator[list[Contender]]:
    """Nobody where there is no Node that it runs on."""
    if not _node_is_new_enough():
        wanted = ".".join(map(str, NODE))
        print(f"@tus/server is left out: it needs Node {wanted} or newer.", flush=True)
        yield []
        return
    with _server(["node", str(HERE / "tus_server.js"), str(folder)], folder) as (pid, netloc):

        def take(file: Path) -> tuple[float, Path]:
            made = sender.send(netloc, "POST", "/files", {**TUS, "Upload-Length": str(SIZE)})
            _expect(made, 201)
            path = re.sub(r"^https?://[^/]+|^//[^/]+", "", sender.header(made, "Location"))
            answer = sender.send(netloc, "PATCH", path, {**TUS, **BYTES}, file)
            _expect(answer, 204)
            return answer.seconds, folder / path.rsplit("/", 1)[1]

        yield [Contender("@tus/server", pid, take)]


def _node_is_new_enough() -> bool:
    if not shutil.which("node"):
        return False
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    major, minor, *_ = told.strip().removeprefix("v").split(".")
    return (int(major), int(minor)) >= NODE


_UVICORN = """
import socket, sys, uvicorn
from benchmarks.uploads import plain
with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(plain.application, lifespan="off", http="httptools", log_config=None)
    uvicorn.Server(config).run(sockets=[listening])
"""
_GUNICORN = """
import socket, threading
from gunicorn.app.base import BaseApplication
from benchmarks.uploads import plain
class Application(BaseApplication):
    def load_config(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for name, value in (("bind", f"127.0.0.1:{port}"), ("timeout", 600), ("workers", 1)):
            self.cfg.set(name, value)
        self.cfg.set("post_worker_init", lambda worker: print(port, worker.pid, flush=True))
    def load(self):
        return plain.wsgi
Application().run()
"""


@contextmanager
def _plain(folder: Path, how: str, script: str) -> Iterator[list[Contender]]:
    """The plain DRF view."""
    with _server([str(peers.BIN / "python"), "-c", script], folder) as (pid, netloc):

        def take(file: Path) -> tuple[float, Path]:
            headers = {"Content-Type": "application/octet-stream"}
            answer = sender.send(netloc, "PUT", "/files/one", headers, file)
            _expect(answer, 201)
            return answer.seconds, folder / "one"

        yield [Contender(f"DRF view, {how}", pid, take)]


@contextmanager
def _server(command: list[str], folder: Path) -> Iterator[tuple[int, str]]:
    """A server that says its port, and its process where that is another's than ours."""
    folder.mkdir()
    environment = {**os.environ, "PLAIN_FOLDER": str(folder), "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("It can't be heard.")
            port, *pid = process.stdout.readline().split()
            yield int(pid[0]) if pid else process.pid, f"127.0.0.1:{int(port)}"
        finally:
            process.terminate()


if __name__ == "__main__":
    site() if sys.argv[1:] == ["site"] else main()
