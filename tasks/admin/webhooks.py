"""Webhooks in the admin, with what was sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from django import forms
from django.contrib import admin, messages
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action as unfold_action
from unfold.widgets import UnfoldAdminPasswordWidget

from accounts import policy
from accounts.fields import SecretFormField
from accounts.models import Team, User
from accounts.policy import Verb
from tasks import registry
from tasks.models import Webhook
from tasks.webhooks import notices

if TYPE_CHECKING:
    from django.db.models import ForeignKey, QuerySet

    Form = ModelForm[Webhook]
    Pages = admin.ModelAdmin[Webhook]
else:  # unfold has no types
    from unfold.admin import ModelAdmin as Pages

    Form = ModelForm


Method = TypeVar("Method", bound=Callable[..., Any])


def button(description: str, *, icon: str, permission: str) -> Callable[[Method], Method]:
    """A method that is a button on a row's page, shown where the policy allows."""
    decorated = unfold_action(description=description, icon=icon, permissions=[permission])
    return cast("Callable[[Method], Method]", decorated)


def _offered() -> list[tuple[str, str]]:
    return [(name, registry.get(name).title) for name in registry.names_with_intake()]


class WebhookForm(Form):
    """The address is shown empty; left empty it stays."""

    use_required_attribute = False
    url = SecretFormField(
        label="Address",
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="https://… It is encrypted. Left empty, what is stored stays.",
    )
    jobs = forms.MultipleChoiceField(
        choices=_offered,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all jobs on files.",
    )

    class Meta:
        model = Webhook
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        team = cleaned.get("team") or (self.instance.team if self.instance.team_id else None)
        namesakes = Webhook.objects.filter(team=team, name=cleaned.get("name"))
        if namesakes.exclude(pk=self.instance.pk).exists():
            self.add_error("name", "The team has a webhook of that name.")
        return cleaned


@admin.register(Webhook)
class WebhookAdmin(Pages):
    form = WebhookForm
    list_display = ["name", "place", "told_of", "enabled", "team"]
    list_filter = ["enabled"]
    search_fields = ["name"]
    fields: ClassVar[Any] = ["team", "name", "url", "jobs", "enabled", "deliveries"]
    readonly_fields: ClassVar[Any] = ["deliveries"]
    actions_detail: ClassVar[list[str]] = ["send_test", "rotate"]

    # Who sees what ---------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        return policy.visible(request.user, super().get_queryset(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request, Verb.SEE)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Verb.SEE, obj)

    def has_run_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Verb.RUN, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, Verb.CHANGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Verb.CHANGE, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Verb.CHANGE, obj)

    def _may(self, request: HttpRequest, verb: Verb, obj: Any = None) -> bool:
        """Of a row, or of its id, which is what buttons ask with; of any row without either."""
        if obj is None:
            return policy.teams_where(request.user, verb).exists()
        row = obj if isinstance(obj, Webhook) else self.get_object(request, str(obj))
        return row is not None and policy.may(request.user, verb, row)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A row stays in its team."""
        fields = super().get_readonly_fields(request, obj)
        return [*fields, "team"] if obj else fields

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        kwargs["queryset"] = policy.teams_where(request.user, Verb.CHANGE)
        kwargs["initial"] = Team.home_of(cast("User", request.user))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    # What it shows, and does ------------------------------------------------------------------

    @admin.display(description="Told of")
    def told_of(self, webhook: Webhook) -> str:
        return ", ".join(webhook.jobs) or "all jobs on files"

    @admin.display(description="Last ten")
    def deliveries(self, webhook: Webhook) -> str:
        rows: Any = webhook.deliveries.all()[:10] if webhook.pk else []
        told = [
            f"{row.created_at:%Y-%m-%d %H:%M} {row.type}: {row.get_state_display()} {row.error}"
            for row in rows
        ]
        return "\n".join(told) or "—"

    def save_model(
        self, request: HttpRequest, obj: Webhook, form: ModelForm[Webhook], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            self._show(request, obj.secret.reveal())

    @button("Send a test", icon="send", permission="run")
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        webhook = self._row(request, object_id, Verb.RUN)
        if request.method != "POST":
            return self._ask(request, webhook, "Send a message that means nothing?", "Send")
        notices.test(webhook, by=cast("User", request.user))
        self.message_user(request, "A test is on its way; below is what came of it.")
        return self._back(webhook)

    @button("New secret", icon="key", permission="change")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        webhook = self._row(request, object_id, Verb.CHANGE)
        if request.method != "POST":
            question = "Make a new secret? For a day the old one signs beside it."
            return self._ask(request, webhook, question, "Make it")
        self._show(request, webhook.rotate())
        return self._back(webhook)

    def _row(self, request: HttpRequest, object_id: str, verb: Verb) -> Webhook:
        webhook = self.get_object(request, object_id)
        if webhook is None or not policy.may(request.user, verb, webhook):
            raise Http404("There is no such webhook.")
        return webhook

    def _ask(
        self, request: HttpRequest, webhook: Webhook, question: str, deed: str
    ) -> HttpResponse:
        """The page that a button leads to: it says what will happen; only its POST does it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(webhook),
            "original": webhook,
            "question": question,
            "deed": deed,
            "back": _page_of(webhook),
        }
        return TemplateResponse(request, "admin/backups/ask.html", context)

    def _show(self, request: HttpRequest, secret: str) -> None:
        told = f"The secret that signs, shown this once: {secret}"
        self.message_user(request, told, messages.WARNING)

    def _back(self, webhook: Webhook) -> HttpResponse:
        return redirect(_page_of(webhook))


def _page_of(webhook: Webhook) -> str:
    return reverse("admin:tasks_webhook_change", args=[webhook.pk])
