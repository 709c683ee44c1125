"""A file on its way by tus: sent in pieces, gone on with where it stopped.

tus is four requests, of which two are needed here: HEAD tells how much has arrived, PATCH sends
more. What a client library would add is what this file is for: when to try again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from typing import IO

from backdrop_site.cli.errors import UNREACHABLE, CommandError
from backdrop_site.cli.web import LOST, Answer, Web
from backups.rpc import backup_pb2 as pb

PIECE = 32 << 20
"""Bytes of one PATCH. A proxy that keeps a body back until it is whole then keeps back no more."""
BLOCK = 1 << 18
LONGEST_PAUSE = 8.0
TUS = {"Tus-Resumable": "1.0.0"}
AGAIN = (408, 429, 500, 502, 503, 504)


class GoneError(Exception):
    """The upload is not known (any more), for the reason given."""


class _AgainError(Exception):
    """Not now."""


class Sending:
    """`for update in Sending(…).run(): show(update)`; when that ends all has arrived.

    Raises GoneError, and CommandError where it is refused, the file changes, or no byte has
    arrived for `patience` seconds.
    """

    def __init__(
        self, web: Web, address: str, file: IO[bytes], *, name: str, patience: float
    ) -> None:
        self._web, self._path = web, web.path_of(address)
        self._file, self.name, self._patience = file, name, patience
        self._before = self._look()
        self.size = self._before.st_size
        self.offset = 0

    @property
    def percent(self) -> int:
        return int(100 * self.offset / self.size) if self.size else 0

    def run(self) -> Iterator[pb.ProgressUpdate]:
        known: int | None = None
        best, moved, failures = -1, time.monotonic(), 0
        while True:
            try:
                known = self._ask_offset() if known is None else known
                if known > best:
                    best, moved, failures = known, time.monotonic(), 0
                self.offset = known
                yield self._told(f"sending {self.name}, {self.percent} %")
                if (yield from self._send_piece()):
                    return
                known = self.offset
            except (*LOST, _AgainError):
                known = None
                if time.monotonic() - moved > self._patience:
                    raise self._given_up() from None
                yield self._told(f"connection lost, {self.percent} % sent, trying again", "waiting")
                time.sleep(min(LONGEST_PAUSE, 0.25 * 2**failures))
                failures += 1

    def _ask_offset(self) -> int:
        answer = self._web.once("HEAD", self._path, headers=TUS)
        if answer.status in (404, 410):
            raise GoneError("It has expired, was cancelled, or was never known.")  # no body tells
        self._refuse(answer)
        return int(answer.headers["Upload-Offset"])

    def _send_piece(self) -> Generator[pb.ProgressUpdate, None, bool]:
        """Send from `offset` on; returns whether that was the last of it."""
        connection = self._web.connection()
        try:
            answer = yield from self._patch(connection)
        finally:
            connection.close()
        if answer.status in (403, 409) and answer.headers.get("Upload-Offset") == str(self.size):
            return True  # an earlier try had completed it
        self._refuse(answer)
        self.offset = int(answer.headers["Upload-Offset"])
        return self.offset == self.size

    def _patch(self, connection: HTTPConnection) -> Generator[pb.ProgressUpdate, None, Answer]:
        left = min(PIECE, self.size - self.offset)
        connection.putrequest("PATCH", self._path)
        for name, value in {
            **TUS,
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(left),
            "Upload-Offset": str(self.offset),
        }.items():
            connection.putheader(name, value)
        self._file.seek(self.offset)
        try:
            connection.endheaders()
            while left:
                block = self._file.read(min(BLOCK, left))
                self._refuse_changed(short=not block)
                connection.send(block)
                left -= len(block)
                self.offset += len(block)
                yield self._told(f"sending {self.name}, {self.percent} %")
        except OSError:
            # A refusal may have come before the body was all sent.
            with suppress(*LOST):
                return Answer.of(connection.getresponse())
            raise
        return Answer.of(connection.getresponse())

    def _refuse(self, answer: Answer) -> None:
        if answer.status in AGAIN:
            raise _AgainError
        if answer.status in (404, 410):
            raise GoneError(answer.refusal().message)
        if answer.status >= 400:
            raise answer.refusal()

    def _refuse_changed(self, *, short: bool) -> None:
        now = self._look()
        if short or (now.st_size, now.st_mtime_ns) != (self.size, self._before.st_mtime_ns):
            raise CommandError(f"{self.name} changed while it was sent. Send it anew.")

    def _look(self) -> os.stat_result:
        return os.fstat(self._file.fileno())

    def _given_up(self) -> CommandError:
        return CommandError(
            f"{self._web.url} could not be reached for {self._patience:g} s; {self.percent} % of "
            f"{self.name} is there. The same command goes on from there.",
            exit_code=UNREACHABLE,
            code="UNAVAILABLE",
        )

    def _told(self, message: str, status: str = "uploading") -> pb.ProgressUpdate:
        return pb.ProgressUpdate(
            message=message, status=status, done=self.offset, total=self.size, unit="bytes"
        )
