"""Plans in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Max, QuerySet
from django.http import HttpRequest, HttpResponse

from backups.admin.forms import PlanForm
from backups.admin.owned import TeamAdmin, button
from backups.models import Plan
from tasks.states import ENDED


@admin.register(Plan)
class PlanAdmin(TeamAdmin[Plan]):
    form = PlanForm
    list_display = ["name", "database", "destination", "compression", "enabled", "last_backup"]
    list_filter = [
        "enabled",
        "compression",
        ("database", admin.RelatedOnlyFieldListFilter),
        ("destination", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["database", "destination"]
    search_fields = ["name", "database__name"]
    fields = [
        "team",
        "name",
        "database",
        "destination",
        "format",
        "compression",
        "compression_level",
        "enabled",
        "max_attempts",
        "deadline_seconds",
        "stall_seconds",
        "lock_wait_seconds",
    ]
    actions = ["back_up"]
    actions_detail = ["back_up_now"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        rows = super().get_queryset(request)
        return rows.annotate(backed_up_at=Max("backups__completed_at"))

    @admin.display(description="Last backup", ordering="backed_up_at", empty_value="never")
    def last_backup(self, plan: Any) -> Any:
        return plan.backed_up_at

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not while a backup of it is under way, which would lose its plan."""
        return super().has_delete_permission(request, obj) and not (obj and _under_way(obj))

    @admin.action(description="Back up now", permissions=["run"])
    def back_up(self, request: HttpRequest, queryset: QuerySet[Plan]) -> None:
        for plan in queryset.select_related("database", "destination"):
            self.start(request, plan)

    @button("Back up now", icon="backup")
    def back_up_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        plan = self.row_or_404(request, object_id)
        if request.method == "POST":
            return self.go_to(self.start(request, plan) or plan)
        return self.ask(
            request,
            plan,
            question=f"Back up {plan.database.name} to {plan.destination.name} now?",
            submit="Back up now",
        )


def _under_way(plan: Plan) -> bool:
    backups = plan.backups.filter(task__isnull=False)
    return backups.exclude(task__status__in=ENDED).exists()
