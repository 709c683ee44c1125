"""Pages of destinations: all of them, one with what it keeps, its form, a try-out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Max, Q, Sum
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import policy
from accounts.policy import Verb
from backups.models import Destination
from backups.views.checking import check_destination
from backups.views.databases import history, tell
from backups.views.destination_form import DestinationForm
from backups.views.pages import asker, go_on, may_add, page, paged, tried

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

_WHOLE = Q(backups__completed_at__isnull=False)


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    rows = _counted(policy.visible(asker(request), Destination.objects.all()))
    return page(request, "backups/destinations.html", destinations=rows)


@login_required
@require_GET
def show(request: HttpRequest, pk: int) -> HttpResponse:
    destination = _get(request, Verb.SEE, pk)
    return page(
        request,
        "backups/destination.html",
        destination=_counted(Destination.objects.filter(pk=pk)).get(),
        plans=destination.plans.select_related("database"),
        backups=paged(request, history(destination.backups.all())),
    )


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The form of a new or known destination. `do=test` tries out what was typed, saves nothing."""
    if pk is None:
        may_add(request)
    destination = Destination() if pk is None else _get(request, Verb.CHANGE, pk)
    form = DestinationForm(request.POST or None, instance=destination, asker=asker(request))
    testing = request.POST.get("do") == "test"
    if form.is_valid() and not testing:
        saved = form.save()
        messages.success(request, f"{saved.name} is saved.")
        return redirect("destination", saved.pk)
    checked = check_destination(form.instance) if testing and form.is_valid() else None
    template = "backups/destination_form.html"
    return tried(request, template, checked, form=form, destination=destination, testing=testing)


@login_required
@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    destination = _get(request, Verb.RUN, pk)
    tell(request, check_destination(destination))
    return go_on(request, reverse("destination", args=[pk]))


def _counted(rows: QuerySet[Destination]) -> QuerySet[Destination]:
    return rows.annotate(
        kept=Count("backups", filter=_WHOLE),
        kept_bytes=Sum("backups__stored_bytes", filter=_WHOLE),
        newest=Max("backups__completed_at"),
    )


def _get(request: HttpRequest, verb: Verb, pk: int) -> Destination:
    return policy.get_or_404(asker(request), verb, Destination.objects.all(), pk=pk)
