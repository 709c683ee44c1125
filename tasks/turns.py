"""Taking turns: how many tasks with the same concurrency key run at once.

A place at the key is a `Turn` row: made in the transaction that claims a task, gone in the one that
ends its attempt, whoever writes that end. Its unique constraint keeps two from having one place.
Tasks without a key cost nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from tasks import wakes
from tasks.models import Task, Turn
from tasks.states import Status, WhenBusy

if TYPE_CHECKING:
    from uuid import UUID


def free() -> Q:
    """Tasks without a key, and those for whom a place at theirs is free."""
    return Q(concurrency_key="") | Q(concurrency_limit__gt=_taken())


def decidable() -> Q:
    """Those that a claim can do something about: start them, or skip them where they say so."""
    return Q(concurrency_key="") | Q(when_busy=WhenBusy.SKIP) | Q(concurrency_limit__gt=_taken())


def _taken() -> Coalesce:
    same = Turn.objects.filter(key=OuterRef("concurrency_key")).order_by()
    return Coalesce(Subquery(same.values("key").annotate(n=Count("pk")).values("n")), Value(0))


def take(task: Task) -> bool:
    """Have a place at the task's key, in the transaction that claims it; False where none is free.

    Where tasks of one key were pushed with different limits, each goes by its own; two claimed in
    the same moment may go by the larger.
    """
    if not task.concurrency_key:
        return True
    taken = set(Turn.objects.filter(key=task.concurrency_key).values_list("place", flat=True))
    if len(taken) >= task.concurrency_limit:
        return False
    for place in sorted(set(range(task.concurrency_limit)) - taken):
        turn = Turn(task=task, key=task.concurrency_key, place=place)
        Turn.objects.bulk_create([turn], ignore_conflicts=True)
        if Turn.objects.filter(pk=task.pk).exists():
            return True
    return False


def give_back(task_id: UUID | str) -> None:
    """In the transaction in which an attempt ends: others may have the place."""
    deleted, _ = Turn.objects.filter(task_id=task_id).delete()
    if deleted:
        wakes.send()


def holder(key: str) -> Task | None:
    """One of the tasks that have a place at that key."""
    return Task.objects.filter(turn__key=key).order_by("turn__place").first()


def sweep() -> int:
    """Take back places of tasks that don't run; how many.

    None is left by this release. Workers of one that knew no keys end attempts without giving
    their place back, which matters while a release is rolled out.
    """
    deleted, _ = Turn.objects.exclude(task__status=Status.RUNNING).delete()
    if deleted:
        wakes.send()
    return deleted
