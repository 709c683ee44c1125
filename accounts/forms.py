"""The login form, of our own page and of the admin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm as AdminAuthenticationForm

from accounts.errors import TooManyTriesError

if TYPE_CHECKING:
    Base = AuthenticationForm
else:
    Base = object


class Throttled(Base):
    """Mixin: tells too many tries in a sentence; `retry_after` is then set, in seconds."""

    retry_after: int | None = None

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except TooManyTriesError as error:
            self.retry_after = error.retry_after
            raise ValidationError(str(error), code="throttled") from error


class LoginForm(Throttled, AuthenticationForm):
    """User name or e-mail address, and password."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["username"].label = "User name or e-mail"


class AdminLoginForm(Throttled, AdminAuthenticationForm):  # type: ignore[misc]
    """The admin's own form, throttled too."""
