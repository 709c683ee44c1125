"""manage.py rundaemon: housekeeping, and later the services that need one long-running process."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from accounts import keys
from tasks import daemon


class Command(BaseCommand):
    help = "Run housekeeping until SIGTERM or Ctrl-C; several may run, on several machines."
    requires_system_checks = [keys.TAG]

    def handle(self, *args: Any, **options: Any) -> None:
        daemon.main()
