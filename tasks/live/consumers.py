"""The two sockets: `/ws/tasks/<id>` tells of one task, `/ws/tasks` of all that the user may see.

The first message is a snapshot, then come messages in order, each with `seq`:

    {"type": "snapshot", "seq": 7, "task": {…}, "events": [{…}, …]}
    {"type": "event", "seq": 8, "event": {…}}
    {"type": "update", "seq": 8, "task": {…}}

and on `/ws/tasks`, whose `seq` is its own (microseconds since 1970):

    {"type": "snapshot", "seq": …, "tasks": [{…}, …]}
    {"type": "update", "seq": …, "task": {…}}
    {"type": "removed", "seq": …, "id": "…"}

With `?after=<seq>` the snapshot's events are those after it; without, the newest. A client that
is slow gets fewer updates, or another snapshot, but ends with the truth. Close codes: 4400 the
request makes no sense, 4401 not signed in (any more), 4404 no such task for this user.
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping, Set
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from accounts import policy
from accounts.models import User
from accounts.models.teams import PLATFORM
from accounts.policy import Verb
from tasks import places
from tasks.live import report
from tasks.live.database import ask
from tasks.live.mailbox import BehindError, Change
from tasks.live.poller import watching
from tasks.live.socket import NOT_THERE, CloseError, Receive, Send, Socket, split
from tasks.live.watches import TaskWatch, TeamsWatch
from tasks.models import Event, Task
from tasks.places import Place
from tasks.states import ENDED

EVENTS_AT_ONCE = 500
LAST_EVENTS = 200
UNENDED_TASKS = 400
ENDED_TASKS = 100
RESUMED_TASKS = 1000
RESUME_OVERLAP = timedelta(minutes=1)
REMEMBERED = 5000


class TaskSocket(Socket):
    """Tells of one task."""

    async def stream(self) -> None:
        self.pk: UUID = self.scope["url_route"]["kwargs"]["pk"]
        told, place = await self._snapshot(self.after())
        watch = TaskWatch(task_id=self.pk, seen=told, place=place)
        with watching(watch):
            while True:
                try:
                    changes = await watch.mailbox.take()
                except BehindError:
                    told, _ = await self._snapshot(told)
                    continue
                for change in changes:
                    told = await self._tell_change(change, told)

    async def check(self) -> None:
        """Of one that is gone altogether `stream` tells, which says so before it closes."""
        try:
            await ask(_task, self.visitor.user, self.pk)
        except CloseError:
            if await ask(Task.objects.filter(pk=self.pk).exists):
                raise

    async def _snapshot(self, after: int | None) -> tuple[int, Place | None]:
        """Tell how it stands and what happened after `after`; the seq and place told.

        More events than fit follow it one by one; until the last of them every message's seq
        is an event's, so that who is cut off in between comes back for the rest.
        """
        task, place = await ask(_task, self.visitor.user, self.pk)
        standing = report.told(task, place)
        if after is None or after > task.seq:  # the latter is of another life of this database
            newest = await ask(_newest_events, self.pk, task.seq)
            await self.tell("snapshot", task.seq, task=standing, events=newest)
            return task.seq, place
        events = await ask(_events_after, self.pk, after, task.seq)
        first, rest = split(events)
        whole = not rest and len(events) < EVENTS_AT_ONCE
        seq = task.seq if whole else first[-1]["seq"] if first else after
        await self.tell("snapshot", seq, task=standing, events=first)
        if not whole:
            await self._tell_rest(events, rest, until=task.seq)
            await self.tell("update", task.seq, task=standing)
        return task.seq, place

    async def _tell_rest(
        self, events: list[dict[str, Any]], rest: list[dict[str, Any]], *, until: int
    ) -> None:
        """Tell `rest`, the end of `events`, and all that come after those."""
        while True:
            for event in rest:
                await self.tell("event", event["seq"], event=event)
            if len(events) < EVENTS_AT_ONCE:
                return
            events = rest = await ask(_events_after, self.pk, events[-1]["seq"], until)

    async def _tell_change(self, change: Change, told: int) -> int:
        if change.task is None:
            await self.tell("removed", change.seq, id=str(self.pk))
            raise CloseError(NOT_THERE, "It has been removed.")
        for event in change.events:
            if event["seq"] > told:
                await self.tell("event", event["seq"], event=event)
        if change.seq >= told:
            await self.tell("update", change.seq, task=change.task)
        return max(told, change.seq)


class TasksSocket(Socket):
    """Tells of all tasks that the user may see."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._watch = TeamsWatch(teams=frozenset())
        self._told: dict[UUID, tuple[int, int]] = {}  # id -> seq, team; latest told last

    async def stream(self) -> None:
        self._after = self.after()
        self._watch.teams = await ask(_teams, self.visitor.user)
        with watching(self._watch):
            while True:
                try:
                    changes = await self._watch.mailbox.take()
                except BehindError:
                    await self._snapshot()
                    continue
                for change in changes:
                    await self._tell_change(change)

    async def check(self) -> None:
        """Who joined or left a team sees more or less from now on."""
        teams = await ask(_teams, self.visitor.user)
        if teams != self._watch.teams:
            self._watch.teams = teams
            self._watch.mailbox.spill()

    async def _snapshot(self) -> None:
        rows, places = await ask(_tasks, self._watch.teams, self._after)
        lost = [pk for pk, (_, team) in self._told.items() if team not in self._watch.teams]
        self._told = {row.pk: (row.seq, row.team_id) for row in reversed(rows)}
        first, rest = split([report.told(row, places.get(row.pk)) for row in rows])
        await self.tell("snapshot", self._next_seq(), tasks=first)
        for task in rest:
            await self.tell("update", self._next_seq(), task=task)
        self._after = self._seq
        for pk in lost:
            await self.tell("removed", self._next_seq(), id=str(pk))

    async def _tell_change(self, change: Change) -> None:
        seq, _ = self._told.pop(change.task_id, (-1, 0))
        if change.task is None:
            if seq >= 0:
                await self.tell("removed", self._next_seq(), id=str(change.task_id))
            return
        self._told[change.task_id] = (max(seq, change.seq), change.team_id)
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        if change.seq > seq and change.team_id in self._watch.teams:
            self._after = self._next_seq()
            await self.tell("update", self._after, task=change.task)

    def _next_seq(self) -> int:
        return max(self._seq + 1, time.time_ns() // 1000)


class NoSocket(Socket):
    """Any other address: there is nothing."""

    async def stream(self) -> None:
        raise CloseError(NOT_THERE, "There is nothing at this address.")

    async def check(self) -> None:
        pass


def _task(user: User, pk: UUID) -> tuple[Task, Place | None]:
    """The task and its place in the queue; raises CloseError where the user may not see it."""
    task = policy.visible(user, Task.objects.filter(pk=pk)).first()
    if task is None:
        raise CloseError(NOT_THERE, "There is no such task.")
    return task, places.of(task)


def _newest_events(pk: UUID, until: int) -> list[dict[str, Any]]:
    """The last events that fit into one message, oldest first."""
    newest = Event.objects.filter(task=pk, seq__lte=until).order_by("-seq")[:LAST_EVENTS]
    fitting, _ = split([report.event_of(event) for event in newest])
    return fitting[::-1]


def _events_after(pk: UUID, after: int, until: int) -> list[dict[str, Any]]:
    """The next EVENTS_AT_ONCE after a number, oldest first."""
    later = Event.objects.filter(task=pk, seq__gt=after, seq__lte=until).order_by("seq")
    return [report.event_of(event) for event in later[:EVENTS_AT_ONCE]]


def _teams(user: User) -> frozenset[int]:
    """Without the platform's own, whose canaries are no news."""
    teams = policy.teams_where(user, Verb.SEE).exclude(name=PLATFORM)
    return frozenset(teams.values_list("pk", flat=True))


def _tasks(teams: Set[int], after: int | None) -> tuple[list[Task], dict[UUID, Place | None]]:
    """What a list shows, newest first, and all that changed after a moment; with their places."""
    tasks = Task.objects.filter(team__in=teams)
    found = list(tasks.exclude(status__in=ENDED).order_by("-created_at")[:UNENDED_TASKS])
    found += tasks.filter(status__in=ENDED).order_by("-updated_at")[:ENDED_TASKS]
    if after is not None:
        moment = datetime.fromtimestamp(min(after / 1e6, time.time()), UTC) - RESUME_OVERLAP
        found += tasks.filter(updated_at__gte=moment).order_by("-updated_at")[:RESUMED_TASKS]
    once = {row.pk: row for row in found}
    rows = sorted(once.values(), key=lambda row: row.created_at, reverse=True)
    return rows, report.positions(rows)
