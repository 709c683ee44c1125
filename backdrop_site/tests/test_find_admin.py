"""The admin is found where its pages are, and costs nobody else anything."""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings
from django.contrib import admin
from django.core import checks

from backdrop_site import urls

LOADED = """
import sys, django
django.setup()
import tasks.watcher
from tasks import registry
registry.names()
print(*sorted(name for name in sys.modules if name.endswith(".admin")))
"""


def test_it_works():
    assert urls.urlpatterns
    assert settings.INSTALLED_APPS[-1] == "backdrop_site"
    assert len(admin.site._registry) > 10
    assert checks.run_checks(tags=["admin"]) == []


def test_workers_do_not_load_it(tmp_path, monkeypatch):
    """Each attempt is a fork of all that its worker has loaded."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "backdrop_site.settings")
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    command = [sys.executable, "-c", LOADED]
    told = subprocess.run(
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["django.contrib.admin"]
