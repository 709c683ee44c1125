"""Kinds of values that commands take: what is wrong with one is said before anything is asked."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from backdrop_site.cli.daemon import DEFAULT, connect
from backups.rpc import backup_pb2 as pb


class Address(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """`HOST`, `HOST:PORT` or `[v6 address]:PORT`."""

    name = "address"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", str(value))
        host, port = found.groups() if found else ("", "")
        port = port or DEFAULT.rpartition(":")[2]
        if not host or not 0 < int(port) < 65_536:
            self.fail(f"{value!r} is none. Write HOST:PORT, such as {DEFAULT} or [::1]:50051.")
        return f"{host}:{port}"


class Authority(click.Path):
    """A file of certificates."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except (ssl.SSLError, OSError):
            self.fail(f"{path} holds no certificate that can be read (PEM).")
        return path


class Id(click.ParamType):  # type: ignore[type-arg]
    """Of a backup, a restore or a proof."""

    name = "id"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            return str(UUID(value))
        except ValueError:
            self.fail(f"{value!r} is none; backdrop list tells them.")

    def shell_complete(
        self, context: click.Context, param: Any, incomplete: str
    ) -> list[CompletionItem]:
        """The newest backups."""
        found = _asked_quietly(context, "ListBackups", pb.ListBackupsRequest(page_size=20))
        return [
            CompletionItem(one.id, help=f"{one.database} {one.created_at.ToJsonString()[:16]}")
            for one in (found.backups if found else ())
            if one.id.startswith(incomplete)
        ]


def database_names(context: click.Context, param: Any, incomplete: str) -> list[str]:
    """For the shell's completion."""
    found = _asked_quietly(context, "ListDatabases", pb.ListDatabasesRequest())
    names = [one.name for one in found.databases] if found else []
    return [name for name in names if name.startswith(incomplete)]


def _asked_quietly(context: click.Context, method: str, request: Any) -> Any:
    """None where nobody answers at once: a shell is no place for our errors."""
    given = context.find_root().params
    try:
        return connect(given["address"], given["tls"], given["ca"]).call(
            method, request, timeout=1.0
        )
    except Exception:  # of whatever kind
        return None
