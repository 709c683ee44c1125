"""Objects as files in a folder."""

from __future__ import annotations

from backups.storages.local.store import KIND, LocalStore

__all__ = ["KIND", "LocalStore"]
