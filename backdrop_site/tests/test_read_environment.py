"""What happens at start with settings that make sense, and with those that make none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from backdrop_site import environment
from backdrop_site.cli import daemon as cli_daemon

PORTS = {"PORT": 8000, "GRPC_PORT": 50051, "METRICS_PORT": 9090}
SECRETS = dict.fromkeys(environment.SECRET_NAMES, "x" * 32)


def start(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The first thing that any command does: reading the settings."""
    return subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "diffsettings"],
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_works(tmp_path):
    run = start(tmp_path, PORT="8123", WORKERS="7", DEBUG="true", LOG_LEVEL="warning")
    assert run.returncode == 0, run.stderr
    assert "PORT = 8123" in run.stdout
    assert "LOG_LEVEL = 'WARNING'" in run.stdout


def test_everything_malformed_is_told_at_once_with_its_name_and_what_it_should_be(tmp_path):
    run = start(tmp_path, PORT="70000", WORKERS="0", DEBUG="perhaps", LOG_LEVEL="loud")
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "Backdrop can't start:",
        "DEBUG should be true or false; it is 'perhaps'.",
        "PORT should be a port number, 0 to 65535; it is '70000'.",
        "WORKERS should be 1 or more; it is '0'.",
        "LOG_LEVEL should be one of DEBUG, INFO, WARNING, ERROR, CRITICAL; it is 'loud'.",
    ]


def test_ports_that_nobody_chose_are_those_that_everybody_expects(tmp_path):
    """The contract's, and what the command line, the image, Compose and the documents take."""
    told = start(tmp_path).stdout
    ports = {name: int(re.search(rf"^{name} = (\d+)", told, re.MULTILINE)[1]) for name in PORTS}
    assert ports == PORTS
    assert f"127.0.0.1:{ports['GRPC_PORT']}" == cli_daemon.DEFAULT
    root = settings.BASE_DIR
    assert f"EXPOSE {' '.join(map(str, ports.values()))}\n" in (root / "Dockerfile").read_text()
    example = (root / ".env.example").read_text()
    composed = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
    published = [*composed["web"]["ports"], *composed["daemon"]["ports"]]
    scraped = (root / "deploy" / "prometheus" / "prometheus.yml").read_text()
    for name, port in ports.items():
        assert f"# {name}={port}\n" in example
        assert f"127.0.0.1:${{{name}:-{port}}}:{port}" in published
        assert re.search(rf"`{name}`.*\b{port}\b", (root / "README.md").read_text())
    assert f"[daemon:{ports['METRICS_PORT']}]" in scraped


@pytest.mark.parametrize(
    "url", ["mysq1://u:hunter2@h/x", "postgres://u:hunter2@h:port/x", "postgres://u:hunter2@h/"]
)
def test_a_malformed_database_address_is_told_without_its_password(tmp_path, url):
    run = start(tmp_path, DB_URL=url, **SECRETS)
    assert run.returncode == 1
    assert "DB_URL should be sqlite:////a/path or postgres://" in run.stderr
    assert "hunter2" not in run.stderr + run.stdout


def test_a_name_in_the_file_that_nothing_reads_is_told_with_the_one_that_was_meant(tmp_path):
    file = tmp_path / ".env"
    file.write_text("WROKERS=3\nJWT_SECRET_FILE=/x\nPORT=8000\nZZZ=1\nCOMPOSE_PROFILES=x\n")
    env = Env(eager=False)
    env.int("WORKERS", 3)
    env.int("PORT", 8000)
    with pytest.raises(ImproperlyConfigured) as told:
        environment.report(env, file=file)
    assert str(told.value).splitlines() == [
        "WROKERS in .env is no setting of Backdrop. Did you mean WORKERS?",
        "ZZZ in .env is no setting of Backdrop.",
    ]


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path):
    first = start(tmp_path)
    assert first.returncode == 0, first.stderr
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {"secret_key", "jwt_secret", "encryption_key"}
    assert all(len(text) >= 32 for text in made.values())
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()} == {0o600}
    assert start(tmp_path).returncode == 0
    assert {p.name: p.read_text() for p in (tmp_path / "secrets").iterdir()} == made


def test_another_database_than_sqlite_needs_secrets_that_are_given(tmp_path):
    run = start(tmp_path, DB_URL="postgres://u:p@127.0.0.1:1/x")
    assert run.returncode == 1
    assert "SECRET_KEY is not set" in run.stderr


def test_secrets_can_come_from_files_and_short_ones_are_refused(tmp_path):
    (tmp_path / "key").write_text("f" * 40 + "\n")
    assert start(tmp_path, SECRET_KEY_FILE=str(tmp_path / "key")).returncode == 0
    missing = start(tmp_path, SECRET_KEY_FILE="/nowhere/key")
    assert "SECRET_KEY_FILE: /nowhere/key can't be read" in missing.stderr
    short = start(tmp_path, ENCRYPTION_KEY="short")
    assert "ENCRYPTION_KEY has fewer than 32 bytes" in short.stderr


def test_every_setting_in_the_example_file_is_read_and_every_one_that_is_read_is_in_it(tmp_path):
    names = set()
    for line in (settings.BASE_DIR / ".env.example").read_text().splitlines():
        name, equals, _ = line.lstrip("# ").partition("=")
        if equals and name.isupper():
            names.add(name)
    assert names == settings.KNOWN_NAMES


def test_the_example_file_starts_as_it_is(tmp_path):
    copy = tmp_path / "clone"
    for app in settings.BASE_DIR.glob("*/apps.py"):
        shutil.copytree(app.parent, copy / app.parent.name)
    shutil.copy(settings.BASE_DIR / ".env.example", copy / ".env")
    code = "from backdrop_site import settings; print(settings.PORT)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, env={}, capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "8000\n", run.stderr


def test_processes_that_start_at_once_agree_on_the_secrets_they_make(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        found = list(
            threads.map(
                lambda _: environment.read_secret("JWT_SECRET", folder=tmp_path, generate=True),
                range(8),
            )
        )
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["jwt_secret"]


def test_a_kept_secret_that_others_could_read_is_closed_to_them(tmp_path):
    file = tmp_path / "jwt_secret"
    file.write_text("k" * 40)
    file.chmod(0o644)
    assert environment.read_secret("JWT_SECRET", folder=tmp_path, generate=True) == "k" * 40
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_kept_secret_that_can_not_be_read_is_told_by_name(tmp_path):
    (tmp_path / "jwt_secret").mkdir()
    with pytest.raises(ImproperlyConfigured, match=r"JWT_SECRET is kept in .*jwt_secret"):
        environment.read_secret("JWT_SECRET", folder=tmp_path, generate=True)


@pytest.mark.parametrize("name", environment.SECRET_NAMES)
def test_each_secret_that_is_missing_or_short_is_refused_by_its_name(tmp_path, monkeypatch, name):
    monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(f"{name}_FILE", raising=False)
    with pytest.raises(ImproperlyConfigured, match=f"{name} is not set"):
        environment.read_secret(name, folder=tmp_path, generate=False)
    monkeypatch.setenv(name, "x" * 31)
    with pytest.raises(ImproperlyConfigured, match=f"{name} has fewer than 32 bytes") as told:
        environment.read_secret(name, folder=tmp_path, generate=False)
    assert "x" * 31 not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_addresses_that_make_no_sense_are_told_without_their_passwords(tmp_path):
    run = start(
        tmp_path, REDIS_URL="http://:hunter2@h", HOST="http://h", SHUTDOWN_GRACE_SECONDS="-1"
    )
    assert run.returncode == 1
    assert run.stderr.splitlines() == [
        "Backdrop can't start:",
        "HOST should be an address or a host name alone; it is 'http://h'.",
        "REDIS_URL should be redis://host:6379/0.",
        "SHUTDOWN_GRACE_SECONDS should be 0 or more; it is '-1'.",
    ]


def test_addresses_with_passwords_can_come_from_files(tmp_path):
    (tmp_path / "redis").write_text("redis://:p@127.0.0.1:1/0\n")
    (tmp_path / "db").write_text(f"sqlite:///{tmp_path}/other.sqlite3\n")
    files = {"REDIS_URL_FILE": str(tmp_path / "redis"), "DB_URL_FILE": str(tmp_path / "db")}
    run = start(tmp_path, **files)
    assert run.returncode == 0, run.stderr
    assert "REDIS_URL = 'redis://:p@127.0.0.1:1/0'" in run.stdout
    assert "other.sqlite3" in run.stdout


def test_a_file_that_holds_no_address_of_redis_is_told_without_what_it_holds(tmp_path):
    (tmp_path / "redis").write_text("http://:hunter2@h\n")
    run = start(tmp_path, REDIS_URL_FILE=str(tmp_path / "redis"))
    assert run.returncode == 1
    expected = f"REDIS_URL_FILE: {tmp_path}/redis should hold redis://host:6379/0."
    assert run.stderr.splitlines() == ["Backdrop can't start:", expected]
    (tmp_path / "redis").write_text("\n")
    assert "REDIS_URL = ''" in start(tmp_path, REDIS_URL_FILE=str(tmp_path / "redis")).stdout


def test_check_tells_mistakes_in_what_only_the_first_start_reads(tmp_path):
    run = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "check"],
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "BACKUP_SCHEDULE": "at night"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1
    assert "BACKUP_SCHEDULE should be a cron expression." in run.stderr
