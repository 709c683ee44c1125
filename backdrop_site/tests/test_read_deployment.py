"""What is shipped for running Backdrop elsewhere, held against the code."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import tomllib

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backups.database_urls import VARIABLES, Address

ROOT = settings.BASE_DIR
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "backdrop")
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def managed(words: list[str]) -> list[str]:
    """The management commands in a command line."""
    text = " ".join(words)
    return re.findall(r"python manage\.py (\w+)", text)


def test_it_works():
    assert OURS == ["daemon", "prepare", "web", "worker"]
    assert [unit.stem for unit in UNITS] == ["backdrop-daemon", "backdrop-web", "backdrop-worker"]


@pytest.mark.parametrize("name", OURS)
def test_each_service_of_compose_runs_commands_that_exist_with_settings_that_exist(name):
    service = SERVICES[name]
    commands = managed(service["command"])
    assert commands
    assert set(commands) <= set(get_commands())
    assert set(service["environment"]) <= settings.KNOWN_NAMES
    assert service["volumes"] == ["backups:/var/lib/backdrop"]
    assert "VAR_DIR=/var/lib/backdrop" in (ROOT / "Dockerfile").read_text()


def test_compose_asks_for_no_variable_that_is_no_setting():
    asked = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert asked <= settings.KNOWN_NAMES


def test_compose_starts_in_an_order_that_works():
    healthy = {"condition": "service_healthy"}
    assert SERVICES["prepare"]["depends_on"] == {"db": healthy, "redis": healthy}
    assert SERVICES["backup-minio-bucket"]["depends_on"] == {"backup-minio": healthy}
    for name in ("web", "worker", "daemon"):
        condition = {"condition": "service_completed_successfully"}
        assert SERVICES[name]["depends_on"] == {"prepare": condition}


def test_compose_and_the_image_mean_the_same_port_and_nobody_else_can_reach_it():
    (port,) = SERVICES["web"]["ports"]
    assert port == "127.0.0.1:${PORT:-8000}:8000"
    image = (ROOT / "Dockerfile").read_text()
    assert "PORT=8000" in image
    assert "EXPOSE 8000 50051 9090" in image
    assert "http://127.0.0.1:8000/healthz" in " ".join(SERVICES["web"]["healthcheck"]["test"])


def test_compose_gives_a_worker_longer_than_it_gives_its_work():
    grace = float(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace >= settings.SHUTDOWN_GRACE_SECONDS + 10


def test_the_secrets_script_prints_what_compose_wants_each_long_enough_and_new():
    def run() -> dict[str, str]:
        script = ["sh", str(ROOT / "deploy" / "secrets.sh")]
        lines = subprocess.run(script, capture_output=True, text=True, check=True).stdout
        return dict(line.split("=", 1) for line in lines.splitlines())

    first = run()
    wanted = re.findall(r"\$\{(\w+):\?make it", (ROOT / "docker-compose.yml").read_text())
    assert set(first) == set(wanted)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", value) for value in first.values())
    assert set(first.values()).isdisjoint(run().values())


def test_the_image_holds_all_that_is_imported_and_does_not_run_as_root():
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    packages = {path.parent.name for path in ROOT.glob("*/apps.py")}
    assert packages | {"templates", "manage.py", "requirements.txt"} <= kept
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER backdrop" in lines
    (command,) = (line for line in lines if line.startswith("CMD"))
    assert command == 'CMD ["python", "manage.py", "runweb"]'


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_each_unit_runs_a_command_that_exists_and_signals_its_leader_alone(unit):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(unit)
    service = parser["Service"]
    program, *words = service["ExecStart"].split()
    assert program == "/opt/backdrop/.venv/bin/python"
    assert managed(["python", *words])[0] in get_commands()
    assert service["KillMode"] == "mixed"
    if "worker" in unit.stem:
        assert float(service["TimeoutStopSec"]) > settings.SHUTDOWN_GRACE_SECONDS + 10


def test_the_daemon_s_unit_says_all_that_it_does():
    unit = (ROOT / "deploy" / "systemd" / "backdrop-daemon.service").read_text()
    words = {"grpc_server": "gRPC", "scheduler": "schedules", "exporter": "metrics"}
    words |= {"daemon": "housekeeping"}
    [description] = re.findall(r"^Description=(.*)$", unit, re.MULTILINE)
    for service in settings.DAEMON_SERVICES:
        assert words[service.split(".")[-2]] in description


def test_no_file_that_is_shipped_names_a_place_of_one_machine():
    shipped = [*ROOT.glob("requirements*.txt"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    for path in shipped:
        text = path.read_text()
        assert not re.search(r"file://|https?://|index-url|find-links", text), path.name
        assert os.environ.get("HOME", "/root") + "/" not in text


def test_every_requirement_is_pinned_with_hashes():
    for path in ROOT.glob("requirements*.txt"):
        entries = path.read_text().replace("\\\n", " ").splitlines()
        pinned = [entry for entry in entries if entry and not entry.startswith("#")]
        assert pinned
        assert all(re.match(r"[\w.-]+(\[\w+\])?==\S+ .*--hash=sha256:", entry) for entry in pinned)


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_the_lock_holds_what_the_project_asks_for(lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"]
    if "dev" in lock:
        asked = [*asked, *project["optional-dependencies"]["dev"]]
    pins = re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    pinned = {canonicalize_name(name): version for name, version in pins}
    for requirement in map(Requirement, asked):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in {lock}: make lock"
        assert requirement.specifier.contains(version), f"{requirement} in {lock}: make lock"


def test_nothing_composed_can_be_reached_from_elsewhere():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 5
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_what_is_watched_and_what_is_tried_come_as_profiles_and_the_rest_always():
    profiles: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for profile in service.get("profiles", ["always"]):
            profiles.setdefault(profile, set()).add(name)
    assert profiles == {
        "always": {"db", "redis", "prepare", "web", "worker", "daemon"},
        "monitoring": {"prometheus", "grafana"},
        "examples": {"backup-postgres", "backup-mysql", "backup-minio", "backup-minio-bucket"},
    }


def test_prometheus_looks_where_compose_serves():
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]
    }
    web_port = SERVICES["web"]["environment"]["WEB_METRICS_PORT"]
    assert targets == {"backdrop": ["daemon:9090"], "backdrop-web": [f"web:{web_port}"]}
    assert any(port.endswith(":9090") for port in SERVICES["daemon"]["ports"])
    mounts = {*SERVICES["prometheus"]["volumes"], *SERVICES["grafana"]["volumes"]}
    folders = {mount.split(":")[0] for mount in mounts if mount.startswith("./")}
    assert folders
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_the_image_holds_the_programs_of_every_engine():
    image = (ROOT / "Dockerfile").read_text()
    for package in ("postgresql-client-17", "postgresql-17", "mariadb-client", "mariadb-server"):
        assert package in image


def test_the_examples_that_are_described_are_those_that_are_composed():
    lines = (ROOT / "docs" / "operations.md").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_0-9]+_URL=", line))
    for variable in VARIABLES:
        address = Address.parse(given[variable.name].replace("${", "").replace("}", ""), variable)
        service = SERVICES[address.host]["environment"]
        password = f"${{{address.password}:?make it with deploy/secrets.sh}}"
        assert {address.dbname, address.username, password} <= set(service.values())
