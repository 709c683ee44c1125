"""`python -m benchmarks.polling`: status polls of one web process, asked by wrk beside it.

POLLING_SECONDS (default 10) a row, POLLING_CONNECTIONS (default 32) at once, each row in a process
of its own: the quick way and the view, and the quick way for who has the answer (ETag) already; all
about one task, and each request about one of POLLING_TASKS (default 500) by chance; on SQLite,
without Redis and with it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sockets import cpu_of
from tests.redis import redis_server

if TYPE_CHECKING:
    from tests.web import Web

ROOT = Path(__file__).resolve().parent.parent
SECONDS = int(os.environ.get("POLLING_SECONDS", "10"))
CONNECTIONS = int(os.environ.get("POLLING_CONNECTIONS", "32"))
TASKS = int(os.environ.get("POLLING_TASKS", "500"))
_ANY = """
request = function() return wrk.format("GET", paths[math.random(#paths)]) end
"""
_P95 = """
done = function(summary, latency, requests)
  local bad = summary.errors.status + summary.errors.connect + summary.errors.read
  io.write(string.format("p95 %.2f bad %d\\n", latency:percentile(95) / 1000, bad))
end
"""


def main() -> None:
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    print(f"{CONNECTIONS} connections, {SECONDS} s each\n")
    print("| | tasks | Redis | requests/s | p95 ms | errors | CPU ms each |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |", flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="backdrop-polling-")))
        redis = stack.enter_context(redis_server(folder))
        for redis_url in ("", redis):
            keys = ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")
            environment = {
                **os.environ,
                **{name: secrets.token_urlsafe(48) for name in keys},
                "DJANGO_SETTINGS_MODULE": "backdrop_site.settings",
                "DB_URL": f"sqlite:///{folder / secrets.token_hex(4)}.sqlite3",
                "VAR_DIR": str(folder),
                "REDIS_URL": redis_url,
            }
            command = [sys.executable, "-m", "benchmarks.polling", "site"]
            subprocess.run(command, cwd=ROOT, env=environment, check=True)


def site() -> None:
    """In a process of one platform."""
    import logging

    import django

    django.setup()
    import httpx
    from django.conf import settings
    from django.core.management import call_command

    from accounts.models import Membership, Role, Team, User
    from tasks.tests.work import running_task
    from tests.web import token_of, web_process

    logging.getLogger("httpx").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)
    team = Team.objects.create(name="bench")
    user = User.objects.create(username="bench", email="bench@example.org")
    Membership.objects.create(user=user, team=team, role=Role.ADMIN)
    paths = [f"/task/status/{running_task(team).task.pk}" for _ in range(TASKS)]
    bearer = {"Authorization": f"Bearer {token_of(user)}"}
    redis = "yes" if settings.REDIS_URL else "no"
    here = {"DJANGO_SETTINGS_MODULE": "backdrop_site.settings"}
    for name, asked, known in (
        ("quick", paths[:1], False),
        ("quick", paths, False),
        ("quick, ETag", paths[:1], True),
        ("view", [f"{paths[0]}?wait=0"], False),
    ):
        with web_process(Path(tempfile.mkdtemp(dir=settings.VAR_DIR)), **here) as web:
            answer = httpx.get(web.url + asked[0], headers=bearer)
            etag = {"If-None-Match": answer.headers["ETag"]} if known else {}
            figures = _asked(web, asked, {**bearer, **etag})
            print(f"| {name} | {len(asked)} | {redis} | {figures} |", flush=True)


def _asked(web: Web, paths: list[str], headers: dict[str, str]) -> str:
    """The headers go by a file: a token has no business in a list of processes."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        lines = [f'wrk.headers["{name}"] = [[{value}]]' for name, value in headers.items()]
        listed = ", ".join(f'"{path}"' for path in paths)
        script.write("\n".join([*lines, f"paths = {{{listed}}}", _ANY, _P95]))
        script.flush()
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script.name]
        before = cpu_of(web.process.pid)
        command = ["wrk", *options, web.url]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        spent = cpu_of(web.process.pid) - before
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    p95 = re.search(r"p95 (\S+) bad (\d+)", told)
    if rate is None or p95 is None:
        raise RuntimeError(told)
    each = spent * 1000 / (float(rate[1]) * SECONDS)
    return f"{float(rate[1]):.0f} | {float(p95[1]):.0f} | {p95[2]} | {each:.2f}"


if __name__ == "__main__":
    site() if sys.argv[1:] == ["site"] else main()
