"""Notification channels in the admin, with what was sent."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from backups.admin.forms import ChannelForm
from backups.admin.owned import TeamAdmin, asker, button
from backups.models import Channel
from backups.notifications import notices


@admin.register(Channel)
class ChannelAdmin(TeamAdmin[Channel]):
    form = ChannelForm
    list_display = ["name", "kind", "place", "told_of", "enabled"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name"]
    fields = ["team", "name", "kind", "address", "events", "enabled", "deliveries"]
    readonly_fields = ["deliveries"]
    actions_detail = ["send_test"]

    @admin.display(description="Told of")
    def told_of(self, channel: Channel) -> str:
        return ", ".join(channel.events)

    @admin.display(description="Last ten")
    def deliveries(self, channel: Channel) -> str:
        rows: Any = channel.deliveries.all()[:10] if channel.pk else []
        told = [
            f"{row.created_at:%Y-%m-%d %H:%M} {row.title}: {row.get_state_display()} {row.error}"
            for row in rows
        ]
        return "\n".join(told) or "—"

    @button("Send a test", icon="send")
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        channel = self.row_or_404(request, object_id)
        if request.method == "POST":
            self.tell(
                request,
                lambda: notices.test(channel, by=asker(request)),
                "A test is on its way; below is what came of it.",
            )
            return self.go_to(channel)
        return self.ask(
            request,
            channel,
            question=f"Send a message that means nothing to {channel.name}?",
            submit="Send",
        )
