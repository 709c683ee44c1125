"""What is typed wrongly: which word, and what to write instead; exit codes; JSON."""

from __future__ import annotations

import json

import pytest

from backdrop_site.cli.tests.terminal import Shell
from backups.models import Database, Schedule
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shell(rpc, owner, tmp_path) -> Shell:
    return Shell(tmp_path, rpc.address, token_of(owner))


def test_it_works(shell):
    done = shell.run("show", "7")
    assert (done.code, done.out) == (2, "")
    assert "'7' is none; backdrop list tells them." in done.err


@pytest.mark.parametrize(
    "command", ["show 7", "--json show 7", "dance", "watch", "list --limit 0", "--address :: list"]
)
def test_with_json_it_is_told_as_json(shell, command):
    done = shell.here(*command.split(), *([] if "--json" in command else ["--json"]))
    assert (done.code, done.out) == (2, "")
    told = json.loads(done.err)
    assert told["code"] == "USAGE"
    assert told["error"]


@pytest.mark.parametrize(
    "address", ["127.0.0.1:grpc", "127.0.0.1:99999", "http://127.0.0.1:50051", "::1", "a b"]
)
def test_what_is_no_address_is_named(shell, address):
    done = shell.here("--address", address, "databases")
    assert done.code == 2
    assert "Write HOST:PORT" in done.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("schedule add shop", "--cron or --every"),
        ("schedule add shop --every 9000000w", "at most a year"),
        ("schedule add shop --every 0s", "write 90s"),
        ("schedule pause 99999999999999999999", "not in the range"),
        ("list --status lost", "'queued'"),
        ("login --password-stdin", "--username NAME"),
    ],
)
def test_wrong_usage_ends_with_two(shell, plan, command, words):
    done = shell.here(*command.split())
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("backup nowhere", "There is no database called nowhere."),
        ("backup shop --team Away", "in a team called Away"),
        ("list --database nowhere", "There is no database called nowhere."),
        ("show 00000000-0000-0000-0000-000000000000", "There is no backup"),
        ("schedule add nowhere --cron @daily", "no plan and no database called nowhere"),
        ("schedule add bare --cron @daily", "bare has no plan yet"),
        ("schedule add shop --cron tomorrow", "five fields"),
        ("schedule add shop --every 5s", "10 seconds or more"),
        ("schedule remove 99", "no schedule 99"),
    ],
)
def test_what_the_daemon_refuses_ends_with_one(shell, team, plan, command, words):
    Database.objects.create(team=team, name="bare", dbname="b", username="b")
    done = shell.here(*command.split())
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert done.err.startswith("backdrop: ")


def test_what_is_empty_says_how_to_begin(shell, plan):
    assert shell.here("list").err == "There is none. Make one: backdrop backup NAME\n"
    assert "schedule add" in shell.here("schedule", "list").err
    assert shell.here("list", "--json").json == []


def test_a_schedule_tells_the_next_five_moments(shell, plan):
    first, then = shell.here("schedule", "add", "shop", "--cron", "0 2 * * *").lines
    assert "At 02:00 (UTC), next " in first
    assert then.count("T02:00:00Z") == 4


def test_completion_knows_backups(shell, backup):
    shell.environment |= {
        "_BACKDROP_COMPLETE": "bash_complete",
        "COMP_WORDS": f"backdrop show {str(backup.pk)[:4]}",
        "COMP_CWORD": "2",
    }
    assert f"plain,{backup.pk}" in shell.run().out
