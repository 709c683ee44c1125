"""Pages of tasks: what runs and waits, what ended and how, one task in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from backups.views.pages import asker, go_on, page, paged
from tasks import canaries, history, places, transitions
from tasks.models import Task
from tasks.states import ENDED, Status

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

LINES = 500
"""As many lines of history as a page keeps; live.js drops older ones too."""
PAGE_LINES = 200  # of the page that has them all

FILTERS = {
    "": ("All", Q(status__in=ENDED)),
    "succeeded": ("Succeeded", Q(status=Status.SUCCEEDED)),
    "failed": ("Failed", Q(status=Status.FAILED)),
    "quarantined": ("Quarantined", Q(status=Status.FAILED, quarantined_at__isnull=False)),
    "cancelled": ("Cancelled", Q(status__in={Status.CANCELLED, Status.EXPIRED})),
}


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    return page(request, "tasks/index.html", **_list(request))


@login_required
@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """The inside of the list, for live refresh."""
    return page(request, "tasks/_tasks.html", **_list(request))


@login_required
@require_GET
def show(request: HttpRequest, pk: UUID) -> HttpResponse:
    return page(request, "tasks/task.html", **_one(request, pk))


@login_required
@require_GET
def progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The inside of a task's page, for live refresh."""
    return page(request, "tasks/_progress.html", **_one(request, pk))


@login_required
@require_GET
def card(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One task under way, for live refresh on pages about other things."""
    task = policy.get_or_404(asker(request), Verb.SEE, _known(asker(request)), pk=pk)
    return page(request, "tasks/_task.html", task=task)


@login_required
@require_GET
def events(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole history of a task, in pages; the last one goes on live."""
    task = policy.get_or_404(asker(request), Verb.SEE, _known(asker(request)), pk=pk)
    least = _least(request)
    pages = Paginator(history.lines(task, least), PAGE_LINES)
    return page(
        request,
        "tasks/events.html",
        task=task,
        lines=pages.get_page(request.GET.get("page", pages.num_pages)),
        least=least,
        levels=history.LEVELS,
    )


@login_required
@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    task = _get(request, Verb.RUN, pk)
    if transitions.cancel(task, by=asker(request)):
        messages.success(request, f"{task}: cancel asked for.")
    else:
        messages.info(request, f"{task} had already ended.")
    return go_on(request, task_page(task))


@login_required
@require_POST
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    task = _get(request, Verb.RUN, pk)
    if transitions.retry(task, by=asker(request)):
        messages.success(request, f"{task}: queued again.")
    else:
        messages.info(request, f"{task} can't be tried again: only a failed task can.")
    return go_on(request, task_page(task))


def task_page(task: Task) -> str:
    return reverse("task", args=[task.pk])


def under_way(user: User) -> QuerySet[Task]:
    """What runs and waits, in the order it was asked for."""
    rows = canaries.hidden(_known(user).filter(status__in=set(Status) - ENDED))
    return rows.order_by("created_at")


def ended(user: User) -> QuerySet[Task]:
    """What ended, newest first."""
    rows = canaries.hidden(_known(user).filter(status__in=ENDED))
    return rows.order_by("-finished_at", "-created_at")


def _known(user: User) -> QuerySet[Task]:
    return policy.visible(user, Task.objects.all()).select_related(
        "backup__database",
        "backup__destination",
        "proof__backup__database",
        "restore__backup__database",
        "restore__target",
    )


def _get(request: HttpRequest, verb: Verb, pk: UUID) -> Task:
    return policy.get_or_404(asker(request), verb, Task.objects.all(), pk=pk)


def _list(request: HttpRequest) -> dict[str, Any]:
    user, chosen = asker(request), request.GET.get("status", "")
    chosen = chosen if chosen in FILTERS else ""
    running = list(under_way(user))
    places.tell(running)
    return {
        "running": running,
        "ended": paged(request, ended(user).filter(FILTERS[chosen][1]), 50),
        "chosen": chosen,
        "filters": [(name, label) for name, (label, _) in FILTERS.items()],
    }


def _one(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    task = policy.get_or_404(asker(request), Verb.SEE, _known(asker(request)), pk=pk)
    places.tell([task])
    least = _least(request)
    lines = history.lines(task, least).order_by("-seq")[:LINES]
    return {
        "task": task,
        "attempts": task.attempts.order_by("number"),
        "events": list(lines)[::-1],
        "least": least,
        "levels": history.LEVELS,
    }


def _least(request: HttpRequest) -> str:
    """The level from which on lines are shown."""
    asked = request.GET.get("least", "debug")
    return asked if asked in history.LEVELS else "debug"
