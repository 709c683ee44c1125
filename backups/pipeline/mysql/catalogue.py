"""What a MySQL or MariaDB server knows of a database, asked by queries of our own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pymysql

from backups.pipeline.mysql.connection import Connection, quoted

_SCHEMA = """
    SELECT default_character_set_name, default_collation_name
      FROM information_schema.schemata WHERE schema_name = %s
"""
_SIZE = """
    SELECT sum(data_length) FROM information_schema.tables
     WHERE table_schema = %s AND table_type <> 'VIEW'
"""
# A dump in one transaction sees these as they are when it comes by.
_UNPROTECTED = """
    SELECT table_name FROM information_schema.tables
     WHERE table_schema = %s AND table_type = 'BASE TABLE' AND engine IN
           (SELECT engine FROM information_schema.engines WHERE transactions <> 'YES')
     ORDER BY table_name
"""
_DEFINERS = """
          SELECT definer FROM information_schema.views WHERE table_schema = %s
    UNION SELECT definer FROM information_schema.triggers WHERE trigger_schema = %s
    UNION SELECT definer FROM information_schema.routines WHERE routine_schema = %s
    UNION SELECT definer FROM information_schema.events WHERE event_schema = %s
"""
_GENERATED = """
    SELECT count(*) FROM information_schema.columns
     WHERE table_schema = %s AND extra LIKE '%%GENERATED%%'
"""
# A default that asks a sequence names that one's database, in dumps too.
_ASKING_DEFAULTS = """
    SELECT table_name, column_name, column_default FROM information_schema.columns
     WHERE table_schema = %s AND (locate(%s, column_default) OR locate(%s, column_default))
"""
NEEDED = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
_GRANT = re.compile(r"^GRANT (.+?) ON (?:(\*)|`?((?:[^`]|``)+?)`?)\.(?:\*|`?((?:[^`]|``)+)`?) TO ")
# Whoever has one of these sees all routines, or is told that there are some that it may not read.
_ROUTINES = {"EXECUTE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE", "ALTER ROUTINE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    charset: str
    collation: str


def version(connection: Connection) -> str:
    return str(_row(connection, "SELECT version()")[0])


def schema(connection: Connection, dbname: str) -> Schema | None:
    """None where there is no such database, or it is hidden from us."""
    rows = query(connection, _SCHEMA, [dbname])
    return Schema(charset=str(rows[0][0]), collation=str(rows[0][1])) if rows else None


def size(connection: Connection, dbname: str) -> int | None:
    """Bytes of data; None where a lock is in the way."""
    try:
        found = _row(connection, _SIZE, [dbname])[0]
    except pymysql.OperationalError:
        return None
    return int(found) if found is not None else 0


def unprotected(connection: Connection, dbname: str) -> list[str]:
    """The tables whose engine knows no transactions."""
    return names(connection, _UNPROTECTED, [dbname])


def definers(connection: Connection, dbname: str) -> list[str]:
    """In whose name its views, triggers, routines and events run: `user@host`."""
    return sorted(names(connection, _DEFINERS, [dbname] * 4))


def has_generated_columns(connection: Connection, dbname: str) -> bool:
    return bool(_row(connection, _GENERATED, [dbname])[0])


def asking_defaults(connection: Connection, dbname: str, asked: str) -> list[tuple[str, str, str]]:
    """Columns whose default asks a sequence of the database `asked`: table, name, default."""
    there = [f"{verb}({quoted(asked)}." for verb in ("nextval", "lastval")]
    rows = query(connection, _ASKING_DEFAULTS, [dbname, *there])
    return [(str(table), str(column), str(default)) for table, column, default in rows]


def missing_rights(connection: Connection, dbname: str, flavour: str) -> list[str]:
    """What our account lacks to see all of the database. Objects that it may not see are not
    refused by the server but left out of every list, and so of a dump, without a word."""
    rights, sees_sources = _rights(connection, dbname, flavour)
    if "ALL PRIVILEGES" in rights:
        return []
    missing = [right for right in NEEDED if right not in rights]
    if not sees_sources and not rights & _ROUTINES:
        missing.append("SELECT ON mysql.proc" if flavour == "mariadb" else "SHOW_ROUTINE")
    return missing


def _rights(connection: Connection, dbname: str, flavour: str) -> tuple[set[str], bool]:
    """On all of the database; and whether the sources of routines may be read."""
    rights: set[str] = set()
    sees_sources = False
    for line in _grants(connection, flavour):
        found = _GRANT.match(line)
        if found is None:
            continue
        listed = {right.strip() for right in re.sub(r"\([^)]*\)", "", found[1]).split(",")}
        everywhere, pattern, table = found[2], found[3], found[4]
        if everywhere or (not table and _covers(pattern, dbname)):
            rights |= listed
        if "SELECT" in listed or "ALL PRIVILEGES" in listed:
            sees_sources |= bool(everywhere) or (pattern, table or "proc") == ("mysql", "proc")
    return rights, sees_sources


def _grants(connection: Connection, flavour: str) -> list[str]:
    """MySQL lists what a role brings only where it is named."""
    if flavour == "mariadb":
        return names(connection, "SHOW GRANTS")
    roles = names(connection, "SELECT current_role()")[0]
    using = f" USING {roles}" if roles not in ("NONE", "None") else ""
    return names(connection, f"SHOW GRANTS FOR CURRENT_USER(){using}")


def _covers(pattern: str, dbname: str) -> bool:
    r"""Grants name databases by patterns: `shop\_%`."""
    parts = re.findall(r"\\.|.", pattern.replace("``", "`"), re.DOTALL)
    wild = {"%": ".*", "_": "."}
    text = "".join(wild.get(part, re.escape(part[-1])) for part in parts)
    return re.fullmatch(text, dbname, re.DOTALL) is not None


def query(connection: Connection, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, values or None)
        return [tuple(row) for row in cursor.fetchall()]


def names(connection: Connection, text: str, values: Sequence[Any] = ()) -> list[str]:
    return [str(row[0]) for row in query(connection, text, values)]


def _row(connection: Connection, text: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    return query(connection, text, values)[0]
