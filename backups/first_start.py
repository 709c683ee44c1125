"""What a first start makes of the environment: a destination, databases with their plans and
schedules, and whom to tell."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError

from accounts.fields import Secret
from accounts.models import Team
from backups import moments, storages
from backups.database_urls import Address
from backups.models import Channel, Database, Destination, Plan, Schedule
from backups.models.names import NAME_PATTERN
from backups.pipeline.engine import Engine
from backups.pipeline.engines import ENGINES
from backups.storages import Kind

HERE = "local"
"""The kind whose folder is the setting BACKUP_DIR, which has a default and is made."""

# An address may hold commas itself (mailto://…?to=a,b), so only one before a scheme separates.
_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][\w+.-]*://)")

SAID = {"true": True, "yes": True, "on": True, "1": True}
SAID |= {"false": False, "no": False, "off": False, "0": False}


def begin(team: Team, *, first: bool) -> None:
    """A hook of `firststart`: at the very first start it registers what the environment names.

    Raises ImproperlyConfigured with the variable's name and what it should be.
    """
    if not first:
        return
    kind, options, secret = storage()
    if kind == HERE:
        settings.BACKUP_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    destination = Destination.objects.create(
        team=team, name=kind, kind=kind, options=options, secret=secret
    )
    when = cron()
    for found in filter(None, map(address, ENGINES.values())):
        plan = _database(team, destination, found)
        if when:
            Schedule.objects.create(team=team, plan=plan, cron=when)
    for channel in (*slack(), *others()):
        channel.team = team
        channel.save()


def mistakes() -> Iterator[str]:
    """What in these variables makes no sense: one sentence each, by the variable's name."""
    addresses = [partial(address, engine) for engine in ENGINES.values()]
    parts: tuple[Callable[[], object], ...] = (storage, *addresses, cron, slack, others)
    for part in parts:
        try:
            part()
        except ImproperlyConfigured as error:
            yield str(error)


def storage() -> tuple[str, dict[str, object], str]:
    """Kind, options and secret of the first destination."""
    kind = os.environ.get("STORAGE", "") or HERE
    if kind not in storages.KINDS:
        raise ImproperlyConfigured(f"STORAGE should be one of {', '.join(storages.KINDS)}.")
    options = _options(kind)
    secret = str(options.pop("secret", ""))
    try:
        storages.validated(kind, options, secret)
    except storages.OptionsError as error:
        variables = storages.KINDS[kind].variables
        told = [f"{variables.get(name, name)}: {why}" for name, why in error.fields.items()]
        raise ImproperlyConfigured(" ".join(told)) from None
    return kind, options, secret


def address(engine: Engine) -> Address | None:
    """The database of that engine; None where the variable is not set."""
    url = _given(engine.url.variable)
    return Address.parse(url, engine) if url else None


def cron() -> str:
    """When the plans run; empty where nothing says so."""
    said = os.environ.get("BACKUP_SCHEDULE", "").strip()
    try:
        if said:
            Schedule(cron=said).timing()
    except moments.TimingError as error:
        raise ImproperlyConfigured(
            f"BACKUP_SCHEDULE should be a cron expression. {error}"
        ) from None
    return said


def slack() -> list[Channel]:
    """The one of SLACK_WEBHOOK_URL, not yet saved, where that is set."""
    hook = _given("SLACK_WEBHOOK_URL")
    return [_channel("SLACK_WEBHOOK_URL", "slack", Channel.Kind.SLACK, hook)] if hook else []


def others() -> list[Channel]:
    """Those of NOTIFY_URLS, not yet saved."""
    urls = [each for each in _BETWEEN.split(_given("NOTIFY_URLS").strip(", ")) if each]
    return [
        _channel("NOTIFY_URLS", f"notify-{number}", Channel.Kind.APPRISE, url)
        for number, url in enumerate(urls, 1)
    ]


def _channel(variable: str, name: str, kind: Channel.Kind, url: str) -> Channel:
    """The address is a secret, so no mistake repeats it."""
    channel = Channel(name=name, kind=kind, address=Secret(url))
    try:
        channel.clean()
    except ValidationError as error:
        raise ImproperlyConfigured(f"{variable}: {' '.join(error.messages)}") from None
    return channel


def _options(name: str) -> dict[str, object]:
    """What the variables of that kind say, the secret among it."""
    if name == HERE:
        return {"folder": str(settings.BACKUP_DIR)}
    kind = storages.KINDS[name]
    found = {option: _said(kind, option) for option in kind.variables}
    return {option: value for option, value in found.items() if value != ""}


def _said(kind: Kind, option: str) -> object:
    """What the variable of an option says."""
    variable = kind.variables[option]
    said = _given(variable) if kind.in_file(option) else os.environ.get(variable, "")
    if said and kind.schema["properties"].get(option, {}).get("type") == "boolean":
        if said.strip().lower() not in SAID:
            raise ImproperlyConfigured(f"{variable} should be true or false.")
        return SAID[said.strip().lower()]
    return said


def _database(team: Team, destination: Destination, address: Address) -> Plan:
    database = Database.objects.create(
        team=team,
        name=_name(team, address),
        engine=address.engine,
        host=address.host,
        port=address.port,
        dbname=address.dbname,
        username=address.username,
        password=address.password,
        sslmode=address.sslmode,
    )
    return Plan.objects.create(
        team=team, name=database.name, database=database, destination=destination
    )


def _name(team: Team, address: Address) -> str:
    """As on its server where that can be; two servers may use one name."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", address.dbname)
    name = name if re.match(NAME_PATTERN, name) else address.engine
    taken = Database.objects.filter(team=team, name=name).exists()
    return f"{name[:50]}-{address.engine}" if taken else name


def _given(name: str) -> str:
    """What NAME holds, else the file named by NAME_FILE; empty where neither is set."""
    path = os.environ.get(f"{name}_FILE", "")
    if os.environ.get(name) or not path:
        return os.environ.get(name, "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise ImproperlyConfigured(f"{name}_FILE: {path} can't be read.") from None
