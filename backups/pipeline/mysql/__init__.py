"""MySQL and MariaDB as source and sink, driven through their own dump programs and clients."""

from __future__ import annotations

from backups.pipeline.mysql.connection import MysqlServer
from backups.pipeline.mysql.sink import MysqlSink
from backups.pipeline.mysql.source import MysqlSource

__all__ = ["MysqlServer", "MysqlSink", "MysqlSource"]
