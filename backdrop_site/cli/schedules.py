"""schedule add, list, pause, resume, remove."""

from __future__ import annotations

import re

import click

from backdrop_site.cli.daemon import Daemon
from backdrop_site.cli.group import cli, command
from backdrop_site.cli.screen import as_json as told
from backdrop_site.cli.screen import moment, put_json, put_table
from backdrop_site.cli.values import database_names
from backups.rpc import backup_pb2 as pb

LONGEST_SECONDS = 366 * 86_400
NUMBER = click.IntRange(1, 2**63 - 1)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@cli.group(
    epilog="""\b
Examples:
  backdrop schedule add postgres-db --cron '0 2 * * *' --time-zone Europe/Berlin
  backdrop schedule add postgres-db --cron @daily --action drill
  backdrop schedule add postgres-db --every 6h
"""
)
def schedule() -> None:
    """When plans run by themselves."""


class Interval(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """`90`, `10s`, `30m`, `1h30m`, `1d`: seconds."""

    name = "interval"

    def convert(self, value: object, param: object, ctx: object) -> int:
        told = f"{value}s" if str(value).isdecimal() else str(value)
        found = re.fullmatch(r"(?:\d{1,7}[smhdw])+", told)
        amounts = re.findall(r"(\d+)([smhdw])", told) if found else []
        seconds = sum(int(number) * UNITS[unit] for number, unit in amounts)
        if not 0 < seconds <= LONGEST_SECONDS:
            self.fail(f"{value!r} is none; write 90s, 30m, 1h30m or 1d, at most a year.")
        return seconds


@command("add", group=schedule)
@click.argument("plan", shell_complete=database_names)
@click.option("--cron", default="", help="Five or six fields, @daily, @every 6h.")
@click.option("--every", type=Interval(), help="Instead of --cron: 30m, 6h, 1d.")
@click.option("--action", type=click.Choice(["backup", "drill"]), default="backup")
@click.option("--time-zone", default="", help="Such as Europe/Berlin; UTC when left out.")
@click.option(
    "--missed", type=click.Choice(["once", "skip"]), default="once", help="After an outage."
)
@click.option(
    "--overlap",
    type=click.Choice(["skip", "wait"]),
    default="skip",
    help="While the run before it goes on.",
)
@click.option("--team", default="", help="Whose plan, where you see several of that name.")
def add(
    daemon: Daemon,
    as_json: bool,
    plan: str,
    cron: str,
    every: int | None,
    action: str,
    time_zone: str,
    missed: str,
    overlap: str,
    team: str,
) -> None:
    """Have PLAN (or the only plan of a database of that name) run by itself."""
    if bool(cron) == bool(every):
        raise click.UsageError("Give either --cron or --every.")
    request = pb.CreateScheduleRequest(
        plan=plan,
        action=action,
        cron=cron,
        every_seconds=every or 0,
        time_zone=time_zone,
        missed=missed,
        overlap=overlap,
        team=team,
    )
    made = daemon.call("CreateSchedule", request)
    _tell(made, as_json)
    if not as_json:
        click.echo(f"Then {', '.join(moment(one) for one in made.next[1:])}.")


@command("list", group=schedule)
def list_schedules(daemon: Daemon, as_json: bool) -> None:
    """Schedules, in words, with the moment that comes next."""
    found = daemon.call("ListSchedules", pb.ListSchedulesRequest()).schedules
    if as_json:
        put_json([told(one) for one in found])
        return
    rows = [
        [
            str(one.id),
            one.plan,
            one.action,
            one.description,
            one.problem or ("paused" if one.paused else _next(one)),
        ]
        for one in found
    ]
    put_table(
        ["ID", "PLAN", "ACTION", "WHEN", "NEXT"],
        rows,
        none="There is none. Make one: backdrop schedule add PLAN --cron '0 2 * * *'",
    )


@command("pause", group=schedule)
@click.argument("id", type=NUMBER)
def pause(daemon: Daemon, as_json: bool, id: int) -> None:
    """Let schedule ID rest."""
    _tell(daemon.call("PauseSchedule", pb.ScheduleRequest(id=id)), as_json)


@command("resume", group=schedule)
@click.argument("id", type=NUMBER)
def resume(daemon: Daemon, as_json: bool, id: int) -> None:
    """Let schedule ID run again."""
    _tell(daemon.call("ResumeSchedule", pb.ScheduleRequest(id=id)), as_json)


@command("remove", group=schedule)
@click.argument("id", type=NUMBER)
def remove(daemon: Daemon, as_json: bool, id: int) -> None:
    """Remove schedule ID; the backups it has made stay."""
    daemon.call("DeleteSchedule", pb.ScheduleRequest(id=id))
    if as_json:
        put_json({"removed": id})
    else:
        click.echo(f"Schedule {id} removed.")


def _tell(one: pb.Schedule, as_json: bool) -> None:
    if as_json:
        put_json(told(one))
        return
    state = "paused" if one.paused else f"next {_next(one)}"
    click.echo(f"Schedule {one.id}: {one.action} of {one.plan}, {one.description}, {state}.")


def _next(one: pb.Schedule) -> str:
    return moment(one.next[0]) if one.next else "never"
