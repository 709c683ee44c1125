"""The minder's side of a shared process: it is lent to one attempt at a time, and taken back from
those that leave it as it was. Each worker has one at most.
"""

from __future__ import annotations

import socket
from typing import NoReturn

from tasks import reports, serving
from tasks.forks import Fork
from tasks.models import Task
from tasks.registry import Job
from tasks.reports import Board

END_SECONDS = 1.0


class Shared:
    """One shared process. `board` is the attempt's that it is lent to."""

    def __init__(self) -> None:
        self._control, theirs = reports.channel()
        self.board = Board()
        try:
            self.fork = Fork(lambda: self._serve(theirs))
        except OSError:
            self._forget()
            raise
        finally:
            theirs.close()

    def _serve(self, theirs: socket.socket) -> NoReturn:
        self._control.close()
        serving.main(theirs, self.board)

    def give(self, task: Task, theirs: socket.socket) -> None:
        """Have it run an attempt that speaks on that channel; OSError where it has gone."""
        self.board.clear()
        socket.send_fds(self._control, [serving.order_of(task)], [theirs.fileno()])

    def end(self) -> None:
        """Kill it, and all of its group."""
        self.fork.kill()
        self.fork.wait(END_SECONDS)
        self._forget()

    def _forget(self) -> None:
        self._control.close()
        self.board.close()


_kept: Shared | None = None  # by this worker, while nobody has it


def may_share(job: Job, task: Task) -> bool:
    """Whether the attempt may use a shared process. Arguments too large to be sent may not."""
    return not job.isolated and len(serving.order_of(task)) < reports.PACKET_BYTES


def borrow() -> Shared:
    """The process that is kept, or a new one. OSError where there is no room."""
    global _kept
    kept, _kept = _kept, None
    if kept is not None:
        if not kept.fork.ended():
            return kept
        kept.end()
    return Shared()


def give_back(shared: Shared) -> None:
    """Keep it for the next attempt."""
    global _kept  # noqa: PLW0603 (as above)
    end_kept()
    _kept = shared


def end_kept() -> None:
    """Let go of the process that is kept."""
    global _kept  # noqa: PLW0603 (as above)
    if _kept is not None:
        _kept.end()
        _kept = None


def kept_pid() -> int:
    """The process that is kept while nobody has it; 0 where there is none."""
    return _kept.fork.pid if _kept is not None else 0
