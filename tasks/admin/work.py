"""In the admin: who works, what each runs, how queues stand; and the lines of tasks' histories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts import policy
from accounts.policy import Verb
from tasks import canaries, crews, queues, shift
from tasks.admin.base import ReadOnly, asker
from tasks.checks import is_alive
from tasks.models import Event, Worker

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.urls import URLPattern

    WorkerPages = ModelAdmin[Worker]
    EventPages = ModelAdmin[Event]
else:  # unfold has no types
    from unfold.admin import ModelAdmin

    WorkerPages = EventPages = ModelAdmin


@admin.register(Worker)
class WorkerAdmin(ReadOnly, WorkerPages):
    """They belong to no team: whoever sees anything sees what works on it."""

    list_display = [
        "name",
        "kind",
        "queues",
        "load",
        "started_at",
        "heartbeat_at",
        "alive",
        "drain_asked_at",
    ]
    list_filter = ["kind", "host"]
    actions = ["drain_chosen"]
    list_before_template = "admin/tasks/worker_list.html"
    fields: ClassVar[Any] = [
        "name",
        "kind",
        "host",
        "pid",
        "queues",
        "load",
        "tasks",
        "started_at",
        "heartbeat_at",
        "alive",
        "drain_asked_at",
    ]
    readonly_fields = fields

    class Media:
        js = [Script("backdrop/live.js", defer=True)]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return policy.teams_where(request.user, Verb.SEE).exists()

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return policy.may_operate(request.user)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Worker | None:
        """The worker, and with it what it runs, as far as who asks may see that."""
        worker = super().get_object(request, object_id, from_field)
        if worker is not None:
            members = [one for machine in shift.machines(asker(request)) for one in machine.members]
            vars(worker)["member"] = next((m for m in members if m.worker.pk == worker.pk), None)
        return worker

    @admin.display(boolean=True)
    def alive(self, worker: Worker) -> bool:
        return is_alive(worker)

    @admin.display(description="Running")
    def load(self, worker: Worker) -> str:
        if worker.kind == Worker.Kind.DAEMON:
            return ""
        return f"{crews.running()[worker.name]} of {worker.capacity}"

    @admin.display(description="Tasks")
    def tasks(self, worker: Worker) -> SafeString | str:
        member = getattr(worker, "member", None)
        if member is None:
            return ""
        address = f"{self.admin_site.name}:tasks_task_change"
        rows = [(reverse(address, args=[task.pk]), task, task.attempt) for task in member.tasks]
        shown = format_html_join("", '<p><a href="{}">{}</a>, try {}</p>', rows)
        if not member.others:
            return shown
        return format_html("{}<p>and {} of other teams</p>", shown, member.others)

    @admin.action(description="Drain: finish what runs, then end", permissions=["operate"])
    def drain_chosen(self, request: HttpRequest, workers: QuerySet[Worker]) -> None:
        chosen = list(workers)
        drained = sum(crews.drain(worker, by=asker(request)) for worker in chosen)
        level = messages.SUCCESS if drained == len(chosen) else messages.WARNING
        told = f"{drained} of {len(chosen)} drain. What keeps them running starts them anew, empty."
        self.message_user(request, told, level)

    # How the queues stand, above the list -------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        own = path(
            "_queues/", self.admin_site.admin_view(self.queues_now), name="tasks_worker_queues"
        )
        return [own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        address = reverse(f"{self.admin_site.name}:tasks_worker_queues")
        told = {"queues": queues.all(), "queues_address": address}
        return super().changelist_view(request, {**(extra_context or {}), **told})

    def queues_now(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(render_to_string("admin/tasks/_queues.html", {"queues": queues.all()}))


@admin.register(Event)
class EventAdmin(ReadOnly, EventPages):
    """Reached from a task's page; no page of its own in the menu."""

    list_display = ["seq", "at", "level", "kind", "attempt", "message"]
    list_display_links = None
    list_filter = ["level", "kind"]
    search_fields = ["message"]
    ordering = ["task", "seq"]
    list_per_page = 200
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        rows = policy.visible(request.user, super().get_queryset(request))
        return rows if "task" in request.GET else canaries.hidden(rows, "task__job")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return policy.teams_where(request.user, Verb.SEE).exists()
        return policy.may(request.user, Verb.SEE, obj)
