"""The forms of the pages. A secret that was typed once is kept, never shown again."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms

from accounts import policy
from accounts.models import Team, User
from accounts.policy import Verb
from backups import addresses
from backups.models import Database, Destination, Plan, Schedule


class TeamForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row that a team owns; the team is asked for only when there is a choice."""

    def __init__(self, *args: Any, asker: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = policy.teams_where(asker, Verb.CHANGE)
        if self.instance.team_id is None and len(teams) == 1:
            self.instance.team = teams[0]
        if self.instance.team_id is None:
            self.fields["team"] = forms.ModelChoiceField(
                teams, initial=Team.home_of(asker), help_text="Whose it is"
            )
            self.order_fields(["team"])

    def owning_team(self) -> Team | None:
        if self.instance.team_id is not None:
            return cast(Team, self.instance.team)
        return self.cleaned_data.get("team")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        team, name = self.owning_team(), cleaned.get("name")
        if team and name:
            self.instance.team = team
            others = type(self.instance)._default_manager.filter(team=team, name=name)
            if others.exclude(pk=self.instance.pk).exists():
                kind = type(self.instance)._meta.verbose_name
                self.add_error("name", f"Another {kind} has this name.")
        return cleaned

    def keep_secret(self, name: str, *, moved: bool) -> None:
        """An empty secret keeps the stored one, unless its address `moved`."""
        if self.cleaned_data.get(name) or not self.instance.pk:
            return
        self.cleaned_data[name] = stored = getattr(self.instance, name)
        if stored and moved:
            self.add_error(name, addresses.TYPE_AGAIN)


def secret_field(label: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


def kept_or_new(stored: Any) -> str:
    """Beside the field of a secret, whose value is never shown."""
    return "Leave empty to keep what is stored" if stored else "Encrypted before it is stored"


class PlanForm(TeamForm):
    """How a database is backed up."""

    class Meta:
        model = Plan
        fields = (
            "name",
            "database",
            "destination",
            "compression",
            "compression_level",
            "enabled",
            "max_attempts",
            "deadline_seconds",
            "stall_seconds",
            "lock_wait_seconds",
        )
        labels: ClassVar = {
            "max_attempts": "Tries",
            "deadline_seconds": "Longest run (seconds)",
            "stall_seconds": "Stalled after (seconds)",
            "lock_wait_seconds": "Wait for a lock (seconds)",
            "compression_level": "Level",
        }
        help_texts: ClassVar = {
            "max_attempts": "How often a run is begun before it counts as failed",
            "compression_level": "Empty: fast",
            "enabled": "A plan that is switched off can't be started",
        }

    def __init__(self, *args: Any, asker: User, **kwargs: Any) -> None:
        super().__init__(*args, asker=asker, **kwargs)
        for name, model in (("database", Database), ("destination", Destination)):
            rows = policy.visible(asker, model._default_manager.all(), Verb.CHANGE)
            if self.instance.team_id:
                rows = rows.filter(team=self.instance.team_id)
            self.fields[name] = forms.ModelChoiceField(rows, initial=self._only(rows))

    @staticmethod
    def _only(rows: Any) -> Any:
        """The one choice there is, so that nobody has to make it."""
        first = rows[:2]
        return first[0] if len(first) == 1 else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        team = self.owning_team()
        for name in ("database", "destination"):
            chosen = cleaned.get(name)
            if chosen and team and chosen.team_id != team.pk:
                self.add_error(name, f"It belongs to another team than {team}.")
        return cleaned


class ScheduleForm(TeamForm):
    """When a plan runs by itself."""

    class Meta:
        model = Schedule
        fields = (
            "name",
            "plan",
            "action",
            "cron",
            "every_seconds",
            "time_zone",
            "missed",
            "overlap",
        )
        labels: ClassVar = {
            "action": "What",
            "cron": "Cron expression",
            "every_seconds": "Or every so many seconds",
            "missed": "Missed runs",
            "overlap": "While the run before goes on",
        }
        help_texts: ClassVar = {
            "cron": "“0 2 * * *” is each day at 02:00; seconds come first of six; or “@every 6h”",
            "every_seconds": "10 or more",
            "time_zone": "Such as UTC or Europe/Berlin",
        }

    def __init__(self, *args: Any, asker: User, **kwargs: Any) -> None:
        super().__init__(*args, asker=asker, **kwargs)
        rows = policy.visible(asker, Plan.objects.all(), Verb.CHANGE)
        if self.instance.team_id:
            rows = rows.filter(team=self.instance.team_id)
        first = rows[:2]
        only = first[0] if len(first) == 1 else None
        self.fields["plan"] = forms.ModelChoiceField(rows, initial=only)
        for name in ("cron", "time_zone"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def save(self, commit: bool = True) -> Any:
        if self.changed_data:
            self.instance.look_anew()
        return super().save(commit)


class ServerField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Databases, named with the server they are on, since only the server counts here."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.host}:{obj.port} (as for {obj.name})"


class RestoreForm(forms.Form):
    """Where a backup is loaded; replacing a database takes its name a second time."""

    target = ServerField(
        Database.objects.none(), label="Server", help_text="And whose name and password to use"
    )
    dbname = forms.CharField(
        label="Database",
        max_length=63,
        help_text="A new one is loaded first, and takes this name once it is whole",
    )
    replace = forms.BooleanField(
        required=False, label="Replace the database of that name if there is one"
    )
    confirm = forms.CharField(
        label="Its name again",
        required=False,
        max_length=63,
        help_text="Only to replace: everything in it now will be gone",
    )

    def __init__(self, *args: Any, targets: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        target = self.fields["target"]
        assert isinstance(target, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        target.queryset = targets
        for name in ("dbname", "confirm"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("replace") and cleaned.get("confirm") != cleaned.get("dbname"):
            self.add_error("confirm", "Type the name of the database that is to be replaced.")
        return cleaned
