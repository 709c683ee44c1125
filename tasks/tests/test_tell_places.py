"""Where waiting tasks stand: told alike, whether few are asked for or many."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.utils import timezone

from tasks import pauses, places, queue
from tasks.models import Pause, Task
from tasks.places import Place
from tasks.states import Status
from tasks.tests.work import new_task, running_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting(team, owner):
    """Tasks of few priorities and moments, past and to come, some at keys of which one is taken."""
    running_task(team, owner, concurrency_key="a")
    now = timezone.now()

    def make(seed: int) -> list[Task]:
        rolls = random.Random(seed)
        for _ in range(30):
            key, priority = rolls.choice(("", "", "a", "b")), rolls.randrange(3)
            task = new_task(team, owner, concurrency_key=key, priority=priority)
            moment = now + timedelta(seconds=rolls.choice((-300, -200, -100, 100, 200)))
            Task.objects.filter(pk=task.pk).update(run_at=moment)
        return list(Task.objects.filter(status=Status.QUEUED))

    return make


@pytest.mark.parametrize("seed", range(5))
def test_it_works(waiting, seed):
    tasks = waiting(seed)
    assert len(tasks) > places.COUNTED_ALONE
    assert places.of_all(tasks) == {task.pk: places.of(task) for task in tasks}


def test_what_is_paused_has_no_place_and_counts_for_nobody(waiting, team):
    pauses.pause(Pause.Kind.QUEUE, "default", by=None)
    told = places.of_all(waiting(0))
    assert {place.position for place in told.values() if place} == {None}


def test_past_the_rows_that_are_read_nobody_knows(waiting, monkeypatch):
    tasks = waiting(0)
    monkeypatch.setattr(places, "LINE_ROWS", 10)
    told = list(places.of_all(tasks).values())
    assert told.count(Place(None)) == len(tasks) - 10


def test_one_that_has_just_left_the_queue_waits_for_nobody(team, owner):
    """Between two queries it may have been cancelled, or claimed, which takes its turn."""
    task = new_task(team, owner, concurrency_key="free")
    Task.objects.filter(pk=task.pk).update(status=Status.CANCELLED)
    assert places.of(task) == Place(1)
    other = new_task(team, owner, concurrency_key="taken")
    assert queue.claim(["default"], "tests") is not None
    assert places.of(other) == Place(1)
