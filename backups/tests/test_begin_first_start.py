"""What a first start makes of the environment."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from backups import variables
from backups.checks import check_environment
from backups.database_urls import Address
from backups.first_start import begin
from backups.models import Channel, Database, Destination, Plan, Schedule
from backups.pipeline.engines import ENGINES

pytestmark = pytest.mark.django_db

S3 = {
    "STORAGE": "s3",
    "S3_ENDPOINT": "http://127.0.0.1:8333",
    "S3_BUCKET": "backups",
    "S3_REGION": "eu-central-1",
    "S3_USE_PATH_STYLE": "true",
    "S3_ACCESS_KEY": "keeper",
    "S3_SECRET_KEY": "sec/ret+=",
}
GCS_KEY = """{
  "type": "service_account", "client_email": "keeper@project.iam.gserviceaccount.com",
  "private_key": "sec/ret+=", "token_uri": "https://oauth2.example.org/token"
}"""
GCS = {
    "STORAGE": "gcs",
    "GCS_BUCKET": "backups",
    "GCS_BILLED_PROJECT": "payer-123",
    "GCS_CREDENTIALS": GCS_KEY,
}
POSTGRES, MYSQL = ENGINES["postgres"], ENGINES["mysql"]


@pytest.fixture(autouse=True)
def environment(monkeypatch, settings, tmp_path):
    """environment(NAME="value"): only these are set."""
    settings.BACKUP_DIR = tmp_path / "kept"
    for name in variables.names():
        monkeypatch.delenv(name, raising=False)

    def given(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return given


def test_it_works(settings, capsys):
    call_command("firststart")
    destination = Destination.objects.get()
    assert (destination.name, destination.kind) == ("local", "local")
    assert destination.options == {"folder": str(settings.BACKUP_DIR)}
    assert settings.BACKUP_DIR.is_dir()
    assert not Database.objects.exists()


def test_a_bucket_becomes_the_first_destination(team, environment):
    environment(**S3)
    begin(team, first=True)
    destination = Destination.objects.get()
    assert (destination.team, destination.name, destination.kind) == (team, "s3", "s3")
    assert destination.options == {
        "endpoint": "http://127.0.0.1:8333",
        "bucket": "backups",
        "region": "eu-central-1",
        "path_style": True,
        "access_key": "keeper",
    }
    assert destination.secret.reveal() == "sec/ret+="


def test_a_bucket_at_google_becomes_the_first_destination(team, environment):
    environment(**GCS)
    begin(team, first=True)
    destination = Destination.objects.get()
    assert (destination.name, destination.kind) == ("gcs", "gcs")
    assert destination.options == {"bucket": "backups", "payer": "payer-123"}
    assert destination.secret.reveal() == GCS_KEY


def test_a_machine_with_an_identity_at_google_needs_no_key(team, environment):
    environment(STORAGE="gcs", GCS_BUCKET="backups")
    begin(team, first=True)
    destination = Destination.objects.get()
    assert (destination.options, destination.secret.reveal()) == ({"bucket": "backups"}, "")


def test_secrets_are_read_from_files(team, environment, tmp_path):
    file = tmp_path / "secret"
    file.write_text("from-a-file\n")
    environment(**{**S3, "S3_SECRET_KEY": ""}, S3_SECRET_KEY_FILE=str(file))
    begin(team, first=True)
    assert Destination.objects.get().secret.reveal() == "from-a-file"


def test_a_later_start_makes_nothing(team, environment):
    environment(POSTGRES_URL="postgres://keeper@db/shop")
    begin(team, first=False)
    assert not Destination.objects.exists()
    assert not Database.objects.exists()


def test_a_second_start_keeps_what_a_person_removed(capsys):
    call_command("firststart")
    Destination.objects.all().delete()
    call_command("firststart")
    assert not Destination.objects.exists()


def test_a_database_is_registered_with_a_plan(team, environment):
    environment(POSTGRES_URL="postgres://keeper:p%40ss%2Fw%3Ard%25@db:5433/shop?sslmode=require")
    begin(team, first=True)
    database = Database.objects.get()
    assert (database.team, database.name, database.engine) == (team, "shop", "postgres")
    assert (database.host, database.port, database.dbname) == ("db", 5433, "shop")
    assert (database.username, database.sslmode) == ("keeper", "require")
    assert database.password.reveal() == "p@ss/w:rd%"
    plan = Plan.objects.get()
    assert (plan.team, plan.name, plan.database) == (team, "shop", database)
    assert plan.destination == Destination.objects.get()


def test_a_name_that_is_no_file_name_is_made_one(team, environment):
    environment(POSTGRES_URL="postgres://keeper@db/my%20shop")
    begin(team, first=True)
    database = Database.objects.get()
    assert (database.name, database.dbname) == ("my-shop", "my shop")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h/d", ("h", 5432, "d", "u", "p")),
        ("postgresql://u:p@h:1/d", ("h", 1, "d", "u", "p")),
        ("postgres://u@h", ("h", 5432, "u", "u", "")),
        ("postgres://u@h/", ("h", 5432, "u", "u", "")),
        ("postgres://u:p@[::1]:5433/d", ("::1", 5433, "d", "u", "p")),
        ("postgres://u:p@/d", ("127.0.0.1", 5432, "d", "u", "p")),
        ("postgres://u:p@/d?host=/run/postgresql", ("/run/postgresql", 5432, "d", "u", "p")),
        ("postgres://u:p@ss#w/r:d?x%y@h:1/d", ("h", 1, "d", "u", "p@ss#w/r:d?x%y")),
        ("postgres://u%40corp:p%25@h/d", ("h", 5432, "d", "u@corp", "p%")),
    ],
)
def test_addresses_are_understood_encoded_or_not(url, expected):
    found = Address.parse(url, POSTGRES)
    assert (found.host, found.port, found.dbname, found.username, found.password) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://u:p@h/d", ("h", 3306, "d", "u", "p", "")),
        ("mariadb://u:p@h:1/d", ("h", 1, "d", "u", "p", "")),
        ("mysql://u:p@[::1]:3307/d", ("::1", 3307, "d", "u", "p", "")),
        (
            "mysql://u@/d?socket=/run/mysqld/mysqld.sock",
            ("/run/mysqld/mysqld.sock", 3306, "d", "u", "", ""),
        ),
        ("mysql://u:p@h/d?ssl-mode=VERIFY_IDENTITY", ("h", 3306, "d", "u", "p", "verify-full")),
        ("mysql://u:p@h/d?sslmode=require", ("h", 3306, "d", "u", "p", "require")),
    ],
)
def test_addresses_of_mysql_are_understood_by_either_name(url, expected):
    found = Address.parse(url, MYSQL)
    assert found.engine == "mysql"
    told = (found.host, found.port, found.dbname, found.username, found.password, found.sslmode)
    assert told == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:hidden@h/d",
        "mysql://u:hidden@h",
        "mysql://u:hidden@h/",
        "mysql://u:hidden@h:0/d",
        "mysql://u:hidden@h/d?ssl-mode=perhaps",
        "mysql://u:hidden@h/d?ssl-mode=require&sslmode=require",
        "mysql://u:hidden@h/d?charset=utf8",
    ],
)
def test_an_address_of_mysql_that_makes_no_sense_is_told_without_the_password(
    team, environment, url
):
    environment(MYSQL_URL=url)
    with pytest.raises(ImproperlyConfigured, match="MYSQL_URL should be mysql://") as told:
        begin(team, first=True)
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hidden@h/d",
        "postgres:u:hidden@h/d",
        "postgres://:hidden@h/d",
        "postgres://u:hidden@h:port/d",
        "postgres://u:hidden@h:99999/d",
        "postgres://u:hidden@h/d?colour=red",
        "postgres://u:hidden@h/d?sslmode=perhaps",
        "hidden",
    ],
)
def test_an_address_that_makes_no_sense_is_told_without_the_password(team, environment, url):
    environment(POSTGRES_URL=url)
    with pytest.raises(ImproperlyConfigured, match="POSTGRES_URL should be") as told:
        begin(team, first=True)
    assert "hidden" not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"STORAGE": "tape"}, "STORAGE should be one of local, s3"),
        ({**S3, "S3_BUCKET": ""}, "S3_BUCKET"),
        ({**S3, "S3_USE_PATH_STYLE": "perhaps"}, "S3_USE_PATH_STYLE should be true or false"),
        ({**S3, "S3_ENDPOINT": "nowhere"}, "S3_ENDPOINT"),
        ({**S3, "S3_SECRET_KEY": ""}, "S3_SECRET_KEY"),
        ({**S3, "S3_SECRET_KEY": "", "S3_SECRET_KEY_FILE": "/no/such"}, "S3_SECRET_KEY_FILE"),
        ({**GCS, "GCS_BUCKET": ""}, "GCS_BUCKET"),
        ({**GCS, "GCS_ENDPOINT": "nowhere"}, "GCS_ENDPOINT"),
        ({**GCS, "GCS_BILLED_PROJECT": "?"}, "GCS_BILLED_PROJECT"),
        ({**GCS, "GCS_CREDENTIALS": "sec/ret+="}, "GCS_CREDENTIALS: This is no JSON"),
        ({**GCS, "GCS_CREDENTIALS": "", "GCS_CREDENTIALS_FILE": "/no/such"}, "GCS_CREDENTIALS_F"),
    ],
)
def test_a_value_that_makes_no_sense_is_told_by_its_variable(team, environment, values, name):
    environment(**values)
    with pytest.raises(ImproperlyConfigured, match=name) as told:
        begin(team, first=True)
    assert S3["S3_SECRET_KEY"] not in str(told.value)
    assert not Destination.objects.exists()


def test_an_address_shows_no_password():
    assert "hidden" not in repr(Address.parse("postgres://u:hidden@h/d", POSTGRES))


SERVER = "postgres://u:p@db.example.org/shop"


def test_a_schedule_and_whom_to_tell_are_made_too(team, environment, tmp_path):
    (tmp_path / "hook").write_text("https://hooks.slack.com/services/T0/B0/secret\n")
    environment(
        POSTGRES_URL=SERVER,
        BACKUP_SCHEDULE="0 2 * * *",
        SLACK_WEBHOOK_URL_FILE=str(tmp_path / "hook"),
        NOTIFY_URLS="ntfy://topic, json://example.org/told",
    )
    begin(team, first=True)
    schedule = Schedule.objects.get()
    assert (schedule.plan, schedule.cron, schedule.time_zone) == (
        Plan.objects.get(),
        "0 2 * * *",
        "UTC",
    )
    told = {(it.name, it.kind, it.address.reveal()) for it in Channel.objects.filter(team=team)}
    assert told == {
        ("slack", "slack", "https://hooks.slack.com/services/T0/B0/secret"),
        ("notify-1", "apprise", "ntfy://topic"),
        ("notify-2", "apprise", "json://example.org/told"),
    }


def test_both_kinds_of_database_are_registered_each_with_its_schedule(team, environment, tmp_path):
    (tmp_path / "url").write_text("mariadb://keeper:p%40ss@maria/shop\n")
    environment(
        POSTGRES_URL=SERVER,
        MYSQL_URL_FILE=str(tmp_path / "url"),
        BACKUP_SCHEDULE="0 2 * * *",
    )
    begin(team, first=True)
    rows = Database.objects.order_by("pk").values_list("name", "engine", "host", "port", "dbname")
    assert list(rows) == [
        ("shop", "postgres", "db.example.org", 5432, "shop"),
        ("shop-mysql", "mysql", "maria", 3306, "shop"),
    ]
    assert Database.objects.get(engine="mysql").password.reveal() == "p@ss"
    planned = Schedule.objects.values_list("plan__database__name", "cron").order_by("pk")
    assert list(planned) == [("shop", "0 2 * * *"), ("shop-mysql", "0 2 * * *")]


def test_check_names_every_mistake_and_repeats_no_secret(environment):
    environment(
        STORAGE="tape",
        POSTGRES_URL="postgres://u:hunter2@h:port/x",
        MYSQL_URL="mysql://u:hunter2@h",
        BACKUP_SCHEDULE="at night",
        SLACK_WEBHOOK_URL="not-a-hook-hunter2",
        NOTIFY_URLS="nobody-knows-hunter2://x",
    )
    told = [message.msg for message in check_environment()]
    named = [sentence.split()[0].strip(":") for sentence in told]
    assert named == [
        "STORAGE",
        "POSTGRES_URL",
        "MYSQL_URL",
        "BACKUP_SCHEDULE",
        "SLACK_WEBHOOK_URL",
        "NOTIFY_URLS",
    ]
    assert "hunter2" not in " ".join(told)


def test_check_says_nothing_where_nothing_is_wrong(environment):
    assert check_environment() == []
    for schedule in ("@daily", "@every 6h"):
        environment(**S3, POSTGRES_URL=SERVER, BACKUP_SCHEDULE=schedule)
        assert check_environment() == []
