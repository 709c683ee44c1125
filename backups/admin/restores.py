"""Restores in the admin; they are asked for on a backup's page."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin

from backups.admin.live import ReceiptAdmin
from backups.models import Restore


@admin.register(Restore)
class RestoreAdmin(ReceiptAdmin[Restore]):
    list_display = ["created_at", "backup", "target", "dbname", "brief"]
    list_filter = ["task__status", ("target", admin.RelatedOnlyFieldListFilter), "created_at"]
    list_select_related = ["backup", "target", "task"]
    search_fields = ["dbname", "backup__key"]
    fields: ClassVar[Any] = [
        "progress",
        "team",
        "backup",
        "target",
        "dbname",
        "replace",
        "created_at",
        "completed_at",
        "duration_seconds",
        "raw_bytes",
    ]
    readonly_fields = fields
