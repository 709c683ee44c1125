"""The system check of what only a first start reads: mistakes in it, and what comes too late.

Before the first start a mistake is an error, since that start would fail. Later these variables
may be gone, or their files: what they named is in the database, so nothing has to stop for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from accounts.errors import UnreadableSecretError
from accounts.models import Team
from backups import first_start, storages, variables
from backups.models import Channel, Database, Destination, Schedule
from backups.pipeline.engine import Engine
from backups.pipeline.engines import ENGINES

READ_ONCE = "Only the first start reads it; what that made is kept in the database."


def check_environment(**options: object) -> list[checks.CheckMessage]:
    """Asks the database only where such a variable is set; a connection it had to open is closed
    again, since some commands fork afterwards."""
    if not any(map(os.environ.get, variables.names())):
        return []
    wrong = list(first_start.mistakes())
    opened = connection.connection is None
    try:
        if not _has_begun():
            return [checks.Error(sentence, id="backups.E001") for sentence in wrong]
        late = list(_late())
    except (DatabaseError, UnreadableSecretError):
        late = []  # whoever needs the database, or its key, says so better
    finally:
        if opened:
            connection.close()
    return [
        *(checks.Warning(sentence, hint=READ_ONCE, id="backups.W001") for sentence in wrong),
        *(_warned(variable, where) for variable, where in late),
    ]


def _has_begun() -> bool:
    """Whether the first start is over; raises DatabaseError where nobody answers."""
    connection.ensure_connection()
    try:
        return Team.objects.exists()
    except DatabaseError:
        return False  # no tables yet


def _warned(variable: str, where: str) -> checks.CheckMessage:
    sentence = f"{variable} names what is not registered: only the first start, now over, reads it."
    return checks.Warning(
        sentence, hint=f"Register it {where}, or take {variable} out.", id="backups.W002"
    )


def _late() -> Iterator[tuple[str, str]]:
    """Variables that name what is not there, and where it is registered by now."""
    if variable := _storage_variable():
        yield from _unless(_knows_storage, variable, "on the page Destinations")
    for engine in ENGINES.values():
        knows, variable = partial(_knows_database, engine), engine.url.variable
        yield from _unless(knows, variable, "on the page Databases, and give it a plan")
    where = "on the page Schedules, or by `backdrop schedule add`"
    yield from _unless(_knows_schedule, "BACKUP_SCHEDULE", where)
    for read, variable in (
        (first_start.slack, "SLACK_WEBHOOK_URL"),
        (first_start.others, "NOTIFY_URLS"),
    ):
        knows = partial(_knows_channels, read)
        yield from _unless(knows, variable, "on the page Notifications")


def _unless(knows: Callable[[], bool], variable: str, where: str) -> Iterator[tuple[str, str]]:
    """What makes no sense is told as a mistake already."""
    with suppress(ImproperlyConfigured):
        if not knows():
            yield variable, where


def _storage_variable() -> str:
    """The variable that says where backups go, if one is set."""
    kind = storages.KINDS.get(first_start.HERE)
    own = kind.variables.values() if kind else ()
    return next((name for name in ("STORAGE", *own) if os.environ.get(name)), "")


def _knows_storage() -> bool:
    kind, options, _ = first_start.storage()
    place = storages.kind_of(kind).address(options)
    return any(one.address == place for one in Destination.objects.filter(kind=kind))


def _knows_database(engine: Engine) -> bool:
    """By its place alone: a password, or how TLS is used, may have been changed since."""
    address = first_start.address(engine)
    return address is None or (
        Database.objects.filter(
            engine=address.engine,
            host=address.host,
            port=address.port,
            dbname=address.dbname,
            username=address.username,
        ).exists()
    )


def _knows_schedule() -> bool:
    cron = first_start.cron()
    return not cron or Schedule.objects.filter(cron=cron).exists()


def _knows_channels(read: Callable[[], list[Channel]]) -> bool:
    return all(
        any(one.address == named.address for one in Channel.objects.filter(kind=named.kind))
        for named in read()
    )
