"""What a first start makes of the environment: a destination, databases with their plans and
schedules, and whom to tell."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured, ValidationError

from accounts.fields import Secret
from accounts.models import Team
from backups import database_urls, moments, storages
from backups.database_urls import Address, Variable
from backups.models import Channel, Database, Destination, Plan, Schedule
from backups.models.names import NAME_PATTERN

VARIABLES = {
    "local": {"folder": "BACKUP_DIR"},
    "s3": {
        "bucket": "S3_BUCKET",
        "endpoint": "S3_ENDPOINT",
        "region": "S3_REGION",
        "path_style": "S3_USE_PATH_STYLE",
        "access_key": "S3_ACCESS_KEY",
        "secret": "S3_SECRET_KEY",
    },
    "gcs": {
        "bucket": "GCS_BUCKET",
        "endpoint": "GCS_ENDPOINT",
        "payer": "GCS_BILLED_PROJECT",
        "secret": "GCS_CREDENTIALS",
    },
}
"""For each kind of destination which variable an option comes from."""
SECRETS = {"S3_ACCESS_KEY", "S3_SECRET_KEY", "GCS_CREDENTIALS"}
"""Those that may be in files."""

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
    kind, options, secret = _storage()
    if kind == "local":
        settings.BACKUP_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    destination = Destination.objects.create(
        team=team, name=kind, kind=kind, options=options, secret=secret
    )
    cron = _cron()
    for address in filter(None, map(_address, database_urls.VARIABLES)):
        plan = _database(team, destination, address)
        if cron:
            Schedule.objects.create(team=team, plan=plan, cron=cron)
    for channel in _channels():
        channel.team = team
        channel.save()


def mistakes() -> Iterator[str]:
    """What in these variables makes no sense: one sentence each, by the variable's name."""
    addresses = [partial(_address, variable) for variable in database_urls.VARIABLES]
    parts: tuple[Callable[[], object], ...] = (_storage, *addresses, _cron, _channels)
    for part in parts:
        try:
            part()
        except ImproperlyConfigured as error:
            yield str(error)


def check_environment(**options: object) -> list[checks.CheckMessage]:
    """System check: they are used once, but mistakes in them can be told at any time."""
    return [checks.Error(sentence, id="backups.E001") for sentence in mistakes()]


def _storage() -> tuple[str, dict[str, object], str]:
    """Kind, options and secret of the first destination."""
    kind = os.environ.get("STORAGE", "") or "local"
    if kind not in storages.KINDS:
        raise ImproperlyConfigured(f"STORAGE should be one of {', '.join(storages.KINDS)}.")
    options = _options(kind)
    secret = str(options.pop("secret", ""))
    try:
        storages.validated(kind, options, secret)
    except storages.OptionsError as error:
        told = [f"{VARIABLES[kind].get(name, name)}: {why}" for name, why in error.fields.items()]
        raise ImproperlyConfigured(" ".join(told)) from None
    return kind, options, secret


def _address(variable: Variable) -> Address | None:
    url = _given(variable.name)
    return Address.parse(url, variable) if url else None


def _cron() -> str:
    cron = os.environ.get("BACKUP_SCHEDULE", "").strip()
    try:
        if cron:
            Schedule(cron=cron).timing()
    except moments.TimingError as error:
        raise ImproperlyConfigured(
            f"BACKUP_SCHEDULE should be a cron expression. {error}"
        ) from None
    return cron


def _channels() -> list[Channel]:
    """Not yet saved; their addresses are secrets, so no mistake repeats one."""
    slack = _given("SLACK_WEBHOOK_URL")
    found = [_channel("SLACK_WEBHOOK_URL", "slack", Channel.Kind.SLACK, slack)] if slack else []
    others = [each for each in _BETWEEN.split(_given("NOTIFY_URLS").strip(", ")) if each]
    return found + [
        _channel("NOTIFY_URLS", f"notify-{number}", Channel.Kind.APPRISE, address)
        for number, address in enumerate(others, 1)
    ]


def _channel(variable: str, name: str, kind: Channel.Kind, address: str) -> Channel:
    channel = Channel(name=name, kind=kind, address=Secret(address))
    try:
        channel.clean()
    except ValidationError as error:
        raise ImproperlyConfigured(f"{variable}: {' '.join(error.messages)}") from None
    return channel


def _options(kind: str) -> dict[str, object]:
    """What the variables of that kind say, the secret among it."""
    if kind == "local":
        return {"folder": str(settings.BACKUP_DIR)}
    told = storages.KINDS[kind].schema["properties"]
    found = {name: _said(variable, told.get(name)) for name, variable in VARIABLES[kind].items()}
    return {name: value for name, value in found.items() if value != ""}


def _said(variable: str, told: Mapping[str, Any] | None) -> object:
    """What a variable says; `told` is the schema of its option, None for a secret."""
    if variable in SECRETS:
        return _given(variable)
    said = os.environ.get(variable, "")
    if said and told and told["type"] == "boolean":
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
