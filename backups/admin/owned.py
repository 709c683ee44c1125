"""What the admin pages of rows that teams own share: policy, team, buttons that ask first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action as unfold_action

from accounts import policy
from accounts.models import Team, Teamwork, User
from accounts.policy import Verb
from backups.models import Backup, Plan, RefusedError
from backups.pipeline.errors import PipelineError
from tasks.errors import IdempotencyConflictError

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    class Base(ModelAdmin[Any]):
        """Unfold has no types."""

        def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]: ...

else:
    from unfold.admin import ModelAdmin as Base

Row = TypeVar("Row", bound=Teamwork)
Method = TypeVar("Method", bound=Callable[..., Any])

REFUSALS = (RefusedError, PipelineError, IdempotencyConflictError)


def button(description: str, *, icon: str, verb: Verb = Verb.RUN) -> Callable[[Method], Method]:
    """A method that is a button on a row's page; shown, and let in, where the policy allows."""
    decorated = unfold_action(description=description, icon=icon, permissions=[verb.name.lower()])
    return cast("Callable[[Method], Method]", decorated)


def asker(request: HttpRequest) -> User:
    """Who is asking; the admin site has seen to it that it is somebody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


class TeamAdmin(Base, Generic[Row]):
    """Pages of a model whose rows a team owns: what the policy hides is not there."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Row]:
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
        row = obj if isinstance(obj, Model) else self.get_object(request, str(obj))
        return row is not None and policy.may(request.user, verb, row)

    def row_or_404(self, request: HttpRequest, object_id: str) -> Row:
        row: Row | None = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"There is no such {self.opts.verbose_name}.")
        return row

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A row stays in its team."""
        fields = super().get_readonly_fields(request, obj)
        return [*fields, "team"] if obj else fields

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        related = db_field.related_model
        kwargs["queryset"] = policy.visible(
            request.user, related._default_manager.all(), Verb.CHANGE
        )
        if related is Team:
            kwargs["initial"] = Team.home_of(asker(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def ask(
        self,
        request: HttpRequest,
        row: Row,
        *,
        question: str,
        submit: str,
        form: forms.Form | None = None,
    ) -> HttpResponse:
        """The page that a button leads to: it says what will happen; only its POST does it."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(row),
            "original": row,
            "question": question,
            "deed": submit,
            "form": form,
            "back": self.page_of(row),
        }
        return TemplateResponse(request, "admin/backups/ask.html", context)

    def tell(self, request: HttpRequest, verb: Callable[[], Any], done: str) -> Any:
        """Call the noun's verb and tell how it went: its answer, or None where it was refused."""
        try:
            answer = verb()
        except REFUSALS as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        self.message_user(request, done.format(answer), messages.SUCCESS)
        return answer

    def start(self, request: HttpRequest, plan: Plan) -> Backup | None:
        """Back up by that plan and tell it; None where it was refused."""
        backup: Backup | None = self.tell(
            request,
            lambda: plan.start(by=asker(request)),
            f"A backup of {plan.database.name} is asked for.",
        )
        return backup

    def page_of(self, row: Model) -> str:
        name = f"{self.admin_site.name}:{row._meta.app_label}_{row._meta.model_name}_change"
        return reverse(name, args=[row.pk])

    def go_to(self, row: Model) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.page_of(row))
