"""What is over goes: uploads that never came, files that nobody needs any more, old results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import F, Q

from tasks import artifacts, clock, transitions
from tasks.models import Artifact, Task, Upload
from tasks.periodic import periodic
from tasks.states import ENDED, Status
from tasks.uploads import sessions

logger = logging.getLogger(__name__)

AT_ONCE = 500
ORPHAN_SECONDS = 3600.0
LOOKED_BACK = timedelta(days=7)
Row = TypeVar("Row", Upload, Artifact)


@periodic(every=60)
def sweep() -> int:
    """How many files and results were removed. What can't be removed now is tried again later."""
    return (
        _expire()
        + _remove(_needless_uploads(), sessions.remove)
        + _remove(_needless_artifacts(), artifacts.remove)
        + _forget_results()
        + _orphans()
    )


def _expire() -> int:
    """Uploads that weren't sent in time, and parts that nobody joined."""
    late = Upload.objects.filter(gone_at__isnull=True, expires_at__lt=clock.now())
    late = late.filter(Q(completed_at__isnull=True) | Q(task__isnull=True)).select_related("task")
    removed = 0
    for upload in late[:AT_ONCE]:
        task = upload.task
        if task is not None and task.status in (Status.AWAITING_UPLOAD, Status.UPLOADING):
            transitions.move(
                task.pk,
                Status(task.status),
                Status.EXPIRED,
                history="Its file wasn't sent in time",
                error="Its file wasn't sent in time. Ask for a new task.",
            )
        removed += _remove([upload], sessions.remove)
    return removed


def _needless_uploads() -> Iterable[Upload]:
    """A task that failed may be tried again, and keeps its file as long as a result is kept."""
    kept = timedelta(seconds=settings.RESULT_EXPIRES_SECONDS)
    over = Q(task__status__in=ENDED - {Status.FAILED}) | Q(
        task__status=Status.FAILED, task__finished_at__lt=clock.read() - kept
    )
    return Upload.objects.filter(over, gone_at__isnull=True)[:AT_ONCE]


def _needless_artifacts() -> Iterable[Artifact]:
    """Those that expired, and those of attempts that came to nothing."""
    ended = Q(task__status__in=ENDED)
    useless = ended & (~Q(task__status=Status.SUCCEEDED) | ~Q(attempt=F("task__attempt")))
    earlier = Q(attempt__lt=F("task__attempt"))
    over = Q(expires_at__lt=clock.now()) | useless | earlier
    return Artifact.objects.filter(over, gone_at__isnull=True)[:AT_ONCE]


def _forget_results() -> int:
    """What jobs on files told as JSON, once it has expired: it may repeat what was in the file.

    Those of the last week are looked at; the rows themselves go after `TASK_KEEP_DAYS`.
    """
    end = clock.read() - timedelta(seconds=settings.RESULT_EXPIRES_SECONDS)
    over = Task.objects.filter(
        upload__isnull=False,
        result__isnull=False,
        finished_at__range=(end - LOOKED_BACK, end),
    )
    some = list(over.values_list("pk", flat=True)[:AT_ONCE])
    return Task.objects.filter(pk__in=some).update(result=None)


def _remove(rows: Iterable[Row], remove: Callable[[Row], None]) -> int:
    removed = 0
    for row in rows:
        try:
            remove(row)
            removed += 1
        except Exception as error:  # of the storage: another time
            logger.warning("%s can't be removed yet: %s", row.pk, type(error).__name__)
    return removed


def _orphans() -> int:
    """Files on this machine whose row is gone, as when a task was deleted."""
    removed = 0
    for path in (Path(settings.UPLOAD_DIR) / "incoming").glob("*"):
        if _age(path) > ORPHAN_SECONDS and not _known(path.stem):
            path.unlink(missing_ok=True)
            removed += 1
    for folder in (Path(settings.UPLOAD_DIR) / "results").glob("*"):
        if _age(folder) > ORPHAN_SECONDS and not Task.objects.filter(pk=folder.name).exists():
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
                removed += 1
            folder.rmdir()
    return removed


def _age(path: Path) -> float:
    try:
        return clock.read().timestamp() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _known(name: str) -> bool:
    try:
        return Upload.objects.filter(pk=UUID(name), gone_at__isnull=True).exists()
    except ValueError:
        return False
