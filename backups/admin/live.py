"""How far a task is, in the admin's lists and pages; kept true by `backdrop/live.js`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
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

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons that make sense for the row as it stands."""
        row = self.get_object(request, str(object_id))
        idle = self.idle(row) if row else set()
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        buttons = super().get_actions_detail(request, object_id)
        return [each for each in buttons if each.action_name.removeprefix(prefix) not in idle]

    def idle(self, row: Any) -> set[str]:
        """The names of the buttons that could only be refused now."""
        return {"cancel"} if row.task is None or row.task.ended else set()

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
    def brief(self, row: Any) -> SafeString | str:
        """Status, bar, amount and rate: one line of a list."""
        return self._progress(row, brief=True)

    @admin.display(description="Progress")
    def progress(self, row: Any) -> SafeString | str:
        """The same, what is going on and what went wrong."""
        return self._progress(row, brief=False)

    def _progress(self, row: Any, *, brief: bool) -> SafeString | str:
        if row.task is None:
            return str((Status.SUCCEEDED if row.completed_at else Status.FAILED).label)
        inside = figures(row.task, brief=brief)
        if row.task.ended:
            return format_html("<div>{}</div>", inside)
        address = reverse(f"{self.admin_site.name}:{self._live_name()}", args=[row.pk])
        return format_html(
            '<div data-live="task:{}" data-live-seq="{}" data-live-src="{}" data-status="{}">'
            "{}</div>",
            row.task.pk,
            row.task.seq,
            f"{address}?brief=1" if brief else address,
            row.task.status,
            inside,
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.live)
        return [path("<uuid:pk>/_live/", view, name=self._live_name()), *super().get_urls()]

    def live(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """The inside of the progress, for when the socket is silent."""
        row: Any = self.row_or_404(request, str(pk))
        brief = "brief" in request.GET
        return HttpResponse(figures(row.task, brief=brief) if row.task else "")

    def _live_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_live"


def figures(task: Task, *, brief: bool) -> SafeString:
    """The inside of the progress, with the names that `live.js` fills in."""
    percent, running = task.percent, task.status == Status.RUNNING
    rate = f"{filesizeformat(task.progress_rate)}/s" if running and task.progress_rate else ""
    bar = format_html(
        '<progress data-field="percent" max="100"{}{}></progress>',
        "" if percent is None else format_html(' value="{}"', percent),
        "" if running else SafeString(" hidden"),
    )
    parts = [
        format_html(
            '<b data-field="status" data-status="{}">{}</b>', task.status, task.get_status_display()
        ),
        bar,
        _field("done", _amount(task)),
        _field("rate", rate),
    ]
    if not brief:
        parts += [_field("message", task.message), _field("error", task.error)]
    return format_html_join(" ", "{}", ([part] for part in parts))


def _field(name: str, text: str) -> SafeString:
    hidden = SafeString("" if text else " hidden")
    return format_html('<span data-field="{}"{}>{}</span>', name, hidden, text)


def _amount(task: Task) -> str:
    if task.progress_unit == "bytes":
        return filesizeformat(task.progress_done)
    return f"{task.progress_done} {task.progress_unit}"
