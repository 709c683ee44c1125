"""The form of a notification channel. Its address goes in and is never shown again."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from backups.models import Channel, Topic
from backups.views.forms import TeamForm, kept_or_new, secret_field


class ChannelForm(TeamForm):
    """Who is told, and of what."""

    address = secret_field("Address")
    events = forms.MultipleChoiceField(
        label="Told of",
        choices=Topic.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = Channel
        fields = ("name", "kind", "address", "events")
        help_texts: ClassVar = {"name": "Letters, digits, dots, dashes, underscores"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}
        forms_of_it = "https://hooks.slack.com/services/…, or mailto://, ntfy:// and the like"
        stored = self.instance.address
        self.fields["address"].help_text = f"{forms_of_it}. {kept_or_new(stored)}"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.keep_secret("address", moved=cleaned.get("kind") != self.instance.kind)
        return cleaned
