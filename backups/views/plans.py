"""Pages of plans: all of them, the form, and the button that starts a backup."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import policy
from accounts.policy import Verb
from backups.models import Backup, Database, Plan, RefusedError
from backups.views.forms import PlanForm
from backups.views.pages import asker, go_on, may_add, page

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.models import User


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    rows = policy.visible(asker(request), Plan.objects.select_related("database", "destination"))
    return page(request, "backups/plans.html", plans=rows)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    if pk is None:
        may_add(request)
    plan = Plan() if pk is None else _get(request, Verb.CHANGE, pk)
    form = PlanForm(
        request.POST or None,
        instance=plan,
        asker=asker(request),
        initial=_asked_for(request) if pk is None else None,
    )
    if form.is_valid():
        saved = form.save()
        messages.success(request, f"The plan {saved.name} is saved.")
        return redirect("database", saved.database_id)
    return page(request, "backups/plan_form.html", form=form, plan=plan)


@login_required
@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    """Back up now. `?seen=` names the newest backup that the page with the button knew of."""
    plan = _get(request, Verb.RUN, pk)
    try:
        backup = _start_once(plan, asker(request), request.GET.get("seen", ""))
    except RefusedError as refused:
        messages.error(request, str(refused))
        return go_on(request, reverse("database", args=[plan.database_id]))
    messages.success(request, f"Backing up {plan.database.name}.")
    return go_on(request, reverse("backup", args=[backup.pk]))


def _start_once(plan: Plan, user: User, seen: str) -> Backup:
    """A button pressed twice starts one backup; one on a page left open for long still starts."""
    backup = plan.start(by=user, idempotency_key=f"page:{plan.pk}:{seen[:64]}")
    if backup.task is not None and backup.task.ended:
        return plan.start(by=user, idempotency_key=f"page:{plan.pk}:{uuid.uuid4()}")
    return backup


def _asked_for(request: HttpRequest) -> dict[str, object]:
    """The database that a link to the empty form names."""
    wanted = request.GET.get("database", "")
    if not wanted.isdecimal():
        return {}
    database = policy.visible(asker(request), Database.objects.filter(pk=wanted)).first()
    return {"database": database, "name": f"{database.name}"[:63]} if database else {}


def _get(request: HttpRequest, verb: Verb, pk: int) -> Plan:
    rows = Plan.objects.select_related("database", "destination")
    return policy.get_or_404(asker(request), verb, rows, pk=pk)
