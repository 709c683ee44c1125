"""Who is at work: the machines, their workers and daemons, and what each runs now."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count

from accounts import policy
from tasks import canaries, crews
from tasks.models import Task, Worker
from tasks.states import Status

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One worker or daemon, as somebody may see it."""

    worker: Worker
    alive: bool
    tasks: list[Task]
    """What it runs that they may see, the oldest first."""
    others: int
    """How many it runs beside those."""

    @property
    def busy(self) -> int:
        return len(self.tasks) + self.others

    @property
    def is_worker(self) -> bool:
        return self.worker.kind == Worker.Kind.WORKER


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One host."""

    host: str
    members: list[Member]


def machines(user: User) -> list[Machine]:
    """By name; a few queries, however many there are. Tasks that `user` may not see are counted."""
    running = canaries.hidden(Task.objects.filter(status=Status.RUNNING))
    counts = dict(running.order_by().values_list("worker").annotate(n=Count("pk")))
    tasks = defaultdict[str, list[Task]](list)
    for task in policy.visible(user, running).order_by("started_at"):
        tasks[task.worker].append(task)
    beating = set(crews.alive().values_list("pk", flat=True))
    hosts = defaultdict[str, list[Member]](list)
    for worker in Worker.objects.order_by("host", "-kind", "started_at"):
        seen = tasks[worker.name]
        member = Member(
            worker=worker,
            alive=worker.pk in beating,
            tasks=seen,
            others=max(0, counts.get(worker.name, 0) - len(seen)),
        )
        hosts[worker.host].append(member)
    return [Machine(host=host, members=members) for host, members in hosts.items()]
