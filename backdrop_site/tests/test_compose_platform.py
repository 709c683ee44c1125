"""docker-compose.yml held against the code, against Compose's own schema, and run in parts.

No image is run here, nor Compose itself: how it puts in values is told in `composed`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

from backdrop_site.tests.composed import (
    FILE,
    MOUNTED,
    OURS,
    SERVICES,
    TEXT,
    RequiredError,
    composed,
    environment,
)
from backups import first_start, variables
from backups.models import Database, Destination, Plan
from backups.pipeline.engines import ENGINES
from tests import servers

ROOT = settings.BASE_DIR
SECRETS = {"SECRETS_DIR": "/made"}
FIRST = variables.names() - {"BACKUP_DIR"} | {
    name for name in settings.KNOWN_NAMES if name.startswith("ADMIN_")
}
"""Settings that the first start alone reads."""
OWN = {"HOST", "VAR_DIR", "WEB_METRICS_PORT"}
"""Settings that are the image's own, or the file's."""
OUTSIDE = {"PORT", "GRPC_PORT", "METRICS_PORT", "SECRETS_DIR"}
"""Settings that say something of this machine, and nothing to the containers."""
ELSEWHERE = {"DEMO_MB"}
"""Settings that only `make demo` reads."""
PASSED = settings.KNOWN_NAMES - OWN - OUTSIDE - ELSEWHERE


@pytest.fixture
def made(tmp_path) -> Path:
    """A checkout in which deploy/secrets.sh was run."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "secrets.sh", tmp_path / "deploy")
    subprocess.run(["sh", "deploy/secrets.sh"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def mounted(made, tmp_path_factory) -> Path:
    """What is at /run/secrets, where nobody names files of their own."""
    folder = tmp_path_factory.mktemp("mounted")
    for name, secret in composed(SECRETS_DIR=str(made / "secrets"))["secrets"].items():
        shutil.copy(secret["file"], folder / name)
    return folder


def managed(words: list[str]) -> list[str]:
    """The management commands in a command line."""
    return re.findall(r"python manage\.py (\w+)", " ".join(words))


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    command = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)


def test_it_works(tmp_path):
    """Against the schema of the Compose specification."""
    told = validate(FILE)
    assert told.returncode == 0, told.stdout
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(TEXT.replace("start_interval: 5s", "start_intervall: 5s"))
    assert "start_intervall" in validate(wrong).stdout


@pytest.mark.parametrize("name", OURS)
def test_each_service_of_ours_runs_commands_that_exist_where_the_image_keeps_things(name):
    service = SERVICES[name]
    commands = managed(service["command"])
    assert commands
    assert set(commands) <= set(get_commands())
    assert service["volumes"][0] == "var:/var/lib/backdrop"
    assert "VAR_DIR=/var/lib/backdrop" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", OURS)
def test_every_setting_reaches_the_containers_and_nothing_that_is_no_setting(name):
    named = set(SERVICES[name]["environment"])
    own = {"WEB_METRICS_PORT"} if name == "web" else set()
    assert named == (PASSED if name == "prepare" else PASSED - FIRST) | own


@pytest.mark.parametrize("setting", sorted(PASSED))
@pytest.mark.parametrize("name", ["prepare", "worker"])
def test_what_a_setting_says_outside_it_says_inside(name, setting):
    """As a value, or as a file of this machine that is mounted there."""
    if name != "prepare" and setting in FIRST:
        return
    told = environment(name, **SECRETS, **{setting: "/of/mine"})[setting]
    if told != "/of/mine":
        secret = told.removeprefix(MOUNTED)
        assert composed(**SECRETS, **{setting: "/of/mine"})["secrets"][secret] == {
            "file": "/of/mine"
        }
        assert secret in SERVICES[name]["secrets"]


def test_what_is_not_set_is_not_there():
    told = environment("worker", **SECRETS)
    assert all(value in ("", "true") or value.startswith(MOUNTED) for value in told.values())
    assert {name for name, value in told.items() if not value} == {"GRPC_TLS_CERT", "GRPC_TLS_KEY"}


def test_compose_asks_for_no_variable_that_is_no_setting():
    asked = set(re.findall(r"\$\{(\w+)", TEXT.replace("$$", "")))
    assert asked <= settings.KNOWN_NAMES
    assert asked >= OUTSIDE


@pytest.mark.parametrize("folder", ["", "/srv/backups"])
def test_backups_are_kept_outside_the_containers_wherever_they_go(folder):
    usual = "/var/lib/backdrop/backups"
    given = {"BACKUP_DIR": folder} if folder else {}
    for name in OURS:
        volumes = composed(**SECRETS, **given)["services"][name]["volumes"]
        inside = environment(name, **SECRETS, **given).get("BACKUP_DIR", usual)
        assert f"{folder or 'backups'}:{inside}" in volumes
    assert f"--owner=backdrop --mode=700 {usual}" in (ROOT / "Dockerfile").read_text()


def test_it_starts_in_an_order_that_works():
    healthy = {"condition": "service_healthy"}
    assert SERVICES["prepare"]["depends_on"] == {"db": healthy, "redis": healthy}
    assert SERVICES["backup-minio-bucket"]["depends_on"] == {"backup-minio": healthy}
    for name in ("web", "worker", "daemon"):
        condition = {"condition": "service_completed_successfully"}
        assert SERVICES[name]["depends_on"] == {"prepare": condition}


def test_all_comes_at_once_but_who_watches_and_backdrop_alone_comes_by_its_names():
    monitoring = {name for name, service in SERVICES.items() if "profiles" in service}
    assert monitoring == {"prometheus", "grafana"}
    alone = {"web", "worker", "daemon"}
    assert "docker compose up web worker daemon" in TEXT
    for _ in SERVICES:
        alone |= {other for name in alone for other in SERVICES[name].get("depends_on", {})}
    assert alone == {"db", "redis", "prepare", "web", "worker", "daemon"}
    assert SERVICES.keys() - monitoring - alone == {
        "backup-postgres",
        "backup-mysql",
        "backup-minio",
        "backup-minio-bucket",
    }


def test_it_and_the_image_mean_the_same_port_and_nobody_else_can_reach_it():
    services = composed(**SECRETS)["services"]
    assert services["web"]["ports"] == ["127.0.0.1:8000:8000"]
    assert services["daemon"]["ports"] == ["127.0.0.1:50051:50051", "127.0.0.1:9090:9090"]
    image = (ROOT / "Dockerfile").read_text()
    assert "PORT=8000" in image
    assert "EXPOSE 8000 50051 9090" in image
    assert "http://127.0.0.1:8000/healthz" in " ".join(services["web"]["healthcheck"]["test"])
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert len(published) == 5
    assert all(port.startswith("127.0.0.1:") for port in published)
    other = composed(**SECRETS, PORT="9000", GRPC_PORT="1", METRICS_PORT="2")["services"]
    assert other["web"]["ports"] == ["127.0.0.1:9000:8000"]
    assert other["daemon"]["ports"] == ["127.0.0.1:1:50051", "127.0.0.1:2:9090"]


@pytest.mark.parametrize("grace", ["", "120", "7.5"])
def test_a_worker_gets_longer_than_it_gives_its_work(grace):
    given = {"SHUTDOWN_GRACE_SECONDS": grace} if grace else {}
    told = composed(**SECRETS, **given)["services"]["worker"]["stop_grace_period"]
    seconds, milliseconds = re.fullmatch(r"([\d.]+)s(\d+)ms", told).groups()
    wanted = float(grace or settings.SHUTDOWN_GRACE_SECONDS)
    assert float(seconds) + int(milliseconds) / 1000 >= wanted + 10


def test_without_secrets_it_says_in_one_line_what_to_run():
    with pytest.raises(RequiredError) as told:
        composed()
    assert str(told.value).endswith(
        "SECRETS_DIR is missing a value: run sh deploy/secrets.sh first"
    )
    files = re.findall(r"^    file: (.*)$", TEXT, re.MULTILINE)
    # Each asks for it, since Compose would warn at length of one that goes without.
    assert all("${SECRETS_DIR:?run sh deploy/secrets.sh first}/" in file for file in files)


def test_the_script_makes_each_secret_once_long_enough_and_others_can_not_enter(made):
    folder = made / "secrets"
    first = {path.name: path.read_text() for path in folder.iterdir()}
    random = {name: text for name, text in first.items() if not name.endswith(("_url", "none"))}
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{48}", text) for text in random.values())
    assert len(set(random.values())) == len(random)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    (folder / "jwt_secret").unlink()
    again = subprocess.run(["sh", "deploy/secrets.sh"], cwd=made, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    second = {path.name: path.read_text() for path in folder.iterdir()}
    assert second.keys() == first.keys()
    assert {name for name in first if first[name] != second[name]} == {"jwt_secret"}
    assert (made / ".env").read_text() == "SECRETS_DIR=./secrets\n"
    assert (made / ".env").stat().st_mode & 0o077 == 0
    assert not any(text and text in again.stdout for text in second.values())


def test_the_script_makes_what_is_mounted_and_nothing_else(made):
    files = {each["file"] for each in composed(**SECRETS)["secrets"].values()}
    assert {f"/made/{path.name}" for path in (made / "secrets").iterdir()} == files
    mounted = {name for each in SERVICES.values() for name in each.get("secrets", [])}
    assert mounted == set(composed(**SECRETS)["secrets"])


def test_the_script_prints_those_of_backdrop_where_there_are_no_containers():
    script = ["sh", str(ROOT / "deploy" / "secrets.sh"), "--print"]
    lines = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
    told = dict(line.split("=", 1) for line in lines)
    assert set(told) == {"SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY"}
    assert all(len(value) >= 32 for value in told.values())


def test_no_list_of_containers_shows_a_secret(made):
    """What `docker inspect` would show is what stands in the file."""
    shown = yaml.safe_dump(composed(SECRETS_DIR=str(made / "secrets"))["services"])
    for path in (made / "secrets").iterdir():
        assert not path.read_text() or path.read_text() not in shown
    assert "change" not in shown.lower()


def test_who_needs_a_secret_has_it_mounted_and_nobody_else():
    for name, service in composed(**SECRETS)["services"].items():
        said = yaml.safe_dump({**service, "secrets": []}, width=10_000)
        used = set(re.findall(rf"{MOUNTED}(\w+)", said.replace("/run/secrets/$", "")))
        optional = {"grpc_tls_cert", "grpc_tls_key", "mysql_url", "postgres_url"}
        assert set(service.get("secrets", [])) - optional == used - optional, name


def begun(mounted: Path, tmp_path: Path, **given: str) -> dict[str, str]:
    """The environment in which the command of `prepare` calls `firststart`, run here."""
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    stub = f'echo "$2" >> {tmp_path}/called; [ "$2" = migrate ] || env -0 > {tmp_path}/env'
    (programs / "python").write_text(f"#!/bin/sh\n{stub}\n")
    (programs / "python").chmod(0o755)
    service = composed(SECRETS_DIR=str(mounted), **given)["services"]["prepare"]
    inside = environment("prepare", SECRETS_DIR=str(mounted), **given)
    subprocess.run(
        [word.replace(MOUNTED, f"{mounted}/") for word in service["command"]],
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            **{name: told.replace(MOUNTED, f"{mounted}/") for name, told in inside.items()},
        },
        check=True,
        timeout=30,
    )
    assert (tmp_path / "called").read_text().split()[-2:] == ["migrate", "firststart"]
    pairs = (tmp_path / "env").read_text().strip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture
def register(mounted, tmp_path, team, monkeypatch, settings):
    """register(NAME="value"): what the first start makes of it is in the database."""
    settings.BACKUP_DIR = tmp_path / "kept"

    def begin(**given: str) -> None:
        found = begun(mounted, tmp_path, **given)
        for name in variables.names():
            monkeypatch.delenv(name, raising=False)
            if name in found:
                monkeypatch.setenv(name, found[name])
        first_start.begin(team, first=True)

    return begin


def test_what_comes_along_to_try_it_with_is_registered_at_the_first_start(register, mounted):
    register()
    rows = Database.objects.order_by("pk")
    assert [(row.engine, row.host, row.port) for row in rows] == [
        ("postgres", "backup-postgres", 5432),
        ("mysql", "backup-mysql", 3306),
    ]
    for row in rows:
        service = SERVICES[row.host]["environment"]
        user, dbname = (
            next(told for name, told in service.items() if name.endswith(ending))
            for ending in ("_USER", "_DB" if row.engine == "postgres" else "_DATABASE")
        )
        assert (row.username, row.dbname) == (user, dbname)
        kept = mounted / f"{row.host.replace('-', '_')}_password"
        assert row.password.reveal() == kept.read_text()
        assert f"{MOUNTED}{kept.name}" in service.values()
    assert {engine.name for engine in ENGINES.values()} == {row.engine for row in rows}
    bucket = Destination.objects.get()
    minio = SERVICES["backup-minio"]["environment"]
    assert bucket.options == {
        "endpoint": "http://backup-minio:9000",
        "bucket": "backups",
        "access_key": minio["MINIO_ROOT_USER"],
        "path_style": True,
    }
    assert bucket.secret.reveal() == (mounted / "backup_minio_password").read_text()
    assert set(Plan.objects.values_list("destination", flat=True)) == {bucket.pk}


@pytest.mark.parametrize("given", [{"STORAGE": "local"}, {"BACKUP_DIR": "/srv/backups"}])
def test_who_says_where_backups_go_gets_that_alone(register, given):
    register(**given)
    assert Destination.objects.get().kind == "local"
    assert not Database.objects.exists()


def test_a_bucket_of_ones_own_is_mixed_with_nothing_of_the_one_that_comes_along(register):
    own = {"STORAGE": "s3", "S3_BUCKET": "mine", "S3_ACCESS_KEY": "me", "S3_SECRET_KEY": "hidden"}
    register(**own)
    bucket = Destination.objects.get()
    assert bucket.options == {"bucket": "mine", "access_key": "me"}
    assert bucket.secret.reveal() == "hidden"


def test_a_database_of_ones_own_takes_the_place_of_its_kind(register):
    register(
        POSTGRES_URL="postgres://me:hidden@mine/shop", S3_SECRET_KEY="of another", S3_REGION="x"
    )
    assert set(Database.objects.values_list("host", flat=True)) == {"mine", "backup-mysql"}
    bucket = Destination.objects.get()
    assert "region" not in bucket.options
    assert bucket.secret.reveal() != "of another"


def test_the_bucket_is_made_by_a_password_that_is_nobody_s_argument(mounted, tmp_path):
    service = composed(SECRETS_DIR=str(mounted))["services"]["backup-minio-bucket"]
    program = tmp_path / "mc"
    program.write_text('#!/bin/sh\necho "$MC_HOST_backup"; echo "$@"; cat /proc/$$/cmdline\n')
    program.chmod(0o755)
    told = subprocess.run(
        [word.replace(MOUNTED, f"{mounted}/") for word in service["entrypoint"]],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    password = (mounted / "backup_minio_password").read_text()
    address, words, *rest = told.splitlines()
    user = SERVICES["backup-minio"]["environment"]["MINIO_ROOT_USER"]
    assert address == f"http://{user}:{password}@backup-minio:9000"
    assert words == "mb --ignore-existing backup/backups"
    assert password not in "".join(rest)


def test_the_user_of_the_composed_mariadb_may_back_up_and_restore(mariadb):
    """As the image makes it, and with the script that is mounted into it."""
    [mount] = [each for each in SERVICES["backup-mysql"]["volumes"] if each.startswith("./")]
    [script] = (ROOT / mount.split(":")[0]).glob("*.sql")
    engine = ENGINES["mysql"]
    image = """
        CREATE TABLE things AS SELECT seq AS id FROM seq_1_to_10;
        CREATE VIEW few AS SELECT * FROM things LIMIT 2;
        CREATE USER example@'%' IDENTIFIED BY 'a password';
        GRANT ALL ON `example`.* TO example@'%';
    """
    mariadb.createdb("example")
    try:
        servers.run_script(mariadb, "example", image + script.read_text())
        server = engine.server(
            host="127.0.0.1",
            port=mariadb.port,
            dbname="example",
            user="example",
            password="a password",
        )
        source = engine.source(server)
        source.check()
        with source.open() as dump:
            blocks = [bytes(block) for block in dump]
        engine.sink(server, dbname="example_restored").load(iter(blocks))
    finally:
        for name in ("example", "example_restored"):
            mariadb.dropdb(name)
        servers.run_script(mariadb, "mysql", "DROP USER example@'%';")


def test_what_differs_with_compose_is_written_down():
    operations = (ROOT / "docs" / "operations.md").read_text()
    section = operations.split("## With Compose")[1].split("\n## ")[0]
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", section))
    assert told >= OWN | OUTSIDE - {"SECRETS_DIR"} | {"BACKUP_DIR", "SHUTDOWN_GRACE_SECONDS"}
    assert told - {"NAME_FILE"} <= settings.KNOWN_NAMES
    for command in re.findall(r"^STORAGE=local docker compose up --detach (.*)$", section, re.M):
        assert set(command.split()) == {"web", "worker", "daemon"}
    assert "sh deploy/secrets.sh\n" in section
