"""doctor: what it says where all is well, and where something is missing or wrong."""

from __future__ import annotations

import shutil
from typing import Any, NamedTuple

import pytest

from backdrop_site import machine
from backdrop_site.cli.tests.terminal import Shell
from backups.models import Backup, Database
from backups.pipeline.mysql import binaries as mysql
from backups.pipeline.postgres import binaries as postgres
from backups.rpc.tests.calls import door
from tasks import exporter
from tasks.checks import MissingError
from tasks.models import Worker
from tasks.tests.crew import until
from tests.ports import free_port
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shell(rpc, owner, tmp_path) -> Shell:
    return Shell(tmp_path, rpc.address, token_of(owner))


def told(shell: Shell, *options: str) -> dict[str, Any]:
    """By what it is about: [ok, detail, remedy]; asked in this process."""
    found = shell.here(*options, "doctor", "--json").json
    return {one["what"]: (one["ok"], one["detail"], one["remedy"]) for one in found}


PROGRAMS = ("PostgreSQL clients", "PostgreSQL server, to prove with")


def test_it_works(workers, backup, owner, tmp_path, web):
    """All is well, and the exit code says so."""
    with door(tmp_path) as opened:
        shell = Shell(tmp_path, opened.address, token_of(owner))
        shell.environment["BACKDROP_URL"] = f"http://{web.netloc}"
        done = shell.run("doctor")
        assert (done.code, done.err) == (0, ""), done.out
        assert done.lines[-1] == "Nothing is wrong."
        assert {line.split()[0] for line in done.lines[:-1]} == {"ok"}, done.out
        whole = told(shell)
    assert all(ok and detail for ok, detail, _ in whole.values())
    asked = ["settings", "kept logins", "daemon", "gRPC", "login"]
    parts = ["database", "workers", "daemon", "storage", "disk", "metrics"]
    assert list(whole) == list(dict.fromkeys([*asked, *parts, "shop", "web", *PROGRAMS]))
    assert whole["settings"][1] == "BACKDROP_ADDRESS, BACKDROP_TOKEN, BACKDROP_URL"
    assert "free for Backdrop's own files" in whole["disk"][1]
    assert "in a folder of backups" in whole["disk"][1]
    assert "15." in whole["PostgreSQL clients"][1]


def test_a_part_of_the_platform_that_is_missing_is_told_with_how_to_mend_it(shell, waiting, owner):
    waiting.start(by=owner)
    wrong = (False, "No worker serves the queue 'nobody'.", "Start one: manage.py runworkers")
    until(lambda: told(shell)["workers"] == wrong, what=f"{wrong}")
    assert "       Start one: manage.py runworkers" in shell.run("doctor").lines


def test_who_is_not_logged_in_is_told_to_log_in(rpc, tmp_path):
    nobody = Shell(tmp_path, rpc.address)
    done = nobody.run("doctor")
    assert done.code == 1
    assert f"wrong  login: You are not logged in at {rpc.address}" in done.lines
    assert "       Log in: backdrop login" in done.lines
    assert "never backed up" not in done.out, "of what is behind the login nothing is known"
    assert "PostgreSQL clients" in done.out, "but this machine is looked at all the same"
    nobody.environment["BACKDROP_TOKEN"] = "expired"
    assert "BACKDROP_TOKEN is no token that is good" in nobody.run("doctor").out


def test_a_file_of_logins_that_others_can_read_is_wrong(rpc, owner, password, tmp_path):
    shell = Shell(tmp_path, rpc.address)
    login = ("login", "--username", "owner", "--password-stdin")
    assert shell.run(*login, stdin=password + "\n").code == 0
    ok, detail, _ = told(shell)["kept logins"]
    [file] = tmp_path.glob(".config/backdrop/*.json")
    assert (ok, detail) == (True, f"1 in {file}, only for you")

    file.chmod(0o644)
    done = shell.run("doctor")
    assert done.code == 1
    assert f"wrong  kept logins: others can read your tokens in {file}" in done.lines
    assert f"chmod 600 {file}" in done.out

    file.chmod(0o600)
    file.write_text("{")
    assert told(shell)["kept logins"][:2] == (False, f"{file} can't be read")


def test_a_program_that_workers_on_this_machine_lack_is_wrong(
    shell, workers, backup, team, monkeypatch
):
    Database.objects.create(team=team, name="wiki", engine="mysql", dbname="w", username="w")
    monkeypatch.setattr(postgres, "installations", lambda: ())
    monkeypatch.setattr(mysql, "clients", lambda: ())
    monkeypatch.setattr(mysql, "servers", lambda: ())
    done = shell.here("doctor")
    assert done.code == 1
    assert "wrong  PostgreSQL clients: none on this machine" in done.lines
    for package in ("postgresql-client", "postgresql", "mariadb-client", "mariadb-server-core"):
        assert f"       Install them: apt-get install {package}" in done.lines

    there = Worker.objects.filter(kind=Worker.Kind.WORKER)
    until(lambda: there.update(host="elsewhere"), what="the workers' row")
    ok, detail, remedy = told(shell)["MySQL clients"]
    assert (ok, detail) == (True, "none on this machine")
    assert (
        remedy == "Only a machine on which workers run needs them: apt-get install mariadb-client"
    )
    assert "note   MySQL clients: none on this machine" in shell.here("doctor").lines


def test_mysql_is_spoken_of_only_where_there_is_one(shell, workers, backup, team):
    assert not any("MySQL" in what or "MariaDB" in what for what in told(shell))
    Database.objects.create(team=team, name="wiki", engine="mysql", dbname="w", username="w")
    assert "ok     MySQL clients: mariadb-dump" in shell.run("doctor").out
    [line] = [line for line in shell.run("databases").lines if line.startswith("wiki")]
    assert line.split()[1:3] == ["mysql", "127.0.0.1:3306/w"]


def test_what_was_never_backed_up_is_told(shell, plan):
    done = shell.run("doctor")
    assert done.code == 1
    assert "wrong  shop: never backed up" in done.lines
    assert "       backdrop backup shop" in done.lines


def test_a_daemon_that_is_not_there_is_told_with_how_to_start_it(tmp_path, owner):
    shell = Shell(tmp_path, "127.0.0.1:1", token_of(owner))
    done = shell.run("doctor")
    assert done.code == 1
    assert "nobody listens at 127.0.0.1:1" in done.out
    assert "manage.py rundaemon" in done.out
    assert shell.run("list").code == 4


def test_a_variable_that_nothing_reads_is_told_with_the_one_that_was_meant(shell, plan):
    shell.environment["BACKDROP_ADRESS"] = "10.0.0.7"
    ok, detail, remedy = told(shell)["settings"]
    assert (ok, remedy) == (False, "Did you mean BACKDROP_ADDRESS?")
    assert detail == "BACKDROP_ADRESS: nothing reads that"


def test_a_web_process_is_missed_only_where_somebody_named_one(shell, plan):
    port = free_port()
    shell.environment["BACKDROP_URL"] = f"http://127.0.0.1:{port}"
    ok, detail, remedy = told(shell)["web"]
    assert (ok, detail) == (False, f"nobody answers at http://127.0.0.1:{port}")
    assert "BACKDROP_URL says where it is" in remedy
    del shell.environment["BACKDROP_URL"]
    assert told(shell)["web"][0]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_that_has_no_room_for_the_next_backups_is_told(backup, monkeypatch, settings):
    """As the daemon looks at its own machine."""
    folder = backup.destination.options["folder"]
    free = {str(settings.VAR_DIR): 10**12, folder: 2 * machine.RESERVE}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free[str(path)]))
    assert machine.disk() == (
        "1.0 TB free for Backdrop's own files, 1.0 GB in a folder of backups."
    )
    Backup.objects.update(stored_bytes=3 * machine.RESERVE)
    with pytest.raises(MissingError, match=r"Only 1.0 GB are free.*take about 1.5 GB") as missing:
        machine.disk()
    assert "Free some space there" in missing.value.remedy
    assert folder not in str(missing.value), "whose it is, others need not know"
    free[str(settings.VAR_DIR)] = 1000
    with pytest.raises(MissingError, match=r"Only 1.0 kB are free for Backdrop's own files"):
        machine.disk()


def test_a_metrics_port_that_another_has_is_told(monkeypatch, settings):
    monkeypatch.setattr(exporter, "served_at", lambda: "")
    with pytest.raises(MissingError, match=f"port {settings.METRICS_PORT} can't") as missing:
        machine.metrics()
    assert missing.value.remedy == "Is it taken? METRICS_PORT sets another."
    monkeypatch.setattr(exporter, "served_at", lambda: "http://127.0.0.1:9090/metrics")
    assert machine.metrics() == "At http://127.0.0.1:9090/metrics."
