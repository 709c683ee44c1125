"""Proofs in the admin; they are asked for on a backup's page."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin

from backups.admin.live import ReceiptAdmin
from backups.models import Proof


@admin.register(Proof)
class ProofAdmin(ReceiptAdmin[Proof]):
    list_display = ["created_at", "backup", "verdict", "reason", "brief"]
    list_filter = [
        "verdict",
        "task__status",
        ("backup__database", admin.RelatedOnlyFieldListFilter),
        "created_at",
    ]
    list_select_related = ["backup", "task"]
    search_fields = ["reason", "backup__key"]
    fields: ClassVar[Any] = [
        "progress",
        "team",
        "backup",
        "verdict",
        "reason",
        "tables",
        "server_version",
        "created_at",
        "completed_at",
        "duration_seconds",
    ]
    readonly_fields = fields
