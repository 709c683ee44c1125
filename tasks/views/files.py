"""Pages of files: one is sent for a job here, gone on with when it was interrupted, found again.

The bytes themselves go to the upload door, whose address is a secret: only the page on which its
owner sends the file holds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from tasks.models import Task, Upload
from tasks.states import Status
from tasks.uploads import capability, creating, limits, room, sessions
from tasks.uploads.refusals import UploadError
from tasks.views.forms import OrderForm

if TYPE_CHECKING:
    from django.db.models import QuerySet

SCRIPT = "X-Backdrop-Upload"
"""The header by which the page's script says that it wants to be answered, not led on."""
SHOWN = 25
WAITING = (Status.AWAITING_UPLOAD, Status.UPLOADING)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """What was sent, and the form by which another file is."""
    if request.method == "POST":
        return _order(request, OrderForm(request.POST))
    return _index(request, OrderForm())


@login_required
@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """The inside of the list, for live refresh."""
    return render(request, "tasks/_files.html", _listed(request))


@login_required
@require_GET
@never_cache
def send(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where a file is sent that was asked for before; whose file is here leads to its task."""
    task = policy.get_or_404(_asker(request), Verb.RUN, _sent(_asker(request)), pk=pk)
    if task.status not in WAITING:
        return redirect("task", pk)
    upload = task.upload
    context = {"task": task, "upload": upload, "address": capability.path_of(upload.pk)}
    return render(request, "tasks/send.html", context)


def _order(request: HttpRequest, form: OrderForm) -> HttpResponse:
    user, by_script = _asker(request), SCRIPT in request.headers
    if not policy.teams_where(user, Verb.RUN).exists():
        raise PermissionDenied(policy.refusal(Verb.RUN))
    if form.is_valid():
        try:
            upload = _asked(user, form)
        except UploadError as error:
            form.add_error(None, error.sentence)
        else:
            task = cast(Task, upload.task)
            if not by_script:
                return redirect("file_send", task.pk)
            told = {"address": capability.path_of(upload.pk), "task": str(task.pk)}
            return JsonResponse({**told, "next": reverse("task", args=[task.pk])}, status=201)
    if by_script:
        return JsonResponse({"problems": form.problems()}, status=400)
    return _index(request, form, status=400)


def _asked(user: User, form: OrderForm) -> Upload:
    return sessions.ask(
        job=form.cleaned_data["job"],
        team=creating.team_of(user),
        owner=user,
        filename=form.cleaned_data["filename"],
        size=form.cleaned_data["size"],
        options=form.options.chosen,
    )


def _index(request: HttpRequest, form: OrderForm, *, status: int = 200) -> HttpResponse:
    may_send = policy.teams_where(_asker(request), Verb.RUN).exists()
    context = _limits(_asker(request), form) if may_send else {}
    return render(request, "tasks/files.html", {**context, **_listed(request)}, status=status)


def _limits(user: User, form: OrderForm) -> dict[str, Any]:
    """The form, and beside it what may be sent to each of its jobs and what is here already."""
    jobs = [group.job for group in form.groups]
    allowances = limits.by_job(user, creating.team_of(user), jobs)
    own = next(iter(allowances.values()), None)
    takes = [(job, allowances[job.name]) for job in jobs]
    return {"form": form, "takes": takes, "own": own, "used": room.used_by(user)}


def _listed(request: HttpRequest) -> dict[str, Any]:
    mine = _sent(_asker(request)).order_by("-created_at")
    return {"files": Paginator(mine, SHOWN).get_page(request.GET.get("page"))}


def _sent(user: User) -> QuerySet[Task]:
    """The tasks on files that the asker has sent, or was about to."""
    mine = Task.objects.filter(owner=user, upload__isnull=False)
    return policy.visible(user, mine).select_related("upload")


def _asker(request: HttpRequest) -> User:
    """Who asks; every page has been through `login_required`."""
    return cast(User, request.user)
