"""What a first start makes of the environment: a destination, a database with a plan and its
schedule, and whom to tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured, ValidationError

from accounts.fields import Secret
from accounts.models import Team
from backups import moments, storages
from backups.models import Channel, Database, Destination, Plan, Schedule
from backups.models.databases import SSLMODES
from backups.models.names import NAME_PATTERN

VARIABLES = {
    "folder": "BACKUP_DIR",
    "bucket": "S3_BUCKET",
    "endpoint": "S3_ENDPOINT",
    "region": "S3_REGION",
    "path_style": "S3_USE_PATH_STYLE",
    "access_key": "S3_ACCESS_KEY",
    "secret": "S3_SECRET_KEY",
    "kind": "STORAGE",
}
"""Which variable an option of a destination comes from."""

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
    address, cron = _address(), _cron()
    if address is not None:
        plan = _database(team, destination, address)
        if cron:
            Schedule.objects.create(team=team, plan=plan, cron=cron)
    for channel in _channels():
        channel.team = team
        channel.save()


def mistakes() -> Iterator[str]:
    """What in these variables makes no sense: one sentence each, by the variable's name."""
    for part in (_storage, _address, _cron, _channels):
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
    options: dict[str, object]
    options = _s3_options() if kind == "s3" else {"folder": str(settings.BACKUP_DIR)}
    secret = _given("S3_SECRET_KEY") if kind == "s3" else ""
    try:
        storages.validated(kind, options, secret)
    except storages.OptionsError as error:
        told = [f"{VARIABLES.get(name, name)}: {why}" for name, why in error.fields.items()]
        raise ImproperlyConfigured(" ".join(told)) from None
    return kind, options, secret


def _address() -> Address | None:
    url = _given("POSTGRES_URL")
    return Address.parse(url) if url else None


def _cron() -> str:
    cron = os.environ.get("BACKUP_SCHEDULE", "").strip()
    try:
        if cron:
            moments.Cron(cron)
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


def _s3_options() -> dict[str, object]:
    options: dict[str, object] = {
        "bucket": os.environ.get("S3_BUCKET", ""),
        "endpoint": os.environ.get("S3_ENDPOINT", ""),
        "region": os.environ.get("S3_REGION", ""),
        "access_key": _given("S3_ACCESS_KEY"),
    }
    path_style = os.environ.get("S3_USE_PATH_STYLE", "").strip().lower()
    if path_style:
        if path_style not in SAID:
            raise ImproperlyConfigured("S3_USE_PATH_STYLE should be true or false.")
        options["path_style"] = SAID[path_style]
    return {name: value for name, value in options.items() if value != ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a `postgres://user:password@host:5432/name?sslmode=require` says."""

    host: str
    port: int
    dbname: str
    username: str
    password: str
    sslmode: str = ""

    def __repr__(self) -> str:
        return f"<{self.username}@{self.host}:{self.port}/{self.dbname}>"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Percent-encoded or not: the last `@` ends the password, whatever stands before it.

        Raises ImproperlyConfigured, which doesn't repeat the password.
        """
        scheme, _, rest = url.strip().partition("://")
        login, _, place = rest.rpartition("@")
        found = re.fullmatch(
            r"(?P<host>\[[0-9a-fA-F:.]+\]|[^/:?\[\]]*)(?::(?P<port>\d{1,5}))?"
            r"(?:/(?P<dbname>[^?/]*))?(?:\?(?P<query>.*))?",
            place,
        )
        username, _, password = (unquote(part) for part in login.partition(":"))
        if scheme not in ("postgres", "postgresql") or not found or not username:
            raise _malformed()
        query = dict(parse_qsl(found["query"] or ""))
        unknown = set(query) - {"sslmode", "host"}
        port = int(found["port"] or 5432)
        sslmode = query.get("sslmode", "")
        if unknown or sslmode not in SSLMODES or not 0 < port < 65536:
            raise _malformed()
        return cls(
            host=unquote(found["host"]).strip("[]") or query.get("host", "127.0.0.1"),
            port=port,
            dbname=unquote(found["dbname"] or "") or username,
            username=username,
            password=password,
            sslmode=sslmode,
        )


def _malformed() -> ImproperlyConfigured:
    return ImproperlyConfigured(
        "POSTGRES_URL should be postgres://user:password@host:5432/name, with ?sslmode= if wanted."
    )


def _database(team: Team, destination: Destination, address: Address) -> Plan:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", address.dbname)
    database = Database.objects.create(
        team=team,
        name=name if re.match(NAME_PATTERN, name) else "postgres",
        engine=Database.Engine.POSTGRES,
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


def _given(name: str) -> str:
    """What NAME holds, else the file named by NAME_FILE; empty where neither is set."""
    path = os.environ.get(f"{name}_FILE", "")
    if os.environ.get(name) or not path:
        return os.environ.get(name, "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise ImproperlyConfigured(f"{name}_FILE: {path} can't be read.") from None
