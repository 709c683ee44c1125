"""Who is there to do the work: living workers, what each runs, and how many more each could."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Count, QuerySet

from tasks import clock
from tasks.models import Task, Worker
from tasks.states import Status

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How many attempts the workers of a queue have room for at once."""

    all: int = 0
    free: int = 0

    def __add__(self, other: Slots) -> Slots:
        return Slots(all=self.all + other.all, free=self.free + other.free)


def alive() -> QuerySet[Worker]:
    """Those whose heartbeat is fresh, by the database's clock."""
    return Worker.objects.filter(heartbeat_at__gte=clock.now(-settings.LEASE_SECONDS))


def running() -> Counter[str]:
    """The worker's name -> how many attempts it minds."""
    tasks = Task.objects.filter(status=Status.RUNNING).order_by()
    return Counter(dict(tasks.values_list("worker").annotate(n=Count("pk"))))


def slots(
    workers: Iterable[Worker] | None = None, busy: Mapping[str, int] | None = None
) -> Mapping[str, Slots]:
    """By queue, for each that is served: what living workers have that are not draining.

    A worker of several queues counts for each of them.
    """
    if workers is None:
        workers = alive().filter(kind=Worker.Kind.WORKER)
    busy = running() if busy is None else busy
    found: defaultdict[str, Slots] = defaultdict(Slots)
    for worker in workers:
        if worker.kind != Worker.Kind.WORKER or worker.drain_asked_at is not None:
            continue
        free = max(0, worker.capacity - busy.get(worker.name, 0))
        for queue in worker.queues:
            found[queue] += Slots(all=worker.capacity, free=free)
    return found


def drain(worker: Worker, *, by: User | None) -> bool:
    """Have a worker claim nothing more, finish what it runs and then end; False where that was
    asked for before, or it isn't there any more.

    What keeps it running (`up`, systemd, a container's restart policy) starts it anew, empty.
    """
    same = Worker.objects.filter(pk=worker.pk, kind=Worker.Kind.WORKER, drain_asked_at=None)
    with transaction.atomic():
        if not same.update(drain_asked_at=clock.now()):
            return False
        logger.info("%s drains, as asked for by %s", worker, by or "the system")
        if by is not None:
            LogEntry.objects.create(
                user_id=by.pk,
                content_type=ContentType.objects.get_for_model(Worker),
                object_id=str(worker.pk),
                object_repr=str(worker)[:200],
                action_flag=CHANGE,
                change_message="Asked to drain.",
            )
    return True
