"""BackupService of a real daemon, with real workers and a real PostgreSQL."""

from __future__ import annotations

import grpc
import pytest

from backups.models import Backup

Code = grpc.StatusCode
pytestmark = pytest.mark.django_db(transaction=True)


def test_it_works(rpc, workers, shop, owner):
    with rpc.calls(owner) as calls:
        answer = calls.RunBackup(database="shop")
        assert answer.status == "backup completed"
        assert answer.backup.stored_bytes > 0
        assert Backup.objects.get(pk=answer.backup_id).complete
