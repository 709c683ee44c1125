"""Cancelling or retrying many tasks: itself a task, with progress, counts and an end.

    bulk.ask(Action.RETRY, {"job": "backup", "finished_after": "…"}, team=team, by=user)

It concerns what was there when it was asked for, and of that only what the asker may run while it
runs. It can be cancelled, and begun again after a crash: what is done stays done, and is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from accounts import policy
from accounts.policy import Verb
from tasks import clock, filters, queue, transitions
from tasks.errors import PermanentError
from tasks.models import Event, Task
from tasks.states import ENDED, Status

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Team, User
    from tasks.registry import Context

JOB = "bulk"
PRIORITY = 100  # what shall stop work must not wait behind it
AT_ONCE = 100  # tasks, before the asker's rights are looked at again

LATE = "It had ended, or was moved by somebody else, before its turn came."
QUARANTINED = "It is in quarantine: name quarantined=true to release such."
NOT_YOURS = "The asker may not run it any more."


class Action(models.TextChoices):
    CANCEL = "cancel", "Cancel"
    RETRY = "retry", "Retry"


MOVES: dict[Action, Callable[..., bool]] = {
    Action.CANCEL: transitions.cancel,
    Action.RETRY: transitions.retry,
}


def ask(
    action: Action | str,
    named: Mapping[str, Any],
    *,
    team: Team,
    by: User,
    idempotency_key: str | None = None,
) -> Task:
    """The task that will do it; `named` are filters as `tasks.filters` has them, one at least.

    A ValidationError tells what can't be taken.
    """
    action = Action(action)
    count(action, named, team=team, by=by)
    asked = {"action": str(action), "filter": dict(named)}
    return queue.push(
        job=JOB,
        team=team,
        owner=by,
        title=f"{action.label} many tasks",
        args={**asked, "before": clock.read().isoformat()},
        queue=settings.QUEUE,
        priority=PRIORITY,
        idempotency_key=idempotency_key,
        request_digest=queue.digest_of(JOB, asked),
    )


def count(
    action: Action | str, named: Mapping[str, Any], *, team: Team, by: User
) -> dict[str, Any]:
    """What it would concern if it ran now, in the shape of its result."""
    found = _matching(Action(action), named, team=team, by=by)
    held = _quarantined(Action(action), named, found).count()
    refused = {QUARANTINED: held} if held else {}
    return {"action": str(action), "matched": found.count(), "refused": refused}


def run(context: Context) -> dict[str, Any]:
    """The job."""
    own = Task.objects.select_related("team", "owner").get(pk=context.task_id)
    if own.owner is None:
        raise PermanentError("Whoever asked for it has no account any more.")
    action, named = Action(context.args["action"]), context.args["filter"]
    asked_at = datetime.fromisoformat(context.args["before"])
    try:
        found = _matching(action, named, team=own.team, by=own.owner, before=asked_at)
    except ValidationError as error:
        raise PermanentError("This release doesn't know these filters.") from error
    pks = list(found.exclude(pk=own.pk).order_by("created_at").values_list("pk", flat=True))
    held = set(_quarantined(action, named, found).values_list("pk", flat=True))
    before = _done_before(own) if context.attempt > 1 else 0
    done, refused = before, Counter[str]()
    for pk, may in _with_rights(pks, own.owner):
        if pk in held:
            refused[QUARANTINED] += 1
        elif not may:
            refused[NOT_YOURS] += 1
        elif MOVES[action](Task(pk=pk), by=own.owner, within=_remark(own)):
            done += 1
        else:
            refused[LATE] += 1
        context.progress(done + refused.total(), before + len(pks), unit="tasks")
    told = {"action": str(action), "matched": before + len(pks), "done": done}
    return {**told, "refused": dict(refused)}


def _matching(
    action: Action,
    named: Mapping[str, Any],
    *,
    team: Team,
    by: User,
    before: datetime | None = None,
) -> models.QuerySet[Task]:
    """What the filters name and the action could move, as far as `by` may run it."""
    if not named:
        raise ValidationError({"filter": ["Name at least one filter."]})
    mine = policy.visible(by, Task.objects.filter(team=team), Verb.RUN)
    found = filters.chosen(mine, named)
    if action == Action.RETRY:
        return found.filter(
            status=Status.FAILED, **({"finished_at__lte": before} if before else {})
        )
    return found.exclude(status__in=ENDED).filter(**({"created_at__lte": before} if before else {}))


def _quarantined(
    action: Action, named: Mapping[str, Any], found: models.QuerySet[Task]
) -> models.QuerySet[Task]:
    """Those that are left alone: nobody releases what kills processes without saying so."""
    if action != Action.RETRY or "quarantined" in named:
        return found.none()
    return found.filter(quarantined_at__isnull=False)


def _with_rights(pks: list[UUID], user: User) -> Iterator[tuple[UUID, bool]]:
    """Each with whether the user may run it, asked anew every so many."""
    for start in range(0, len(pks), AT_ONCE):
        some = pks[start : start + AT_ONCE]
        user.refresh_from_db()
        mine = policy.visible(user, Task.objects.filter(pk__in=some), Verb.RUN)
        allowed = set(mine.values_list("pk", flat=True))
        yield from ((pk, pk in allowed) for pk in some)


def _remark(own: Task) -> str:
    return f"in bulk {own.pk}"


def _done_before(own: Task) -> int:
    """How many an earlier attempt had moved: their histories tell."""
    told = Event.objects.filter(at__gte=own.created_at, message__endswith=_remark(own))
    return told.values("task").distinct().count()
