"""The first page: what matters at a glance."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts import policy
from accounts.models import User
from backups import health
from backups.models import Database, Destination, Plan
from backups.views.pages import asker, page
from backups.views.tasks import ended, under_way
from tasks.models import Worker

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

RECENT = 8
SILENT = timedelta(seconds=15)


@login_required
@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    return page(request, "backups/dashboard.html", **_overview(asker(request)))


@login_required
@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """The inside of the dashboard, for live refresh."""
    return page(request, "backups/_overview.html", **_overview(asker(request)))


def _overview(user: User) -> dict[str, Any]:
    protections = health.protections(policy.visible(user, Database.objects.all()))
    running = list(under_way(user))
    return {
        "protections": protections,
        "headline": health.headline(protections),
        "running": running,
        "recent": ended(user)[:RECENT],
        "has_destination": policy.visible(user, Destination.objects.all()).exists(),
        "has_plan": policy.visible(user, Plan.objects.all()).exists(),
        "nobody_works": not _somebody_works(),
    }


def _somebody_works() -> bool:
    return Worker.objects.filter(
        kind=Worker.Kind.WORKER, heartbeat_at__gt=timezone.now() - SILENT
    ).exists()
