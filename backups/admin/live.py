"""How far a task is, in the admin's lists and pages; kept true by `backdrop/live.js`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backups.admin.owned import Row, TeamAdmin, asker, button
from tasks import transitions
from tasks.models import Task
from tasks.states import Status

if TYPE_CHECKING:
    from django.urls import URLPattern


class ReceiptAdmin(TeamAdmin[Row]):
    """Pages of rows that a task writes: nobody adds, changes or deletes them by hand."""

    actions_detail: Any = ["cancel"]

    class Media:
        js = [Script("backdrop/live.js", defer=True)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @button("Cancel", icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row: Any = self.row_or_404(request, object_id)
        if request.method == "POST":
            if row.task and transitions.cancel(row.task, by=asker(request)):
                self.message_user(request, "It is asked to stop.", messages.SUCCESS)
            else:
                self.message_user(request, "It has ended already.", messages.ERROR)
            return self.go_to(row)
        return self.ask(request, row, question="Stop it?", submit="Stop it")

    @admin.display(description="Progress", ordering="task__status")
    def progress(self, row: Any) -> SafeString | str:
        if row.task is None:
            return str((Status.SUCCEEDED if row.completed_at else Status.FAILED).label)
        inside = figures(row.task)
        if row.task.ended:
            return inside
        return format_html(
            '<span data-live="task:{}" data-live-seq="{}" data-live-src="{}" data-status="{}">'
            "{}</span>",
            row.task.pk,
            row.task.seq,
            reverse(f"{self.admin_site.name}:{self._live_name()}", args=[row.pk]),
            row.task.status,
            inside,
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.live)
        return [path("<uuid:pk>/_live/", view, name=self._live_name()), *super().get_urls()]

    def live(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The inside of the progress, for when the socket is silent."""
        row: Any = self.row_or_404(request, str(pk))
        return HttpResponse(figures(row.task) if row.task else "")

    def _live_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_live"


def figures(task: Task) -> SafeString:
    """Status, bar, amount, rate and what is going on, as `live.js` fills them in."""
    percent = task.percent
    rate = filesizeformat(task.progress_rate) if task.progress_rate else ""
    running = task.status == Status.RUNNING
    return format_html(
        '<b data-field="status" data-status="{}">{}</b> '
        '<progress data-field="percent" max="100"{}{}></progress> '
        '<span data-field="done">{}</span> <span data-field="rate"{}>{}</span> '
        '<span data-field="message">{}</span> <span data-field="error">{}</span>',
        task.status,
        task.get_status_display(),
        format_html(' value="{}"', percent) if percent is not None else "",
        "" if running else SafeString(" hidden"),
        _amount(task),
        "" if running and rate else SafeString(" hidden"),
        f"{rate}/s" if rate else "",
        task.message,
        task.error,
    )


def _amount(task: Task) -> str:
    if task.progress_unit == "bytes":
        return filesizeformat(task.progress_done)
    return f"{task.progress_done} {task.progress_unit}"
