"""pg_dump's custom archives, read by `pg_restore`, which writes out the statements in them.

It runs under the account of a scratch server: an archive may be made to break its reader.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from backups.pipeline import processes
from backups.pipeline.errors import CorruptError, LackingError
from backups.pipeline.ports import Block, Stream
from backups.pipeline.postgres import binaries, scratch

_BLOCK = 1 << 20
_CONTENTS = 1 << 20
_GRACE_SECONDS = 0.5


def contents(archive: Stream) -> bytes:
    """The head of the archive's list of contents, with the versions it was made by, as a plain
    dump has them."""
    listed = b""
    with suppress(CorruptError):  # the list stands at the head; what follows isn't read
        for block in _Read(archive, "--list", whole=False):
            listed += bytes(block)
            if len(listed) > _CONTENTS:
                break
    return listed.replace(b"\n;     Dumped", b"\n-- Dumped").replace(b"version: ", b"version ")


def script(archive: Stream) -> Stream:
    """Its statements. The stream raises CorruptError for an archive that can't be read whole."""
    return _Read(archive, "--file=-", whole=True)


@dataclass(frozen=True, slots=True)
class _Read:
    archive: Stream
    argument: str
    whole: bool

    def __iter__(self) -> Iterator[Block]:
        program, account = scratch.runnable(_newest())
        process = processes.start(
            [program.program("pg_restore"), self.argument],
            env=processes.clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            account=account,
            cwd=Path("/"),
        )
        feeder = _Feeder(self.archive, cast("IO[bytes]", process.stdin))
        feeder.start()
        output = cast("IO[bytes]", process.stdout)
        try:
            while block := output.read(_BLOCK):
                yield block
            if process.wait() != 0 or feeder.error is not None:
                raise feeder.error or CorruptError(
                    "The archive is broken: pg_restore can't read all of it.",
                    remedy="Perhaps it was cut short, or made by a newer pg_dump.",
                )
        finally:
            processes.stop(process, grace=_GRACE_SECONDS)
            output.close()
            feeder.join()


class _Feeder(threading.Thread):
    """Writes a stream into a program's standard input; what the stream raises is kept."""

    def __init__(self, stream: Stream, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._pipe = pipe
        self.error: CorruptError | None = None

    def run(self) -> None:
        try:
            for block in self._stream:
                view = memoryview(block)
                while view:
                    view = view[self._pipe.write(view) :]
        except BrokenPipeError:
            pass  # it has read enough, or says why not by its end
        except CorruptError as error:
            self.error = error
        finally:
            with suppress(BrokenPipeError):
                self._pipe.close()


def _newest() -> binaries.Installation:
    """The latest pg_restore: it reads what all before it wrote."""
    found = [each for each in binaries.installations() if (each.folder / "pg_restore").is_file()]
    if not found:
        raise LackingError(
            "No pg_restore is installed to read the archive with.",
            remedy="Install it: apt install postgresql-client.",
        )
    return max(found, key=lambda each: each.major)
