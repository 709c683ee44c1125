"""What several web processes on one database know together: failed logins, and the key."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from accounts.throttle import PER_NAME_AND_ADDRESS
from backdrop_site.tests.marked import marked, wait_until
from backdrop_site.tests.platforms import MANAGE, PASSWORD, variables

GIVEN = {"SECRET_KEY": "s" * 32, "JWT_SECRET": "j" * 32, "ENCRYPTION_KEY": "e" * 32}


@contextmanager
def web(folder: Path, name: str, **more: str) -> Iterator[str]:
    """A real web process on a free port; yields its address once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        handle, url = listener.fileno(), f"http://127.0.0.1:{listener.getsockname()[1]}"
        argv = [*MANAGE, "runweb", "--fd", str(handle)]
        options = {"env": variables(folder, **more), "pass_fds": [handle]}
        with marked(argv, folder / f"{name}.log", **options):
            ask(f"{url}/healthz")  # waits in the socket's queue until somebody answers
            yield url


def ask(url: str, body: dict | None = None) -> int:
    headers = {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of a Backdrop that has had its first start."""
    folder = tmp_path_factory.mktemp("shared")
    for command in (["migrate", "-v0"], ["firststart"]):
        subprocess.run(
            [*MANAGE, *command], env=variables(folder), check=True, capture_output=True, timeout=120
        )
    return folder


def test_it_works(folder):
    """Guesses at one process are counted at the other."""
    right, wrong = ({"username": "admin", "password": word} for word in (PASSWORD, "wrong"))
    with ExitStack() as both:
        urls = [both.enter_context(web(folder, name)) for name in ("one", "two")]
        assert {ask(f"{url}/auth/login", right) for url in urls} == {200}
        answers = [ask(f"{urls[n % 2]}/auth/login", wrong) for n in range(PER_NAME_AND_ADDRESS + 1)]
        assert answers == [401] * PER_NAME_AND_ADDRESS + [429]
        assert {ask(f"{url}/auth/login", right) for url in urls} == {429}


@pytest.mark.parametrize("command", ["runweb", "runworkers", "rundaemon", "firststart"])
def test_no_process_starts_with_another_key(folder, command):
    run = subprocess.run(
        [*MANAGE, command],
        env={**variables(folder), "ENCRYPTION_KEY": "another key of 32 bytes at the least"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert "ENCRYPTION_KEY is not the key" in run.stderr


def test_a_process_whose_database_is_away_is_alive_and_not_ready(tmp_path):
    with web(tmp_path, "web", DB_URL="postgres://u:p@127.0.0.1:1/x", **GIVEN) as url:
        assert ask(f"{url}/healthz") == 200
        wait_until(lambda: ask(f"{url}/readyz") == 503, "readyz to say no")
