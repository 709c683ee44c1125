"""Runs the whole platform, web, worker and daemon, until Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import socket
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections

from backdrop_site import launch, processes
from backdrop_site.supervisor import Supervisor


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--die-with-parent", action="store_true", help="stop when the caller (make) is killed"
        )

    def handle(self, *args: Any, die_with_parent: bool, **options: Any) -> None:
        if die_with_parent:
            processes.die_with(os.getppid(), signal.SIGTERM)
        try:
            claim = launch.Claim(settings.VAR_DIR)
            listener = launch.listen(settings.HOST, settings.PORT, fixed="PORT" in os.environ)
            grpc, metrics = launch.grpc_port(), launch.metrics_port()
        except launch.LaunchError as error:
            raise CommandError(str(error)) from None
        self._prepare()
        self._run(claim, listener, grpc, metrics)

    def _prepare(self) -> None:
        """Bring the tables up to date and make what a first start makes."""
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            raise CommandError(f"Backdrop's database does not answer: {error}") from None
        told = io.StringIO()
        call_command("firststart", stdout=told)
        connections.close_all()
        self._login = told.getvalue().strip()
        if self._login:
            self.stdout.write(self._login)  # now: it is told once, and a start may yet fail

    def _run(self, claim: launch.Claim, listener: socket.socket, grpc: int, metrics: int) -> None:
        url = launch.address(listener)
        figures = f"http://{launch.reach(metrics)}/metrics"
        facts = {"url": url, "grpc": launch.reach(grpc), "metrics": figures}
        claim.note(facts)
        port = listener.getsockname()[1]
        if port != settings.PORT:
            self.stdout.write(f"Port {settings.PORT} is taken; using {port}.")
        if grpc != settings.GRPC_PORT:
            self.stdout.write(f"Port {settings.GRPC_PORT} is taken; gRPC uses {grpc}.")
        if metrics != settings.METRICS_PORT:
            self.stdout.write(f"Port {settings.METRICS_PORT} is taken; metrics use {metrics}.")

        def welcome() -> None:
            claim.note({**facts, "ready": True})
            supervisor.say(f"Backdrop is up: {url}   (Ctrl-C stops it)")
            supervisor.say(f"gRPC: {facts['grpc']}   (scripts/backdrop --address {facts['grpc']})")
            supervisor.say(f"Metrics: {figures}")
            for line in self._login.splitlines():
                supervisor.say(line)

        supervisor = Supervisor(
            launch.programs(listener, grpc=grpc, metrics=metrics), on_ready=welcome
        )
        supervisor.run()
        claim.release()
