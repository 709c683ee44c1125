"""What the commands show: bars on a terminal, plain lines in a pipe, JSON when asked for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from backups.rpc import backup_pb2 as pb
from backups.rpc.sentences import size

LINE_SECONDS = 1.0


def as_json(message: Message) -> dict[str, Any]:
    """All fields by their names in the .proto; numbers as numbers, None where there is nothing."""
    told: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if hasattr(value, "append"):
            told[field.name] = [_plain(one) for one in value]
        elif field.has_presence and not message.HasField(field.name):
            told[field.name] = None
        else:
            told[field.name] = _plain(value)
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, Timestamp):
        return moment(value)
    return as_json(value) if isinstance(value, Message) else value


def moment(stamp: Timestamp) -> str:
    return stamp.ToJsonString()[:19] + "Z" if stamp.seconds else ""


def put_json(value: Any) -> None:
    click.echo(json.dumps(value))


def put_notice(sentence: str, *, as_json: bool) -> None:
    """Something to know that is no result. (A bar stands in for this stream, not for click's.)"""
    sys.stderr.write((json.dumps({"notice": sentence}) if as_json else sentence) + "\n")
    sys.stderr.flush()


def put_fields(fields: Mapping[str, Any]) -> None:
    width = max(map(len, fields))
    for name, value in fields.items():
        if value not in (None, ""):
            click.echo(f"{name:<{width}}  {value}")


def put_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, none: str = "") -> None:
    """Columns as wide as what is in them; bold heads on a terminal. `none` tells that it is empty,
    beside the table, so that scripts see a head and nothing else."""
    lines = [list(map(str, row)) for row in rows]
    widths = [max(len(line[place]) for line in [head, *lines]) for place in range(len(head))]
    click.echo(click.style(_line(head, widths), bold=True))
    for line in lines:
        click.echo(_line(line, widths))
    if none and not lines:
        click.echo(none, err=True)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def show(updates: Iterable[pb.ProgressUpdate], *, json_lines: bool | None) -> pb.ProgressUpdate:
    """Show each update; the last one. `json_lines`: True each as JSON, None nothing at all."""
    if json_lines is None:
        return _last(updates)
    if json_lines:
        return _shown_as_json(updates)
    return _shown_as_bar(updates) if sys.stdout.isatty() else _shown_as_lines(updates)


def _last(updates: Iterable[pb.ProgressUpdate]) -> pb.ProgressUpdate:
    for update in updates:
        last = update
    return last


def _shown_as_json(updates: Iterable[pb.ProgressUpdate]) -> pb.ProgressUpdate:
    for update in updates:
        last = update
        put_json(as_json(update))
    return last


def _shown_as_lines(updates: Iterable[pb.ProgressUpdate]) -> pb.ProgressUpdate:
    """One a second at most, but each change of status, and always the last."""
    told_at, status, told = float("-inf"), "", ""
    for update in updates:
        last = update
        due = time.monotonic() - told_at >= LINE_SECONDS or update.status != status
        if (due or update.ended) and update.message != told:
            click.echo(update.message)
            sys.stdout.flush()
            told_at, status, told = time.monotonic(), update.status, update.message
    return last


def _shown_as_bar(updates: Iterable[pb.ProgressUpdate]) -> pb.ProgressUpdate:
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(), transient=True) as progress:
        bar = progress.add_task("waiting", total=None)
        for update in updates:
            last = update
            progress.update(
                bar,
                description=update.message.split(", ")[0][:40],
                completed=update.done,
                # What is only guessed at first may turn out to be too little.
                total=max(update.total, update.done) if update.HasField("total") else None,
            )
    return last


__all__ = ["as_json", "moment", "put_fields", "put_json", "put_table", "show", "size"]
