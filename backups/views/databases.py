"""Pages of databases: all of them, one with its history, its form, a try-out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import policy
from accounts.policy import Verb
from backups import health
from backups.models import Backup, Database, Proof
from backups.views.checking import Checked, check_database
from backups.views.database_form import DatabaseForm
from backups.views.pages import asker, go_on, may_add, page, paged, tried

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

TREND = 30


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    known = health.protections(policy.visible(asker(request), Database.objects.all()))
    return page(request, "backups/databases.html", protections=known)


@login_required
@require_GET
def show(request: HttpRequest, pk: int) -> HttpResponse:
    database = _get(request, Verb.SEE, pk)
    [protection] = health.protections(Database.objects.filter(pk=pk))
    complete = database.backups.filter(completed_at__isnull=False)
    return page(
        request,
        "backups/database.html",
        database=database,
        protection=protection,
        backups=paged(request, history(database.backups.all())),
        trend=_trend(complete),
        proofs=Proof.objects.filter(backup__database=database).select_related("backup", "task")[:8],
    )


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The form of a new or known database. `do=test` tries out what was typed and saves nothing."""
    if pk is None:
        may_add(request)
    database = Database() if pk is None else _get(request, Verb.CHANGE, pk)
    form = DatabaseForm(request.POST or None, instance=database, asker=asker(request))
    testing = request.POST.get("do") == "test"
    if form.is_valid() and not testing:
        saved = form.save()
        messages.success(request, f"{saved.name} is saved.")
        return redirect("database", saved.pk)
    checked = check_database(form.instance) if testing and form.is_valid() else None
    template = "backups/database_form.html"
    return tried(request, template, checked, form=form, database=database, testing=testing)


@login_required
@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    database = _get(request, Verb.RUN, pk)
    tell(request, check_database(database))
    return go_on(request, reverse("database", args=[pk]))


def tell(request: HttpRequest, checked: Checked) -> None:
    """Put what a try-out found at the top of the next page."""
    say = messages.success if checked.ok else messages.error
    say(request, f"{checked.sentence} {checked.remedy}".strip())


def history(backups: QuerySet[Backup]) -> QuerySet[Backup]:
    """Backups newest first, with what a row of them shows."""
    proofs = Prefetch("proofs", Proof.objects.exclude(verdict=""), to_attr="verdicts")
    return (
        backups.select_related("database", "destination", "plan", "task")
        .prefetch_related(proofs)
        .order_by("-created_at")
    )


def _trend(complete: QuerySet[Backup]) -> dict[str, list[Any]] | None:
    """Sizes and durations of the newest complete backups, oldest first; None for fewer than two."""
    rows = list(
        complete.order_by("-completed_at").values_list("stored_bytes", "duration_seconds")[:TREND]
    )[::-1]
    if len(rows) < 2:
        return None
    sizes, durations = zip(*rows, strict=True)
    return {"sizes": [n or 0 for n in sizes], "durations": [n or 0 for n in durations]}


def _get(request: HttpRequest, verb: Verb, pk: int) -> Database:
    return policy.get_or_404(asker(request), verb, Database.objects.all(), pk=pk)
