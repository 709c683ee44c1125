"""The command line and a daemon that dies, comes back or stays away, and tokens that end."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db.models import F

from backdrop_site.cli import daemon as cli_daemon
from backdrop_site.cli.daemon import connect
from backdrop_site.cli.errors import CommandError
from backdrop_site.cli.tests.terminal import Shell, plain
from backups.rpc import backup_pb2 as pb
from backups.rpc.tests.calls import door
from tasks.models import Task
from tasks.tests.crew import until
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)


def succeed() -> None:
    Task.objects.update(status="succeeded", seq=F("seq") + 1)


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_goes_on_where_the_daemon_is_killed_and_comes_back(
    waiting, owner, tmp_path, as_json
):
    pk = str(waiting.start(by=owner).pk)
    with door(tmp_path) as first:
        shell = Shell(tmp_path, first.address, token_of(owner))
        with shell.running("watch", pk, *(["--json"] if as_json else [])) as watching:
            assert "waiting" in watching.stdout.readline()
            first.crew.process.kill()
            lost = watching.stderr.readline()
            with door(tmp_path, GRPC_PORT=str(first.port)):
                again = watching.stderr.readline()
                succeed()
                out, err = watching.communicate()
    notices = [json.loads(line)["notice"] if as_json else line.strip() for line in (lost, again)]
    assert notices == ["The connection is lost. Trying again for 60 s.", "Connected again."]
    assert (watching.returncode, err) == (0, "")
    assert out.count("backup completed") == 1


def test_a_terminal_s_bar_goes_on_too(waiting, owner, tmp_path):
    """And a backup that was begun is followed to its end, whatever the daemon does."""
    with door(tmp_path) as first, ThreadPoolExecutor() as pool:
        shell = Shell(tmp_path, first.address, token_of(owner))
        screen = bytearray()
        typed = pool.submit(shell.type, "backup", "shop", screen=screen)
        until(lambda: b"waiting" in screen, what="the bar is there")
        first.crew.process.kill()
        first.crew.process.wait()
        with door(tmp_path, GRPC_PORT=str(first.port)):
            until(lambda: b"Connected again." in screen, what="it goes on")
            succeed()
            done = typed.result()
    shown = plain(done.out)
    assert done.code == 0, shown
    assert "The connection is lost." in shown
    assert shown.rstrip().endswith("Daemon Response: backup completed")


@pytest.mark.alone
def test_it_is_not_tried_for_ever(waiting, owner, tmp_path, monkeypatch):
    pk = str(waiting.start(by=owner).pk)
    monkeypatch.setattr(cli_daemon, "LOST_SECONDS", 2.0)
    monkeypatch.setenv("BACKDROP_TOKEN", str(token_of(owner)))
    notices: list[str] = []
    with door(tmp_path) as opened:
        caller = connect(opened.address, None, None)
        updates = caller.follow(pb.BackupRequest(backup_id=pk), notice=notices.append)
        assert next(updates).status == "queued"
        opened.crew.process.kill()
        began = time.monotonic()
        with pytest.raises(CommandError, match="No daemon answers") as raised:
            next(updates)
    assert raised.value.exit_code == 4
    assert 2 < time.monotonic() - began < 10
    assert notices == ["The connection is lost. Trying again for 2 s."]


@pytest.mark.alone
def test_what_has_never_answered_is_not_waited_for(tmp_path, owner):
    shell = Shell(tmp_path, "127.0.0.1:1", "token")
    began = time.monotonic()
    done = shell.run("watch", "00000000-0000-0000-0000-000000000000")
    assert (done.code, done.out) == (4, "")
    assert "No daemon answers at 127.0.0.1:1." in done.err
    assert time.monotonic() - began < 10


def test_a_login_that_ends_while_watching_is_renewed(rpc, waiting, owner, password, tmp_path):
    pk = str(waiting.start(by=owner).pk)
    shell = Shell(tmp_path, rpc.address)
    login = ("login", "--username", "owner", "--password-stdin")
    assert shell.run(*login, stdin=password + "\n").code == 0
    [kept] = shell.home.glob(".config/backdrop/credentials.json")
    logins = json.loads(kept.read_text())
    logins[rpc.address]["access"] = str(token_of(owner, lifetime=timedelta(seconds=4)))
    kept.write_text(json.dumps(logins))
    with shell.running("watch", pk) as watching:
        assert "waiting" in watching.stdout.readline()
        until(lambda: json.loads(kept.read_text()) != logins, what="the token is renewed")
        time.sleep(0.5)
        succeed()
        out, err = watching.communicate()
    assert (watching.returncode, err) == (0, "")
    assert out.endswith("backup completed\n")


def test_a_token_that_can_t_be_renewed_ends_the_watching(rpc, waiting, owner, tmp_path):
    pk = str(waiting.start(by=owner).pk)
    shell = Shell(tmp_path, rpc.address, token_of(owner, lifetime=timedelta(seconds=4)))
    with shell.running("watch", pk) as watching:
        _, err = watching.communicate()
    assert watching.returncode == 3
    assert err.startswith("backdrop: BACKDROP_TOKEN is no token that is good")
