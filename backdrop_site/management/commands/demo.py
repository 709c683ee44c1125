"""Shows all of Backdrop on a sample PostgreSQL: a backup, its restore, and its proof."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from backdrop_site import processes
from backdrop_site.demo import stage
from backdrop_site.demo.client import Client, RefusedError
from backdrop_site.demo.screen import Screen
from backdrop_site.demo.story import DemoError, Story
from backups.pipeline.errors import PipelineError


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="exit when done: 0 if all worked")
        parser.add_argument(
            "--die-with-parent", action="store_true", help="stop when the caller (make) is killed"
        )

    def handle(self, *args: Any, once: bool, die_with_parent: bool, **options: Any) -> None:
        if die_with_parent:
            processes.die_with(os.getppid(), signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        screen = Screen()
        try:
            self._show(screen, settings.VAR_DIR / "demo", once=once)
        except KeyboardInterrupt:
            screen.say("Stopped.")
        except (DemoError, RefusedError, PipelineError, stage.StageError) as error:
            screen.fail(str(error))
            sys.exit(1)

    def _show(self, screen: Screen, folder: Path, *, once: bool) -> None:
        stage.clear(folder)
        password = secrets.token_urlsafe(16)
        with stage.postgres(screen, password) as server, stage.platform(screen, folder) as up:
            login = f"{stage.USERNAME} / {up.password}"
            screen.say(f"  Watch along at {up.url}, login {login}")
            client = Client(up.url, stage.USERNAME, up.password)
            Story(client, screen).tell(port=server.port, password=password)
            screen.say("\nProven: the backup was restored, and every table came back the same.")
            screen.table(
                {
                    "dashboard": up.url,
                    "login": login,
                    "REST": f"{up.url}/api/docs/",
                    "object and manifest": str(folder / "backups"),
                    "log": str(up.log),
                }
            )
            if not once:
                screen.say("Press Ctrl-C to stop. README.md says how to go on with your own data.")
            while not once:
                time.sleep(0.5)
                if up.ended():
                    raise DemoError(f"The platform ended by itself; see {up.log}.")
