"""Schedules in the admin, with their moments."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from backups.admin.forms import ScheduleForm
from backups.admin.owned import TeamAdmin, button
from backups.models import Schedule


@admin.register(Schedule)
class ScheduleAdmin(TeamAdmin[Schedule]):
    form = ScheduleForm
    list_display = ["name", "plan", "action", "description", "next_moment", "paused_at", "error"]
    list_filter = ["action", ("plan", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["plan"]
    search_fields = ["name", "plan__name"]
    fields = [
        "team",
        "name",
        "plan",
        "action",
        "cron",
        "every_seconds",
        "time_zone",
        "missed",
        "overlap",
        "description",
        "next_five",
        "last_moments",
        "paused_at",
        "error",
    ]
    readonly_fields = [
        "description",
        "next_five",
        "last_moments",
        "paused_at",
        "error",
    ]
    actions_detail = ["pause_it", "resume_it"]

    @admin.display(description="Next", empty_value="—")
    def next_moment(self, schedule: Schedule) -> Any:
        return next(iter(schedule.next_moments), None)

    @admin.display(description="Next five (UTC)")
    def next_five(self, schedule: Schedule) -> str:
        return _told(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in schedule.next_moments)

    @admin.display(description="Last five (UTC)")
    def last_moments(self, schedule: Schedule) -> str:
        rows = schedule.firings.all()[:5] if schedule.pk else []
        return _told(
            f"{row.moment:%Y-%m-%d %H:%M:%S}: {row.get_state_display()}. {row.note}".strip()
            for row in rows
        )

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        if change and form.changed_data:
            obj.look_anew()
        super().save_model(request, obj, form, change)

    @button("Pause", icon="pause")
    def pause_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        schedule = self.row_or_404(request, object_id)
        if request.method == "POST":
            self.tell(request, schedule.pause, "It is paused.")
            return self.go_to(schedule)
        return self.ask(
            request,
            schedule,
            question="Start nothing by this schedule until it is resumed?",
            submit="Pause",
        )

    @button("Resume", icon="play_arrow")
    def resume_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        schedule = self.row_or_404(request, object_id)
        if request.method == "POST":
            self.tell(request, schedule.resume, "It goes on.")
            return self.go_to(schedule)
        return self.ask(
            request,
            schedule,
            question="Go on by this schedule? What was due during the pause is not made up for.",
            submit="Resume",
        )


def _told(lines: Any) -> str:
    return "\n".join(lines) or "—"
