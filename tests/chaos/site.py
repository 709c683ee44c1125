"""Two machines of the suite: one runs everything under `up`, one workers alone. Each is started
again when its first process ends, as a service manager would do it."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tasks import processes
from tasks.tests.crew import Crew
from tests.chaos.links import ProxyLink

WORKERS = 3
PAUSE = 0.5  # of the service manager, before it starts a machine's first process again


class Machine:
    """One `manage.py` command and all below it, in a folder of its own."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        environment: dict[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self.name, self.command, self.prefix = name, command, prefix
        self.folder = folder / name
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.environment = {
            **environment,
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "TMPDIR": str(self.temporary),
            "WORKERS": str(WORKERS),
            "SHUTDOWN_GRACE_SECONDS": "10",
        }
        self.extra: dict[str, str] = {}
        self.past: list[Crew] = []
        self.crew: Crew
        self._ended_at: float | None = None
        self.start()

    def start(self) -> None:
        environment = {**self.environment, **self.extra}
        self.crew = Crew(self.folder, self.command, environment, self.prefix)
        self._ended_at = None

    def tend(self) -> None:
        """Start it again where its first process has ended."""
        if self.crew.process.poll() is None:
            return
        self._ended_at = self._ended_at or time.monotonic()
        if time.monotonic() >= self._ended_at + PAUSE:
            self.past.append(self.crew)
            self.start()

    def terminate(self) -> None:
        """SIGTERM to what `manage.py` has started first; there may be something before it."""
        if not self.prefix:
            self.crew.terminate()
        for pid in self.crew.called("watch") if self.prefix else ():
            processes.kill(pid, signal.SIGTERM)

    def restart(self, seconds: float) -> None:
        """End it by SIGTERM, in so many seconds; then somebody has to tend it."""
        self.terminate()
        self.crew.wait(seconds)

    def running(self, command: str) -> list[int]:
        """The processes that `manage.py COMMAND` has started first."""
        found = []
        for pid in self.crew.everyone():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if command.encode() in words:
                    found.append(pid)
        parents = set(found)
        return [pid for pid in found if not parents & set(_ancestors(pid))]

    def is_whole(self) -> bool:
        """Sentinel, monitor and pusher go by one name."""
        roles = list(self.crew.everyone().values())
        wanted = {"watch": 1, "pool": 1, "sentry": 3, "house": 1, "worker": WORKERS}
        return all(roles.count(f"backdrop-{role}") == count for role, count in wanted.items())

    @property
    def log(self) -> str:
        return "".join(crew.log.read_text(errors="replace") for crew in [*self.past, self.crew])

    def leftovers(self) -> dict[int, str]:
        left: dict[int, str] = {}
        for crew in [*self.past, self.crew]:
            left |= crew.everyone()
        return left


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            return
        yield pid


class Site:
    """Both machines, and how to wait while they are tended."""

    def __init__(
        self,
        folder: Path,
        rng: random.Random,
        environment: dict[str, str],
        far: dict[str, str],
        link: ProxyLink | None,
    ) -> None:
        """`far`: what the other machine's environment has otherwise."""
        self.rng = rng
        self.main = Machine("main", ["up"], folder, environment)
        prefix = link.prefix if link else ()
        self.other = Machine("other", ["runworkers"], folder, {**environment, **far}, prefix)
        self.machines = [self.main, self.other]

    def pause(self, seconds: float) -> None:
        self.until(lambda: False, seconds)

    def until(self, true: Callable[[], object], seconds: float) -> bool:
        """Wait for it, tending; whether it came true in time."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            for machine in self.machines:
                machine.tend()
            if true():
                return True
            time.sleep(0.1)
        return False

    def is_whole(self) -> bool:
        """Whether every process there should be is there, once, and the web page answers."""
        return (
            all(machine.is_whole() for machine in self.machines)
            and len(self.main.running("runweb")) == len(self.main.running("rundaemon")) == 1
            and self.answers()
        )

    def state(self) -> dict[str, list[str]]:
        return {m.name: sorted(m.crew.everyone().values()) for m in self.machines}

    def answers(self) -> bool:
        address = re.findall(r"Backdrop is up: (\S+)", self.main.crew.log.read_text())
        if not address:
            return False
        with suppress(httpx.TransportError):
            return httpx.get(f"{address[-1]}/readyz", timeout=2).status_code == 200
        return False

    def any_of(self, role: str) -> Machine:
        """A machine, at random, that has such a process."""
        return self.rng.choice([m for m in self.machines if m.crew.called(role)] or [self.other])

    def everyone(self) -> list[int]:
        return [pid for machine in self.machines for pid in machine.crew.everyone()]

    def stop(self) -> dict[int, str]:
        """SIGTERM to the first process of each; what is left of all that ever ran, a while later.

        `until` would start them again.
        """
        for machine in self.machines:
            machine.terminate()
        limit = time.monotonic() + 30
        while any(machine.crew.process.poll() is None for machine in self.machines):
            if time.monotonic() > limit:
                break
            time.sleep(0.1)
        time.sleep(1.0)
        return {pid: name for machine in self.machines for pid, name in machine.leftovers().items()}

    def end(self) -> None:
        """Kill whatever there is."""
        for machine in self.machines:
            for crew in [*machine.past, machine.crew]:
                crew.end()


@contextmanager
def site(
    folder: Path,
    rng: random.Random,
    environment: dict[str, str],
    far: dict[str, str],
    link: ProxyLink | None,
) -> Iterator[Site]:
    running = Site(folder, rng, environment, far, link)
    try:
        yield running
    finally:
        running.end()


def kill(pids: list[int]) -> None:
    for pid in pids:
        processes.kill(pid)
