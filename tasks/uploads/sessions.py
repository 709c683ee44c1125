"""What the database has to say of uploads: asking for one, who writes it, when it is complete."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from tasks import clock, queue, registry, transitions
from tasks.errors import UnknownJobError
from tasks.live import nudges
from tasks.models import Task, Upload
from tasks.registry import Job
from tasks.states import Status
from tasks.uploads import direct, files, limits, refusals, room
from tasks.uploads.refusals import UploadError

if TYPE_CHECKING:
    from accounts.models import Team, User

IDLE_SECONDS = 3600.0  # what is being sent lives so long after its last byte, whatever was said
_AWAITED = (Status.AWAITING_UPLOAD, Status.UPLOADING)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]|.*[/\\]", re.DOTALL)


def job_with_intake(name: str) -> Job:
    """The job, if it works on uploaded files; else UnknownJobError with those that do."""
    job = registry.get(name) if name in registry.names() else None
    if job is None or job.intake is None:
        known = [each for each in registry.names() if registry.get(each).intake is not None]
        raise UnknownJobError(
            f"No job that takes a file is called {name!r}; there are: {', '.join(known) or 'none'}."
        )
    return job


def job_of(upload: Upload) -> Job | None:
    """None for a part of a file. A job that a newer release took away takes nothing more."""
    return job_with_intake(upload.task.job) if upload.task is not None else None


def ask(
    *,
    job: str,
    team: Team,
    owner: User,
    filename: str = "",
    size: int | None = None,
    sha256: str = "",
    options: Mapping[str, Any] | None = None,
    kind: Upload.Kind = Upload.Kind.WHOLE,
    metadata: str = "",
    concat: str = "",
    **limits_of_task: Any,
) -> Upload:
    """Ask for a task that waits for its file; `upload.task.fresh` tells a new one.

    `limits_of_task` goes to `queue.push`. Raises UnknownJobError, UploadError (403, 413, 415, 429),
    and IdempotencyConflictError as `push` does.
    """
    known = job_with_intake(job)
    if known.check is not None:
        known.check(owner, options or {})
    name = safe_name(filename)
    asked = {"filename": name, "size": size, "sha256": sha256, "options": dict(options or {})}
    with transaction.atomic():
        task = queue.push(
            job=job,
            team=team,
            owner=owner,
            args={"options": dict(options or {}), "filename": name},
            title=f"{known.title}: {name}" if name else known.title,
            request_digest=queue.digest_of(job, {**asked, **_sayable(limits_of_task)}),
            status=Status.AWAITING_UPLOAD,
            **limits_of_task,
        )
        if not task.fresh:
            upload = Upload.objects.select_related("task").get(task=task)
            upload.task = task
            return upload
        allowance = limits.of(owner, team, known)
        allowance.check(size)
        # Of a joined file it is known only with its parts, whose place it takes.
        room.check(owner, allowance, 0 if kind == Upload.Kind.JOINED else size)
        return Upload.objects.create(
            task=task,
            team=team,
            owner=owner,
            filename=name,
            size=size,
            wanted_sha256=sha256.lower(),
            kind=kind,
            metadata=metadata,
            concat=concat,
            expires_at=_expiry(),
        )


def ask_part(*, team: Team, owner: User, size: int | None, metadata: str, concat: str) -> Upload:
    """Ask for a part of a file, to be joined with others later. Raises UploadError."""
    allowance = limits.of(owner, team, None)
    allowance.check(size)
    with transaction.atomic():
        room.check(owner, allowance, size)
        return Upload.objects.create(
            team=team,
            owner=owner,
            size=size,
            kind=Upload.Kind.PART,
            metadata=metadata,
            concat=concat,
            expires_at=_expiry(),
        )


def _expiry() -> datetime:
    return clock.read() + timedelta(seconds=settings.UPLOAD_EXPIRES_SECONDS)


def _sayable(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What tells one request from another; the key itself does not."""
    return {name: value for name, value in asked.items() if name != "idempotency_key"}


def safe_name(filename: str) -> str:
    """The last part of a name, without control characters: it names nothing of ours."""
    return _UNSAFE.sub("", filename).strip()[-255:].lstrip(".")


# Who may go on ----------------------------------------------------------------------------------


def find(pk: UUID) -> Upload:
    """The upload, if there is one whose owner may still send; raises UploadError (404)."""
    upload = Upload.objects.select_related("task", "owner").filter(pk=pk).first()
    if upload is None or upload.owner is None or not upload.owner.is_active:
        raise refusals.unknown()
    return upload


def refuse_gone(upload: Upload) -> None:
    """Raises UploadError (410) for one that was cancelled, has expired or was removed."""
    task = upload.task
    if task is not None and task.status == Status.CANCELLED:
        raise refusals.gone("was cancelled", task.finished_at)
    if task is not None and task.status == Status.EXPIRED:
        raise refusals.gone("expired", task.finished_at)
    if upload.gone_at is not None:
        raise refusals.gone("was removed", upload.gone_at)
    if not upload.complete and upload.expires_at < clock.read():
        raise refusals.gone("expired", upload.expires_at)


def take_over(upload: Upload) -> bool:
    """Make the caller the one that writes: its number is in `upload.writer`. False where the file
    is complete or gone by now."""
    with transaction.atomic():
        if not _open(upload).update(writer=F("writer") + 1):
            return False
        upload.refresh_from_db(fields=["writer", "offset", "size"])
        if upload.task_id and upload.task is not None:
            _note_uploading(upload.task)
    return True


def _open(upload: Upload) -> Any:
    """The row while a file may be sent to it."""
    rows = Upload.objects.filter(
        pk=upload.pk, completed_at__isnull=True, gone_at__isnull=True, expires_at__gt=clock.now()
    )
    if upload.task_id is not None:
        rows = rows.filter(task__status__in=_AWAITED)
    return rows


def _note_uploading(task: Task) -> None:
    if task.status == Status.AWAITING_UPLOAD:
        transitions.move(
            task.pk, Status.AWAITING_UPLOAD, Status.UPLOADING, history="Its file is being sent"
        )
        task.status = Status.UPLOADING


def note_offset(upload: Upload, offset: int) -> bool:
    """Write how much has arrived; False where this writer may not go on."""
    mine = _open(upload).filter(writer=upload.writer)
    with transaction.atomic():
        if not mine.update(
            offset=offset, expires_at=Greatest(F("expires_at"), clock.now(IDLE_SECONDS))
        ):
            return False
        if upload.task_id is not None:
            Task.objects.filter(pk=upload.task_id, status=Status.UPLOADING).update(
                progress_done=offset,
                progress_total=upload.size,
                progress_unit="bytes",
                seq=F("seq") + 1,
                updated_at=clock.now(),
            )
            nudges.send()
    return True


def set_size(upload: Upload, size: int, *, parts: Sequence[Upload] = ()) -> None:
    """Tell the size of a file whose size wasn't known, perhaps because it is joined from `parts`.
    Raises UploadError where it was known, or is too large."""
    if upload.size is not None and upload.size != size:
        raise UploadError(400, f"The size was told before: {upload.size} bytes.")
    if upload.size == size:
        return
    if size < upload.offset:
        raise UploadError(400, f"{upload.offset} bytes have arrived already.")
    with transaction.atomic():
        room.take_turn(upload.owner)
        room.most_bytes(upload, size, instead_of=parts)
        Upload.objects.filter(pk=upload.pk, size__isnull=True).update(size=size)
    upload.size = size


def complete(upload: Upload, *, sha256: str, content_type: str) -> bool:
    """All has arrived and is right: the task goes into the queue. False where it was too late."""
    with transaction.atomic():
        mine = _open(upload).filter(writer=upload.writer)
        done = mine.update(
            completed_at=clock.now(),
            offset=upload.size,
            size=upload.size,
            sha256=sha256,
            content_type=content_type,
        )
        if not done:
            return False
        if upload.task_id is not None:
            moved = transitions.move(
                upload.task_id,
                Status.UPLOADING,
                Status.QUEUED,
                history=f"Its file has arrived: {upload.size} bytes",
                run_at=Greatest(F("run_at"), clock.now()),
                progress_done=0,
                progress_total=None,
            )
            if not moved:  # cancelled since we looked
                transaction.set_rollback(True)
                return False
    upload.refresh_from_db()
    return True


def terminate(upload: Upload) -> None:
    """Its sender wants no more of it: cancel the task, if it hasn't ended, remove the bytes."""
    if upload.task is not None:
        transitions.cancel(upload.task, by=upload.owner)
    remove(upload)


def remove(upload: Upload) -> None:
    """Remove the bytes; the row stays, and says when."""
    if upload.direct_id:
        direct.abort(upload)
    files.remove(files.key_of(upload.pk))
    Upload.objects.filter(pk=upload.pk, gone_at__isnull=True).update(
        gone_at=clock.now(), writer=F("writer") + 1
    )
