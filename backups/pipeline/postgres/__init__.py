"""PostgreSQL as source and sink, driven through its own `pg_dump` and `psql`."""

from __future__ import annotations

from backups.pipeline.postgres.connection import PostgresServer
from backups.pipeline.postgres.sink import PostgresSink
from backups.pipeline.postgres.source import PostgresSource

__all__ = ["PostgresServer", "PostgresSink", "PostgresSource"]
