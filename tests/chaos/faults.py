"""What is done to the platform: each fault is a function that returns once the fault is over."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from django.conf import settings

from tasks import processes
from tasks.models import Attempt
from tasks.presence import ALIVE_SECONDS
from tasks.states import Outcome
from tasks.tests.crew import children_at_work
from tests.chaos.links import ProxyLink
from tests.chaos.load import ask
from tests.chaos.places import Postgres, Redis, Sqlite
from tests.chaos.site import Machine, Site, kill


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """What faults work on."""

    site: Site
    database: Sqlite | Postgres
    redis: Redis | None
    link: ProxyLink | None
    rng: random.Random
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    name: str
    strike: Callable[[Arena], None]
    needs: str = ""
    """A database's vendor, or "redis"."""
    bound: float = 20.0
    """Seconds after which work must go on as before."""

    def possible(self, arena: Arena) -> bool:
        return self.needs in ("", arena.database.vendor, "redis" if arena.redis else "")


FAULTS: dict[str, Fault] = {}


def fault(name: str, **more) -> Callable[[Callable[[Arena], None]], Callable[[Arena], None]]:
    def add(strike: Callable[[Arena], None]) -> Callable[[Arena], None]:
        FAULTS[name] = Fault(name=name, strike=strike, **more)
        return strike

    return add


class MissedError(AssertionError):
    """A fault that hit nobody proves nothing."""


def _kill(pids: list[int]) -> None:
    if not pids:
        raise MissedError("found nobody to hit")
    kill(pids)


def _patiently(find: Callable[[], list[int]]) -> list[int]:
    """Look until there is such a process: attempts come and go."""
    limit = time.monotonic() + 10
    while not (found := find()) and time.monotonic() < limit:
        time.sleep(0.01)
    return found


def _busy(machine: Machine) -> list[int]:
    crew = machine.crew
    return [pid for pid in crew.called("worker") if children_at_work(pid)]


def _beside_workers(machine: Machine) -> list[int]:
    """The monitor and the pusher of its pool, in this order."""
    crew = machine.crew
    workers = crew.called("worker")
    return [pid for pid in processes.children_of(crew.sentinel) if pid not in workers]


POOL = 10.0


@fault("idle worker killed", bound=POOL)
def kill_idle_worker(arena: Arena) -> None:
    machine = arena.site.any_of("worker")
    _kill(_patiently(machine.crew.idle_workers)[:1])


@fault("all idle workers killed", bound=POOL)
def kill_idle_workers(arena: Arena) -> None:
    for machine in arena.site.machines:
        _kill(_patiently(machine.crew.idle_workers))


@fault("busy worker killed", bound=POOL)
def kill_busy_worker(arena: Arena) -> None:
    machine = arena.site.any_of("worker")
    _kill(_patiently(lambda: _busy(machine))[:1])


@fault("child killed", bound=POOL)
def kill_child(arena: Arena) -> None:
    machine = arena.site.any_of("worker")
    _kill(_patiently(machine.crew.attempts)[:1])


@fault("monitor killed", bound=POOL)
def kill_monitor(arena: Arena) -> None:
    _kill(_beside_workers(arena.site.any_of("sentry"))[:1])


@fault("pusher killed", bound=POOL)
def kill_pusher(arena: Arena) -> None:
    _kill(_beside_workers(arena.site.any_of("sentry"))[1:2])


@fault("sentinel killed", bound=POOL)
def kill_sentinel(arena: Arena) -> None:
    _kill([arena.site.any_of("sentry").crew.sentinel])


@fault("pool's leader killed", bound=POOL)
def kill_leader(arena: Arena) -> None:
    _kill(arena.site.any_of("pool").crew.called("pool")[:1])


@fault("housekeeper killed", bound=POOL)
def kill_housekeeper(arena: Arena) -> None:
    _kill(arena.site.any_of("house").crew.called("house")[:1])


@fault("watcher killed")
def kill_watcher(arena: Arena) -> None:
    _kill(arena.site.any_of("watch").crew.called("watch")[:1])


@fault("whole tree killed")
def kill_tree(arena: Arena) -> None:
    _kill(list(arena.site.other.crew.everyone()))


@fault("daemon killed")
def kill_daemon(arena: Arena) -> None:
    _kill(arena.site.main.running("rundaemon"))


@fault("web killed")
def kill_web(arena: Arena) -> None:
    _kill(arena.site.main.running("runweb"))


@fault("supervisor killed", bound=30)
def kill_supervisor(arena: Arena) -> None:
    arena.site.main.crew.process.kill()


@fault("worker back from the dead")
def freeze_worker(arena: Arena) -> None:
    """Stopped beyond its lease, with an attempt that it minds; then it goes on."""
    machine = arena.site.any_of("worker")
    frozen = _patiently(lambda: _busy(machine))[:1]
    if not frozen:
        raise MissedError("found nobody to freeze")
    for pid in frozen:
        processes.kill(pid, signal.SIGSTOP)
    arena.site.pause(settings.LEASE_SECONDS + 3)
    for pid in frozen:
        processes.kill(pid, signal.SIGCONT)


@fault("machine back from the dead")
def freeze_machine(arena: Arena) -> None:
    """All of it stopped beyond its leases, as a virtual machine may be; then it goes on."""
    frozen = list(arena.site.other.crew.everyone())
    for pid in frozen:
        processes.kill(pid, signal.SIGSTOP)
    arena.site.pause(settings.LEASE_SECONDS + 3)
    for pid in frozen:
        processes.kill(pid, signal.SIGCONT)


@fault("sessions terminated", needs="postgresql")
def end_sessions(arena: Arena) -> None:
    for _ in range(6):
        arena.database.end_sessions(0.5)
        arena.site.pause(arena.rng.uniform(0.1, 0.8))


@fault("PostgreSQL stopped", needs="postgresql")
def stop_postgres(arena: Arena) -> None:
    arena.database.stop()
    arena.site.pause(4)
    arena.database.start()


@fault("PostgreSQL stopped for long", needs="postgresql")
def stop_postgres_long(arena: Arena) -> None:
    """Longer than a lease: every attempt has to let go."""
    arena.database.stop()
    arena.site.pause(settings.LEASE_SECONDS + 4)
    arena.database.start()


@fault("connections exhausted", needs="postgresql")
def exhaust(arena: Arena) -> None:
    arena.database.exhaust(6)


@fault("clock off by minutes", needs="postgresql")
def shift_clock(arena: Arena) -> None:
    """One machine runs seven minutes late for a while, then seven early."""
    machine = arena.site.other
    for seconds in (-420, 420):
        machine.extra = {"CHAOS_CLOCK_OFFSET": str(seconds)}
        machine.restart(15)
        arena.site.until(machine.is_whole, 15)
        arena.site.pause(4)
    machine.extra = {}
    machine.restart(15)


@fault("machine cut off", needs="postgresql", bound=30)
def cut_machine(arena: Arena) -> None:
    """Nothing gets from the other machine to the database, or back, for longer than a lease: what
    it ran is rescued by the first, and what it says later is too late."""
    here = [f":{pid}:" for pid in arena.site.main.crew.called("watch")]
    arena.link.cut()
    try:
        cut = {
            attempt.pk
            for attempt in ask(lambda: list(Attempt.objects.filter(outcome="")))
            if not any(mark in attempt.worker for mark in here)
        }
        # It may have been the one that rescues: its heartbeat has to be missed as well.
        arena.site.pause(max(settings.LEASE_SECONDS, ALIVE_SECONDS) + 4)
        arena.site.until(lambda: ("",) not in _outcomes_of(cut), 10)
        outcomes = _outcomes_of(cut)
    finally:
        arena.link.mend()
    if outcomes != {(Outcome.LOST,)}:
        arena.complaints.append(f"attempts of the machine that was cut off are {outcomes}")


def _outcomes_of(attempts: set[int]) -> set[tuple[str]]:
    return ask(lambda: set(Attempt.objects.filter(pk__in=attempts).values_list("outcome")))


@fault("rolling restart")
def restart_one_by_one(arena: Arena) -> None:
    """As a deploy does it, under load."""
    for machine in arena.site.machines:
        machine.restart(25)
        arena.site.until(machine.is_whole, 25)


@fault("disk full", needs="sqlite")
def fill_disk(arena: Arena) -> None:
    arena.database.fill(5, lambda: [os.getpid(), *arena.site.everyone()])


@fault("Redis flushed", needs="redis")
def flush_redis(arena: Arena) -> None:
    arena.redis.flush()


@fault("Redis stopped", needs="redis")
def stop_redis(arena: Arena) -> None:
    arena.redis.stop()
    try:
        arena.site.pause(4)
    finally:
        with suppress(AssertionError):
            arena.redis.start()
