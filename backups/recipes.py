"""From rows to pipeline objects: the only place where secrets are opened."""

from __future__ import annotations

from collections.abc import Callable

from backups import storages
from backups.models import Database, Destination, Plan, Restore
from backups.pipeline.ports import ObjectStore, Sink, Source
from backups.pipeline.postgres import PostgresServer, PostgresSink, PostgresSource
from tasks.registry import Context


def server_of(database: Database) -> PostgresServer:
    """How to reach the database's server."""
    return PostgresServer(
        host=database.host,
        port=database.port,
        dbname=database.dbname,
        user=database.username,
        password=database.password.reveal() if database.password else "",
        sslmode=database.sslmode,
    )


def source_for(
    database: Database,
    plan: Plan | None = None,
    *,
    waiting: Callable[[str], None] | None = None,
) -> Source:
    """The database as a source, with the plan's limits where there is one.

    `waiting` is told what the dump waits for while nothing comes.
    """
    limits = (
        {"stall_seconds": plan.stall_seconds, "lock_wait_seconds": plan.lock_wait_seconds}
        if plan
        else {}
    )
    return PostgresSource(server_of(database), label=database.name, waiting=waiting, **limits)


def sink_for(restore: Restore, context: Context) -> Sink:
    """A new database on the target's server; it takes the restore's name on success."""
    target = str(restore.target_id)
    return PostgresSink(
        server_of(restore.target),
        dbname=restore.dbname,
        replace=restore.replace,
        traits=restore.backup.manifest.get("traits", {}),
        waiting=context.message,
        opened=lambda name: context.opened("database", target=target, name=name),
        closed=lambda name: context.closed("database", target=target, name=name),
    )


def foreign_sink(target: Database, dbname: str, context: Context) -> Sink:
    """The same for an uploaded dump: always a new database."""
    return PostgresSink(
        server_of(target),
        dbname=dbname,
        waiting=context.message,
        opened=lambda name: context.opened("database", target=str(target.pk), name=name),
        closed=lambda name: context.closed("database", target=str(target.pk), name=name),
    )


def store_for(destination: Destination) -> ObjectStore:
    """The destination's object store; raises StorageError where its settings make no sense."""
    secret = destination.secret.reveal() if destination.secret else ""
    return storages.open_store(destination.kind, destination.options, secret)
