"""Tasks and workers in the admin: to be looked at, live; moved by the same verbs as everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import Script
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from tasks import transitions
from tasks.checks import is_alive
from tasks.models import Attempt, Task, Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from django.contrib.admin import ModelAdmin, TabularInline
    from django.urls import URLPattern

    TaskPages = ModelAdmin[Task]
    WorkerPages = ModelAdmin[Worker]
    AttemptTable = TabularInline[Attempt, Task]
else:  # unfold has no types
    from unfold.admin import ModelAdmin, TabularInline

    TaskPages = WorkerPages = ModelAdmin
    AttemptTable = TabularInline

EVENTS_SHOWN = 200


class ReadOnly:
    """Mixin, left of an admin class: nobody adds, changes or deletes by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttemptInline(ReadOnly, AttemptTable):
    model = Attempt
    extra = 0
    fields: ClassVar[Any] = ["number", "worker", "outcome", "error", "started_at", "finished_at"]
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True  # who sees the task sees them


@admin.register(Task)
class TaskAdmin(ReadOnly, TaskPages):
    list_display = ["name", "job", "brief", "team", "queue", "owner", "attempt", "created_at"]
    list_filter = [
        "status",
        "job",
        "queue",
        ("team", admin.RelatedOnlyFieldListFilter),
        "created_at",
    ]
    list_select_related = ["team", "owner"]
    search_fields = ["title", "job", "id"]
    ordering = ["-created_at"]
    actions = ["cancel_chosen", "retry_chosen"]
    inlines = [AttemptInline]
    fields: ClassVar[Any] = [
        "progress",
        "title",
        "job",
        "team",
        "owner",
        "queue",
        "priority",
        "run_at",
        "attempt",
        "tries",
        "max_attempts",
        "worker",
        "args",
        "result",
        "created_at",
        "started_at",
        "finished_at",
        "cancel_requested_at",
    ]
    readonly_fields = fields

    class Media:
        js = [Script("backdrop/live.js", defer=True)]

    # Who sees what ---------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        return policy.visible(request.user, super().get_queryset(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return policy.teams_where(request.user, Verb.SEE).exists()
        return policy.may(request.user, Verb.SEE, obj)

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether the actions are offered; each row is asked about again."""
        return policy.teams_where(request.user, Verb.RUN).exists()

    # How they stand --------------------------------------------------------------------------

    @admin.display(description="Task", ordering="title")
    def name(self, task: Task) -> str:
        return str(task)

    @admin.display(description="Progress", ordering="status")
    def brief(self, task: Task) -> SafeString:
        """One line of a list."""
        percent = "" if task.percent is None else f"{task.percent:.0f}%"
        figures = format_html(
            '<b data-field="status" data-status="{}">{}</b> <span data-field="percent">{}</span>',
            task.status,
            task.get_status_display(),
            percent,
        )
        if task.ended:
            return figures
        return format_html('<span data-live="task:{}">{}</span>', task.pk, figures)

    @admin.display(description="Progress")
    def progress(self, task: Task) -> SafeString:
        """How it stands, what can be done, and its history."""
        return format_html(
            '<div data-live="task:{}" data-live-seq="{}" data-live-src="{}" data-status="{}">'
            "{}</div>",
            task.pk,
            task.seq,
            self._address("live", task),
            task.status,
            self._inside(task),
        )

    def _inside(self, task: Task) -> SafeString:
        context = {
            "task": task,
            "events": reversed(task.events.order_by("-seq")[:EVENTS_SHOWN]),
            "may_run": getattr(task, "may_run", False),
            "cancel_url": self._address("cancel", task),
            "retry_url": self._address("retry", task),
        }
        return render_to_string("admin/tasks/_task.html", context)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Task | None:
        """The task, and with it whether who asks may move it: columns aren't told who asks."""
        task = super().get_object(request, object_id, from_field)
        if task is not None:
            vars(task)["may_run"] = policy.may(request.user, Verb.RUN, task)
        return task

    # Moving them -----------------------------------------------------------------------------

    @admin.action(description="Cancel", permissions=["run"])
    def cancel_chosen(self, request: HttpRequest, tasks: QuerySet[Task]) -> None:
        self._move_all(request, tasks, transitions.cancel, "asked to stop or cancelled")

    @admin.action(description="Try again", permissions=["run"])
    def retry_chosen(self, request: HttpRequest, tasks: QuerySet[Task]) -> None:
        self._move_all(request, tasks, transitions.retry, "put back into the queue")

    def _move_all(
        self, request: HttpRequest, tasks: QuerySet[Task], verb: Callable[..., bool], done: str
    ) -> None:
        chosen = list(tasks)
        allowed = policy.visible(request.user, tasks, Verb.RUN)
        moved = sum(verb(task, by=_asker(request)) for task in allowed)
        level = messages.SUCCESS if moved == len(chosen) else messages.WARNING
        self.message_user(request, f"{moved} of {len(chosen)} {done}.", level)

    def get_urls(self) -> list[URLPattern]:
        """The fragment that live.js fetches, and what its buttons post to."""
        views = {"live": self.live, "cancel": self.cancel, "retry": self.retry}
        own = [
            path(f"<uuid:pk>/_{name}/", self.admin_site.admin_view(view), name=f"tasks_task_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def live(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return HttpResponse(self._inside(self._task(request, pk)))

    def cancel(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._move(request, pk, transitions.cancel, "It is asked to stop.")

    def retry(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._move(request, pk, transitions.retry, "It is back in the queue.")

    def _move(
        self, request: HttpRequest, pk: UUID, verb: Callable[..., bool], done: str
    ) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        task = policy.get_or_404(_asker(request), Verb.RUN, Task.objects.all(), pk=pk)
        if verb(task, by=_asker(request)):
            self.message_user(request, done, messages.SUCCESS)
        else:
            self.message_user(request, "It is too late for that.", messages.ERROR)
        return HttpResponseRedirect(self._address("change", task))

    def _task(self, request: HttpRequest, pk: UUID) -> Task:
        task = self.get_object(request, str(pk))
        if task is None:
            raise Http404("There is no such task.")
        return task

    def _address(self, name: str, task: Task) -> str:
        return reverse(f"{self.admin_site.name}:tasks_task_{name}", args=[task.pk])


@admin.register(Worker)
class WorkerAdmin(ReadOnly, WorkerPages):
    """They belong to no team: whoever sees anything sees what works on it."""

    list_display = ["name", "kind", "queues", "capacity", "started_at", "heartbeat_at", "alive"]
    list_filter = ["kind", "host"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return policy.teams_where(request.user, Verb.SEE).exists()

    @admin.display(boolean=True)
    def alive(self, worker: Worker) -> bool:
        return is_alive(worker)


def _asker(request: HttpRequest) -> User:
    """Who is asking; the admin site has seen to it that it is somebody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
