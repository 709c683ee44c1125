"""Limits of uploads in the admin, for superusers: by user, by role, by job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts import policy
from accounts.models import Team
from accounts.policy import Verb
from tasks import registry
from tasks.models import UploadLimit
from tasks.uploads import media_types
from tasks.views.forms import ListField

if TYPE_CHECKING:
    from django.db.models import ForeignKey

    Form = ModelForm[UploadLimit]
    Pages = admin.ModelAdmin[UploadLimit]
else:  # unfold has no types
    from unfold.admin import ModelAdmin as Pages

    Form = ModelForm


class UploadLimitForm(Form):
    """Jobs are chosen from those that take files, types are typed with commas between them."""

    use_required_attribute = False
    job = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    types = ListField(one=str, required=False, widget=UnfoldAdminTextInputWidget)

    class Meta:
        model = UploadLimit
        fields = "__all__"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        jobs = [registry.get(name) for name in registry.names_with_intake()]
        choices = {job.name: f"{job.title} ({job.name})" for job in jobs}
        if self.instance.job:  # a newer release may have taken it away
            choices.setdefault(self.instance.job, self.instance.job)
        job: Any = self.fields["job"]
        job.choices = [("", "Select value"), *choices.items()]  # as in unfold's others
        for name in ("job", "types"):
            column: Any = UploadLimit._meta.get_field(name)
            self.fields[name].help_text = column.help_text

    def clean_types(self) -> list[str]:
        return self.cleaned_data["types"] or []


@admin.register(UploadLimit)
class UploadLimitAdmin(Pages):
    form = UploadLimitForm
    list_display = ["whose", "one_file", "all_files", "open_uploads", "only_types"]
    list_select_related = ["user", "team"]
    search_fields = ["user__username", "user__email", "team__name", "role", "job"]
    list_filter = ["role", ("team", admin.RelatedOnlyFieldListFilter)]
    autocomplete_fields = ["user"]
    fieldsets: ClassVar[Any] = [
        (
            "For whom",
            {
                "fields": ["user", "role", "team", "job"],
                "description": "One of user, role and job. What is said of a user counts before "
                "what is said of their role, and that before the service's settings; what is said "
                "of a job narrows all of them down.",
            },
        ),
        (
            "Limits",
            {
                "fields": ["max_bytes", "quota_bytes", "sessions", "types"],
                "description": "What is left empty is as it would be without this row. Limits hold "
                "for what is asked for from now on; to stop what is being sent, cancel its task.",
            },
        ),
    ]

    # Who sees what: superusers, whatever Django's permissions say.

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_active and request.user.is_superuser

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Not the platform's own team: nobody sends files there."""
        if db_field.related_model is Team:
            kwargs["queryset"] = policy.teams_where(request.user, Verb.RUN)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    # In words ---------------------------------------------------------------------------------

    @admin.display(description="For")
    def whose(self, limit: UploadLimit) -> str:
        return str(limit)

    @admin.display(description="One file", ordering="max_bytes")
    def one_file(self, limit: UploadLimit) -> str | None:
        return _size(limit.max_bytes)

    @admin.display(description="All files", ordering="quota_bytes")
    def all_files(self, limit: UploadLimit) -> str | None:
        return _size(limit.quota_bytes)

    @admin.display(description="Open uploads", ordering="sessions")
    def open_uploads(self, limit: UploadLimit) -> str | int | None:
        return "none at all" if limit.sessions == 0 else limit.sessions

    @admin.display(description="Types")
    def only_types(self, limit: UploadLimit) -> str | None:
        return ", ".join(limit.types).replace(media_types.EVERYTHING, "all") or None


def _size(count: int | None) -> str | None:
    if count is None:
        return None
    return f"up to {filesizeformat(count)}" if count else "none at all"
