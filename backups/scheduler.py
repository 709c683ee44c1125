"""The scheduler, a service of the daemon: fires each due moment of each schedule exactly once.

Any number of daemons look every second. A moment belongs to whoever inserts its `Firing` row; the
run is then asked for over gRPC with the firing's key, so that a daemon that dies in between is
stood in for by another without a second run. What is late, or never came to a run, is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import reduce
from itertools import islice, takewhile
from operator import or_
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, close_old_connections, connection, transaction
from django.db.models import Exists, Q, QuerySet

from backups import moments, runs
from backups.models import Firing, Schedule
from backups.moments import TimingError
from backups.notifications import notices
from tasks import clock
from tasks.models import Turn
from tasks.states import ENDED, Status

if TYPE_CHECKING:
    from uuid import UUID

    from tasks.daemon import Daemon

logger = logging.getLogger(__name__)

State = Firing.State
Submit = Callable[[Callable[[], None]], object]

TICK = 1.0
ON_TIME = timedelta(seconds=60)
"""What is later was missed, and the schedule says what is done then."""
GRACE = timedelta(minutes=5)
"""Who is told when a run has not begun so long after its moment."""
HOLD = timedelta(seconds=30)
"""How long a claimed firing is its daemon's; longer than a call takes with all its tries."""
GIVE_UP = timedelta(hours=1)
KEPT = timedelta(days=90)
FAR = timedelta(hours=6)
"""A clock set back by less than this makes no moment come twice; by more, it was wrong before."""
MOST_COUNTED = 1000
NO_SCHEDULES = 29
"""Ticks to rest, where there are none, before firings that were left are looked for."""


async def serve(daemon: Daemon) -> None:
    """A service of the daemon. Runs are started aside, so that a slow call delays no schedule."""
    loop = asyncio.get_running_loop()
    with (
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="scheduler") as thread,
        ThreadPoolExecutor(max_workers=4, thread_name_prefix="scheduled") as starters,
    ):
        scheduler = Scheduler(
            daemon.name, submit=lambda call: starters.submit(_with_connection, call)
        )
        while not daemon.stopping.is_set():
            await loop.run_in_executor(thread, scheduler.tick)
            await daemon.sleep(TICK)


def _with_connection(call: Callable[[], None]) -> None:
    """Each thread keeps its connection; one that the server has closed is opened anew."""
    close_old_connections()
    call()


class Scheduler:
    """What one daemon knows of the schedules."""

    def __init__(self, name: str, *, submit: Submit) -> None:
        self._name = name
        self._submit = submit
        self._next: dict[int, tuple[object, datetime | None]] = {}
        self._failing: set[str] = set()
        self._looked: datetime | None = None
        self._pruned: datetime | None = None
        self._rest = 0

    def tick(self) -> None:
        """Look at everything once. Never raises: the next tick comes in a second."""
        try:
            self._glance()
            self._failing.discard("tick")
        except Exception as error:
            self._log_once("tick", f"The scheduler failed with {type(error).__name__}.")
            connection.close()

    def _glance(self) -> None:
        """One query in most seconds: the schedules, the time, and whether a firing needs us."""
        now = clock.now()
        needed = (_abandoned(now), Q(state=State.WAITING), *_untold(now))
        care = reduce(or_, (Exists(Firing.objects.filter(each)) for each in needed))
        schedules = list(_schedules().annotate(now=clock.column(), care=care))
        if schedules:
            self.look(schedules[0].now, schedules, care=schedules[0].care)
        elif self._rest:
            self._rest -= 1
        else:
            self._rest = NO_SCHEDULES
            self.look(clock.read(), [])

    def look(
        self, now: datetime, schedules: Iterable[Schedule] | None = None, *, care: bool = True
    ) -> None:
        """Claim what is due at `now`, go on with what was left, tell what is late."""
        if self._looked is not None and now < self._looked:
            self._next.clear()  # the clock was set back
        self._looked = now
        for schedule in _schedules() if schedules is None else schedules:
            self._look_at(schedule, now)
        if care:
            self._take_over(now)
            self._end_waits(now)
            self._tell_late(now)
        if self._pruned is None or abs(now - self._pruned) > timedelta(hours=1):
            self._pruned = now
            Firing.objects.filter(moment__lt=now - KEPT).delete()

    def _look_at(self, schedule: Schedule, now: datetime) -> None:
        """One malformed row is reported alone; the others run."""
        try:
            self._fire_due(schedule, now)
        except (TimingError, OverflowError) as error:
            self._report(schedule, str(error))
        except Exception as error:
            self._report(schedule, f"Looking at it failed with {type(error).__name__}.")
        else:
            if schedule.error:
                Schedule.objects.filter(pk=schedule.pk).update(error="")
            self._failing.discard(f"schedule {schedule.pk}")

    def _fire_due(self, schedule: Schedule, now: datetime) -> None:
        if schedule.seen_until > now + FAR:
            _forget_future(schedule, now)
        if not self._may_be_due(schedule, now):
            return
        timing = schedule.timing()
        moment = timing.last(schedule.seen_until, now)
        if moment is not None:
            firing = _claim(schedule, timing, moment, now, self._name)
            if firing is not None and firing.state == State.CLAIMED:
                self._begin(firing, now)

    def _may_be_due(self, schedule: Schedule, now: datetime) -> bool:
        """Remembers when each is due next, which is dear to work out every second."""
        row = (schedule.cron, schedule.every_seconds, schedule.time_zone, schedule.created_at)
        known = (*row, schedule.seen_until)
        remembered, due = self._next.get(schedule.pk, (None, None))
        if remembered != known:
            due = next(schedule.timing().after(schedule.seen_until), None)
            self._next[schedule.pk] = known, due
        return due is not None and due <= now

    def _begin(self, firing: Firing, now: datetime) -> None:
        if _run_before(firing) and not self._queue_up(firing):
            return
        pk, key = firing.pk, f"firing {firing.pk}"
        self._submit(lambda: self._start(pk, key))

    def _queue_up(self, firing: Firing) -> bool:
        """By the overlap policy it waits or is skipped; whether it may start all the same."""
        waits = firing.schedule.overlap == Schedule.Overlap.WAIT
        others = Firing.objects.filter(schedule=firing.schedule_id, state=State.WAITING)
        if not waits:
            _move(firing.pk, State.SKIPPED, note="The run before was still under way.")
        elif others.exclude(pk=firing.pk).exists():
            _move(firing.pk, State.SKIPPED, note="Another run was waiting already.")
        else:
            _move(firing.pk, State.WAITING, note="Waits for the end of the run before.")
        return False

    def _start(self, pk: int, key: str) -> None:
        """In a thread of its own. What fails stays claimed, and is tried again after `HOLD`."""
        try:
            start(pk)
            self._failing.discard(key)
        except Exception as error:
            self._log_once(key, f"Starting {key} failed with {type(error).__name__}; again later.")

    def _take_over(self, now: datetime) -> None:
        """Firings whose daemon died, or failed, between the claim and the call."""
        for firing in Firing.objects.filter(_abandoned(now)).select_related("schedule"):
            if now - firing.moment > GIVE_UP and now - firing.created_at > GIVE_UP:
                _move(firing.pk, State.FAILED, note="It could not be started for an hour.")
                continue
            same = Firing.objects.filter(
                pk=firing.pk, state=State.CLAIMED, held_until=firing.held_until
            )
            if same.update(held_until=now + HOLD, daemon=self._name):
                pk, key = firing.pk, f"firing {firing.pk}"
                self._submit(lambda pk=pk, key=key: self._start(pk, key))  # type: ignore[misc]

    def _end_waits(self, now: datetime) -> None:
        for firing in Firing.objects.filter(state=State.WAITING).select_related("schedule"):
            if firing.schedule.paused:
                _move(firing.pk, State.SKIPPED, was=State.WAITING, note="The schedule was paused.")
            elif not _run_before(firing) and _move(
                firing.pk,
                State.CLAIMED,
                was=State.WAITING,
                held_until=now + HOLD,
                daemon=self._name,
                note="It waited for the end of the run before.",
            ):
                self._begin(firing, now)

    def _tell_late(self, now: datetime) -> None:
        """Once each. What can't be told is tried again, and keeps no other from being told."""
        found = {row.pk: row for each in _untold(now) for row in Firing.objects.filter(each)}
        for firing in found.values():
            key = f"notice of firing {firing.pk}"
            try:
                _tell(firing, now)
                self._failing.discard(key)
            except Exception as error:
                self._log_once(key, f"The {key} failed with {type(error).__name__}; again later.")

    def _report(self, schedule: Schedule, why: str) -> None:
        self._log_once(f"schedule {schedule.pk}", f"The schedule {schedule.pk} can't run: {why}")
        if schedule.error != why[:300]:
            Schedule.objects.filter(pk=schedule.pk).update(error=why[:300])

    def _log_once(self, key: str, sentence: str) -> None:
        if key not in self._failing:
            logger.error("%s", sentence)
        self._failing.add(key)


def _forget_future(schedule: Schedule, now: datetime) -> None:
    """The clock was far ahead for a while: moments that are still to come are to be fired."""
    seen = now - ON_TIME
    with transaction.atomic():
        Firing.objects.filter(schedule=schedule.pk, moment__gt=now).delete()
        Schedule.objects.filter(pk=schedule.pk).update(seen_until=seen)
    schedule.seen_until = seen


def _claim(
    schedule: Schedule, timing: moments.Timing, moment: datetime, now: datetime, name: str
) -> Firing | None:
    """Have the moment: None where another daemon has it. One run does for all that were missed.

    That people are to be told is only written down: a notice that fails must cost no run.
    """
    earlier, count = _earlier(timing, schedule.seen_until, moment)
    first = earlier or moment
    missed = now - moment > ON_TIME
    skipped = missed and schedule.missed == Schedule.Missed.SKIP
    firing = Firing(
        schedule=schedule,
        moment=moment,
        state=State.SKIPPED if skipped else State.CLAIMED,
        held_until=None if skipped else now + HOLD,
        daemon=name,
        missed_since=first if now - first > GRACE else None,
        created_at=now,
        note=_note(count, missed=missed, skipped=skipped),
    )
    try:
        with transaction.atomic():
            firing.save(force_insert=True)
            seen = Schedule.objects.filter(pk=schedule.pk, seen_until__lt=moment)
            seen.update(seen_until=moment, error="")
    except IntegrityError:  # another daemon was first, or the schedule was deleted
        Schedule.objects.filter(pk=schedule.pk, seen_until__lt=moment).update(seen_until=moment)
        return None
    return firing


def _earlier(
    timing: moments.Timing, since: datetime, moment: datetime
) -> tuple[datetime | None, int]:
    """The first moment that nobody fired before this one, and how many (at most so many)."""
    passed = list(islice(takewhile(lambda one: one < moment, timing.after(since)), MOST_COUNTED))
    return (passed[0], len(passed)) if passed else (None, 0)


def _note(count: int, *, missed: bool, skipped: bool) -> str:
    if not missed and not count:
        return ""
    many = f"{count} earlier moments" if count > 1 else "the moment before"
    also = f", as for {many}" if count else ""
    if skipped:
        return f"Missed: no daemon ran at the time{also}. Skipped, as the schedule says."
    if missed:
        return f"Missed: no daemon ran at the time{also}. Run once, as the schedule says."
    return f"No daemon ran at {many}; this run is for all."


def _run_before(firing: Firing) -> bool:
    """Whether an earlier run of the schedule is under way, or being started."""
    others = Firing.objects.filter(schedule=firing.schedule_id).exclude(pk=firing.pk)
    if others.filter(state=State.CLAIMED, moment__lt=firing.moment).exists():
        return True
    running = others.filter(state=State.STARTED, task__isnull=False)
    return running.exclude(task__status__in=ENDED).exists()


def start(pk: int) -> None:
    """Have the claimed firing's run started, whoever started it before; write what came of it."""
    firing = (
        Firing.objects.select_related(
            "schedule__team", "schedule__plan__team", "schedule__plan__database"
        )
        .filter(pk=pk, state=State.CLAIMED)
        .first()
    )
    if firing is None:
        return
    try:
        task_id, note = runs.start(firing)
    except runs.RefusedError as refused:
        _move(pk, State.FAILED, note=_joined(firing.note, str(refused)))
        return
    _started(firing, task_id, note)


def _started(firing: Firing, task_id: UUID | None, note: str) -> None:
    note = _joined(firing.note, note)
    _move(firing.pk, State.STARTED, task_id=task_id, note=note, held_until=None)


def _joined(*notes: str) -> str:
    return " ".join(note for note in notes if note)[:500]


def _move(
    pk: int, to: Firing.State, *, was: Firing.State = State.CLAIMED, **changes: object
) -> bool:
    return bool(Firing.objects.filter(pk=pk, state=was).update(state=to, **changes))


def _schedules() -> QuerySet[Schedule]:
    return Schedule.objects.filter(paused_at__isnull=True).order_by("pk")


def _abandoned(now: Any) -> Q:
    """Claimed firings whose daemon died, or failed."""
    return Q(state=State.CLAIMED, held_until__lt=now)


def _untold(now: Any) -> tuple[Q, ...]:
    """What was missed, could not be started, or has not begun within the grace, and nobody was told
    of it. Several, so that each is found by an index of its own."""
    recent = Q(late_told_at__isnull=True, created_at__gt=now - timedelta(days=2))
    stuck = recent & Q(created_at__lt=now - GRACE)
    queued = Q(state=State.STARTED, task__status=Status.QUEUED, task__attempt=0)
    # What waits for another backup of its database will have its turn.
    queued &= ~Q(task__concurrency_key__in=Turn.objects.values("key"))
    return (
        recent & Q(missed_since__isnull=False),
        recent & Q(state=State.FAILED),
        stuck & Q(state=State.CLAIMED),
        stuck & queued,
    )


def _tell(firing: Firing, now: datetime) -> None:
    with transaction.atomic():
        mine = Firing.objects.filter(pk=firing.pk, late_told_at__isnull=True)
        if mine.update(late_told_at=now):
            notices.missed(firing, due=firing.missed_since or firing.moment)
