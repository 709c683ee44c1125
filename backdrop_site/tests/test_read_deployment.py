"""What is shipped for running Backdrop elsewhere, held against the code; Compose apart."""

from __future__ import annotations

import configparser
import os
import re
import tomllib

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backdrop_site.tests.composed import SERVICES

ROOT = settings.BASE_DIR
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def managed(words: list[str]) -> list[str]:
    """The management commands in a command line."""
    text = " ".join(words)
    return re.findall(r"python manage\.py (\w+)", text)


def test_it_works():
    assert [unit.stem for unit in UNITS] == ["backdrop-daemon", "backdrop-web", "backdrop-worker"]


def test_the_image_holds_all_that_is_imported_and_does_not_run_as_root():
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    }
    packages = {path.parent.name for path in ROOT.glob("*/apps.py")}
    assert packages | {"templates", "manage.py", "requirements.txt", "scripts/backdrop"} <= kept
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
