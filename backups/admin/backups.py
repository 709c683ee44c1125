"""Backups in the admin: receipts, and what can be done with them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat

from accounts import policy
from accounts.policy import Verb
from backups.admin.forms import RestoreForm
from backups.admin.live import ReceiptAdmin
from backups.admin.owned import asker, button
from backups.models import Backup, Database


@admin.register(Backup)
class BackupAdmin(ReceiptAdmin[Backup]):
    list_display = [
        "created_at",
        "database",
        "plan",
        "destination",
        "brief",
        "stored",
        "last_verdict",
    ]
    list_filter = [
        "task__status",
        ("database", admin.RelatedOnlyFieldListFilter),
        ("plan", admin.RelatedOnlyFieldListFilter),
        ("destination", admin.RelatedOnlyFieldListFilter),
        "created_at",
    ]
    list_select_related = ["database", "plan", "destination", "task"]
    search_fields = ["key", "database__name"]
    fields: ClassVar[Any] = [
        "progress",
        "team",
        "plan",
        "database",
        "destination",
        "created_at",
        "completed_at",
        "duration_seconds",
        "key",
        "raw_bytes",
        "stored_bytes",
        "raw_sha256",
        "stored_sha256",
        "compression",
        "server_version",
        "last_verdict",
        "manifest",
    ]
    readonly_fields = fields
    actions_detail = ["prove", "restore", "cancel"]

    @admin.display(description="Stored", ordering="stored_bytes")
    def stored(self, backup: Backup) -> str:
        return "" if backup.stored_bytes is None else filesizeformat(backup.stored_bytes)

    @admin.display(description="Last proof", empty_value="never proven")
    def last_verdict(self, backup: Backup) -> str | None:
        proof = backup.proofs.exclude(verdict="").first()
        return None if proof is None else proof.get_verdict_display()

    def idle(self, row: Any) -> set[str]:
        return super().idle(row) | (set() if row.complete else {"prove", "restore"})

    @button("Prove", icon="verified")
    def prove(self, request: HttpRequest, object_id: str) -> HttpResponse:
        backup = self.row_or_404(request, object_id)
        if request.method == "POST":
            proof = self.tell(
                request, lambda: backup.prove(by=asker(request)), "The drill is asked for."
            )
            return self.go_to(proof or backup)
        return self.ask(
            request,
            backup,
            question="Restore it into a scratch server and compare it, table by table?",
            submit="Prove",
        )

    @button("Restore…", icon="settings_backup_restore")
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        backup = self.row_or_404(request, object_id)
        targets = policy.visible(request.user, Database.objects.all(), Verb.RUN)
        form = RestoreForm(request.POST or None, backup=backup, targets=targets)
        if form.is_valid():
            wish: dict[str, Any] = form.cleaned_data
            restore = self.tell(
                request,
                lambda: backup.restore(by=asker(request), **wish),
                "The restore is asked for.",
            )
            return self.go_to(restore or backup)
        return self.ask(
            request,
            backup,
            question=f"Restore this backup of {backup.database.name}?",
            submit="Restore",
            form=form,
        )
