"""Objects in a bucket."""

from __future__ import annotations

from backups.storages.s3.clients import Limits
from backups.storages.s3.kind import KIND
from backups.storages.s3.store import S3Store

__all__ = ["KIND", "Limits", "S3Store"]
