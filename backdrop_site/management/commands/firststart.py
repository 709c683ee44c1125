"""Makes what a first start makes: the team, the first admin; at every start it checks the key."""

from __future__ import annotations

import os
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts import beginning
from accounts.beginning import Beginning
from accounts.errors import NameTakenError
from accounts.models import User
from backdrop_site import environment

# How other programs find the generated login in what this command prints.
LOGIN = re.compile(r"^First login: username=(?P<username>\S+) password=(?P<password>\S+)$", re.M)


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = ()  # it tells a wrong key itself

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            beginning.begin(
                username=_username(), password=environment.given("ADMIN_PASSWORD"), tell=self._tell
            )
        except (ImproperlyConfigured, NameTakenError) as error:
            raise CommandError(str(error)) from None

    def _tell(self, made: Beginning) -> None:
        if made.admin is not None and made.password is not None:
            self.stdout.write(f"First login: username={made.admin} password={made.password}")
        elif made.admin is not None:
            self.stdout.write(f"First login: username={made.admin}, with ADMIN_PASSWORD.")
        self.stdout.flush()


def _username() -> str:
    name = os.environ.get("ADMIN_USERNAME", "") or "admin"
    try:
        User._meta.get_field("username").clean(name, None)
    except ValidationError as error:
        raise CommandError(f"ADMIN_USERNAME: {' '.join(error.messages)}") from None
    return name
