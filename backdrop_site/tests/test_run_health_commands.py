"""The health commands of docker-compose.yml, run outside Docker: against what they ask about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from django.conf import settings

from backdrop_site.tests.composed import MOUNTED, SERVICES, filled
from tasks.tests.crew import crew, daemon, environment_of_tests, until
from tests.ports import free_port

REAL = {"db", "backup-postgres", "backup-mysql", "redis", "web", "worker", "daemon"}
ELSEWHERE = {"prometheus"}
"""See test_watch_prometheus."""
STAND_INS = {"backup-minio": "/minio/health/ready", "grafana": "/api/health"}
"""Programs that come in their images alone: their commands are run against a server that answers
where theirs do."""


def run_health(name: str, *changes: tuple[str, str], **environment: str) -> int:
    """The health command of that service, run here; `changes` put in this test's ports."""
    kind, *words = (filled(word, {}) for word in SERVICES[name]["healthcheck"]["test"])
    for old, new in changes:
        assert any(old in word for word in words), f"{old} in {words}"
        words = [word.replace(old, new) for word in words]
    words = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
    words[0] = sys.executable if words[0] == "python" else words[0]
    return subprocess.run(
        words,
        cwd=settings.BASE_DIR,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
    ).returncode


def test_it_works(postgres15):
    server = postgres15.server("postgres")
    place = {"PGHOST": server.host, "PGPORT": str(server.port)}
    assert run_health("db", **place) == 0
    tcp = ("--host 127.0.0.1", '--host "$PGHOST"')
    assert run_health("backup-postgres", tcp, **place) == 0
    assert run_health("db", PGHOST="127.0.0.1", PGPORT="1") != 0


def test_redis_starts_as_composed_wants_its_password_and_is_healthy_then(tmp_path):
    port = str(free_port())
    (tmp_path / "redis_password").write_text("only-for-this-test")
    here = (MOUNTED, f"{tmp_path}/")
    shell, option, line = (filled(word, {}) for word in SERVICES["redis"]["command"])
    line = line.replace(*here).replace("redis-server -", f"redis-server - --port {port}")
    process = subprocess.Popen(
        [shell, option, line], cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True
    )
    ours = ("redis-cli", f"redis-cli -p {port}")
    try:
        until(lambda: run_health("redis", ours, here) == 0, what="Redis is healthy")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "redis_password").write_text("wrong")
        assert run_health("redis", ours, (MOUNTED, f"{tmp_path}/other/")) != 0
        shown = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
        assert "only-for-this-test" not in shown
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the shell, and the server behind its pipe
        process.wait(60)


def test_mariadb_is_healthy_once_it_answers_by_tcp(mariadb):
    """Whether it lets that user in is not asked: the server is there."""
    assert run_health("backup-mysql", MYSQL_TCP_PORT=str(mariadb.server().port)) == 0
    assert run_health("backup-mysql", MYSQL_TCP_PORT="1") != 0


def test_web_is_healthy(web, transactional_db):
    here = ("127.0.0.1:8000", web.netloc)
    assert run_health("web", here) == 0
    assert run_health("web", ("127.0.0.1:8000/healthz", f"{web.netloc}/nothing")) != 0
    assert run_health("web", ("127.0.0.1:8000", "127.0.0.1:1")) != 0


@pytest.mark.django_db(transaction=True)
def test_the_daemon_is_healthy_while_it_runs(tmp_path):
    """What it is asked for is told in `test_tell_daemon_alive`."""
    ports = {"GRPC_PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    environment = {**environment_of_tests(tmp_path), **ports}
    assert run_health("daemon", **environment) != 0
    with daemon(tmp_path, **environment) as running:
        until(lambda: run_health("daemon", **environment) == 0, what="the daemon is healthy")
        running.process.kill()
        running.process.wait()
        until(lambda: run_health("daemon", **environment) != 0, what="it is not any more")


@pytest.mark.django_db(transaction=True)
def test_workers_are_healthy_while_their_heart_beats(tmp_path):
    environment = environment_of_tests(tmp_path)
    assert run_health("worker", **environment) != 0
    with crew(tmp_path, workers=1):
        assert run_health("worker", **environment) == 0


@contextmanager
def answering_at(path: str) -> Iterator[str]:
    """A server that has this page and no other."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == path else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, args=[0.05]).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("name", "port"), [("backup-minio", 9000), ("grafana", 3000)])
def test_what_comes_in_images_alone_is_healthy_where_it_answers_so(name, port):
    served = f"127.0.0.1:{port}"
    with answering_at(STAND_INS[name]) as here:
        assert run_health(name, (served, here)) == 0
        assert run_health(name, (f"{served}{STAND_INS[name]}", f"{here}/other")) != 0
    assert run_health(name, (served, here)) != 0


def test_every_service_that_stays_has_a_health_command_and_each_is_run():
    checked = {name for name, service in SERVICES.items() if "healthcheck" in service}
    assert checked == REAL | ELSEWHERE | set(STAND_INS)
    assert SERVICES.keys() - checked == {"prepare", "backup-minio-bucket"}, (
        "these end by themselves"
    )
