"""What a start says of variables that only the first start reads, before that and after."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection, utils

from backups import checks, variables
from backups.checks import check_environment
from backups.first_start import begin
from backups.models import Channel, Database, Destination, Schedule
from backups.tests.test_begin_first_start import GCS, S3, SERVER

pytestmark = pytest.mark.django_db

ALL = {
    **S3,
    "POSTGRES_URL": SERVER,
    "BACKUP_SCHEDULE": "0 2 * * *",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/secret",
    "NOTIFY_URLS": "ntfy://topic json://example.org/told",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch, settings, tmp_path):
    """environment(NAME="value"): only these are set."""
    settings.BACKUP_DIR = tmp_path / "kept"

    def given(**values):
        for name in variables.names():
            monkeypatch.delenv(name, raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    given()
    return given


def told() -> list[tuple[str, str]]:
    """Id and variable of each message."""
    return [(one.id, one.msg.split()[0].strip(":")) for one in check_environment()]


def test_it_works(team, environment):
    environment(**ALL)
    begin(team, first=True)
    assert check_environment() == []
    environment(**{**ALL, "S3_SECRET_KEY": ""})
    [warning] = check_environment()
    assert (warning.id, warning.is_serious()) == ("backups.W001", False)
    assert warning.msg == "S3_SECRET_KEY: Enter the secret key."
    assert "kept in the database" in warning.hint


def test_before_the_first_start_the_same_is_an_error(environment):
    environment(**{**S3, "S3_SECRET_KEY": ""})
    assert [(one.id, one.is_serious()) for one in check_environment()] == [("backups.E001", True)]


def test_a_file_that_is_gone_stops_no_later_start(team, environment, tmp_path):
    key = tmp_path / "key.json"
    key.write_text(GCS["GCS_CREDENTIALS"])
    environment(**{**GCS, "GCS_CREDENTIALS": ""}, GCS_CREDENTIALS_FILE=str(key))
    begin(team, first=True)
    assert check_environment() == []
    key.unlink()
    assert told() == [("backups.W001", "GCS_CREDENTIALS_FILE")]


@pytest.mark.parametrize(
    ("values", "variable", "where"),
    [
        ({"POSTGRES_URL": SERVER}, "POSTGRES_URL", "on the page Databases"),
        ({"MYSQL_URL": "mysql://u:hunter2@maria/shop"}, "MYSQL_URL", "on the page Databases"),
        (S3, "STORAGE", "on the page Destinations"),
        ({"STORAGE": "local"}, "STORAGE", "on the page Destinations"),
        ({"BACKUP_DIR": "/srv/other"}, "BACKUP_DIR", "on the page Destinations"),
        ({"BACKUP_SCHEDULE": "@daily"}, "BACKUP_SCHEDULE", "`backdrop schedule add`"),
        (
            {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/hunter2"},
            "SLACK_WEBHOOK_URL",
            "on the page Notifications",
        ),
        ({"NOTIFY_URLS": "ntfy://hunter2"}, "NOTIFY_URLS", "on the page Notifications"),
    ],
)
def test_what_is_set_after_the_first_start_is_said_to_change_nothing(
    team, environment, values, variable, where
):
    environment(**values)
    [warning] = check_environment()
    assert (warning.id, warning.is_serious()) == ("backups.W002", False)
    assert warning.msg.startswith(f"{variable} names what is not registered")
    assert where in warning.hint
    assert "hunter2" not in f"{warning.msg} {warning.hint}"


def test_each_that_came_too_late_is_named(team, environment):
    environment(**ALL)
    assert [variable for _, variable in told()] == [
        "STORAGE",
        "POSTGRES_URL",
        "BACKUP_SCHEDULE",
        "SLACK_WEBHOOK_URL",
        "NOTIFY_URLS",
    ]


def test_what_was_registered_elsewhere_meanwhile_is_registered(team, environment):
    environment(**ALL)
    begin(team, first=True)
    Database.objects.update(name="renamed", password="new")
    Destination.objects.update(name="renamed")
    Schedule.objects.update(name="renamed")
    assert check_environment() == []
    Channel.objects.filter(kind="slack").delete()
    assert told() == [("backups.W002", "SLACK_WEBHOOK_URL")]


def test_nothing_is_asked_of_the_database_where_nothing_is_set(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert check_environment() == []


def test_a_database_that_is_away_makes_no_mistake_grave(environment, monkeypatch):
    def away() -> None:
        raise utils.OperationalError("no route to host")

    environment(**{**ALL, "S3_SECRET_KEY": ""})
    monkeypatch.setattr(connection, "ensure_connection", away)
    assert told() == [("backups.W001", "S3_SECRET_KEY")]


def test_another_key_is_not_told_twice(team, environment, settings):
    environment(**ALL)
    begin(team, first=True)
    settings.ENCRYPTION_KEY = "another key of more than 32 bytes, at least"
    assert checks.check_environment() == []


def test_a_platform_starts_again_without_what_its_first_start_read(tmp_path):
    def run(*words: str, **values: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
            env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), **values},
            capture_output=True,
            text=True,
            timeout=120,
        )

    broken = {name: value for name, value in S3.items() if name != "S3_SECRET_KEY"}
    assert run("migrate", "-v0", **broken).returncode == 1
    for words in (("migrate", "-v0"), ("firststart",)):
        done = run(*words, **S3)
        assert done.returncode == 0, done.stderr
        assert "WARNINGS" not in done.stderr
    for words in (("migrate", "-v0"), ("firststart",), ("check",)):
        again = run(*words, **broken)
        assert again.returncode == 0, again.stderr
    assert "(backups.W001) S3_SECRET_KEY" in again.stderr
