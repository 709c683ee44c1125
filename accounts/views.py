"""Logging in with a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import views

from accounts.forms import LoginForm

if TYPE_CHECKING:
    from django.contrib.auth.forms import AuthenticationForm
    from django.http import HttpResponse


class LoginPage(views.LoginView):
    """Context of the template: `form`, `next`. 429 with `Retry-After` after too many tries."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        page = super().form_invalid(form)
        retry_after = getattr(form, "retry_after", None)
        if retry_after is not None:
            page.status_code = 429
            page.headers["Retry-After"] = str(retry_after)
        return page
