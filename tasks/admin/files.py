"""Files on their way in and out, in the admin. The address of an upload is shown nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from accounts import policy
from accounts.policy import Verb
from tasks.admin.base import ReadOnly
from tasks.models import Artifact, Upload

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    UploadPages = ModelAdmin[Upload]
    ArtifactPages = ModelAdmin[Artifact]
else:  # unfold has no types
    from unfold.admin import ModelAdmin

    UploadPages = ArtifactPages = ModelAdmin


class Seen(ReadOnly):
    """Mixin: shown to who may see the team's rows."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return policy.visible(request.user, super().get_queryset(request))  # type: ignore[misc]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return policy.teams_where(request.user, Verb.SEE).exists()
        return policy.may(request.user, Verb.SEE, obj)


@admin.register(Upload)
class UploadAdmin(Seen, UploadPages):
    list_display = ["__str__", "task", "team", "owner", "arrived", "created_at", "expires_at"]
    list_filter = ["kind", ("team", admin.RelatedOnlyFieldListFilter), "created_at"]
    list_select_related = ["task", "team", "owner"]
    search_fields = ["filename", "id", "sha256"]
    # Not `concat`: the parts that it names are addresses, and those are secrets.
    fields: ClassVar[Any] = [
        "filename",
        "task",
        "team",
        "owner",
        "kind",
        "size",
        "offset",
        "content_type",
        "wanted_sha256",
        "sha256",
        "created_at",
        "completed_at",
        "expires_at",
        "gone_at",
    ]
    readonly_fields = fields

    @admin.display(description="Arrived", ordering="offset")
    def arrived(self, upload: Upload) -> str:
        of = "?" if upload.size is None else filesizeformat(upload.size)
        return f"{filesizeformat(upload.offset)} of {of}"


@admin.register(Artifact)
class ArtifactAdmin(Seen, ArtifactPages):
    list_display = ["name", "task", "long", "content_type", "created_at", "expires_at", "gone_at"]
    list_filter = ["content_type", "created_at"]
    list_select_related = ["task"]
    search_fields = ["name", "task__id", "sha256"]
    fields: ClassVar[Any] = [
        "name",
        "task",
        "attempt",
        "size",
        "sha256",
        "content_type",
        "created_at",
        "expires_at",
        "gone_at",
    ]
    readonly_fields = fields

    @admin.display(description="Size", ordering="size")
    def long(self, artifact: Artifact) -> str:
        return filesizeformat(artifact.size)
