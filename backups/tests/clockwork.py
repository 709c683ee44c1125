"""A scheduler whose clock is the test's, and a look at what it fired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backups.models import Firing
from backups.scheduler import Scheduler
from tasks.models import Task
from tasks.states import Status

NIGHT = datetime(2026, 5, 4, 2, tzinfo=UTC)
EVE = NIGHT - timedelta(hours=3)
State = Firing.State


def daemon(name: str = "one") -> Scheduler:
    return Scheduler(name, submit=lambda call: call())


def after(**time) -> datetime:
    return NIGHT + timedelta(**time)


def firings() -> list[tuple[datetime, str]]:
    return list(Firing.objects.order_by("moment").values_list("moment", "state"))


def end_runs(status: Status = Status.SUCCEEDED) -> None:
    Task.objects.filter(job="backup").update(status=status)
