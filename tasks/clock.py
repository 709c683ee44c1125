"""The clock that leases and due times go by: the database's own, so that workers' may be wrong.

On PostgreSQL several machines meet whose clocks may differ by minutes; SQLite means one machine.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Value
from django.db.models.functions import Now
from django.utils import timezone


def now(after: float = 0.0) -> Any:
    """This moment (`after` seconds later) to write or compare with: a value, or an expression."""
    if connection.vendor == "sqlite":
        return timezone.now() + timedelta(seconds=after)
    return Now() + timedelta(seconds=after) if after else Now()


def column() -> Any:
    """This moment as a column of a query's answer."""
    return Value(timezone.now()) if connection.vendor == "sqlite" else Now()


def read() -> datetime:
    """This moment as a value; a query where the database is a server."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
