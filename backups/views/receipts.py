"""Pages of backups: all of them, one receipt with its proofs, restoring it, proving it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import policy
from accounts.policy import Verb
from backups import recipes, storages
from backups.models import Backup, Database, Destination, RefusedError
from backups.pipeline import engines
from backups.pipeline.errors import StorageError
from backups.views.databases import history
from backups.views.forms import RestoreForm
from backups.views.pages import asker, carry_out, go_on, page, paged

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_OPENERS = {"gzip": "gunzip -c", "zstd": "zstd -dc", "none": "cat"}


@login_required
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    rows = policy.visible(asker(request), Backup.objects.all())
    return page(request, "backups/backups.html", backups=paged(request, history(rows), 50))


@login_required
@require_GET
def show(request: HttpRequest, pk: UUID) -> HttpResponse:
    backup = _get(request, Verb.SEE, pk)
    proofs = list(backup.proofs.select_related("task"))
    restores = list(backup.restores.select_related("task", "target"))
    tasks = [backup.task, *(proof.task for proof in proofs), *(back.task for back in restores)]
    return page(
        request,
        "backups/backup.html",
        backup=backup,
        proofs=proofs,
        restores=restores,
        running=[task for task in tasks if task is not None and not task.ended],
        place=_place(backup.destination) if backup.complete else "",
        commands=_by_hand(backup) if backup.complete else None,
    )


@login_required
@require_http_methods(["GET", "POST"])
def restore(request: HttpRequest, pk: UUID) -> HttpResponse:
    backup = _get(request, Verb.RUN, pk)
    targets = policy.visible(asker(request), Database.objects.all(), Verb.RUN).filter(
        team=backup.team_id, engine=backup.database.engine
    )
    initial = {"target": backup.database, "dbname": f"{backup.database.dbname}_restored"[:63]}
    form = RestoreForm(request.POST or None, targets=targets, initial=initial)
    if form.is_valid():
        wanted = form.cleaned_data
        try:
            made = backup.restore(
                by=asker(request),
                target=wanted["target"],
                dbname=wanted["dbname"],
                replace=wanted["replace"],
            )
        except RefusedError as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, f"Restoring into {made.dbname}.")
            return go_on(request, reverse("task", args=[made.task_id]))
    return page(request, "backups/restore.html", backup=backup, form=form)


@login_required
@require_POST
def prove(request: HttpRequest, pk: UUID) -> HttpResponse:
    backup = _get(request, Verb.RUN, pk)
    return carry_out(
        request,
        lambda: backup.prove(by=asker(request)),
        done=f"Proving the backup of {backup.database.name} by restoring it.",
        then=reverse("backup", args=[pk]),
    )


def _place(destination: Destination) -> str:
    try:
        return recipes.store_for(destination).describe()
    except StorageError as error:
        return str(error)


def _by_hand(backup: Backup) -> dict[str, str]:
    """Commands that restore it with public tools alone, whatever became of Backdrop."""
    destination, name = backup.destination, backup.key.rsplit("/", 1)[-1]
    kind, file = storages.kind_of(destination.kind), shlex.quote(name)
    opened = f"{_OPENERS.get(backup.compression, 'cat')} {file}"
    return {
        "fetch": kind.fetch(destination.options, backup.key, name),
        "verify": f'echo "{backup.stored_sha256}  {file}" | sha256sum --check',
        "load": engines.get(backup.database.engine).by_hand(opened),
    }


def _get(request: HttpRequest, verb: Verb, pk: UUID) -> Backup:
    rows = Backup.objects.select_related("database", "destination", "plan", "task", "team")
    return policy.get_or_404(asker(request), verb, rows, pk=pk)
