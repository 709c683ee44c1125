"""How a PostgreSQL database is reached, without letting its password be seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from backups.pipeline import processes, secrecy
from backups.pipeline.secrecy import Hidden

CONNECT_SECONDS = 5
# A server that vanished without a word is noticed after about a minute.
_KEEPALIVE: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """Server, database and account. `host` may be a folder that holds a Unix socket."""

    host: str
    port: int = 5432
    dbname: str = "postgres"
    user: str = "postgres"
    password: str = field(default="")
    sslmode: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "password", Hidden(self.password))

    def __str__(self) -> str:
        """For people: no password."""
        return f"{self.dbname} at {self.place}"

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def database(self, dbname: str) -> PostgresServer:
        """The same server and account, another database."""
        return replace(self, dbname=dbname)

    def conninfo(self, **extra: Any) -> str:
        """libpq's connection string, without the password: it may stand in a command line.

        What it says is not taken from libpq's environment variables.
        """
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=self.dbname,
            user=self.user,
            sslmode=self.sslmode or "prefer",
            connect_timeout=CONNECT_SECONDS,
            **{"options": "", **_KEEPALIVE, **extra},
        )

    def environment(self, **extra: str) -> dict[str, str]:
        """The whole environment of a client program.

        The password travels in PGPASSWORD: the same eyes can read it as could a passfile of mode
        600 (this user's and root's), and a killed process leaves no file behind.
        """
        secret = {"PGPASSWORD": self.password} if self.password else {}
        return {**processes.clean_environment(), **secret, **extra}

    def connect(self, application: str = "backdrop", **extra: Any) -> psycopg.Connection[Any]:
        """A connection of our own in autocommit; raises psycopg's errors."""
        return psycopg.connect(
            self.conninfo(application_name=application, **extra),
            password=self.password,
            autocommit=True,
        )

    def mask(self, text: str) -> str:
        """`text` without the password, should a server or client have quoted it."""
        return secrecy.mask(text, self.password)
