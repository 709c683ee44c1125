"""Databases in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse

from backups import connections
from backups.admin.forms import DatabaseForm
from backups.admin.owned import TeamAdmin, button
from backups.models import Database, Plan, Proof


@admin.register(Database)
class DatabaseAdmin(TeamAdmin[Database]):
    form = DatabaseForm
    list_display = ["name", "engine", "host", "dbname", "team", "last_backup", "last_proven"]
    list_filter = ["engine", ("team", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["name", "host", "dbname"]
    fields = [
        "team",
        "name",
        "engine",
        "host",
        "port",
        "dbname",
        "username",
        "password",
        "sslmode",
        "queue",
    ]
    actions = ["back_up"]
    actions_detail = ["back_up_now", "check_connection"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Database]:
        proven = Q(backups__proofs__verdict=Proof.Verdict.PROVEN)
        return (
            super()
            .get_queryset(request)
            .select_related("team")
            .annotate(
                backed_up_at=Max("backups__completed_at"),
                proven_at=Max("backups__proofs__completed_at", filter=proven),
            )
        )

    @admin.display(description="Last backup", ordering="backed_up_at", empty_value="never")
    def last_backup(self, database: Any) -> Any:
        return database.backed_up_at

    @admin.display(description="Last proven", ordering="proven_at", empty_value="never")
    def last_proven(self, database: Any) -> Any:
        return database.proven_at

    @admin.action(description="Back up now", permissions=["run"])
    def back_up(self, request: HttpRequest, queryset: QuerySet[Database]) -> None:
        for database in queryset:
            self._start(request, database)

    @button("Back up now", icon="backup")
    def back_up_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        database = self.row_or_404(request, object_id)
        if request.method == "POST":
            backups = self._start(request, database)
            return self.go_to(backups[0] if len(backups) == 1 else database)
        names = ", ".join(plan.name for plan in _ready(database)) or "none is switched on"
        return self.ask(
            request,
            database,
            question=f"Back up {database.name} now? Plans: {names}.",
            submit="Back up now",
        )

    @button("Check connection", icon="network_check")
    def check_connection(self, request: HttpRequest, object_id: str) -> HttpResponse:
        database = self.row_or_404(request, object_id)
        if request.method == "POST":
            self.tell(
                request,
                lambda: connections.check_database(database),
                "It answers: {0.engine} {0.server_version}.",
            )
            return self.go_to(database)
        where = f"{database.host}:{database.port}"
        return self.ask(
            request, database, question=f"Connect to {where} and ask who is there?", submit="Check"
        )

    def _start(self, request: HttpRequest, database: Database) -> list[Any]:
        """Runs every plan of it that is switched on; those backups that came of it."""
        plans = _ready(database)
        if not plans:
            self.message_user(
                request, f"{database.name} has no plan that is switched on.", messages.ERROR
            )
        return [backup for plan in plans if (backup := self.start(request, plan)) is not None]


def _ready(database: Database) -> list[Plan]:
    return list(database.plans.filter(enabled=True).select_related("database", "destination"))
