"""manage.py alive worker|daemon: for health checks of containers, which see one machine alone."""

from __future__ import annotations

import socket
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils.module_loading import import_string

from tasks import crews
from tasks.checks import MissingError
from tasks.models import Worker


class Command(BaseCommand):
    help = (
        "Exit 0 where workers (or a daemon) of this machine are alive, by their heartbeat; of a "
        "daemon also, where its ports answer: gRPC and metrics."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=Worker.Kind.values)

    def handle(self, *, kind: str, **options: object) -> None:
        host = socket.gethostname()
        try:
            beating = crews.alive().filter(kind=kind, host=host).exists()
        except Error:
            raise CommandError("The database does not answer, so nobody can work.") from None
        if not beating:
            raise CommandError(f"No {kind} is alive on {host}; its log says why.")
        for door in settings.DAEMON_DOORS if kind == Worker.Kind.DAEMON else ():
            try:
                import_string(door)()
            except MissingError as error:
                raise CommandError(str(error)) from None
        self.stdout.write(f"The {kind} is alive.")
