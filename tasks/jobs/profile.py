"""The job `profile`: what a table holds, column by column, in one pass with bounded memory."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tasks.jobs.tables import options as shared
from tasks.jobs.tables.sql import Columns
from tasks.jobs.tables.sql import name as quoted
from tasks.registry import Context, Intake, Job, register

if TYPE_CHECKING:
    from tasks.jobs.tables.reading import Table

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LONGEST_VALUE = 100
SAMPLE_VALUES = 2000
"""At most so many in all, so that the result stays small however wide the table is."""
_WHOLE = re.compile(r"^U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$")
_REAL = re.compile(r"^(FLOAT|DOUBLE|DECIMAL.*)$")
_NESTED = re.compile(r"(\[\d*\]$)|^(STRUCT|MAP|UNION|LIST|JSON|VARIANT)")

OPTIONS: dict[str, Any] = {
    "properties": {
        **shared.READING,
        "bad_rows": shared.bad_rows("skip"),
        "sample": {
            "type": "integer",
            "minimum": 0,
            "maximum": 100,
            "default": 10,
            "title": "Sample",
            "description": "First rows to show",
        },
    },
}


def run(context: Context) -> Mapping[str, Any]:
    """Rows, and by column: type, nulls, distinct values (about), range, quantiles or lengths."""
    from tasks.jobs.tables import reading

    asked = {"bad_rows": "skip", **context.args.get("options", {})}
    with context.input() as given, reading.opened(context, given, asked) as table:
        figures = _figures(table.columns)
        row = table.query(f"FROM {table.source} SELECT {figures}", "Counting")[0]
        left_out = table.left_out()
        columns, rows = _columns(table.columns, row)
        context.log(f"{rows} rows in {len(columns)} columns.")
        return {
            "format": table.format,
            "dialect": table.dialect,
            "rows": rows,
            "rows_left_out": left_out,
            "columns": columns,
            "sample": _sample(table, int(asked.get("sample", 10))),
            "warnings": table.warnings,
        }


def _figures(columns: Columns) -> str:
    """What to ask for: the number of rows, then a list for each column."""
    return ", ".join(["count(*)", *(_figures_of(name, kind) for name, kind in columns)])


def _figures_of(column: str, kind: str) -> str:
    name = quoted(column)
    asked = {"count": f"count({name})"}
    if not _NESTED.search(kind):
        asked["distinct"] = f"approx_count_distinct({name})"
        asked |= {"min": f"min({name})", "max": f"max({name})"}
    if kind in ("VARCHAR", "BLOB"):
        length = f"{'length' if kind == 'VARCHAR' else 'octet_length'}({name})"
        asked |= {"shortest": f"min({length})", "mean_length": f"avg({length})"}
        asked |= {"longest": f"max({length})"}
        asked |= {end: f"left(CAST({asked[end]} AS VARCHAR), 100)" for end in ("min", "max")}
    elif _WHOLE.match(kind) or _REAL.match(kind):
        finite = f"CAST({name} AS DOUBLE)) FILTER (isfinite(CAST({name} AS DOUBLE))"
        asked["mean"] = f"avg({finite})"
        asked["quantiles"] = (
            f"approx_quantile(CAST({name} AS DOUBLE), {list(QUANTILES)}) "
            f"FILTER (isfinite(CAST({name} AS DOUBLE)))"
        )
    elif "min" in asked:
        asked |= {end: f"CAST({asked[end]} AS VARCHAR)" for end in ("min", "max")}
    return "{" + ", ".join(f"'{key}': {value}" for key, value in asked.items()) + "}"


def _columns(columns: Columns, row: tuple[Any, ...]) -> tuple[list[dict[str, Any]], int]:
    rows = int(row[0])
    told = [
        _told(name, kind, found, rows) for (name, kind), found in zip(columns, row[1:], strict=True)
    ]
    return told, rows


def _told(name: str, kind: str, found: Mapping[str, Any], rows: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": name[:LONGEST_VALUE],
        "type": kind[:500],
        "nulls": rows - found["count"],
    }
    if "distinct" in found:
        told["distinct"] = min(found["distinct"], found["count"])
        told |= {"min": plain(found["min"]), "max": plain(found["max"])}
    if "mean" in found:
        told["mean"] = plain(found["mean"])
        values = found["quantiles"] or [None] * len(QUANTILES)
        told["quantiles"] = {
            f"{share:.0%}": plain(value) for share, value in zip(QUANTILES, values, strict=True)
        }
    if "longest" in found:
        ends = {"min": found["shortest"], "max": found["longest"]}
        told["lengths"] = {**ends, "mean": plain(found["mean_length"])}
    return told


def plain(value: Any) -> Any:
    """A figure as JSON has it; what JSON can't say (NaN, infinity) as text."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int) and abs(value) > 2**63:
        return str(value)
    return value


def _sample(table: Table, rows: int) -> list[list[str | None]]:
    """The first rows, as text, each value cut where it is long."""
    names = [quoted(name) for name, _ in table.columns]
    rows = min(rows, max(1, SAMPLE_VALUES // len(names)))
    values = ", ".join(f"left(CAST({name} AS VARCHAR), {LONGEST_VALUE})" for name in names)
    found = table.query(f"FROM {table.source} SELECT {values} LIMIT {rows}", "Taking a sample")
    return [list(row) for row in found]


register(
    Job(
        name="profile",
        run=run,
        title="Profile a table",
        intake=Intake(types=shared.TYPES),
        options=OPTIONS,
        memory_bytes=shared.JOB_BYTES,
        deadline_seconds=3600,
        stall_seconds=900,
    )
)
