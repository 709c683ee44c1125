"""A database's address in one line, as POSTGRES_URL and MYSQL_URL hold it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from django.core.exceptions import ImproperlyConfigured

from backups.pipeline.engines import ENGINES

PLACE = re.compile(
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^/:?\[\]]*)(?::(?P<port>\d{1,5}))?"
    r"(?:/(?P<dbname>[^?/]*))?(?:\?(?P<query>.*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What such a variable may say."""

    name: str
    engine: str
    schemes: tuple[str, ...]
    tls: tuple[str, ...]
    """Parameters that say how TLS is used."""
    tls_words: Mapping[str, str]
    """What the engine's own client calls the words of its row."""
    socket: str
    """The parameter that names a Unix socket, or its folder."""
    named_by_user: bool
    """Whether a database that isn't named is called like its user, as its clients have it."""
    form: str

    def malformed(self) -> ImproperlyConfigured:
        return ImproperlyConfigured(f"{self.name} should be {self.form} if wanted.")


VARIABLES = (
    Variable(
        name="POSTGRES_URL",
        engine="postgres",
        schemes=("postgres", "postgresql"),
        tls=("sslmode",),
        tls_words={},
        socket="host",
        named_by_user=True,
        form="postgres://user:password@host:5432/name, with ?sslmode=",
    ),
    Variable(
        name="MYSQL_URL",
        engine="mysql",
        schemes=("mysql", "mariadb"),
        tls=("ssl-mode", "sslmode"),
        tls_words={
            "disabled": "disable",
            "preferred": "prefer",
            "required": "require",
            "verify-identity": "verify-full",
        },
        socket="socket",
        named_by_user=False,
        form="mysql://user:password@host:3306/name, with ?ssl-mode=",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a `postgres://user:password@host:5432/name?sslmode=require` says."""

    engine: str
    host: str
    port: int
    dbname: str
    username: str
    password: str
    sslmode: str = ""

    def __repr__(self) -> str:
        return f"<{self.username}@{self.host}:{self.port}/{self.dbname}>"

    @classmethod
    def parse(cls, url: str, variable: Variable) -> Address:
        """Percent-encoded or not: the last `@` ends the password, whatever stands before it.

        Raises ImproperlyConfigured, which doesn't repeat the password.
        """
        scheme, _, rest = url.strip().partition("://")
        login, _, place = rest.rpartition("@")
        found = PLACE.fullmatch(place)
        username, _, password = (unquote(part) for part in login.partition(":"))
        if scheme not in variable.schemes or not found or not username:
            raise variable.malformed()
        query = dict(parse_qsl(found["query"] or ""))
        socket = query.pop(variable.socket, "127.0.0.1")
        dbname = unquote(found["dbname"] or "") or (username if variable.named_by_user else "")
        port = int(found["port"] or ENGINES[variable.engine].default_port)
        if not dbname or not 0 < port < 65536:
            raise variable.malformed()
        return cls(
            engine=variable.engine,
            host=unquote(found["host"]).strip("[]") or socket,
            port=port,
            dbname=dbname,
            username=username,
            password=password,
            sslmode=_tls(query, variable),
        )


def _tls(query: dict[str, str], variable: Variable) -> str:
    """The engine's word, in either case, or its client's own for the same."""
    typed = [query.pop(name).lower().replace("_", "-") for name in variable.tls if name in query]
    words = [variable.tls_words.get(word, word) for word in typed]
    if query or len(words) > 1 or not {*words} <= {*ENGINES[variable.engine].tls_modes}:
        raise variable.malformed()
    return words[0] if words else ""
