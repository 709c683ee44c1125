"""manage.py runworkers: run tasks on this machine."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import keys
from tasks.watcher import Watcher


class Command(BaseCommand):
    help = "Run tasks on this machine, several at once, until SIGTERM or Ctrl-C (twice: hurry)."
    requires_system_checks = [keys.TAG]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workers",
            type=int,
            default=settings.WORKERS,
            metavar="N",
            help="attempts at once (default: %(default)s, from WORKERS)",
        )
        parser.add_argument(
            "--queue",
            action="append",
            metavar="NAME",
            help=f"queue to serve; may be given several times (default: {settings.QUEUE})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError("--workers must be at least 1.")
        Watcher(options["queue"] or [settings.QUEUE], options["workers"]).run()
