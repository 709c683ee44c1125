"""What every page shares: what the asker may do, rendering, and going back after a button."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from backups.models import RefusedError

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    from backups.views.checking import Checked

Row = TypeVar("Row", bound="Model")


@dataclass(frozen=True, slots=True)
class Rights:
    """The teams in which the asker may run and change things: `task.team_id in rights.run`."""

    run: frozenset[int]
    change: frozenset[int]

    @classmethod
    def of(cls, user: User) -> Rights:
        return cls(run=_teams(user, Verb.RUN), change=_teams(user, Verb.CHANGE))


def asker(request: HttpRequest) -> User:
    """Who asks; every page has been through `login_required`."""
    return cast(User, request.user)


def page(request: HttpRequest, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
    """Render a page or fragment, which can ask `rights` which buttons to show."""
    context = {"rights": Rights.of(asker(request)), **context}
    return render(request, template, context, status=status)


def tried(
    request: HttpRequest, template: str, checked: Checked | None, **context: Any
) -> HttpResponse:
    """A form with what its try-out found; only the latter where the page asked from a script."""
    if request.headers.get("X-Backdrop-Check"):
        template = "backups/_checked.html"
    return page(request, template, checked=checked, **context)


def may_add(request: HttpRequest) -> None:
    """Raise PermissionDenied for somebody who may change things in no team at all."""
    if not policy.teams_where(asker(request), Verb.CHANGE).exists():
        raise PermissionDenied(policy.refusal(Verb.CHANGE))


def paged(request: HttpRequest, rows: QuerySet[Row], size: int = 25) -> Page[Row]:
    """The page that `?page=` names; the nearest one there is for any other number."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


def carry_out(
    request: HttpRequest, ask: Callable[[], Row], *, done: str, then: str
) -> HttpResponseRedirect:
    """Ask for something, tell that it is `done` or why it was refused, and go on."""
    try:
        ask()
    except RefusedError as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, done)
    return go_on(request, then)


def go_on(request: HttpRequest, then: str) -> HttpResponseRedirect:
    """Redirect to the form's `next` where it is an address of ours, else to `then`."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return HttpResponseRedirect(wanted if safe else then)


def _teams(user: User, verb: Verb) -> frozenset[int]:
    return frozenset(policy.teams_where(user, verb).values_list("pk", flat=True))
