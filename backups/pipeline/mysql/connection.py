"""How a MySQL or MariaDB database is reached, without letting its password be seen."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from backups.pipeline import processes, secrecy
from backups.pipeline.secrecy import Hidden

if TYPE_CHECKING:
    from backups.pipeline.mysql.binaries import Client

CONNECT_SECONDS = 5
ANSWER_SECONDS = 10.0
SOCKET = "mysqld.sock"
TLS_MODES = ("disable", "prefer", "require", "verify-full")
# By mode, the words of MariaDB's clients, which take a name for what MySQL's call a mode.
_MARIADB_TLS = {
    "disable": ("--skip-ssl",),
    "prefer": ("--ssl", "--skip-ssl-verify-server-cert"),
    "require": ("--ssl", "--skip-ssl-verify-server-cert"),
    "verify-full": ("--ssl", "--ssl-verify-server-cert"),
}
_MYSQL_TLS = {
    "disable": "DISABLED",
    "prefer": "PREFERRED",
    "require": "REQUIRED",
    "verify-full": "VERIFY_IDENTITY",
}

Connection = pymysql.Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqlServer:
    """Server, database and account. `host` may be a Unix socket, or the folder that holds one."""

    host: str
    port: int = 3306
    dbname: str = ""
    user: str = "root"
    password: str = field(default="")
    sslmode: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "password", Hidden(self.password))

    def __str__(self) -> str:
        """For people: no password."""
        return f"{self.dbname} at {self.place}"

    @property
    def place(self) -> str:
        return self.socket or f"{self.host}:{self.port}"

    @property
    def socket(self) -> str:
        """The path of the Unix socket; empty where it is reached over TCP."""
        if not self.host.startswith("/"):
            return ""
        return str(Path(self.host) / SOCKET) if Path(self.host).is_dir() else self.host

    def database(self, dbname: str) -> MysqlServer:
        """The same server and account, another database; none where it is empty."""
        return replace(self, dbname=dbname)

    def connect(self, *, answer_seconds: float = ANSWER_SECONDS) -> Connection:
        """A connection of our own in autocommit; raises pymysql's errors.

        A server that says nothing for `answer_seconds` is given up.
        """
        return pymysql.connect(
            host=None if self.socket else self.host,
            port=self.port,
            unix_socket=self.socket or None,
            user=self.user,
            password=self.password.encode(),  # a str would have to be Latin-1
            database=self.dbname or None,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=answer_seconds,
            write_timeout=answer_seconds,
            program_name="backdrop",
            **self._tls(),
        )

    def arguments(self, client: Client) -> list[str]:
        """The options of a client program, without the password: they stand in a command line."""
        if self.socket:
            return [f"--socket={self.socket}", "--protocol=socket", f"--user={self.user}"]
        return [
            f"--host={self.host}",
            f"--port={self.port}",
            "--protocol=tcp",
            f"--user={self.user}",
            *self._tls_options(client),
        ]

    @contextmanager
    def option_file(self) -> Iterator[int]:
        """The password for a client program, in a file without a name: a descriptor for the
        program to inherit, which it is told of as `--defaults-file` (and so reads no other).

        Unlike MYSQL_PWD it is in no environment, which children and crash reports inherit, and
        unlike a real file nothing stays of it when a process is killed.
        """
        quoted = self.password.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        opened = os.memfd_create("backdrop-client")
        try:
            os.fchmod(opened, 0o600)  # one that others may write is passed over
            os.write(opened, f'[client]\npassword="{quoted}"\n'.encode())
            yield opened
        finally:
            os.close(opened)

    def mask(self, text: str) -> str:
        """`text` without the password, should a server or client have quoted it."""
        return secrecy.mask(text, self.password)

    @property
    def _mode(self) -> str:
        return self.sslmode or "prefer"

    def _tls(self) -> dict[str, Any]:
        """pymysql prefers TLS where it is told nothing."""
        if self.socket or self._mode == "disable":
            return {"ssl_disabled": True}
        if self._mode == "prefer":
            return {}
        context = ssl.create_default_context(cafile=_authorities())
        if self._mode != "verify-full":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return {"ssl": context}

    def _tls_options(self, client: Client) -> list[str]:
        authorities = _authorities() or ssl.get_default_verify_paths().cafile
        trusted = [f"--ssl-ca={authorities}"] if authorities and "verify" in self._mode else []
        if client.flavour == "mysql":
            return [f"--ssl-mode={_MYSQL_TLS[self._mode]}", *trusted]
        return [*_MARIADB_TLS[self._mode], *trusted]


def environment() -> dict[str, str]:
    """Of client programs: MySQL's look into a file of saved logins unless told of another."""
    return {**processes.clean_environment(), "MYSQL_TEST_LOGIN_FILE": "/dev/null"}


def quoted(name: str) -> str:
    """A name as it stands in SQL."""
    return "`" + name.replace("`", "``") + "`"


def _authorities() -> str | None:
    """The certificates of authorities that this account trusts; None: those of the system."""
    own = Path.home() / ".mysql" / "root.crt"
    return str(own) if own.is_file() else None
