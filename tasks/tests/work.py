"""Work for tests to watch: tasks moved by the engine's own hands, without processes."""

from __future__ import annotations

from tasks import processes, queue, registry, transitions
from tasks.lease import Lease
from tasks.models import Task
from tasks.registry import Job
from tasks.states import Outcome

JOB = registry.register(Job(name="watched", run=lambda context: None, title="Watched work"))


def new_task(team, owner=None, **options) -> Task:
    return queue.push(job=JOB.name, team=team, owner=owner, **options)


class Running:
    """A task that has been claimed, and its minder's pen."""

    def __init__(self, task: Task) -> None:
        claimed = queue.claim([task.queue], "tests")
        assert claimed is not None
        assert claimed.pk == task.pk
        self.task = claimed
        self.lease = Lease(claimed, processes.now())

    def report(self, done: int, total: int | None = 100, line: str = "") -> None:
        self.lease.note_progress(done, total)
        if line:
            self.lease.note_line(line, "info")
        self.lease.renew()

    def end(self, outcome: Outcome = Outcome.SUCCEEDED, **options) -> None:
        transitions.finish(self.task.pk, self.task.attempt, outcome, **options)


def running_task(team, owner=None, **options) -> Running:
    return Running(new_task(team, owner, **options))


def ended_task(team, outcome: Outcome = Outcome.SUCCEEDED, **options) -> Task:
    run = running_task(team)
    run.end(outcome, permanent=True, **options)
    run.task.refresh_from_db()
    return run.task
