"""The page of workers: who is there, what each runs, how queues stand, and what is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts import policy
from backups.views.pages import asker, go_on, page
from tasks import crews, pauses, queues, registry, shift
from tasks.models import Pause, Worker

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    return page(request, "tasks/workers.html", jobs=registry.names(), **_standing(request))


@login_required
@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """The inside of the page, for live refresh."""
    return page(request, "tasks/_workers.html", **_standing(request))


@login_required
@require_POST
def pause(request: HttpRequest) -> HttpResponse:
    """Hold back what `what` names: `queue:default`, `job:backup`."""
    _may_operate(request)
    kind, _, name = request.POST.get("what", "").partition(":")
    held = Pause(kind=kind, name=name, reason=request.POST.get("reason", "")[:200])
    try:
        held.full_clean(exclude=["by"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return _back(request)
    made = pauses.pause(held.kind, held.name, by=asker(request), reason=held.reason)
    messages.success(request, pauses.sentence(made))
    return _back(request)


@login_required
@require_POST
def resume(request: HttpRequest) -> HttpResponse:
    _may_operate(request)
    kind, _, name = request.POST.get("what", "").partition(":")
    if pauses.resume(kind, name, by=asker(request)):
        messages.success(request, f"Resumed: {name}.")
    else:
        messages.info(request, f"{name} was not held back.")
    return _back(request)


@login_required
@require_POST
def drain(request: HttpRequest, pk: int) -> HttpResponse:
    _may_operate(request)
    worker = get_object_or_404(Worker, pk=pk)
    if crews.drain(worker, by=asker(request)):
        messages.success(request, f"{worker} drains: it ends once what it runs has ended.")
    else:
        messages.info(request, f"{worker} drains already, or has nothing to drain.")
    return _back(request)


def _may_operate(request: HttpRequest) -> None:
    if not policy.may_operate(asker(request)):
        raise PermissionDenied("This takes a member of the staff.")


def _back(request: HttpRequest) -> HttpResponse:
    return go_on(request, reverse("workers"))


def _standing(request: HttpRequest) -> dict[str, Any]:
    return {
        "machines": shift.machines(asker(request)),
        "queues": queues.all(),
        "held_jobs": Pause.objects.filter(kind=Pause.Kind.JOB).select_related("by"),
        "may_operate": policy.may_operate(asker(request)),
        "grace": settings.SHUTDOWN_GRACE_SECONDS,
    }
