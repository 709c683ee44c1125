"""The minder of an attempt: the worker itself, while a child process of its own runs the job.

It owns the row. Each half second one statement is heartbeat, progress, fencing and cancel check at
once; the child's death is noticed at once; whatever ends the attempt, no process of it is left and
what it had opened outside is undone before the task moves on.
"""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import Any

from django.conf import settings

from tasks import child, clock, ends, forks, processes, queue, reports, sharing, undoing
from tasks.bells import Bell
from tasks.ends import End
from tasks.errors import UnknownJobError
from tasks.lease import Guard, Hold, Lease
from tasks.models import Task
from tasks.registry import Job
from tasks.reports import Board
from tasks.sharing import Shared
from tasks.states import Outcome, Status
from tasks.transitions import Along

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.25
TERM_GRACE = 1.0  # from SIGTERM to SIGKILL
DEAF_SECONDS = 0.25  # the same for a child that doesn't say that it has heard it
UNDO_SECONDS = 3.0  # then a reaper goes on, so that a place out of reach delays no one
SIGNAL_SECONDS = 1.0  # in which signals to all processes reach each
REPORTS_AT_ONCE = 256
LEAVE_SECONDS = 5.0  # that a child has to end in once it has told how its job did
ROLLOUT_SECONDS = 3600.0  # from asking for a task on, in which a job may be one of a newer release
ROLLOUT_PAUSE = 30.0


def mind(
    task: Task,
    *,
    since: float,
    stop: Bell | None = None,
    drain: Bell | None = None,
    claims: Along | None = None,
) -> Status | None:
    """Run a claimed task to the end of this attempt; the state it reached, None where it was lost.

    `since` is `processes.now()` of before the claim; `stop` rings when attempts shall be given up,
    `drain` when that is about to come; `claims` may claim the next one together with this end.
    """
    lease = Lease(task, since)
    if lease.over:  # the claim's answer took that long
        return ends.write(task, lease, _let_go())
    try:
        job = queue.known_job(task.job)
        minder = Minder(job, task, lease, stop, drain, claims)
    except UnknownJobError as error:
        return ends.write(task, lease, _unknown(task, error))
    except OSError as error:
        told = f"No process could be started for it: {error.strerror}."
        end = End(Outcome.CRASHED, told, blameless=True)
        return ends.write(task, lease, end)
    return minder.mind()


def _let_go() -> End:
    return End(Outcome.LOST, ends.no_renewal(), blameless=True)


def _unknown(task: Task, error: UnknownJobError) -> End:
    """While a release is rolled out, workers of the one before meet jobs that they don't know:
    these wait, uncounted, for workers that do."""
    told = f"{error} Start workers of the release that has it."
    if (clock.read() - task.created_at).total_seconds() < ROLLOUT_SECONDS:
        return End(Outcome.INTERRUPTED, told, retry_after=ROLLOUT_PAUSE)
    return End(Outcome.FAILED, told)


class Minder:
    """Watches one child from its start to its end."""

    def __init__(
        self,
        job: Job,
        task: Task,
        lease: Lease,
        stop: Bell | None,
        drain: Bell | None,
        claims: Along | None,
    ) -> None:
        self.job, self.task, self.lease, self.stop = job, task, lease, stop
        self.claims = claims
        self.drain = drain
        self.end: End | None = None
        self.stopping: End | None = None  # why we stop it, once we do
        self.told_at = 0.0  # when the child has told how the job did
        self.fenced = False
        self.result: list[str] = []
        self.asked: list[int] = []  # questions of the child that wait for the database
        self.shared: Shared | None = None  # the process, where it isn't the attempt's alone
        self.fit: bool | None = None  # for another attempt; None until it is free
        self.cleared = self.kept = False
        self.channel, theirs = reports.channel()
        lease.light_fuse()
        try:
            with theirs:
                self._start(theirs)
        except BaseException:
            lease.put_out_fuse()
            raise
        lease.note_child(self.fork.pid)
        self.channel.setblocking(False)
        self.guard = Guard(lease, self.let_go)
        self.started = self.moved = processes.now()
        self.renewed = self.killed_at = self.started
        self.seen = 0
        self.speaks = True

    def _start(self, theirs: socket.socket) -> None:
        """Set `fork`, the process that runs the job, and the `board` that it writes on."""
        if sharing.may_share(self.job, self.task):
            self.shared = sharing.borrow()
            self.fork, self.board = self.shared.fork, self.shared.board
            with suppress(OSError):  # it has just ended: seen as the end of any process
                self.shared.give(self.task, theirs)
            return
        self.board = Board()
        self.fork = forks.Fork(lambda: self._child(theirs))

    def _child(self, theirs: socket.socket) -> Any:
        self.channel.close()
        child.main(self.job, self.task, theirs, self.board)

    def mind(self) -> Status | None:
        try:
            while self.fit is None and not self.fork.ended():
                self.wait()
                self.listen()
                self.renew()
                self.enforce()
            self._clear_away()
            self.listen(most=100_000)
            if self.fenced:
                logger.warning("%s was lost to others; nothing is changed", self)
                return None
            end = self.judge()
            if not self.lease.over:  # else a reaper undoes it
                self.undo()
            return ends.write(self.task, self.lease, end, self.last_progress(), along=self.claims)
        finally:
            self.guard.dismiss()
            self._clear_away()
            self.channel.close()
            if self.shared is None:
                self.board.close()
            elif not self.kept:
                self.shared.end()

    def _clear_away(self) -> None:
        """Leave no process of the attempt, except a shared one that is as good as new."""
        if self.cleared:
            return
        self.cleared = True
        if self.shared is not None and self.fit and self.stopping is None and not self.fenced:
            sharing.give_back(self.shared)
            self.kept = True
        else:
            self.fork.kill()
            self.fork.wait(TERM_GRACE)
        self.lease.put_out_fuse()
        forks.kill_adopted(spare=sharing.kept_pid())

    def __str__(self) -> str:
        return f"Attempt {self.task.attempt} of task {self.task.pk}"

    # Hearing ------------------------------------------------------------------------------------

    def wait(self) -> None:
        """Until the child says something or ends, we are told to stop, or it's time to renew."""
        handles = [self.channel.fileno()] if self.speaks else []
        if self.fork.handle is not None:
            handles.append(self.fork.handle)
        if self.stop is not None and not self.stopping:
            handles.append(self.stop.fileno())
        pause = 0.05 if self.fork.handle is None or self.stopping else PROGRESS_SECONDS / 2
        forks.wait_for(
            handles, min(pause, self.renewed + settings.HEARTBEAT_SECONDS - processes.now())
        )

    def listen(self, most: int = REPORTS_AT_ONCE) -> None:
        """Take what the child has sent, some at a time so that renewals aren't kept waiting."""
        for _ in range(most):
            if not self.speaks:
                return
            try:
                packet = reports.receive(self.channel)
            except BlockingIOError:
                return
            except (ValueError, OSError):
                self._nonsense()
                return
            if packet is None:
                self.speaks = False
                return
            self.take(reports.storable(packet))

    def _nonsense(self) -> None:
        self.speaks = False
        told = "The job's process sent its minder something unreadable. This is a fault of the job."
        self.give_up(End(Outcome.CRASHED, told), at_once=True)

    def take(self, packet: dict[str, Any]) -> None:
        match packet:
            case {"kind": "message", "text": str(text)}:
                self.moved = processes.now()
                self.lease.note(message=text[: reports.MESSAGE_LENGTH])
            case {"kind": "log", "text": str(text), "level": str(level)}:
                self.moved = processes.now()
                self.lease.note_line(text[: reports.LOG_LENGTH], level[:10])
            case {"kind": "unit", "text": str(unit)}:
                self.lease.note(progress_unit=unit[:20])
            case {"kind": "opened", "thing": dict(thing), "number": int(number)}:
                self.lease.opened.append(thing)
                self.store(number)
            case {"kind": "closed", "thing": dict(thing), "number": int(number)}:
                self.lease.opened = [other for other in self.lease.opened if other != thing]
                self.store(number)
            case {"kind": "result", "piece": str(piece)}:
                self.result.append(piece)
            case {"kind": "done"}:
                self.told_at = processes.now()
                result = reports.storable(reports.parse("".join(self.result)))
                self.end = End(Outcome.SUCCEEDED, result=result)
            case {"kind": "stopping"}:
                self.killed_at += TERM_GRACE - DEAF_SECONDS
            case {"kind": "cancelled"}:
                self.end = self.stopping or End(Outcome.CANCELLED)
            case {"kind": "fenced"}:
                self.fenced = True
            case {"kind": "free", "fit": bool(fit)} if self.shared is not None:
                self.fit, self.speaks = fit, False
            case {"kind": "failed", "error": str(error)}:
                self.told_at = processes.now()
                self.end = End(
                    Outcome.FAILED,
                    error[: reports.ERROR_LENGTH],
                    permanent=bool(packet.get("permanent")),
                    retry_after=packet.get("retry_after"),
                )
            case _:
                self._nonsense()

    def store(self, number: int | None = None) -> None:
        """Write what is open outside and answer the child, now or at the next renewal."""
        if number is not None:
            self.asked.append(number)
        self.guard.watch()
        hold = self.lease.write_opened()
        if hold is Hold.LOST:
            self.lose()
        elif hold is Hold.OURS:
            for asked in self.asked:
                try:
                    reports.send(self.channel, "stored", number=asked)
                except OSError:  # it has gone, or doesn't read: its own affair
                    break
            self.asked.clear()

    # Renewing -----------------------------------------------------------------------------------

    def _news(self) -> bool:
        return self.lease.dirty or self.board.reports != self.seen

    def renew(self) -> None:
        pause = PROGRESS_SECONDS if self._news() else settings.HEARTBEAT_SECONDS
        if self.fenced or processes.now() < self.renewed + pause:
            return
        self.renewed = processes.now()
        self._look_at_board()
        if self.asked:
            self.store()
        self.guard.watch()
        hold = self.lease.renew()
        if hold is Hold.LOST:
            self.lose()
        elif hold is Hold.CANCEL:
            self.give_up(End(Outcome.CANCELLED))

    def _look_at_board(self) -> None:
        if self.board.reports != self.seen:
            self.seen = self.board.reports
            self.moved = processes.now()
            self.lease.note_progress(*self.board.read())

    def last_progress(self) -> dict[str, Any]:
        if self.board.reports == self.seen:
            return {}
        done, total = self.board.read()
        return {"progress_done": done, "progress_total": total}

    # Stopping -----------------------------------------------------------------------------------

    def enforce(self) -> None:
        now, task = processes.now(), self.task
        if self.lease.over:
            self.let_go()
        elif self.stopping:
            if now >= self.killed_at:
                self.fork.kill()
        elif self.told_at and now >= self.told_at + LEAVE_SECONDS:
            self.fork.kill()  # what it has told counts
        elif self.stop is not None and self.stop.rung():
            self.give_up(End(Outcome.INTERRUPTED))
        elif task.deadline_seconds and now >= self.started + task.deadline_seconds:
            self.give_up(End(Outcome.TIMED_OUT, ends.too_long(task.deadline_seconds)))
        elif task.seconds_left is not None and now >= self.started + task.seconds_left:
            self.give_up(End(Outcome.TIMED_OUT, ends.out_of_time(), permanent=True))
        elif task.stall_seconds and now >= self.moved + task.stall_seconds:
            self._look_at_board()
            if now >= self.moved + task.stall_seconds:
                self.give_up(End(Outcome.TIMED_OUT, ends.stalled(task.stall_seconds)))

    def give_up(self, why: End, *, at_once: bool = False) -> None:
        """Stop the child: SIGTERM to its group, then SIGKILL; the first reason stays.

        A child that has heard the first has a second to clean up in. One that is deaf, or busy in
        C code, won't: it isn't waited for.
        """
        if self.stopping is None:
            self.stopping = why
            self.killed_at = processes.now() + DEAF_SECONDS
            self.fork.terminate()
        if at_once:
            self.fork.kill()

    def let_go(self) -> None:
        """The lease runs out: others may take the task. Also called by the guard's thread."""
        self.give_up(_let_go(), at_once=True)
        self.lease.put_out_fuse()

    def lose(self) -> None:
        """The task is another's by now."""
        self.fenced = True
        self.fork.kill()
        self.lease.put_out_fuse()

    def judge(self) -> End:
        """What to write down. A result that was told counts, even if we were about to stop it."""
        told, status = self.end, self.fork.status
        if told is not None and told.outcome == Outcome.SUCCEEDED:
            return told
        if self.stopping is not None:
            return self.stopping
        if self.stop is not None and self.stop.rung():
            return End(Outcome.INTERRUPTED)  # told to stop at the same time as we were
        if ends.was_terminated(status, told) and self._about_to_stop():
            return End(Outcome.INTERRUPTED)
        if told is not None and told.outcome != Outcome.CANCELLED:
            return told
        return End(Outcome.CRASHED, ends.died(status, told))

    def _about_to_stop(self) -> bool:
        """Whether all of us are being told to stop: a service manager may signal a whole control
        group, and the child hears of it before the watcher has told us."""
        return self.drain is not None and self.drain.rung(within=SIGNAL_SECONDS)

    def undo(self) -> None:
        """Undo what is open outside, in a process of its own that can't keep us from renewing."""
        if not self.lease.opened:
            return
        try:
            fork = forks.Fork(lambda: undoing.main(self.task.pk, self.task.attempt))
        except OSError:
            return  # it stays written down, and a reaper tries again
        limit = processes.now() + UNDO_SECONDS
        while not fork.wait(PROGRESS_SECONDS) and processes.now() < limit:
            self.lease.renew()
        fork.kill()
        fork.wait(TERM_GRACE)
