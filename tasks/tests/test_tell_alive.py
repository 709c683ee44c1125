"""manage.py alive, which the health check of the workers' container asks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from tasks.models import Worker
from tasks.tests.crew import crew, until


@pytest.mark.django_db(transaction=True)
def test_it_works(tmp_path, capsys):
    with pytest.raises(CommandError, match="No worker is alive"):
        call_command("alive", "worker")
    with crew(tmp_path, workers=1) as running:
        call_command("alive", "worker")
        assert capsys.readouterr().out == "The worker is alive.\n"
        with pytest.raises(CommandError, match="No daemon is alive"):
            call_command("alive", "daemon")
        running.process.kill()
        until(lambda: not is_alive(), what="its heartbeat is old")


def is_alive() -> bool:
    try:
        call_command("alive", "worker")
    except CommandError:
        return False
    return True


@pytest.mark.django_db
def test_others_machines_do_not_count():
    now = timezone.now() + timedelta(minutes=1)
    Worker.objects.create(name="elsewhere:1:1", host="elsewhere", pid=1, heartbeat_at=now)
    assert not is_alive()
