"""`/healthz` and `/readyz`, which balancers ask."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import OperationalError

from backdrop_site import health

BALANCER = {"host": "10.1.2.3:8000"}


@pytest.mark.django_db
def test_it_works(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert ready.headers["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_a_balancer_may_ask_by_an_address_that_no_browser_uses(client):
    assert client.get("/healthz", headers=BALANCER).status_code == 200
    assert client.get("/readyz", headers=BALANCER).status_code == 200
    assert client.get("/login", headers=BALANCER).status_code == 400


def test_alive_does_not_ask_the_database(client):
    assert client.get("/healthz").status_code == 200  # this test may not use one


def test_they_are_only_read(client):
    for address in ("/healthz", "/readyz"):
        refused = client.post(address)
        assert refused.status_code == 405
        assert refused.headers["Allow"] == "GET, HEAD"
        assert client.head("/healthz").content == b""


def test_a_database_that_fails_is_told_without_the_drivers_words(client, monkeypatch):
    def fail():
        raise OperationalError('connection to "db.internal" failed for user "backdrop"')

    monkeypatch.setattr(health, "ask", fail)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert b"internal" not in answer.content


@pytest.mark.alone
def test_a_database_that_hangs_costs_one_thread_and_a_short_while(client, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(health, "SECONDS_TO_ANSWER", 0.2)
    monkeypatch.setattr(health, "ask", lambda: release.wait(30))
    monkeypatch.setattr(health, "probe", health.DatabaseProbe())
    before = threading.active_count()
    began = time.monotonic()
    try:
        answers = [client.get("/readyz") for _ in range(3)]
        assert time.monotonic() - began < 5
        assert {answer.status_code for answer in answers} == {503}
        assert threading.active_count() <= before + 1
    finally:
        release.set()
    deadline = time.monotonic() + 5
    while client.get("/readyz").status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert client.get("/readyz").status_code == 200
