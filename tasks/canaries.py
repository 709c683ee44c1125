"""Proof that work flows, even where nobody asks for any: every minute a small task is sent through
each queue that living workers serve, all the way (push, wake, claim, child, end), and its return is
dated.

It goes before all others in its queue. So it tells whether the queue moves, however much waits
there; how long others wait is told by their own figures. Where every worker is busy it waits as
they do, and nobody calls that late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F, Model, QuerySet

from accounts.models import Team
from tasks import clock, crews, queue, transitions
from tasks.crews import Slots
from tasks.models import Canary, Pause, Task
from tasks.states import ENDED, Status

if TYPE_CHECKING:
    from tasks.registry import Context

JOB = "canary"
BEFORE_ALL = 32767
LOOK_SECONDS = 20.0
LATE_SECONDS = 30.0
LIFE_SECONDS = 600.0  # then it fails, and the next one is sent
KEPT_SECONDS = 300.0  # its row, once it has ended
FORGOTTEN_SECONDS = 86_400.0  # a queue that nobody serves any more

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one queue's canaries tell."""

    sent_at: datetime | None
    returned_at: datetime | None
    seconds: float | None
    """From being sent to having run, the last time."""
    age: float
    """Since the last one came back, or since one was sent that has not."""
    out: bool
    late: bool
    """One should have come back by now, for workers are free and nothing holds it back."""


def run(context: Context) -> None:
    """Sing."""


def returned(task: Task) -> None:
    """Date its return."""
    if task.status != Status.SUCCEEDED or task.finished_at is None:
        return
    row = Canary.objects.filter(queue=task.queue, sent_at__lte=task.finished_at).first()
    if row is None or row.sent_at is None:
        return
    seconds = (task.finished_at - row.sent_at).total_seconds()
    same = Canary.objects.filter(pk=row.pk, sent_at=row.sent_at)
    same.update(returned_at=task.finished_at, seconds=round(seconds, 3))


def standings(slots: Mapping[str, Slots] | None = None) -> Mapping[str, Standing]:
    """By queue: of those that are served and not held back."""
    slots = crews.slots() if slots is None else slots
    held = _held()
    now = clock.read()
    found = {}
    for row in Canary.objects.filter(queue__in=list(slots)):
        since = row.sent_at if row.out else row.returned_at
        if since is None or row.queue in held or None in held:
            continue
        age = max(0.0, (now - since).total_seconds())
        found[row.queue] = Standing(
            sent_at=row.sent_at,
            returned_at=row.returned_at,
            seconds=row.seconds,
            age=age,
            out=row.out,
            late=row.out and age > LATE_SECONDS and slots[row.queue].free > 0,
        )
    return found


def hidden(rows: QuerySet[Row], job: str = "job") -> QuerySet[Row]:
    """Without canaries: for lists that people read. `job` is the way to the name of the job."""
    return rows.exclude(**{job: JOB})


def _held() -> set[str | None]:
    """Queues that are paused; None where all canaries are."""
    found: set[str | None] = set()
    for kind, name in Pause.objects.values_list("kind", "name"):
        if kind == Pause.Kind.QUEUE:
            found.add(name)
        elif name == JOB:
            found.add(None)
    return found


# What a daemon sees to ----------------------------------------------------------------------------


@transaction.atomic  # so that an idle server is asked for one transaction, not for ten
def tend() -> None:
    """Send where it is time to, call back where nobody serves, remove what has ended."""
    team = Team.of_platform()
    if team is None:
        return
    served = set(crews.slots())
    held = _held()
    if settings.CANARY_SECONDS and None not in held:
        for name in sorted(served - held):
            _send(name, team)
    _call_back(team, served)
    _remove(team)


def _send(name: str, team: Team) -> None:
    """One, unless one is out that may still come back: there are never two."""
    with transaction.atomic():
        Canary.objects.get_or_create(queue=name)
        row = Canary.objects.select_for_update().get(queue=name)
        # By the index on teams: the platform's own has few.
        last = Task.objects.filter(team=team, job=JOB, queue=name).order_by("-created_at").first()
        if last is not None and not _is_past(last):
            return
        task = queue.push(
            job=JOB,
            team=team,
            queue=name,
            priority=BEFORE_ALL,
            title=f"Canary of {name}",
            total_seconds=LIFE_SECONDS,
        )
        if not row.out:
            row.sent_at = task.run_at
            row.save(update_fields=["sent_at"])


def _is_past(last: Task) -> bool:
    """Whether it has ended, and long enough ago was sent, for the next one to be sent."""
    age = (clock.read() - last.created_at).total_seconds()
    return last.ended and age > settings.CANARY_SECONDS - LOOK_SECONDS / 2


def _call_back(team: Team, served: set[str]) -> None:
    """Where no worker is left, none is waited for."""
    for task in Task.objects.filter(team=team, job=JOB, status=Status.QUEUED):
        if task.queue not in served:
            transitions.cancel(task, by=None)
    gone = Canary.objects.exclude(queue__in=served)
    gone.filter(sent_at__gt=F("returned_at")).update(sent_at=F("returned_at"))
    gone.filter(returned_at=None).update(sent_at=None)
    gone.filter(returned_at__lt=clock.now(-FORGOTTEN_SECONDS)).delete()


def _remove(team: Team) -> None:
    kept = KEPT_SECONDS + settings.CANARY_SECONDS
    ended = Task.objects.filter(team=team, job=JOB, status__in=ENDED, callback_due_at=None)
    ended.filter(finished_at__lt=clock.now(-kept)).delete()
