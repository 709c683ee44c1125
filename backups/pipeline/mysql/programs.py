"""Views, triggers, routines and events of a database, which no server moves to another one.

They are written down by the dump program, and loaded again elsewhere by the client: both know the
order in which views want each other, and the settings that each was made with.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from backups.pipeline import processes
from backups.pipeline.errors import RestoreError
from backups.pipeline.mysql import catalogue, connection, sentences
from backups.pipeline.mysql.binaries import Client
from backups.pipeline.mysql.connection import Connection, MysqlServer, quoted
from backups.pipeline.mysql.dumptext import END_MARKER
from backups.pipeline.mysql.script import without_sandbox
from backups.pipeline.mysql.source import command

_SECONDS = 300
_VIEWS = """
    SELECT table_name FROM information_schema.tables
     WHERE table_schema = %s AND table_type IN ('VIEW', 'SYSTEM VIEW')
"""
_TABLES = """
    SELECT table_name FROM information_schema.tables
     WHERE table_schema = %s AND table_type NOT IN ('VIEW', 'SYSTEM VIEW')
"""
_SEQUENCES = """
    SELECT table_name FROM information_schema.tables
     WHERE table_schema = %s AND table_type = 'SEQUENCE'
"""
_TRIGGERS = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s"
_EVENTS = "SELECT event_name FROM information_schema.events WHERE event_schema = %s"
_ROUTINES = """
    SELECT routine_name, routine_type FROM information_schema.routines WHERE routine_schema = %s
"""
_ROUTINE_TYPES = ("PROCEDURE", "FUNCTION", "PACKAGE", "PACKAGE BODY")


def written(connected: Connection, server: MysqlServer, client: Client) -> list[bytes]:
    """All of them, as the text of dumps to be loaded one after the other."""
    dbname = server.dbname
    sequences = catalogue.names(connected, _SEQUENCES, [dbname])
    ignored = [f"--ignore-table={dbname}.{name}" for name in sequences]
    code = ("--no-data", "--no-create-info", "--routines", "--triggers", "--events")
    found = [_run(server, client, [*code, *ignored], [])]
    if views := catalogue.names(connected, _VIEWS, [dbname]):
        found.append(_run(server, client, ["--no-data", "--skip-triggers"], views))
    return found


def _run(server: MysqlServer, client: Client, options: Sequence[str], names: list[str]) -> bytes:
    with server.option_file() as opened:
        process = processes.start(
            [*command(server, client, opened, *options), *names],
            env=connection.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[opened],
        )
        try:
            text, said = process.communicate(timeout=_SECONDS)
        finally:
            processes.stop(process, grace=0.5)
    if process.returncode or END_MARKER not in text[-512:]:
        told = sentences.restoring(server, said.decode(errors="replace"))
        raise RestoreError(told.sentence, remedy=told.remedy, permanent=told.permanent)
    return without_sandbox(text)


def tables(connected: Connection, dbname: str) -> list[str]:
    """What can be moved: tables of every kind, and sequences."""
    return catalogue.names(connected, _TABLES, [dbname])


def trigger_statements(connected: Connection, dbname: str) -> list[tuple[str, str]]:
    """Of each the SQL mode it was made with, and its statement."""
    found = []
    for name in catalogue.names(connected, _TRIGGERS, [dbname]):
        shown = f"SHOW CREATE TRIGGER {quoted(dbname)}.{quoted(name)}"
        row = catalogue.query(connected, shown)[0]
        found.append((str(row[1]), str(row[2])))
    return found


def drop_triggers(connected: Connection, dbname: str) -> None:
    _drop(connected, "TRIGGER", dbname, catalogue.names(connected, _TRIGGERS, [dbname]))


def drop_others(connected: Connection, dbname: str) -> None:
    """Views, events and routines."""
    _drop(connected, "VIEW", dbname, catalogue.names(connected, _VIEWS, [dbname]))
    _drop(connected, "EVENT", dbname, catalogue.names(connected, _EVENTS, [dbname]))
    for name, kind in catalogue.query(connected, _ROUTINES, [dbname]):
        if kind in _ROUTINE_TYPES:
            _drop(connected, str(kind), dbname, [str(name)])


def _drop(connected: Connection, kind: str, dbname: str, names: list[str]) -> None:
    for name in names:
        catalogue.query(connected, f"DROP {kind} IF EXISTS {quoted(dbname)}.{quoted(name)}")
