"""The admin's forms: what the page can't leave to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from accounts.fields import Secret
from accounts.models import Teamwork
from backups import storages
from backups.addresses import TYPE_AGAIN, moves_database, moves_destination
from backups.models import Backup, Channel, Database, Destination, Plan, Schedule, Topic

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm


class SecretField(forms.CharField):
    """Shown empty; left empty it keeps what is stored."""

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
        options.setdefault("help_text", "Leave it empty to keep what is stored.")
        super().__init__(required=False, strip=False, widget=widget, **options)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)


class OwnedForm(ModelForm):
    """For rows that a team owns: the name is theirs alone, and so is all that is referred to."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            if isinstance(field, SecretField) and self.instance.pk is None:
                field.help_text = "It is encrypted before it is stored."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        team = cleaned.get("team") or (self.instance.team if self.instance.team_id else None)
        namesakes = self._meta.model._default_manager.filter(team=team, name=cleaned.get("name"))
        if namesakes.exclude(pk=self.instance.pk).exists():
            noun = self._meta.model._meta.verbose_name
            self.add_error("name", f"The team has a {noun} of that name.")
        for name, row in cleaned.items():
            if isinstance(row, Teamwork) and team and row.team_id != team.pk:
                self.add_error(name, f"This belongs to another team than {team}.")
        return cleaned

    def keep(self, name: str, *, moved: bool) -> None:
        """An empty secret keeps the stored one, unless that would go to another address."""
        stored: Secret | None = self.instance.pk and getattr(self.instance, name)
        if self.cleaned_data.get(name) or not stored:
            return
        self.cleaned_data[name] = stored
        if moved:
            self.add_error(name, TYPE_AGAIN)


class DatabaseForm(OwnedForm):
    password = SecretField()

    class Meta:
        model = Database
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.keep("password", moved=moves_database(self.instance, cleaned))
        return cleaned


class DestinationForm(OwnedForm):
    secret = SecretField(label="Secret")

    class Meta:
        model = Destination
        fields = "__all__"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "options" in self.fields:  # who may only look has no fields
            self.fields["options"].help_text = "; ".join(
                f"{kind.name}: {{{', '.join(kind.schema['properties'])}}}"
                for kind in storages.KINDS.values()
            )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        cleaned["options"] = cleaned.get("options") or {}
        if not isinstance(cleaned["options"], Mapping):
            self.add_error("options", "Enter an object: {…}.")
            return cleaned
        self.keep("secret", moved=moves_destination(self.instance, cleaned))
        if not self.errors:
            self._check_options(cleaned)
        return cleaned

    def _check_options(self, cleaned: Mapping[str, Any]) -> None:
        secret = cleaned.get("secret") or ""
        given = secret if isinstance(secret, str) else storages.KEPT
        try:
            storages.validated(cleaned["kind"], cleaned["options"], given)
        except storages.OptionsError as error:
            for name, sentence in error.fields.items():
                if name in ("kind", "secret"):
                    self.add_error(name, sentence)
                else:
                    self.add_error("options", f"{name}: {sentence}")


class PlanForm(OwnedForm):
    class Meta:
        model = Plan
        fields = "__all__"


class ScheduleForm(OwnedForm):
    class Meta:
        model = Schedule
        fields = "__all__"


class ChannelForm(OwnedForm):
    address = SecretField()
    events = forms.MultipleChoiceField(
        choices=Topic.choices, required=False, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Channel
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.keep("address", moved=False)
        return cleaned


class RestoreForm(forms.Form):
    """Where a backup goes; to replace a database takes its name twice."""

    target = forms.ModelChoiceField(
        Database.objects.none(),
        label="Server",
        help_text="The server of this database.",
        widget=UnfoldAdminSelectWidget,
    )
    dbname = forms.CharField(
        label="Database name",
        max_length=63,
        widget=UnfoldAdminTextInputWidget,
        help_text="Loaded beside it first; takes the name once it is whole.",
    )
    replace = forms.BooleanField(
        label="Replace the database of that name",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )
    again = forms.CharField(
        label="The name again",
        required=False,
        max_length=63,
        widget=UnfoldAdminTextInputWidget,
        help_text="Only to replace: all that is in it now will be gone.",
    )

    def __init__(self, data: Any, *, backup: Backup, targets: QuerySet[Database]) -> None:
        initial = {"target": backup.database_id, "dbname": f"{backup.database.dbname}_restored"}
        super().__init__(data, initial=initial)
        field = self.fields["target"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - declared above
        field.queryset = targets.filter(team=backup.team_id, engine=backup.database.engine)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("replace") and cleaned.get("again") != cleaned.get("dbname"):
            self.add_error("again", "Enter the name of the database that is to be replaced.")
        cleaned.pop("again", None)
        return cleaned
