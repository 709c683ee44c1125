"""Tasks and workers in the admin: to be looked at, live; moved by the same verbs as everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
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
from accounts.models import Team
from accounts.policy import Verb
from tasks import bulk, canaries, history, pauses, places, transitions
from tasks.admin.base import ReadOnly, asker
from tasks.bulk import Action
from tasks.models import Attempt, Pause, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from django.contrib.admin import ModelAdmin, TabularInline
    from django.urls import URLPattern

    TaskPages = ModelAdmin[Task]
    PausePages = ModelAdmin[Pause]
    AttemptTable = TabularInline[Attempt, Task]
else:  # unfold has no types
    from unfold.admin import ModelAdmin, TabularInline

    TaskPages = PausePages = ModelAdmin
    AttemptTable = TabularInline


EVENTS_SHOWN = 200
MOVED_AT_ONCE = 100
BULK_ROWS = 2000  # whose ids one task of bulk work bears


class Quarantined(admin.SimpleListFilter):
    title = "quarantine"
    parameter_name = "quarantined"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("true", "In quarantine"), ("false", "Not in quarantine")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        if self.value() is None:
            return queryset
        return queryset.filter(quarantined_at__isnull=self.value() != "true")


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
        Quarantined,
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
        "expires_at",
        "concurrency_key",
        "concurrency_limit",
        "when_busy",
        "attempt",
        "tries",
        "max_attempts",
        "backoff",
        "crashes",
        "quarantined_at",
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
        css: ClassVar[Any] = {"all": ["backdrop/events.css"]}

    # Who sees what ---------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        """Canaries only where they are asked for by name."""
        rows = policy.visible(request.user, super().get_queryset(request))
        match = request.resolver_match
        listed = match is not None and match.url_name == "tasks_task_changelist"
        named = any(name in ("job", "job__exact") for name in request.GET)
        return canaries.hidden(rows) if listed and not named else rows

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
            f"{self._address('live', task)}?least={getattr(task, 'least', '')}",
            task.status,
            self._inside(task),
        )

    def _inside(self, task: Task) -> SafeString:
        places.tell([task])
        least = getattr(task, "least", "")
        newest = history.lines(task, least).order_by("-seq")[:EVENTS_SHOWN]
        context = {
            "task": task,
            "events": reversed(newest),
            "least": least,
            "levels": history.LEVELS,
            "events_url": f"{self._listing('event')}?task={task.pk}",
            "may_run": getattr(task, "may_run", False),
            "cancel_url": self._address("cancel", task),
            "retry_url": self._address("retry", task),
        }
        return render_to_string("admin/tasks/_task.html", context)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Task | None:
        """The task, and with it whether who asks may move it, and from which level on they want
        lines: columns aren't told who asks."""
        task = super().get_object(request, object_id, from_field)
        if task is not None:
            asked = request.GET.get("least", "")
            vars(task)["may_run"] = policy.may(request.user, Verb.RUN, task)
            vars(task)["least"] = asked if asked in history.LEVELS else "debug"
        return task

    # Moving them -----------------------------------------------------------------------------

    @admin.action(description="Cancel", permissions=["run"])
    def cancel_chosen(self, request: HttpRequest, tasks: QuerySet[Task]) -> None:
        self._move_all(request, tasks, Action.CANCEL, "asked to stop or cancelled")

    @admin.action(description="Try again", permissions=["run"])
    def retry_chosen(self, request: HttpRequest, tasks: QuerySet[Task]) -> None:
        self._move_all(request, tasks, Action.RETRY, "put back into the queue")

    def _move_all(
        self, request: HttpRequest, tasks: QuerySet[Task], action: Action, done: str
    ) -> None:
        chosen = list(tasks.order_by().values_list("pk", "team_id"))
        allowed = policy.visible(request.user, tasks, Verb.RUN)
        if len(chosen) > MOVED_AT_ONCE:
            self._ask_for_bulk(request, allowed, action)
            return
        moved = sum(bulk.MOVES[action](task, by=asker(request)) for task in allowed)
        level = messages.SUCCESS if moved == len(chosen) else messages.WARNING
        self.message_user(request, f"{moved} of {len(chosen)} {done}.", level)

    def _ask_for_bulk(self, request: HttpRequest, tasks: QuerySet[Task], action: Action) -> None:
        """Too many to be waited for: a task does it, for each team its own."""
        by_team: dict[int, list[str]] = {}
        for pk, team_id in tasks.order_by().values_list("pk", "team_id"):
            by_team.setdefault(team_id, []).append(str(pk))
        for team in Team.objects.filter(pk__in=by_team):
            pks = by_team[team.pk]
            for start in range(0, len(pks), BULK_ROWS):
                named = {"id": pks[start : start + BULK_ROWS]}
                task = bulk.ask(action, named, team=team, by=asker(request))
                told = "{} of {}: <a href='{}'>a task</a> does it and counts them."
                many = f"{len(named['id'])} tasks"
                link = format_html(told, many, team, self._address("change", task))
                self.message_user(request, link, messages.SUCCESS)

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
        task = policy.get_or_404(asker(request), Verb.RUN, Task.objects.all(), pk=pk)
        if verb(task, by=asker(request)):
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

    def _listing(self, model: str) -> str:
        return reverse(f"{self.admin_site.name}:tasks_{model}_changelist")


@admin.register(Pause)
class PauseAdmin(PausePages):
    """Adding one holds back, deleting it resumes; staff may, everybody sees."""

    list_display = ["name", "kind", "reason", "by", "since"]
    list_filter = ["kind"]
    list_select_related = ["by"]
    fields: ClassVar[Any] = ["kind", "name", "reason"]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return policy.teams_where(request.user, Verb.SEE).exists()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return policy.may_operate(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return policy.may_operate(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        made = pauses.pause(obj.kind, obj.name, by=asker(request), reason=obj.reason)
        obj.pk = made.pk

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        pauses.resume(obj.kind, obj.name, by=asker(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        for held in queryset:
            pauses.resume(held.kind, held.name, by=asker(request))

    # The verbs write the history, once for every door.

    def log_addition(self, request: HttpRequest, obj: Pause, message: Any) -> Any:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return None
