"""Conditions written in SQL, for queries that every claim asks: building what they say by the ORM
took as long as all else of a claim."""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, Func


class Condition(Func):
    """A condition on a row; `{0}`, `{1}`, … stand for its columns, by whatever name the query
    knows their table.

        Task.objects.filter(Condition('{0} NOT IN (SELECT "name" FROM "held")', "queue"))

    Only for constant texts that SQLite and PostgreSQL read alike.
    """

    def __init__(self, sql: str, *columns: str, **more: Any) -> None:
        super().__init__(*columns, output_field=BooleanField(), **more)
        self.sql = sql

    def as_sql(
        self, compiler: Any, connection: Any, *rest: Any, **more: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        names = [compiler.compile(column)[0] for column in self.get_source_expressions()]
        return f"({self.sql.format(*names)})", ()
