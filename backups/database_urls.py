"""A database's address in one line, as POSTGRES_URL and MYSQL_URL hold it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from django.core.exceptions import ImproperlyConfigured

from backups.pipeline.engine import Engine

PLACE = re.compile(
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^/:?\[\]]*)(?::(?P<port>\d{1,5}))?"
    r"(?:/(?P<dbname>[^?/]*))?(?:\?(?P<query>.*))?"
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
    def parse(cls, url: str, engine: Engine) -> Address:
        """Percent-encoded or not: the last `@` ends the password, whatever stands before it.

        Raises ImproperlyConfigured, which doesn't repeat the password.
        """
        told = engine.url
        scheme, _, rest = url.strip().partition("://")
        login, _, place = rest.rpartition("@")
        found = PLACE.fullmatch(place)
        username, _, password = (unquote(part) for part in login.partition(":"))
        if scheme not in told.schemes or not found or not username:
            raise _malformed(engine)
        query = dict(parse_qsl(found["query"] or ""))
        socket = query.pop(told.socket, "127.0.0.1")
        dbname = unquote(found["dbname"] or "") or (username if told.named_by_user else "")
        port = int(found["port"] or engine.default_port)
        if not dbname or not 0 < port < 65536:
            raise _malformed(engine)
        return cls(
            engine=engine.name,
            host=unquote(found["host"]).strip("[]") or socket,
            port=port,
            dbname=dbname,
            username=username,
            password=password,
            sslmode=_tls(query, engine),
        )


def _tls(query: dict[str, str], engine: Engine) -> str:
    """The engine's word, in either case, or its client's own for the same."""
    told = engine.url
    typed = [query.pop(name).lower().replace("_", "-") for name in told.tls if name in query]
    words = [told.tls_words.get(word, word) for word in typed]
    if query or len(words) > 1 or not {*words} <= {*engine.tls_modes}:
        raise _malformed(engine)
    return words[0] if words else ""


def _malformed(engine: Engine) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{engine.url.variable} should be {engine.url.form} if wanted.")
