"""Destinations in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from backups import connections
from backups.admin.forms import DestinationForm
from backups.admin.owned import TeamAdmin, button
from backups.models import Destination


@admin.register(Destination)
class DestinationAdmin(TeamAdmin[Destination]):
    form = DestinationForm
    list_display = ["name", "kind", "team", "created_at"]
    list_filter = ["kind", ("team", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["team"]
    search_fields = ["name"]
    fields = ["team", "name", "kind", "options", "secret"]
    actions_detail = ["check_connection"]

    @button("Check connection", icon="network_check")
    def check_connection(self, request: HttpRequest, object_id: str) -> HttpResponse:
        destination = self.row_or_404(request, object_id)
        if request.method == "POST":
            self.tell(
                request,
                lambda: connections.check_destination(destination),
                "An object was written to {0}, read back and removed.",
            )
            return self.go_to(destination)
        return self.ask(
            request,
            destination,
            question="Write a small object there, read it back and remove it?",
            submit="Check",
        )
