"""Logging in by user name or e-mail address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend

from accounts.models import User
from accounts.throttle import Tries

if TYPE_CHECKING:
    from django.http import HttpRequest


class UsernameOrEmailBackend(ModelBackend):
    """Takes an e-mail address, in any case, as user name too; every door's guesses are counted.

    `authenticate` raises TooManyTriesError once a name was guessed at too often; the doors turn
    it into 429 or a sentence in their form.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **others: Any,
    ) -> User | None:
        if not username or password is None:
            return None
        tries = Tries.of(username, request)
        tries.check()
        user = self._verified(username, password)
        # Asked again afterwards, so that guesses sent all at once gain nothing over a row of them.
        if user is None:
            tries.count()
            tries.check(ours=1)
            return None
        tries.check()
        tries.forget()
        return user

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **others: Any,
    ) -> User | None:
        return await sync_to_async(self.authenticate)(request, username, password, **others)

    def _verified(self, username: str, password: str) -> User | None:
        user = _named(username)
        if user is None:
            User().set_password(password)  # takes as long as a wrong password for a real name
            return None
        if user.check_password(password) and self.user_can_authenticate(user):
            return user
        return None


def _named(username: str) -> User | None:
    """A user name goes before an e-mail address that reads the same."""
    user = User.objects.filter(username=username).first()
    return user or User.objects.filter(email__iexact=username).first()
