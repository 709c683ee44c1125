"""The command line against a real daemon with workers and PostgreSQL: piped, and at a terminal."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys

import pytest
from django.conf import settings

from backdrop_site.cli.tests.terminal import COMMAND, Shell, plain
from backups.models import Backup, Schedule
from tasks.models import Task
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shell(rpc, owner, tmp_path) -> Shell:
    return Shell(tmp_path, rpc.address, token_of(owner))


@pytest.fixture
def nobody(rpc, tmp_path) -> Shell:
    """Not logged in."""
    return Shell(tmp_path, rpc.address)


def test_it_works(shell, workers, shop):
    done = shell.run("backup", "shop")
    assert done.code == 0, done.err
    assert done.lines[-1] == "Daemon Response: backup completed"
    assert "\x1b" not in done.out
    assert Backup.objects.get().complete


def test_a_terminal_gets_a_bar(shell, workers, shop):
    done = shell.type("backup", "shop")
    assert done.code == 0, done.out
    assert "━" in done.out or "╸" in done.out
    assert plain(done.out).rstrip().endswith("Daemon Response: backup completed")


def test_a_whole_life_by_commands(shell, workers, shop, postgres15):
    made = shell.run("backup", "shop", "--json").json
    assert (made["status"], made["backup"]["complete"]) == ("backup completed", True)
    pk = made["backup_id"]
    [listed] = shell.run("list", "--json").json
    assert listed["id"] == pk
    assert pk in shell.run("list").out
    shown = shell.run("show", pk)
    assert "public.notes" in shown.out
    assert "none yet" in shown.out
    try:
        assert shell.run("restore", pk, "--into", "cli_copy").lines[-1] == "Restored into cli_copy."
        refused = shell.run("restore", pk, "--into", "cli_copy")
        assert refused.code == 1
        assert "cli_copy" in refused.err
    finally:
        postgres15.dropdb("cli_copy")
    proof = shell.run("verify", pk, "--json")
    assert (proof.code, proof.json["verdict"]) == (0, "proven")
    [row] = shell.run("databases", "--json").json
    assert row["last_proven_at"]
    lines = [json.loads(line) for line in shell.run("watch", pk, "--json").lines]
    assert lines[-1]["ended"]
    assert lines[-1]["percent"] == 100


def test_detached_watched_and_cancelled(shell, waiting):
    begun = shell.run("--json", "backup", "shop", "--detach").json
    pk = begun["backup_id"]
    assert begun["status"] == "backup accepted"
    with shell.running("watch", pk) as watching:
        assert "waiting" in watching.stdout.readline()
        assert shell.run("cancel", pk).lines == ["cancelled"]
        _, told = watching.communicate()
    assert watching.returncode == 1
    assert "backup cancelled" in told
    assert shell.run("cancel", pk).code == 1


def test_interrupting_leaves_the_backup_alone(shell, waiting):
    with shell.running("backup", "shop") as process:
        assert "waiting" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert f"backdrop watch {Backup.objects.get().pk}" in told
    assert Task.objects.get().status == "queued"


def test_a_failed_backup_tells_why(shell, workers, plan):
    plan.max_attempts = 1
    plan.save()
    done = shell.run("backup", "shop")
    assert done.code == 1
    assert Task.objects.get().error in done.err
    as_json = shell.run("backup", "shop", "--json")
    assert json.loads(as_json.err)["code"] == "FAILED"
    assert as_json.out == ""


def test_a_login_at_a_terminal_is_kept_and_renewed(nobody, owner, password, plan):
    refused = nobody.run("databases")
    assert refused.code == 3
    assert "backdrop login" in refused.err
    assert nobody.type("login", keys="owner\nwrong\n").code == 3
    assert nobody.type("login", keys="\x03").code == 130
    done = nobody.type("login", keys=f"owner\n{password}\n")
    assert done.code == 0, done.out
    assert password not in done.out, "it is not shown as it is typed"
    [kept] = nobody.home.glob(".config/backdrop/*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "shop" in nobody.run("databases").out

    logins = json.loads(kept.read_text())
    [login] = logins.values()
    kept.write_text(json.dumps({name: {**login, "expires_at": 0} for name in logins}))
    assert nobody.run("databases").code == 0, "an expired token is renewed"
    assert json.loads(kept.read_text())[nobody.environment["BACKDROP_ADDRESS"]] != login
    assert nobody.run("logout").code == 0
    assert nobody.run("databases").code == 3


def test_a_login_reads_the_password_from_a_pipe(nobody, owner, password):
    done = nobody.run("login", "--username", "owner", "--password-stdin", stdin=password + "\n")
    assert done.code == 0, done.err
    assert nobody.run("databases", "--json").json == []


def test_schedules_by_commands(shell, plan):
    made = shell.run("schedule", "add", "shop", "--cron", "0 2 * * *", "--json").json
    assert len(made["next"]) == 5
    assert "nightly" in shell.run("schedule", "list").out
    pk = str(made["id"])
    assert "paused" in shell.run("schedule", "pause", pk).out
    assert "next" in shell.run("schedule", "resume", pk).out
    assert shell.run("schedule", "remove", pk).code == 0
    assert not Schedule.objects.exists()
    assert shell.run("schedule", "add", "shop", "--every", "6h").code == 0
    assert Schedule.objects.get().every_seconds == 21_600
    assert shell.run("schedule", "add", "shop").code == 2
    assert "Every 90 minutes" in shell.run("schedule", "add", "shop", "--every", "1h30m").out
    assert "Every 2 hours" in shell.run("schedule", "add", "shop", "--cron", "@every 2h").out


def test_completion_knows_commands_and_databases(shell, plan):
    assert "_BACKDROP_COMPLETE" in shell.run("completion", "bash").out
    shell.environment |= {
        "_BACKDROP_COMPLETE": "bash_complete",
        "COMP_WORDS": "backdrop backup s",
        "COMP_CWORD": "2",
    }
    assert "plain,shop" in shell.run().out


def test_it_needs_neither_settings_nor_a_database():
    code = (
        "import sys, backdrop_site.cli.commands; "
        "print([name for name in ('django', 'backdrop_site.settings') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[]\n", done.stderr


def test_every_command_has_help_and_json(shell):
    from backdrop_site.cli.commands import cli

    for name, command in cli.commands.items():
        for one in getattr(command, "commands", {"": command}).values():
            assert one.help, name
            assert "--json" in [option for param in one.params for option in param.opts], name
    assert (
        "Start here"
        in subprocess.run(
            [*COMMAND, "--help"], cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=60
        ).stdout
    )
