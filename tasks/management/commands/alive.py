"""manage.py alive worker|daemon: for health checks of containers, which see one machine alone."""

from __future__ import annotations

import socket
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from tasks import crews
from tasks.models import Worker


class Command(BaseCommand):
    help = "Exit 0 where workers (or a daemon) of this machine are alive, by their heartbeat."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=Worker.Kind.values)

    def handle(self, *, kind: str, **options: object) -> None:
        host = socket.gethostname()
        if not crews.alive().filter(kind=kind, host=host).exists():
            raise CommandError(f"No {kind} is alive on {host}; its log says why.")
        self.stdout.write(f"The {kind} is alive.")
