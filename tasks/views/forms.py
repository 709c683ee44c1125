"""A job's JSON schema as a form: what the API and the page both read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts import reading
from accounts.reading import UnreadableError
from tasks import registry
from tasks.registry import Job
from tasks.uploads import options

Schema = Mapping[str, Any]


class ListField(forms.CharField):
    """Values with commas between them."""

    def __init__(self, *, one: Callable[[str], Any], **more: Any) -> None:
        super().__init__(**more)
        self._one = one

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        """A list, or None where nothing was typed."""
        parts = [each.strip() for each in (value or "").split(",") if each.strip()]
        try:
            return [self._one(each) for each in parts] or None
        except ValueError:
            raise ValidationError("Write numbers, with commas between them.") from None


class JsonField(forms.CharField):
    """What no simpler field can ask for."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value)

    def to_python(self, value: Any) -> Any:
        try:
            found = reading.json_of(value) if value else None
        except UnreadableError:
            raise ValidationError("This should be JSON.") from None
        if faults := reading.faults_of(found):
            raise ValidationError([text for texts in faults.values() for text in texts])
        return found


def field_of(name: str, schema: Schema, *, needed: bool) -> forms.Field:
    """The field that asks for one option."""
    told: dict[str, Any] = {
        "label": schema.get("title") or name.replace("_", " ").capitalize(),
        "help_text": schema.get("description", ""),
        "initial": schema.get("default"),
        "required": needed,
    }
    if "enum" in schema:
        return _choice(schema, told)
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "")
    match kind:
        case "boolean":
            return forms.BooleanField(**{**told, "required": False})
        case "integer":
            return forms.IntegerField(**told, **_bounds(schema))
        case "number":
            return forms.FloatField(**told, **_bounds(schema))
        case "string":
            return forms.CharField(**told, max_length=schema.get("maxLength"), strip=False)
        case "array" if _simple(schema):
            one = {"integer": int, "number": float}.get(schema["items"].get("type"), str)
            told["help_text"] = f"{told['help_text']} Commas between them".strip()
            return ListField(**told, one=one)
    return JsonField(**told)


def _choice(schema: Schema, told: dict[str, Any]) -> forms.Field:
    values = {str(each): each for each in schema["enum"]}
    choices = [(text, text) for text in values]
    if not told["required"] and "default" not in schema:
        choices.insert(0, ("", "As the job likes"))
    return forms.TypedChoiceField(
        **told, choices=choices, coerce=values.__getitem__, empty_value=None
    )


def _bounds(schema: Schema) -> dict[str, Any]:
    return {"min_value": schema.get("minimum"), "max_value": schema.get("maximum")}


def _simple(schema: Schema) -> bool:
    return schema.get("items", {}).get("type") in ("string", "integer", "number")


class OptionsForm(forms.Form):
    """The options of one job; its fields are named after the job, so that several fit one page."""

    use_required_attribute = False

    def __init__(self, job: Job, data: Any = None) -> None:
        super().__init__(data, prefix=job.name)
        self.job = job
        needed = job.options.get("required", ())
        for name, schema in job.options.get("properties", {}).items():
            self.fields[name] = field_of(name, schema, needed=name in needed)

    @property
    def chosen(self) -> dict[str, Any]:
        """What was filled in."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}

    def clean(self) -> dict[str, Any]:
        """The job's own schema has the last word."""
        if not self.errors:
            for place, sentences in options.faults(self.job, self.chosen).items():
                name = place.partition(".")[2].partition(".")[0]
                known = name if name in self.fields else None
                for sentence in sentences:
                    self.add_error(known, sentence)
        return self.cleaned_data


class OrderForm(forms.Form):
    """Which job a file is sent for; `filename` and `size` are filled in by the page's script."""

    use_required_attribute = False
    job = forms.ChoiceField(
        label="What to do with it", widget=forms.Select(attrs={"data-shows": "job"})
    )
    filename = forms.CharField(
        label="Name of the file",
        max_length=255,
        required=False,
        help_text="It is chosen on the next page",
    )
    size = forms.IntegerField(required=False, min_value=0, max_value=2**63 - 1)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        jobs = (registry.get(name) for name in registry.names())
        known = [job for job in jobs if job.intake is not None]
        self.groups = [OptionsForm(job) for job in known]
        self._jobs = {job.name: job for job in known}
        self.fields["job"] = forms.ChoiceField(
            label=self.fields["job"].label,
            widget=self.fields["job"].widget,
            choices=[(job.name, job.title) for job in known],
            initial="inspect" if "inspect" in self._jobs else None,
        )

    def is_valid(self) -> bool:
        """Only the options of the chosen job are looked at."""
        job = self._jobs.get(self.data.get("job", ""))
        if job is None:
            return super().is_valid()
        self.options = OptionsForm(job, self.data)
        self.groups = [self.options if each.job == job else each for each in self.groups]
        return all([super().is_valid(), self.options.is_valid()])

    def problems(self) -> list[str]:
        """All that is wrong, for a script to show."""
        found: list[str] = []
        forms_filled: list[forms.Form] = [self]
        if hasattr(self, "options"):
            forms_filled.append(self.options)
        for form in forms_filled:
            for name, sentences in form.errors.items():
                label = form.fields[name].label if name in form.fields else ""
                found += [f"{label}: {each}" if label else str(each) for each in sentences]
        return found
