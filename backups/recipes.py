"""From rows to pipeline objects: the only place where secrets are opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accounts import keys
from backups import storages
from backups.models import Database, Destination, Plan, Restore
from backups.pipeline import engines
from backups.pipeline.engine import Engine
from backups.pipeline.ports import ObjectStore, Sink, Source
from tasks.registry import Context


def _reach(database: Database) -> tuple[Engine, Any]:
    """The database's engine, and how it reaches the server."""
    engine = engines.get(database.engine)
    return engine, engine.server(
        host=database.host,
        port=database.port,
        dbname=database.dbname,
        user=database.username,
        password=database.password.reveal() if database.password else "",
        sslmode=database.sslmode,
    )


def server_of(database: Database) -> Any:
    """How to reach the database's server, as its engine has it."""
    return _reach(database)[1]


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
    engine, server = _reach(database)
    return engine.source(server, label=database.name, waiting=waiting, **limits)


def sink_for(restore: Restore, context: Context) -> Sink:
    """A new database on the target's server; it takes the restore's name on success."""
    target = str(restore.target_id)
    engines.refuse_other(restore.backup.manifest["engine"], restore.target.engine)
    engine, server = _reach(restore.target)
    return engine.sink(
        server,
        dbname=restore.dbname,
        replace=restore.replace,
        traits=restore.backup.manifest.get("traits", {}),
        waiting=context.message,
        opened=lambda name: context.opened("database", target=target, name=name),
        closed=lambda name: context.closed("database", target=target, name=name),
    )


def drop_restoring(target: Database, name: str) -> None:
    """Drop the half-filled database that a dead attempt had told of."""
    engine, server = _reach(target)
    engine.drop_restoring(server, name)


def foreign_sink(target: Database, dbname: str, context: Context) -> Sink:
    """The same for an uploaded dump of PostgreSQL: always a new database."""
    engines.refuse_other("postgres", target.engine)
    engine, server = _reach(target)
    return engine.sink(
        server,
        dbname=dbname,
        replace=False,
        traits={},
        waiting=context.message,
        opened=lambda name: context.opened("database", target=str(target.pk), name=name),
        closed=lambda name: context.closed("database", target=str(target.pk), name=name),
    )


def store_for(destination: Destination) -> ObjectStore:
    """The destination's object store; raises StorageError where its settings make no sense."""
    secret = destination.secret.reveal() if destination.secret else ""
    return storages.open_store(destination.kind, destination.options, secret)


def seal(secret: str) -> str:
    """A secret for the row of an attempt, encrypted as those in fields are."""
    return keys.cipher().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """What `seal` was given."""
    return keys.cipher().decrypt(sealed.encode()).decode()
