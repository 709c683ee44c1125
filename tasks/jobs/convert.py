"""The job `convert`: a table from one format into another, with bounded memory and counted rows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tasks.errors import JobError, PermanentError
from tasks.jobs.tables import options as shared
from tasks.jobs.tables.sql import literal
from tasks.jobs.tables.sql import name as quoted
from tasks.registry import Context, Intake, Job, register
from tasks.uploads.inputs import Input

if TYPE_CHECKING:
    from tasks.jobs.tables.reading import Table

MEDIA = {
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
TEXTS = ("csv", "tsv")
MOST_TIMES = 50
"""A result may be so many times as large as the file: a table of one value, told a billion times,
is a small Parquet file and a disk full of text."""
LEAST_ROOM = 256 << 20
_GROUP_BYTES = 32 << 20  # of text in a row group, which is held in memory
_GROUP_ROWS = 100_000
_NESTED = re.compile(r"\]$|^(STRUCT|MAP|UNION)")
_FLOAT = ("FLOAT", "DOUBLE")

OPTIONS: dict[str, Any] = {
    "properties": {
        "to": {
            "type": "string",
            "enum": list(shared.FORMATS),
            "title": "To",
            "description": "The format wanted",
        },
        **shared.READING,
        "bad_rows": shared.bad_rows("fail"),
    },
    "required": ["to"],
}


def run(context: Context) -> Mapping[str, Any]:
    """Read each row, write it, and count those of the result."""
    from tasks.jobs.tables import reading

    asked = dict(context.args.get("options", {}))
    target = asked["to"]
    with context.input() as given:
        if _stays_text(given, asked):
            asked["types"] = "text"
        with (
            context.artifact(_name(given, target), MEDIA[target]) as path,
            reading.opened(context, given, asked, path) as table,
        ):
            rows = _write(table, target, path)
            left_out = table.left_out()
            _compare(table, target, path, rows)
            size = path.stat().st_size
        context.log(f"{rows} rows: {given.size} bytes became {size}.")
        return {
            "from": table.format,
            "to": target,
            "rows_in": rows + left_out,
            "rows_out": rows,
            "rows_left_out": left_out,
            "columns": [{"name": name, "type": kind[:500]} for name, kind in table.columns],
            "size": given.size,
            "result_size": size,
            "warnings": table.warnings,
        }


def _stays_text(given: Input, asked: Mapping[str, Any]) -> bool:
    """From text to text no value needs to be understood, and all stay as they are written."""
    from tasks.jobs.tables import reading

    return asked["to"] in TEXTS and reading.format_of(given, asked.get("format", "auto")) in TEXTS


def _name(given: Input, target: str) -> str:
    return f"{PurePosixPath(given.filename or 'table').stem}.{target}"


def _write(table: Table, target: str, path: Path) -> int:
    columns = ", ".join(_value(table, name, kind, target) for name, kind in table.columns)
    most = _most(table.given, path)
    found = table.query(
        f"COPY (FROM {table.source} SELECT {columns}) TO {literal(path)} "
        f"({_written(table, target)}, USE_TMP_FILE false)",
        "Converting",
        too_much=lambda: path.stat().st_size > most,
    )
    return int(found[0][0])


def _value(table: Table, column: str, kind: str, target: str) -> str:
    """A column as the target can hold it."""
    name = quoted(column)
    if target in TEXTS and _NESTED.search(kind):
        table.warn("nested-as-json", f"Values of {column[:100]} are JSON inside the text.")
        return f"to_json({name}) AS {name}"
    if target == "jsonl" and kind in _FLOAT:
        return f"CASE WHEN isfinite({name}) THEN {name} END AS {name}"
    return name


def _written(table: Table, target: str) -> str:
    match target:
        case "parquet":
            return f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_group(table)}"
        case "jsonl":
            return "FORMAT json"
        case _:
            header = table.dialect.get("header", True)
            return f"FORMAT csv, DELIMITER {literal(_between(target))}, HEADER {literal(header)}"


def _between(target: str) -> str:
    return "\t" if target == "tsv" else ","


def _group(table: Table) -> int:
    """Fewer rows where they are long."""
    rows = table.look.lines if table.look else table.rows
    bytes_each = table.given.size / max(1, rows)
    return max(2048, min(_GROUP_ROWS, int(_GROUP_BYTES / max(1.0, bytes_each))))


def _most(given: Input, path: Path) -> int:
    """Bytes that the result may have."""
    free = shutil.disk_usage(path.parent).free
    if given.size > free:
        raise JobError(
            f"The result may take as much as the file, and {free} bytes are free.",
            remedy="Make room on the disk of the workers.",
        )
    return min(free // 2, max(LEAST_ROOM, given.size * MOST_TIMES))


def _compare(table: Table, target: str, path: Path, rows: int) -> None:
    """Read the result once more: it has to have as many rows as were written."""
    from tasks.jobs.tables import reading

    table.context.message("Counting the rows of the result")
    found = reading.count(table, target, path, _between(target))
    if found != rows:
        raise PermanentError(
            f"{rows} rows were written, but the result has {found}.",
            remedy="Perhaps names or values hold what the format can't; try another format.",
        )


register(
    Job(
        name="convert",
        run=run,
        title="Convert a table",
        intake=Intake(types=shared.TYPES),
        options=OPTIONS,
        memory_bytes=shared.JOB_BYTES,
        deadline_seconds=2 * 3600,
        stall_seconds=900,
    )
)
