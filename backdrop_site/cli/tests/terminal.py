"""The command as a person or a script runs it: in a pseudo-terminal, or in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import psutil
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

    def type(self, *arguments: str, keys: str = "", screen: bytearray | None = None) -> Done:
        """At a terminal; a line of `keys` is typed whenever an answer is asked for. What is shown
        is added to `screen` as it comes."""
        screen = bytearray() if screen is None else screen
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execve(COMMAND[0], [*COMMAND, *arguments], self.environment)  # noqa: S606
        limit = Timer(SECONDS, os.kill, [pid, signal.SIGKILL])
        limit.start()
        try:
            _converse(pid, terminal, keys.splitlines(keepends=True), screen)
            _, status = os.waitpid(pid, 0)
        finally:
            limit.cancel()
            os.close(terminal)
        return Done(os.waitstatus_to_exitcode(status), screen.decode(errors="replace"))


def _converse(pid: int, terminal: int, keys: list[str], screen: bytearray) -> None:
    """Type one of `keys` for each question, until the other end is closed."""
    asked = b""
    with suppress(OSError):  # the other end has closed it
        while True:
            if select.select([terminal], [], [], 0.05)[0]:
                part = os.read(terminal, 65536)
                screen += part
                asked += part
            elif keys and asked.endswith(b": ") and _sleeps(pid):
                os.write(terminal, keys.pop(0).encode())
                asked = b""


def _sleeps(pid: int) -> bool:
    """Whether it waits for what is typed. Between the question and that, Ctrl-C would not wake it:
    Python looks for signals before it reads, and in what it reads."""
    return psutil.Process(pid).status() == psutil.STATUS_SLEEPING


def plain(text: str) -> str:
    """Without colours and movements of the cursor."""
    return ESCAPES.sub("", text)
