"""MySQL's and MariaDB's programs on this machine: which are there, and which one fits."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backups.pipeline.errors import PipelineError
from backups.pipeline.mysql import connection

Version = tuple[int, int, int]
LABELS = {"mariadb": "MariaDB", "mysql": "MySQL"}
_PACKAGES = {"mariadb": "mariadb-client", "mysql": "mysql-client"}
_PAIRS = (("mariadb-dump", "mariadb"), ("mysqldump", "mysql"))
_FOLDERS = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/usr/local/mysql/bin")
_VERSION = re.compile(
    r"(?:Distrib|from|Ver) (?P<version>\d+\.\d+\.\d+)(?P<flavour>-MariaDB)?[-, ~+]"
)


class BinariesError(PipelineError):
    """No installed program fits; the remedy names packages that would."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A program that dumps and one that loads, of one version."""

    dump: str
    load: str
    flavour: str
    """`mariadb` or `mysql`."""
    version: Version
    sandbox: bool
    """Whether its client can be forbidden to run programs and to touch files."""

    @property
    def tool(self) -> str:
        """The dump program's version line."""
        return f"{Path(self.dump).name} ({LABELS[self.flavour]}) {shown(self.version)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A MariaDB server and the program that makes its data folder."""

    program: str
    install: str
    version: Version


def client_for(flavour: str) -> Client:
    """The newest client of the server's own flavour; for MySQL, MariaDB's serves too.

    Each dumps servers older and newer than itself, but MySQL's can't read MariaDB's catalogue.
    """
    for again in (False, True):
        if again:  # perhaps it was installed since we looked
            _clients.cache_clear()
        fitting = [each for each in clients() if flavour in (each.flavour, "mysql")]
        if fitting:
            return max(fitting, key=lambda each: (each.flavour == flavour, each.version))
    raise BinariesError(
        f"No client of {LABELS[flavour]} is installed.",
        remedy=f"Install it: apt install {_PACKAGES[flavour]}.",
    )


def server_for(flavour: str, version: Version) -> Server:
    """The lowest server that takes what was dumped from one of that version."""
    if flavour != "mariadb":
        raise BinariesError(
            "A backup of MySQL can't be tried here: scratch servers are MariaDB's, and these take"
            " and print some of MySQL's types in another way.",
            remedy="Restore it into a MySQL server and look at it there.",
        )
    for again in (False, True):
        if again:
            _servers.cache_clear()
        fitting = [each for each in servers() if each.version[:2] >= version[:2]]
        if fitting:
            return min(fitting, key=lambda each: each.version)
    wanted = ".".join(map(str, version[:2]))
    there = ", ".join(shown(each.version) for each in servers())
    raise BinariesError(
        f"No MariaDB server of version {wanted} or later is installed to restore into"
        f"{f' (there is {there})' if there else ''}.",
        remedy="Install it: apt install mariadb-server-core, or MariaDB's own package of that"
        " version.",
    )


def clients() -> tuple[Client, ...]:
    return _clients()


def servers() -> tuple[Server, ...]:
    return _servers()


def parsed(text: str) -> tuple[str, Version] | None:
    """Flavour and version from what a program says of itself; None where it says neither."""
    found = None
    for found in _VERSION.finditer(text):  # the last names the distribution, not the program
        if found["flavour"]:
            break
    if found is None:
        return None
    return ("mariadb" if found["flavour"] else "mysql"), version_of(found["version"])


def version_of(text: str) -> Version:
    """The numbers of `10.11.6-MariaDB-0+deb12u1` and the like."""
    numbers = [int(number) for number in re.findall(r"\d+", text)[:3]]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def shown(version: Version) -> str:
    return ".".join(map(str, version))


@functools.cache
def _clients() -> tuple[Client, ...]:
    found: dict[Path, Client] = {}
    for folder in _places():
        for dump, load in _PAIRS:
            real = (folder / dump).resolve()
            if real in found or not (_runs(folder / dump) and _runs(folder / load)):
                continue
            if known := parsed(_said(folder / dump, "--version")):
                found[real] = Client(
                    dump=str(folder / dump),
                    load=str(folder / load),
                    flavour=known[0],
                    version=known[1],
                    sandbox="--sandbox" in _said(folder / load, "--help"),
                )
    return tuple(found.values())


@functools.cache
def _servers() -> tuple[Server, ...]:
    found: dict[Path, Server] = {}
    installers = [folder / "mariadb-install-db" for folder in _places()]
    install = next((path for path in installers if _runs(path)), None)
    for folder in _places():
        program = folder / "mariadbd"
        if install and _runs(program) and program.resolve() not in found:
            known = parsed(_said(program, "--version"))
            if known and known[0] == "mariadb":
                found[program.resolve()] = Server(
                    program=str(program), install=str(install), version=known[1]
                )
    return tuple(found.values())


def _places() -> Iterator[Path]:
    for name in dict.fromkeys([*os.get_exec_path(), *_FOLDERS]):
        yield Path(name)


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _said(program: Path, option: str) -> str:
    try:
        answer = subprocess.run(
            [str(program), "--no-defaults", option],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            env=connection.environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""
