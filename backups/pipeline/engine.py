"""The port of a database engine. Each is one package beside this module, and one row in `engines`.

A server is what `server` makes: how a database is reached. Only its own engine looks into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from backups.pipeline.contents import Contents, Reader
from backups.pipeline.ports import Sink, Source

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """A database of an engine in one line: which variable holds it, and what it may say."""

    variable: str
    schemes: tuple[str, ...]
    tls: tuple[str, ...]
    """Parameters that say how TLS is used."""
    tls_words: Mapping[str, str]
    """What the engine's own client calls the words of `tls_modes`."""
    socket: str
    """The parameter that names a Unix socket, or its folder."""
    named_by_user: bool
    """Whether a database that isn't named is called like its user, as its clients have it."""
    form: str
    """For people who wrote something else."""


class Scratch(Protocol):
    """A running server of our own that a drill restores into."""

    def sink(self, dbname: str, *, waiting: Told | None = None) -> Sink:
        """Into a new database; as fast as can be, since nobody else uses the server."""

    def source(self, dbname: str) -> Source:
        """Read back what was restored, by the client that wrote the backup, or its like."""


class Engine(Protocol):
    """All that the house needs to know of a kind of database."""

    @property
    def name(self) -> str:
        """What databases and manifests call it; it never changes."""

    @property
    def label(self) -> str:
        """For people."""

    @property
    def default_port(self) -> int: ...

    @property
    def tls_modes(self) -> tuple[str, ...]:
        """The words that `sslmode` may be, the laxest first; empty is the engine's own default."""

    @property
    def url(self) -> Url:
        """How a first start is given a database of it."""

    @property
    def rights(self) -> str:
        """For people: what the account that backs up needs."""

    def server(
        self,
        *,
        host: str,
        port: int,
        dbname: str,
        user: str,
        password: str = "",
        sslmode: str = "",
    ) -> Any:
        """Server, database and account; `host` may be a folder (or file) of a Unix socket. What
        the answer prints, and what is raised with it, does not hold the password."""

    def source(
        self,
        server: Any,
        *,
        label: str = "",
        waiting: Told | None = None,
        stall_seconds: float = 600,
        lock_wait_seconds: float = 60,
    ) -> Source:
        """That database as a source. `waiting` is told, in a sentence, what the dump waits for
        while nothing comes; `label` is how people find its sessions on the server."""

    def sink(
        self,
        server: Any,
        *,
        dbname: str,
        replace: bool = False,
        traits: Mapping[str, Any] | None = None,
        waiting: Told | None = None,
        opened: Told | None = None,
        closed: Told | None = None,
    ) -> Sink:
        """A database of that name on the server, which need not exist; `traits` are the source's,
        from the manifest. One that exists is only replaced where `replace` says so. `opened` is
        told a name before something is made under it, `closed` when that is gone or has become
        the result, for `drop_restoring` after a killed process."""

    def drop_restoring(self, server: Any, name: str) -> None:
        """Drop what a restore left that was told that name. Idempotent; raises RestoreError, and
        ValueError for a name that no restore gives."""

    def scratch(
        self,
        traits: Mapping[str, Any],
        *,
        opened: Told | None = None,
        closed: Told | None = None,
    ) -> AbstractContextManager[Scratch]:
        """A server for a backup with those traits, with all in place that its dump takes for
        granted. Raises PipelineError where this machine has none that is new enough. `opened` and
        `closed` are told its folder; see `scratch.ScratchServer`."""

    def reader(self, contents: Contents) -> Reader:
        """A reader of the text of its dumps, which tells `contents` what it finds."""

    def by_hand(self, opened: str) -> str:
        """The shell's command that loads what the command `opened` prints into a new database
        `restored`, with public tools alone."""
