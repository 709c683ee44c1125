"""The command as a person or a script runs it: in a pseudo-terminal, or in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

from click.testing import CliRunner
from django.conf import settings

from backdrop_site.cli.commands import cli

COMMAND = [sys.executable, "-m", "backdrop_site.cli"]
SECONDS = 60.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str = ""

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs `backdrop` against one daemon, with a home folder of its own."""

    def __init__(self, home: Path, address: str, token: Any = None) -> None:
        self.home = home
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environment = {
            **kept,
            "HOME": str(home),
            "PYTHONPATH": str(settings.BASE_DIR),
            "BACKDROP_ADDRESS": address,
            "TERM": "xterm",
            "COLUMNS": "120",
            **({"BACKDROP_TOKEN": str(token)} if token else {}),
        }

    def run(self, *arguments: str, stdin: str = "") -> Done:
        """In a pipe."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def here(self, *arguments: str) -> Done:
        """In this process, which is quicker: for what needs no process of its own."""
        found = CliRunner().invoke(cli, arguments, env=self.environment, prog_name="backdrop")
        return Done(found.exit_code, found.stdout, found.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """In a pipe, and left running."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """In a pipe; killed in the end, and when it takes too long, so that no reader waits."""
        process = self.start(*arguments)
        limit = Timer(SECONDS, process.kill)
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.kill()
            process.communicate()

    def type(self, *arguments: str, keys: str = "") -> Done:
        """At a terminal; `keys` are typed once something is asked for."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execve(COMMAND[0], [*COMMAND, *arguments], self.environment)  # noqa: S606
        shown, until = b"", time.monotonic() + SECONDS
        waiting = keys.splitlines(keepends=True)
        with suppress(OSError):  # the other end has closed it
            while time.monotonic() < until:
                if not select.select([terminal], [], [], 0.2)[0]:
                    continue
                part = os.read(terminal, 65536)
                shown += part
                if waiting and part.rstrip().endswith(b":"):
                    os.write(terminal, waiting.pop(0).encode())
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        text = shown.decode(errors="replace")
        return Done(os.waitstatus_to_exitcode(status), text)


def plain(text: str) -> str:
    """Without colours and movements of the cursor."""
    return ESCAPES.sub("", text)
