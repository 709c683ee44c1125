"""Schedules over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

from accounts.policy import Verb
from backups.models import Database, Plan, Schedule
from backups.rpc import backup_pb2 as pb
from backups.rpc import callers
from backups.rpc.database import ask
from backups.rpc.messages import moment
from backups.rpc.refusals import StatusError, told

if TYPE_CHECKING:
    from backups.rpc.callers import Caller

MISSED = {"": Schedule.Missed.RUN_ONCE, "once": Schedule.Missed.RUN_ONCE}
MISSED |= {"run_once": Schedule.Missed.RUN_ONCE, "skip": Schedule.Missed.SKIP}


class Schedules:
    """Part of the servicer."""

    @told
    async def CreateSchedule(self, request: pb.CreateScheduleRequest, context: Any) -> pb.Schedule:
        return await ask(_create, callers.current(), request)

    @told
    async def ListSchedules(
        self, request: pb.ListSchedulesRequest, context: Any
    ) -> pb.ListSchedulesResponse:
        return await ask(_list, callers.current())

    @told
    async def PauseSchedule(self, request: pb.ScheduleRequest, context: Any) -> pb.Schedule:
        return await ask(_pause, callers.current(), request.id)

    @told
    async def ResumeSchedule(self, request: pb.ScheduleRequest, context: Any) -> pb.Schedule:
        return await ask(_resume, callers.current(), request.id)

    @told
    async def DeleteSchedule(
        self, request: pb.ScheduleRequest, context: Any
    ) -> pb.DeleteScheduleResponse:
        await ask(_delete, callers.current(), request.id)
        return pb.DeleteScheduleResponse()


def _create(caller: Caller, request: pb.CreateScheduleRequest) -> pb.Schedule:
    plan = _plan(caller, request.plan, request.team)
    caller.must(Verb.CHANGE, plan)
    if request.missed not in MISSED:
        raise StatusError.invalid("`missed` is once or skip.")
    if request.action not in ("", *Schedule.Action.values):
        raise StatusError.invalid("`action` is backup or drill.")
    if request.overlap not in ("", *Schedule.Overlap.values):
        raise StatusError.invalid("`overlap` is skip or wait.")
    schedule = Schedule(
        team=plan.team,
        plan=plan,
        action=request.action or Schedule.Action.BACKUP,
        cron=request.cron,
        every_seconds=request.every_seconds or None,
        time_zone=request.time_zone or "UTC",
        missed=MISSED[request.missed],
        overlap=request.overlap or Schedule.Overlap.SKIP,
    )
    try:
        schedule.full_clean()
    except ValidationError as error:
        raise StatusError.invalid(" ".join(error.messages)) from None
    schedule.save()
    return _message(schedule)


def _plan(caller: Caller, name: str, team: str) -> Plan:
    """The plan of that name, else the only one of the database of that name."""
    if not name:
        raise StatusError.invalid("Say which plan, in `plan`.")
    rows = caller.sees(Plan.objects.select_related("team", "database"))
    if team:
        rows = rows.filter(team__name=team)
    found = list(rows.filter(name=name)[:2]) or list(rows.filter(database__name=name)[:2])
    if not found and caller.sees(Database.objects.filter(name=name)):
        raise StatusError.precondition(f"{name} has no plan yet. Make one in the dashboard.")
    if not found:
        raise StatusError.missing(f"There is no plan and no database called {name}.")
    if len(found) > 1:
        raise StatusError.invalid(f"{name} may mean several plans: name one, and its `team`.")
    return found[0]


def _list(caller: Caller) -> pb.ListSchedulesResponse:
    rows = caller.sees(Schedule.objects.select_related("team", "plan__database"))
    return pb.ListSchedulesResponse(schedules=[_message(row) for row in rows])


def _pause(caller: Caller, pk: int) -> pb.Schedule:
    schedule = _schedule(caller, pk, Verb.RUN)
    schedule.pause()
    return _message(schedule)


def _resume(caller: Caller, pk: int) -> pb.Schedule:
    schedule = _schedule(caller, pk, Verb.RUN)
    schedule.resume()
    return _message(schedule)


def _delete(caller: Caller, pk: int) -> None:
    _schedule(caller, pk, Verb.CHANGE).delete()


def _schedule(caller: Caller, pk: int, verb: Verb) -> Schedule:
    """One that the caller may do that to."""
    rows = caller.sees(Schedule.objects.select_related("team", "plan__database"))
    found = rows.filter(pk=pk).first()
    if found is None:
        raise StatusError.missing(f"There is no schedule {pk}.")
    caller.must(verb, found)
    return found


def _message(row: Schedule) -> pb.Schedule:
    missed = "once" if row.missed == Schedule.Missed.RUN_ONCE else row.missed
    return pb.Schedule(
        id=row.pk,
        plan=row.plan.name,
        database=row.plan.database.name,
        action=row.action,
        cron=row.cron,
        every_seconds=row.every_seconds,
        time_zone=row.time_zone,
        missed=missed,
        overlap=row.overlap,
        paused=row.paused,
        description=row.description,
        next=[stamp for one in row.next_moments if (stamp := moment(one))],
        problem=row.error,
        team=row.team.name,
    )
