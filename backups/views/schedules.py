"""Pages of schedules: all of them with what comes next, the form, pause and resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Subquery
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import policy
from accounts.policy import Verb
from backups.models import Firing, Schedule
from backups.views.forms import ScheduleForm
from backups.views.pages import asker, may_add, page

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    last = Firing.objects.filter(schedule=OuterRef("pk")).order_by("-moment")
    rows = Schedule.objects.select_related("plan__database").annotate(
        last_moment=Subquery(last.values("moment")[:1]),
        last_state=Subquery(last.values("state")[:1]),
        last_note=Subquery(last.values("note")[:1]),
    )
    return page(
        request,
        "backups/schedules.html",
        schedules=policy.visible(asker(request), rows),
    )


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    if pk is None:
        may_add(request)
    schedule = Schedule() if pk is None else _get(request, Verb.CHANGE, pk)
    form = ScheduleForm(request.POST or None, instance=schedule, asker=asker(request))
    if form.is_valid():
        saved = form.save()
        messages.success(request, f"{saved.name} is saved: {saved.description}.")
        return redirect("schedules")
    return page(request, "backups/schedule_form.html", form=form, schedule=schedule)


@login_required
@require_POST
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = _get(request, Verb.RUN, pk)
    schedule.pause()
    messages.success(request, f"{schedule} is paused.")
    return redirect("schedules")


@login_required
@require_POST
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = _get(request, Verb.RUN, pk)
    schedule.resume()
    messages.success(request, f"{schedule} goes on.")
    return redirect("schedules")


@login_required
@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """The backups it has made stay."""
    schedule = _get(request, Verb.CHANGE, pk)
    name = schedule.name
    schedule.delete()
    messages.success(request, f"{name} is removed. The backups it has made stay.")
    return redirect("schedules")


def _get(request: HttpRequest, verb: Verb, pk: int) -> Schedule:
    return policy.get_or_404(asker(request), verb, Schedule.objects.all(), pk=pk)
