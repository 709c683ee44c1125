"""`manage.py firststart`: the team, the first admin, the hooks of other apps."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command

from accounts.keys import WrongKeyError
from accounts.models import KeyFingerprint, Membership, Role, Team, User
from backdrop_site.management.commands.firststart import LOGIN

pytestmark = pytest.mark.django_db

CALLS: list[tuple[str, bool]] = []


def hook(team: Team, *, first: bool) -> None:
    CALLS.append((team.name, first))


def broken_hook(team: Team, *, first: bool) -> None:
    raise RuntimeError("no disk")


@pytest.fixture(autouse=True)
def bare(monkeypatch, settings):
    """As after installing: no admin chosen, and only the hook of this test."""
    for name in ("ADMIN_USERNAME", "ADMIN_PASSWORD", "ADMIN_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    settings.FIRST_START = [f"{__name__}.hook"]
    CALLS.clear()


def firststart() -> str:
    out = io.StringIO()
    call_command("firststart", stdout=out)
    return out.getvalue()


def test_it_works(client):
    login = LOGIN.fullmatch(firststart().strip())
    assert login is not None
    assert client.login(**login.groupdict())
    admin = User.objects.get()
    assert admin.is_superuser
    assert admin.username == "admin"
    assert Membership.objects.get(user=admin).role == Role.ADMIN
    assert KeyFingerprint.objects.count() == 1


def test_a_second_time_makes_and_tells_nothing():
    firststart()
    assert firststart() == ""
    assert (User.objects.count(), Team.objects.count()) == (1, 1)


def test_the_generated_password_is_kept_nowhere():
    login = LOGIN.fullmatch(firststart().strip())
    assert login["password"] not in str(list(User.objects.values()))


def test_hooks_learn_whether_it_is_the_first_time():
    firststart()
    firststart()
    assert CALLS == [("Home", True), ("Home", False)]


def test_the_admin_is_named_and_given_a_password_by_the_environment(monkeypatch, tmp_path, client):
    (tmp_path / "password").write_text("from a file\n")
    monkeypatch.setenv("ADMIN_USERNAME", "ada")
    monkeypatch.setenv("ADMIN_PASSWORD_FILE", str(tmp_path / "password"))
    told = firststart()
    assert "from a file" not in told
    assert "ada" in told
    assert client.login(username="ada", password="from a file")


def test_a_malformed_name_is_told_by_its_variable(monkeypatch):
    monkeypatch.setenv("ADMIN_USERNAME", "two words")
    with pytest.raises(CommandError, match="ADMIN_USERNAME"):
        firststart()


def test_a_superuser_that_is_there_already_is_enough(superuser):
    assert firststart() == ""
    assert User.objects.get() == superuser


def test_nobody_is_made_admin_for_having_the_name(new_user):
    new_user("admin")
    with pytest.raises(CommandError, match="ADMIN_USERNAME"):
        firststart()
    assert not User.objects.filter(is_superuser=True).exists()


def test_what_fails_in_the_middle_leaves_nothing(settings):
    settings.FIRST_START = [f"{__name__}.broken_hook"]
    with pytest.raises(RuntimeError):
        firststart()
    assert not User.objects.exists()
    assert not Team.objects.exists()


def test_a_password_that_can_not_be_told_is_not_set():
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        call_command("firststart", stdout=Closed())
    assert not User.objects.exists()


def test_a_wrong_key_is_told(settings):
    firststart()
    settings.ENCRYPTION_KEY = "another key of more than 32 bytes, at least"
    with pytest.raises(CommandError, match="ENCRYPTION_KEY is not the key"):
        firststart()
    assert issubclass(WrongKeyError, Exception)


def test_several_machines_starting_at_once_make_one_of_each(tmp_path):
    """Real processes on one database; exactly one of them tells a password."""
    environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path)}
    manage = [sys.executable, str(Path(django_settings.BASE_DIR) / "manage.py")]
    subprocess.run([*manage, "migrate", "-v0"], env=environment, check=True, timeout=120)
    starts = [
        subprocess.Popen([*manage, "firststart"], env=environment, stdout=-1, text=True)
        for _ in range(3)
    ]
    told = "".join(start.communicate(timeout=120)[0] for start in starts)
    assert [start.returncode for start in starts] == [0] * 3
    assert len(LOGIN.findall(told)) == 1
    count = "from accounts.models import *; print(User.objects.count(), Team.objects.count())"
    counted = subprocess.run(
        [*manage, "shell", "-v0", "-c", count],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert counted.stdout.split() == ["1", "1"]
