"""`python -m benchmarks.uploads`: one large file to Backdrop and to other servers that take files.

UPLOAD_MB (default 500) is its size, UPLOAD_ROUNDS (default 3) how often each takes it after a first
round that warms up. Contenders take turns, so that a noisy moment hits all of them; times are
medians. All get the same bytes by the same sender, over loopback, and keep them on the same disk.

Memory is what the server's peak is above what it held before the file came; written is what it had
the kernel write to disk, per byte sent: pages of files that it made dirty (`write_bytes`), so that
what is spooled first counts twice, and what goes to a socket not at all. On a tmpfs nothing counts:
UPLOAD_FOLDER (default /var/tmp), where all of it lies, must be on a disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
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
FOLDER = os.environ.get("UPLOAD_FOLDER", "/var/tmp")  # noqa: S108 - a folder of its own is made in it
SETTINGS = "backdrop_site.settings"
NODE = (20, 19)  # that @tus/server asks for
NODE_PACKAGES = "benchmarks/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@dataclass(frozen=True, slots=True)
class Sample:
    """What is sent."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Contender:
    """A server. `take` sends it the file; seconds, and the file that it has kept."""

    name: str
    pid: int
    take: Callable[[Sample], tuple[float, Path]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one file sent. `others` is the share of all CPUs that neither server nor sender had."""

    wall: float
    cpu: float
    memory: int
    written: int
    others: float


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    peers.prepare()
    if not _lack_of_node():
        subprocess.run(["sh", "scripts/npm.sh", NODE_PACKAGES], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="backdrop-uploads-", dir=FOLDER) as folder:
        names = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
        os.environ |= {
            **{name: secrets.token_urlsafe(48) for name in names},
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "DB_URL": f"sqlite:///{folder}/uploads.sqlite3",
            "VAR_DIR": folder,
        }
        _report(_measure(Path(folder)))


def _measure(folder: Path) -> dict[str, list[Figures]]:
    """As a process of the platform that is measured."""
    import logging

    import django

    django.setup()
    from django.core.management import call_command

    from accounts.models import Membership, Role, Team, User
    from tests.web import web_process

    logging.getLogger("httpx").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)
    user = User.objects.create(username="bench", email="bench@example.org")
    team = Team.objects.create(name="bench")
    Membership.objects.create(user=user, team=team, role=Role.ADMIN)
    sample = _sample(folder / "file")
    here = {"DJANGO_SETTINGS_MODULE": SETTINGS, "CANARY_SECONDS": "0"}
    with ExitStack() as stack:
        (folder / "web").mkdir()
        web = stack.enter_context(web_process(folder / "web", **here))
        contenders = [
            Contender("Backdrop, POST", web.process.pid, lambda sent: _posted(web, user, sent)),
            Contender("Backdrop, tus", web.process.pid, lambda sent: _by_tus(web, user, sent)),
            *stack.enter_context(_tus_server(folder / "tus")),
            *stack.enter_context(_plain(folder / "asgi", "ASGI, uvicorn", _UVICORN)),
            *stack.enter_context(_plain(folder / "wsgi", "WSGI, gunicorn", _GUNICORN)),
        ]
        return _race(contenders, sample)


def _sample(path: Path) -> Sample:
    """Bytes that no file system makes small; hashing them leaves all in memory, where it can."""
    block = os.urandom(1_000_000)
    with path.open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)
        os.fsync(file.fileno())
    return Sample(path, _sha256(path))


def _race(contenders: list[Contender], sample: Sample) -> dict[str, list[Figures]]:
    runs: dict[str, list[Figures]] = {each.name: [] for each in contenders}
    for number in range(ROUNDS + 1):
        first = number % len(contenders)  # nobody always follows the same one
        for each in contenders[first:] + contenders[:first]:
            _warm(sample.path.with_name("warm"))
            figures, kept = _measured(each, sample)
            if kept.stat().st_size != SIZE or (not number and _sha256(kept) != sample.sha256):
                raise RuntimeError(f"{each.name} has kept other bytes than it was sent.")
            kept.unlink()
            if number:
                runs[each.name].append(figures)
            print(f"round {number}: {each.name}: {figures.wall:.2f} s", flush=True)
    return runs


def _warm(path: Path) -> None:
    """Touch as much memory as a contender may need for its file, and leave it free.

    Where a host takes back what lies free in its virtual machine, the first touch of a page costs
    several times as much: whoever found none that had just been used looked two or three times
    slower than he is.
    """
    block = bytes(1_000_000)
    with path.open("wb") as file:
        for _ in range(2 * SIZE // len(block)):
            file.write(block)
    path.unlink()


def _measured(contender: Contender, sample: Sample) -> tuple[Figures, Path]:
    process = Path(f"/proc/{contender.pid}")
    (process / "clear_refs").write_text("5")  # its peak begins anew
    held = _status(process, "VmRSS")
    cpu, written = cpu_of(contender.pid), _written(process)
    own, all_of_it, began = time.process_time(), _busy(), time.monotonic()
    wall, kept = contender.take(sample)
    spent = cpu_of(contender.pid) - cpu
    others = _busy() - all_of_it - spent - (time.process_time() - own)
    figures = Figures(
        wall=wall,
        cpu=spent,
        memory=_status(process, "VmHWM") - held,
        written=_written(process) - written,
        others=max(0.0, others) / (time.monotonic() - began) / (os.cpu_count() or 1),
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


def _busy() -> float:
    """CPU seconds that all processes and the kernel have had, since this machine started."""
    ticks = [int(each) for each in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]]
    user, nice, system, _idle, _waiting, *interrupts = ticks  # and what a host took away
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _report(runs: Mapping[str, list[Figures]]) -> None:
    base = statistics.median(each.wall for each in runs["Backdrop, POST"])
    versions = _versions()
    others = [each.others for figures in runs.values() for each in figures]
    print(f"\n{', '.join(map(' '.join, versions.items()))}")
    print(
        f"{SIZE // 1_000_000} MB, medians of {ROUNDS} rounds (of memory, the most). Other work had "
        f"{statistics.median(others):.0%} of the CPUs meanwhile, {max(others):.0%} at most.\n"
    )
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
    _keep(runs, versions)


def _versions() -> dict[str, str]:
    found = {"Python": sys.version.split()[0], "uvicorn": version("uvicorn")}
    found |= peers.versions(("django", "djangorestframework", "gunicorn"))
    if not _lack_of_node():
        lock = json.loads((HERE / "package-lock.json").read_text())["packages"]
        packages = ("@tus/server", "@tus/file-store")
        found |= {"Node": _node(), **{n: lock[f"node_modules/{n}"]["version"] for n in packages}}
    return found


def _keep(runs: Mapping[str, list[Figures]], versions: Mapping[str, str]) -> None:
    kept = ROOT / "benchmarks" / "results"
    kept.mkdir(exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    found = {name: [asdict(each) for each in figures] for name, figures in runs.items()}
    text = {"bytes": SIZE, "versions": versions, "runs": found}
    (kept / f"uploads-{moment}.json").write_text(json.dumps(text, indent=2))


# Backdrop ---------------------------------------------------------------------------------------


def _posted(web: Web, user: User, sample: Sample) -> tuple[float, Path]:
    path = _asked(web, user)
    answer = sender.send(web.netloc, "POST", path, {}, sample.path)
    _expect(answer, 202)
    return answer.seconds, _kept(web, path, sample)


def _by_tus(web: Web, user: User, sample: Sample) -> tuple[float, Path]:
    path = _asked(web, user)
    answer = sender.send(web.netloc, "PATCH", path, {**TUS, **BYTES}, sample.path)
    _expect(answer, 204)
    return answer.seconds, _kept(web, path, sample)


def _asked(web: Web, user: User) -> str:
    """The path of an upload; its token goes by a header."""
    with web.client(user) as client:
        answer = client.post("/task/request", json={"job": "inspect", "size": SIZE})
        answer.raise_for_status()
        return str(answer.json()["upload_url"].removeprefix(web.url))


def _kept(web: Web, path: str, sample: Sample) -> Path:
    """The file, if its row says of it what is true."""
    from tasks.models import Upload
    from tasks.uploads import capability

    upload = Upload.objects.get(pk=capability.opened(path.rsplit("/", 1)[1]))
    if not upload.complete or (upload.size, upload.sha256) != (SIZE, sample.sha256):
        raise RuntimeError("Backdrop says other things of the file than are true.")
    return web.log.parent / "uploads" / "incoming" / upload.pk.hex


def _expect(answer: sender.Answer, status: int) -> None:
    if answer.status != status:
        raise RuntimeError(answer.head)


# The others -------------------------------------------------------------------------------------


@contextmanager
def _tus_server(folder: Path) -> Iterator[list[Contender]]:
    """Nobody where there is no Node that it runs on."""
    if lack := _lack_of_node():
        print(f"@tus/server is left out: {lack}", flush=True)
        yield []
        return
    with _server(["node", str(HERE / "tus_server.js"), str(folder)], folder) as (pid, netloc):

        def take(sample: Sample) -> tuple[float, Path]:
            made = sender.send(netloc, "POST", "/files", {**TUS, "Upload-Length": str(SIZE)})
            _expect(made, 201)
            path = re.sub(r"^https?://[^/]+|^//[^/]+", "", sender.header(made, "Location"))
            answer = sender.send(netloc, "PATCH", path, {**TUS, **BYTES}, sample.path)
            _expect(answer, 204)
            return answer.seconds, folder / path.rsplit("/", 1)[1]

        yield [Contender("@tus/server", pid, take)]


def _lack_of_node() -> str:
    """What is missing to run it; nothing where all is there."""
    wanted = f"it needs Node {'.'.join(map(str, NODE))} or newer, with npm"
    if not (shutil.which("node") and shutil.which("npm")):
        return f"{wanted}, and this machine has none."
    major, minor, *_ = _node().split(".")
    if (int(major), int(minor)) < NODE:
        return f"{wanted}, and this machine has {_node()}."
    return ""


def _node() -> str:
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return told.strip().removeprefix("v")


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

        def take(sample: Sample) -> tuple[float, Path]:
            headers = {"Content-Type": "application/octet-stream"}
            answer = sender.send(netloc, "PUT", "/files/one", headers, sample.path)
            _expect(answer, 201)
            return answer.seconds, folder / "one"

        yield [Contender(f"DRF view, {how}", pid, take)]


@contextmanager
def _server(command: list[str], folder: Path) -> Iterator[tuple[int, str]]:
    """A server that says its port, and its process where that is another's than ours."""
    folder.mkdir()
    log = folder.with_suffix(".log")
    environment = {**os.environ, "PLAIN_FOLDER": str(folder), "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    with (
        log.open("wb") as words,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=words
        ) as process,
    ):
        try:
            told = process.stdout.readline().split() if process.stdout is not None else []
            if not told:
                raise RuntimeError(f"{folder.name} didn't start: {log.read_text()[-2000:]}")
            port, *pid = map(int, told)
            yield pid[0] if pid else process.pid, f"127.0.0.1:{port}"
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
