"""Retention: what is old goes in small pieces, and figures stay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backups.models import Backup, Database, Destination
from tasks import retention
from tasks.models import Attempt, Event, Task
from tasks.tests.test_tell_metrics import scraped
from tasks.tests.work import ended_task, new_task, running_task

pytestmark = pytest.mark.django_db


def old_task(team, days: float, lines: int = 0) -> Task:
    task = ended_task(team)
    add_lines(task, lines)
    make_older(task, days)
    return task


def add_lines(task: Task, count: int) -> None:
    Event.objects.bulk_create(
        Event(task=task, seq=100 + n, kind="log", message=f"Line {n}") for n in range(count)
    )


def make_older(task: Task, days: float) -> None:
    moment = timezone.now() - timedelta(days=days)
    task.events.update(at=moment)
    Task.objects.filter(pk=task.pk).update(finished_at=moment, created_at=moment)


def test_it_works(team):
    kept, shorter, gone = (old_task(team, days, lines=3) for days in (89, 91, 366))
    before = scraped()
    assert retention.sweep() == (6, 1)
    assert set(Task.objects.all()) == {kept, shorter}
    assert kept.events.filter(kind="log").count() == 3
    assert shorter.events.filter(kind="log").count() == 0
    assert shorter.events.filter(kind="move").count() == 3, "moves stay as long as the task"
    assert not Attempt.objects.filter(task_id=gone.pk).exists()
    assert not Event.objects.filter(task_id=gone.pk).exists()
    counted = {key: v for key, v in before.items() if key[0].startswith(("task_total", "task_att"))}
    assert any(counted.values())
    after = scraped()
    assert {key: after[key] for key in counted} == counted


def test_the_settings_say_how_long(team, settings):
    settings.TASK_EVENTS_DAYS, settings.TASK_KEEP_DAYS = 1, 2
    old_task(team, 1.5, lines=1)
    old_task(team, 2.5, lines=1)
    assert retention.sweep() == (2, 1)


def test_zero_keeps_for_ever(team, settings):
    settings.TASK_EVENTS_DAYS = settings.TASK_KEEP_DAYS = 0
    old_task(team, 5000, lines=1)
    assert retention.sweep() == (0, 0)
    assert Event.objects.filter(kind="log").count() == 1


def test_what_has_not_ended_stays_whole_however_old(team):
    running = running_task(team).task
    waiting = new_task(team)
    for task in (running, waiting):
        add_lines(task, 2)
        make_older(task, 5000)
        Task.objects.filter(pk=task.pk).update(finished_at=None)
    assert retention.sweep() == (0, 0)


def test_a_task_that_a_backup_tells_of_stays_as_long_as_that(team):
    task = old_task(team, 5000, lines=2)
    database = Database.objects.create(team=team, name="shop", host="h", dbname="s", username="u")
    disk = Destination.objects.create(team=team, name="disk", kind="local")
    backup = Backup.objects.create(team=team, database=database, destination=disk, task=task)
    assert retention.sweep() == (2, 0)
    backup.refresh_from_db()
    assert backup.task == task
    backup.delete()
    assert retention.sweep() == (0, 1)


def test_what_is_still_to_be_undone_or_called_back_is_not_forgotten(team):
    undone, called = old_task(team, 5000), old_task(team, 5000)
    undone.attempts.update(undo_due_at=timezone.now())
    Task.objects.filter(pk=called.pk).update(callback_due_at=timezone.now())
    assert retention.sweep() == (0, 0)


def test_much_goes_in_pieces(team, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(retention, "EVENTS_AT_ONCE", 10)
    monkeypatch.setattr(retention, "TASKS_AT_ONCE", 2)
    old_task(team, 100, lines=35)
    for _ in range(5):
        old_task(team, 5000)
    assert retention.sweep() == (35, 5)
    assert Task.objects.count() == 1


def test_it_stops_after_some_seconds_and_goes_on_the_next_time(team, monkeypatch):
    monkeypatch.setattr(retention, "EVENTS_AT_ONCE", 10)
    old_task(team, 100, lines=25)
    moments = iter([0.0, 0.0, 11.0])
    monkeypatch.setattr(retention.processes, "now", lambda: next(moments, 20.0))
    assert retention.sweep() == (10, 0)
    monkeypatch.undo()
    assert retention.sweep() == (15, 0)
