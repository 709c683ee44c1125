"""A given file as a table that can be queried."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from tasks.errors import PermanentError
from tasks.jobs import reading
from tasks.jobs.tables import faults, text
from tasks.jobs.tables.sql import Columns, call, literal
from tasks.jobs.tables.text import Look
from tasks.registry import Context
from tasks.uploads.inputs import Input

MEMORY = "512MB"
"""What DuckDB may take; nothing is laid aside on disk."""
MOST_COLUMNS = 1000
MOST_ROWS = 2_000_000_000
REJECTS = 1000
"""Rows left out that are counted one by one."""
_PROGRESS_SECONDS = 0.1
_BY_TYPE = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/x-ndjson": "jsonl",
    "application/json": "jsonl",
    "application/vnd.apache.parquet": "parquet",
}
_WORDS = {"csv": "CSV", "tsv": "tab-separated text", "jsonl": "JSON lines", "parquet": "Parquet"}


@dataclass(slots=True)
class Table:
    """A file being read. `source` is what stands after FROM."""

    context: Context
    given: Input
    format: str
    connection: duckdb.DuckDBPyConnection
    look: Look | None = None
    source: str = ""
    columns: Columns = field(default_factory=list)
    """Names and types."""
    dialect: dict[str, Any] = field(default_factory=dict)
    warnings: list[dict[str, str]] = field(default_factory=list)
    rows: int = 0
    """Of Parquet, which knows before."""

    def warn(self, name: str, sentence: str) -> None:
        self.warnings.append({"name": name, "text": sentence})
        self.context.log(sentence, level="warning")

    def query(
        self, statement: str, message: str, *, too_much: Callable[[], bool] = lambda: False
    ) -> list[tuple[Any, ...]]:
        """Run a statement that reads all of the table, with progress, until it becomes `too_much`
        of a result. (DuckDB hangs where a limit on files, or a full disk, stops it.)"""
        self.context.message(message)
        with faults.told(_WORDS[self.format]), self._watched(too_much):
            return self.connection.execute(statement).fetchall()

    @contextmanager
    def _watched(self, too_much: Callable[[], bool]) -> Iterator[None]:
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over, too_much), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
        self._report(1.0)

    def _watch(self, over: threading.Event, too_much: Callable[[], bool]) -> None:
        while not over.wait(_PROGRESS_SECONDS):
            if too_much():
                self.connection.interrupt()
            self._report(max(0.0, self.connection.query_progress() / 100))

    def _report(self, part: float) -> None:
        """Of text each byte is read twice: looked at, then taken for a table."""
        if self.format == "parquet":
            self.context.progress(int(self.rows * part), self.rows, unit="rows")
        else:
            size = self.given.size
            self.context.progress(size + int(size * part), 2 * size)

    def left_out(self) -> int:
        """How many rows the last query left out, up to `REJECTS`; warns of them."""
        if self.dialect.get("bad_rows") != "skip":
            return 0
        found = self.connection.execute(
            "SELECT line, error_type, column_name FROM reject_errors ORDER BY line"
        ).fetchall()
        lines = sorted({line for line, _, _ in found})
        if not lines:
            return 0
        count = f"{len(lines)} rows" if len(found) < REJECTS else f"At least {len(lines)} rows"
        reasons = sorted({str(kind).lower().replace("_", " ") for _, kind, _ in found})
        first = ", ".join(map(str, lines[:5]))
        self.warn(
            "rows-left-out",
            f"{count} don't fit and were left out ({'; '.join(reasons)}): line {first}"
            f"{' …' if len(lines) > 5 else ''}.",
        )
        return len(lines)


@contextmanager
def opened(
    context: Context, given: Input, asked: Mapping[str, Any], result: Path | None = None
) -> Iterator[Table]:
    """The given file, ready to be queried; `asked` are the job's options, `result` is what may be
    written.

    PermanentError for what isn't a table, or is more of one than can be read.
    """
    if not given.size:
        raise PermanentError("The file is empty.", remedy="Send one that has rows.")
    kind = format_of(given, asked.get("format", "auto"))
    with _connected(given.path, result) as connection:
        table = Table(context, given, kind, connection)
        if kind != "parquet":
            table.look = text.look(_blocks(given, context), str(asked.get("encoding", "auto")))
        with faults.told(_WORDS[kind]):
            _KINDS[kind](table, asked)
            table.columns = _columns(table)
        yield table


def format_of(given: Input, asked: str) -> str:
    """What was asked for, or what name and content tell."""
    if asked != "auto":
        return asked
    if kind := _BY_TYPE.get(given.content_type):
        return kind
    with given.path.open("rb") as file:
        return "jsonl" if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else "csv"


def count(table: Table, kind: str, path: Path, delimiter: str) -> int:
    """The rows of a file that was written by us."""
    arguments: dict[str, object] = {"hive_partitioning": False}
    match kind:
        case "parquet":
            function = "read_parquet"
        case "jsonl":
            function = "read_ndjson_objects"
            arguments = {}
        case _:
            function = "read_csv"
            names = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(table.columns)))
            header = table.dialect.get("header", True)
            told = {"delim": delimiter, "quote": '"', "escape": '"', "header": header}
            arguments |= {**told, "auto_detect": False}
            return _count(table, call(function, path, arguments, f"columns = {{{names}}}"))
    return _count(table, call(function, path, arguments))


def _count(table: Table, source: str) -> int:
    with faults.told(_WORDS[table.format]):
        row = table.connection.execute(f"FROM {source} SELECT count(*)").fetchone()
    return int(row[0]) if row else 0


def _blocks(given: Input, context: Context) -> Iterator[bytes]:
    return reading.blocks(given, context, "Looking at the text", total=2 * given.size)


@contextmanager
def _connected(path: Path, result: Path | None) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(
        config={
            "threads": 2,
            "memory_limit": MEMORY,
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    allowed = ", ".join(literal(str(each)) for each in (path, result) if each is not None)
    try:
        for setting in (
            "enable_progress_bar = true",
            "enable_progress_bar_print = false",
            "TimeZone = 'UTC'",
            f"allowed_paths = [{allowed}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        yield connection
    finally:
        connection.close()


def _columns(table: Table) -> Columns:
    found = table.connection.execute(f"DESCRIBE FROM {table.source}").fetchall()
    if len(found) > MOST_COLUMNS:
        raise PermanentError(
            f"The table has {len(found)} columns; at most {MOST_COLUMNS} can be read.",
            remedy="Name the delimiter if that is wrong, or split the table.",
        )
    return [(str(row[0]), str(row[1])) for row in found]


# What each format needs -------------------------------------------------------------------------


def _open_csv(table: Table, asked: Mapping[str, Any]) -> None:
    look = table.look
    assert look is not None  # noqa: S101 - `opened` has looked
    arguments: dict[str, object] = {"compression": "none", "hive_partitioning": False}
    arguments["encoding"] = look.encoding
    if look.guessed:
        table.warn(
            "encoding-guessed",
            f"It is not UTF-8 (line {look.guessed}) and was read as latin-1: look at letters with"
            " accents, or name its encoding.",
        )
    delimiter = asked.get("delimiter") or ("\t" if table.format == "tsv" else "")
    if delimiter:
        arguments["delim"] = delimiter
    if "quote" in asked:
        arguments["quote"] = arguments["escape"] = asked["quote"]
    if asked.get("header", "auto") != "auto":
        arguments["header"] = asked["header"] == "yes"
    if asked.get("types") == "text":
        arguments["all_varchar"] = True
    _sniff(table, arguments)
    if asked.get("bad_rows") == "skip":
        table.dialect["bad_rows"] = "skip"
        arguments |= {"store_rejects": True, "rejects_limit": REJECTS}
    table.source = call("read_csv", table.given.path, arguments)


def _sniff(table: Table, arguments: dict[str, object]) -> None:
    """Find out the dialect once, and hold the reader to it."""
    sniffed = call("sniff_csv", table.given.path, arguments)
    found = table.connection.execute(
        f"FROM {sniffed} SELECT Delimiter, Quote, HasHeader, SkipRows"
    ).fetchone()
    delimiter, quote, header, skipped = found or (",", "", True, 0)
    table.dialect = {
        "delimiter": _plain(delimiter),
        "quote": _plain(quote),
        "header": bool(header),
        "encoding": str(arguments["encoding"]),
    }
    arguments["header"] = bool(header)
    if skipped:
        table.warn("lines-skipped", f"The first {skipped} lines are no part of the table.")


def _plain(character: object) -> str:
    return "" if character in (None, "(empty)") else str(character)


def _open_json(table: Table, asked: Mapping[str, Any]) -> None:
    """All of it is read for its columns first: those that come late would be lost else."""
    look = table.look
    assert look is not None  # noqa: S101 - `opened` has looked
    if look.encoding != "utf-8":
        at = f"line {look.guessed} isn't" if look.guessed else "it isn't"
        raise PermanentError(f"JSON has to be UTF-8, and {at}.", remedy="Save it as UTF-8.")
    with table.given.path.open("rb") as file:
        array = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
    arguments: dict[str, object] = {
        "format": "array" if array else "newline_delimited",
        "compression": "none",
        "hive_partitioning": False,
        "records": True,
    }
    table.context.message("Finding its columns")
    finding = {**arguments, "sample_size": -1, "map_inference_threshold": -1}
    table.source = call("read_json", table.given.path, finding)
    columns = ", ".join(f"{literal(key)}: {literal(kind)}" for key, kind in _columns(table))
    table.dialect = {"encoding": "utf-8"}
    table.source = call("read_json", table.given.path, arguments, f"columns = {{{columns}}}")


def _open_parquet(table: Table, asked: Mapping[str, Any]) -> None:
    path = literal(table.given.path)
    table.source = f"read_parquet({path}, hive_partitioning = false)"
    rows, columns = table.connection.execute(
        f"FROM parquet_file_metadata({path}) SELECT num_rows,"
        f" (FROM parquet_schema({path}) SELECT count(*))"
    ).fetchone() or (0, 0)
    if not 0 <= rows <= MOST_ROWS:
        raise PermanentError(
            f"The table says it has {rows} rows; at most {MOST_ROWS} can be read.",
            remedy="Split it.",
        )
    if columns > 10 * MOST_COLUMNS:
        raise PermanentError(f"The table has more than {MOST_COLUMNS} columns.", remedy="Split it.")
    table.rows = int(rows)


_KINDS = {"csv": _open_csv, "tsv": _open_csv, "jsonl": _open_json, "parquet": _open_parquet}
