"""What is shipped for Prometheus and Grafana, tried with a real Prometheus on a live set-up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from prometheus_client.exposition import generate_latest

from backups.models import Database, Destination, Plan, Schedule
from tasks import metrics
from tasks.tests.crew import crew, daemon, until
from tasks.tests.test_tell_metrics import address_in
from tests.ports import free_port

SHIPPED = settings.BASE_DIR / "deploy" / "prometheus"
GRAFANA = settings.BASE_DIR / "deploy" / "grafana"
RULES = yaml.safe_load((SHIPPED / "rules.yml").read_text())["groups"][0]["rules"]


class Prometheus:
    """A running one, by its address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except OSError:
            return None

    def value(self, query: str) -> float | None:
        found = self.get("query", query=query)
        return float(found["result"][0]["value"][1]) if found and found["result"] else None

    def firing(self, name: str) -> list[dict[str, str]]:
        found = self.get("alerts") or {"alerts": []}
        return [
            alert["labels"] | alert["annotations"]
            for alert in found["alerts"]
            if alert["labels"]["alertname"] == name and alert["state"] == "firing"
        ]


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """The shipped configuration and rules, looking every half second at `target`."""
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["rule_files"] = [str(SHIPPED / name) for name in config["rule_files"]]
    config["scrape_configs"] = [
        {**job, "static_configs": [{"targets": [target]}]}
        for job in config["scrape_configs"]
        if job["job_name"] == "backdrop"
    ]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=output,
            stderr=output,
        )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait(10)
        print(log.read_text()[-3000:])  # noqa: T201 - shown where the test fails


@pytest.fixture
def plan(team) -> Plan:
    """Of a database whose server does not exist."""
    database = Database.objects.create(
        team=team, name="shop", host="127.0.0.1", port=free_port(), dbname="shop", username="u"
    )
    destination = Destination.objects.create(team=team, name="disk", kind="local")
    return Plan.objects.create(
        team=team, name="shop", database=database, destination=destination, max_attempts=1
    )


@pytest.mark.django_db(transaction=True)
def test_it_works(plan, tmp_path):
    with crew(tmp_path, workers=1), daemon(tmp_path) as one:
        url = until(lambda: address_in(one.log.read_text()), what="metrics are served")
        with prometheus(tmp_path, urllib.parse.urlsplit(url).netloc) as watching:
            zero = 'backup_failure_total{database="shop"} == 0'
            until(lambda: watching.value(zero) == 0, what="Prometheus has seen it at 0")
            until(lambda: watching.value('up{job="backdrop"}') == 1, what="it is up")
            assert watching.firing("BackupFailed") == []
            assert is_healthy(watching)
            plan.start(by=None)
            (alert,) = until(lambda: watching.firing("BackupFailed"), what="the alert fires")
            assert alert["database"] == "shop"
            assert alert["summary"] == "A backup of shop failed."
            assert watching.value('backup_failure_total{database="shop"}') == 1
            up = 'worker_up{kind="worker",queue="default"}'
            until(lambda: watching.value(up) == 1, what="the worker is up")


def is_healthy(watching: Prometheus) -> bool:
    """Whether the health command of docker-compose.yml says so."""
    compose = yaml.safe_load((settings.BASE_DIR / "docker-compose.yml").read_text())
    _, *words = compose["services"]["prometheus"]["healthcheck"]["test"]
    ours = [word.replace("http://127.0.0.1:9090", watching.url) for word in words]
    assert ours != words
    return subprocess.run(ours).returncode == 0


def test_the_shipped_configuration_and_rules_are_valid():
    subprocess.run(["promtool", "check", "config", str(SHIPPED / "prometheus.yml")], check=True)


@pytest.mark.parametrize("name", ["rules_test.yml", "rules_days_test.yml"])
def test_each_alert_fires_when_it_should_and_not_before(name):
    tests = ["promtool", "test", "rules", name]
    done = subprocess.run(tests, cwd=SHIPPED, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_in_which_it_fires():
    fired = {
        case["alertname"]
        for name in ("rules_test.yml", "rules_days_test.yml")
        for test in yaml.safe_load((SHIPPED / name).read_text())["tests"]
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in RULES}


@pytest.fixture
def told(plan) -> set[str]:
    """Every name that is told, of metrics as queries use them."""
    Schedule.objects.create(team=plan.team, plan=plan, cron="@daily")
    text = generate_latest(metrics.new_registry()).decode()
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


CONTRACT = {
    *("backup_success_total", "backup_failure_total", "backup_duration_seconds"),
    *("backup_last_success_timestamp_seconds", "backup_size_bytes"),
    *("backup_verified_timestamp_seconds", "backup_schedule_overdue_seconds"),
    *("task_total", "task_duration_seconds", "task_queue_depth", "task_oldest_queued_seconds"),
    *("worker_up", "worker_heartbeat_age_seconds", "worker_slots", "worker_slots_free"),
    *("task_attempts_total", "task_quarantined", "task_paused", "worker_pool_replacements_total"),
    *("task_canary_age_seconds", "task_canary_seconds"),
}


def test_what_is_told_is_what_was_promised(told):
    assert told == CONTRACT


@pytest.mark.parametrize("kind", ["rules", "dashboard"])
def test_no_query_names_a_metric_that_is_not_told(told, kind):
    if kind == "rules":
        queries = [rule["expr"] for rule in RULES]
    else:
        board = json.loads((GRAFANA / "dashboards" / "backdrop.json").read_text())
        queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    asked = set(re.findall(r"\b(?:backup|task|worker)_[a-z_]+\b", " ".join(queries)))
    asked = {re.sub(r"(?<=seconds)_(bucket|sum|count)$", "", name) for name in asked}
    assert asked
    assert asked <= told


def test_grafana_finds_its_source_and_its_dashboard():
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/backdrop.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    board = json.loads((GRAFANA / "dashboards" / "backdrop.json").read_text())
    used = {target["datasource"]["uid"] for panel in board["panels"] for target in panel["targets"]}
    assert used == {source["uid"]}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/backdrop.yml").read_text())[
        "providers"
    ]
    compose = yaml.safe_load((settings.BASE_DIR / "docker-compose.yml").read_text())
    mounts = compose["services"]["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts


@contextmanager
def web_process(folder: Path, **more: str) -> Iterator[tuple[str, Path]]:
    """A web process of its own: its address and its log."""
    port = free_port()
    log = folder / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "runweb"],
            cwd=settings.BASE_DIR,
            env={**os.environ, "VAR_DIR": str(folder), "PORT": str(port), "DB_URL": "", **more},
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: status_of(f"{url}/healthz") == 200, what="the web process answers")
        yield url, log
    finally:
        process.terminate()
        process.wait(60)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def test_the_web_process_tells_its_own_metrics_on_a_port_apart_or_not_at_all(tmp_path):
    with web_process(tmp_path, WEB_METRICS_PORT="0") as (url, log):
        port = re.search(r"metrics on port (\d+)", log.read_text())[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert "django_http_requests_before_middlewares_total" in answer.read().decode()
        assert status_of(f"{url}/metrics") == 404
    with web_process(tmp_path) as (url, log):
        assert "metrics on port" not in log.read_text()
        assert status_of(f"{url}/metrics") == 404
