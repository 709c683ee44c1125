"""`/ws/tasks` on a real web process."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Membership, Role, Team
from tasks import transitions
from tasks.models import Task
from tasks.states import Status
from tasks.tests.work import ended_task, new_task, running_task

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/ws/tasks"


def ids(snapshot: dict) -> list[str]:
    return [task["id"] for task in snapshot["tasks"]]


def about(task: Task):
    """Whether a message is an update of that task."""
    return lambda m: m["type"] == "update" and m["task"]["id"] == str(task.pk)


def test_it_works(web, team, owner):
    old = ended_task(team)
    with web.listen(PATH, owner) as socket:
        snapshot = socket.next()
        assert (snapshot["type"], ids(snapshot)) == ("snapshot", [str(old.pk)])
        task = new_task(team, owner)
        assert socket.until(about(task))["task"]["status"] == "queued"
        transitions.cancel(task, by=owner)
        assert socket.until(about(task))["task"]["status"] == "cancelled"
    seqs = [message["seq"] for message in socket.heard]
    assert seqs == sorted(set(seqs))


def test_every_task_of_one_s_teams_is_told_of_and_no_other(web, team, owner, stranger):
    theirs = Team.objects.get(name="Elsewhere")
    with web.listen(PATH, owner) as ours, web.listen(PATH, stranger) as others:
        assert ids(ours.next()) == ids(others.next()) == []
        run, other = running_task(team), new_task(theirs)
        run.report(50)
        ours.until(lambda m: m["task"]["progress"]["done"] == 50)
        others.until(about(other))
        assert {m["task"]["id"] for m in ours.heard[1:]} == {str(run.task.pk)}
        assert {m["task"]["id"] for m in others.heard[1:]} == {str(other.pk)}


def test_a_superuser_hears_of_all_teams(web, team, superuser):
    with web.listen(PATH, superuser) as socket:
        socket.next()
        socket.until(about(new_task(team)))


def test_what_happened_in_between_is_in_the_snapshot_of_who_comes_back(web, team, owner):
    for _ in range(3):
        ended_task(team)
    with web.listen(PATH, owner) as socket:
        after = socket.next()["seq"]
    ended = [ended_task(team) for _ in range(120)]  # more than a first snapshot shows
    with web.listen(f"{PATH}?after={after}", owner) as socket:
        snapshot = socket.next()
        assert {str(task.pk) for task in ended} <= set(ids(snapshot))
        assert snapshot["seq"] > after


def test_a_removed_task_is_told_of(web, team, owner):
    task = ended_task(team)
    with web.listen(PATH, owner) as socket:
        socket.next()
        Task.objects.filter(pk=task.pk).delete()
        assert socket.next()["type"] == "removed"
        assert socket.heard[-1]["id"] == str(task.pk)


def test_who_leaves_a_team_loses_its_tasks_and_hears_no_more(web, team, mate):
    task = new_task(team)
    with web.listen(PATH, mate) as socket:
        socket.next()
        Membership.objects.filter(user=mate).delete()
        socket.until(lambda m: m["type"] == "removed" and m["id"] == str(task.pk))
        transitions.cancel(task, by=None)
        assert socket.quiet()


def test_who_joins_a_team_is_told_of_its_tasks(web, team, stranger):
    task = new_task(team)
    with web.listen(PATH, stranger) as socket:
        assert ids(socket.next()) == []
        Membership.objects.create(user=stranger, team=team, role=Role.VIEWER)
        assert ids(socket.until(lambda m: m["type"] == "snapshot")) == [str(task.pk)]


def test_many_at_once_are_all_told_of(web, team, owner):
    with web.listen(PATH, owner) as socket:
        socket.next()
        with transaction.atomic():
            tasks = [new_task(team) for _ in range(450)]
        wanted = {str(task.pk) for task in tasks}
        while wanted:
            message = socket.next()
            told = message["tasks"] if message["type"] == "snapshot" else [message["task"]]
            wanted -= {task["id"] for task in told}


@pytest.mark.alone
def test_a_row_whose_moment_is_long_past_is_told_of_within_seconds(web, team, owner):
    """As after a long transaction, or from a machine whose clock is wrong."""
    tasks = [new_task(team), new_task(team)]
    hour = timezone.now() - timedelta(hours=1)
    Task.objects.update(updated_at=hour)
    with web.listen(PATH, owner) as socket:
        socket.next()
        time.sleep(0.5)
        begun = time.monotonic()
        Task.objects.filter(pk=tasks[0].pk).update(
            status=Status.CANCELLED, finished_at=hour, seq=9, updated_at=hour
        )
        Task.objects.filter(pk=tasks[1].pk).update(message="now")  # somebody goes on writing
        while not about(tasks[0])(socket.next(3)):
            Task.objects.filter(pk=tasks[1].pk).update(message=f"{time.monotonic()}")
        assert time.monotonic() - begun < 3


def test_nobody_is_turned_away_without_a_word(web):
    with web.listen(PATH) as socket:
        assert socket.closed() == 4401
