"""Files sent by the command line, over connections that break, to real workers."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import stat
from collections.abc import Iterator

import pytest

from backdrop_site.cli.tests.terminal import Shell, plain
from tasks.models import Task, Upload, UploadLimit
from tasks.tests.crew import crew, until
from tests.uploads.cutting import CuttingProxy
from tests.web import token_of

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = random.Random(5).randbytes(12_000_000)
NOBODY = "127.0.0.1:1"  # no daemon is needed


@pytest.fixture
def shell(web, owner, tmp_path) -> Shell:
    made = Shell(tmp_path, NOBODY, token_of(owner))
    made.environment["BACKDROP_URL"] = web.url
    (tmp_path / "orders.bin").write_bytes(CONTENT)
    (tmp_path / "little.txt").write_text("abc\n")
    return made


@pytest.fixture
def workers(web) -> Iterator[None]:
    with crew(web.log.parent, workers=1):
        yield


def proxied(shell: Shell, web, **how) -> CuttingProxy:
    made = CuttingProxy(int(web.netloc.split(":")[1]), **how)
    shell.environment["BACKDROP_URL"] = made.url
    return made


def remembered(shell: Shell) -> list:
    return sorted((shell.home / ".local/state/backdrop/uploads").glob("*.json"))


def test_it_works(shell, workers):
    done = shell.run("upload", "orders.bin", "--job", "toy-file", "--output", "back.bin")
    assert done.code == 0, done.err
    assert (shell.home / "back.bin").read_bytes() == CONTENT[::-1]
    assert "sent orders.bin, 12.0 MB" in done.lines
    assert "toy-file completed" in done.lines
    assert "\x1b" not in done.out
    assert remembered(shell) == []

    shown = shell.run("upload", "little.txt", "--wait", "--json").json
    assert shown["result"]["sha256"] == hashlib.sha256(b"abc\n").hexdigest()
    at_terminal = shell.type("upload", "little.txt", "--wait")
    assert '"lines": 1' in plain(at_terminal.out)

    many = ["upload", "little.txt", "--job", "toy-file", "-o", "copies=2", "--output"]
    assert "Name a folder" in shell.run(*many, "one.txt").err
    (shell.home / "all").mkdir()
    assert shell.run(*many, "all").code == 0
    assert len(list((shell.home / "all").iterdir())) == 2

    task = Task.objects.filter(job="toy-file").latest("created_at")
    name = task.artifacts.first().name
    assert shell.run("result", str(task.pk), "--artifact", name).lines[0].startswith("Saved ")
    assert name in shell.run("result", str(task.pk)).out

    failed = shell.run("upload", "little.txt", "--job", "toy-file", "-o", "fail=9", "--wait")
    assert failed.code == 1
    assert Task.objects.latest("created_at").error in failed.err


def test_a_terminal_gets_a_bar(shell):
    done = shell.type("upload", "orders.bin", "--job", "toy-file")
    assert done.code == 0, done.out
    assert "━" in done.out or "╸" in done.out
    assert "--wait" in plain(done.out)


def test_cut_connections_are_gone_on_with(shell, web):
    with proxied(shell, web, cuts=6, low=300_000, high=2_500_000) as proxy:
        done = shell.run("upload", "orders.bin", "--job", "toy-file")
    assert done.code == 0, done.err
    assert proxy.cuts == 6
    assert "connection lost" in done.out
    upload = Upload.objects.get()
    assert upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert proxy.received < len(CONTENT) * 1.7, "it went on where it was"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_command_that_was_stopped_goes_on_where_it_was(shell, web, end):
    with proxied(shell, web, cuts=0, slow=0.05) as proxy:
        sending = shell.start("upload", "orders.bin", "--job", "toy-file", "--json")
        until(lambda: Upload.objects.filter(offset__gt=2_000_000).exists())
        sending.send_signal(end)
        _, told = sending.communicate()
        if end == signal.SIGINT:
            assert sending.returncode == 130
            assert "goes on where it stopped" in told
        [kept] = remembered(shell)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert "/task/upload/" in kept.read_text()
        there, proxy.slow, proxy.received = Upload.objects.get().offset, 0, 0
        shell.environment["BACKDROP_TOKEN"] = "expired"  # the address is all that is needed
        done = shell.run("upload", "orders.bin", "--job", "toy-file", "--json")
    assert done.code == 0, done.err
    assert proxy.received < len(CONTENT) - there + 100_000
    assert Upload.objects.get().sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert done.json["id"] == str(Task.objects.get().pk)
    assert remembered(shell) == []


def test_an_upload_that_is_gone_is_asked_for_anew(shell, web):
    with proxied(shell, web, cuts=0, slow=0.05) as proxy:
        sending = shell.start("upload", "orders.bin", "--job", "toy-file")
        until(lambda: Upload.objects.filter(offset__gt=1_000_000).exists())
        sending.kill()
        sending.communicate()
        Upload.objects.update(expires_at="2020-01-01T00:00:00Z")
        proxy.slow = 0
        assert shell.run("upload", "orders.bin", "--job", "toy-file").code == 0
    assert Upload.objects.filter(completed_at__isnull=False).count() == 1
    assert Upload.objects.count() == 2


def test_giving_up_says_how_to_go_on(shell, web):
    with proxied(shell, web, cuts=0, slow=0.05) as proxy:
        sending = shell.start("upload", "orders.bin", "--patience", "1")
        until(lambda: Upload.objects.filter(offset__gt=1_000_000).exists())
        proxy.close()
        _, told = sending.communicate()
    assert sending.returncode == 4
    assert "The same command goes on from there" in told
    assert remembered(shell)


def test_an_expired_login_is_renewed(shell, owner):
    from accounts import tokens

    pair = tokens.pair_for(owner)
    del shell.environment["BACKDROP_TOKEN"]
    kept = shell.home / ".config/backdrop/credentials.json"
    kept.parent.mkdir(parents=True)
    login = {"username": "owner", "access": "old", "refresh": pair.refresh, "expires_at": 0}
    kept.write_text(json.dumps({NOBODY: login}))
    assert shell.run("upload", "little.txt").code == 0
    assert json.loads(kept.read_text())[NOBODY]["refresh"] != pair.refresh


def test_refusals_are_told_as_sentences(shell, web, stranger):
    unknown = shell.run("upload", "little.txt", "--job", "nothing")
    assert (unknown.code, Upload.objects.count()) == (1, 0)
    assert "inspect" in unknown.err
    wrong = shell.run("upload", "little.txt", "--job", "toy-file", "-o", "copies=10")
    assert "options.copies" in wrong.err
    assert shell.run("upload", "little.txt", "-o", "copies").code == 2
    assert shell.run("upload", "missing.txt").code == 2
    large = shell.run("upload", "orders.bin", "--job", "toy-text", "--json")
    assert "5000000" in json.loads(large.err)["error"]
    (shell.home / "picture").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    assert "image/png" in shell.run("upload", "picture", "--job", "toy-text").err
    assert remembered(shell) == [], "what was refused is not gone on with"

    asked = shell.run("upload", "little.txt", "--json").json
    assert "has not ended" in shell.run("result", asked["id"]).err
    shell.environment["BACKDROP_TOKEN"] = str(token_of(stranger))
    foreign = shell.run("result", asked["id"], "--json")
    assert (foreign.code, json.loads(foreign.err)["code"]) == (1, "NOT_FOUND")
    shell.environment["BACKDROP_TOKEN"] = "nonsense"
    nobody = shell.run("jobs")
    assert nobody.code == 3
    assert "backdrop login" in nobody.err
    shell.environment["BACKDROP_URL"] = "http://127.0.0.1:1"
    silent = shell.run("jobs")
    assert silent.code == 4
    assert "BACKDROP_URL" in silent.err


def test_jobs_are_listed_with_their_options(shell, owner):
    shown = shell.run("jobs").out
    assert "any file, up to 21.5 GB" in shown
    UploadLimit.objects.create(user=owner, types=["image/*"])
    limited = shell.run("jobs").out
    assert "image/*, up to 21.5 GB" in limited
    assert "nothing from you" in limited, "a job that takes only text"
    assert "format=gzip|zstd" in shown
    assert "level=1..19" in shown
    assert {"inspect", "compress"} <= {one["name"] for one in shell.run("jobs", "--json").json}
