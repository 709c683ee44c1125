"""The job `restore_dump`: an uploaded dump of PostgreSQL is tried in a server that is thrown away,
and told about; what came of it may then go into a database, where an admin wants that.

What goes there is a dump of our own of the scratch server, by the sink of all restores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from accounts import policy
from accounts.models import User
from accounts.policy import Verb
from backups import recipes
from backups.models import Database
from backups.pipeline import flow, scratch
from backups.pipeline.errors import LackingError, PipelineError
from backups.pipeline.postgres import PostgresSource, foreign, sentences
from backups.pipeline.postgres.foreign import Report
from backups.pipeline.postgres.scratch import ScratchPostgres
from tasks.errors import JobError, PermanentError
from tasks.models import Task
from tasks.registry import Context, Intake, Job, register
from tasks.uploads.refusals import UploadError

if TYPE_CHECKING:
    from backups.pipeline.postgres.connection import PostgresServer

OPTIONS: dict[str, Any] = {
    "properties": {
        "target": {
            "type": "integer",
            "title": "Target",
            "description": "Id of a registered database whose server shall get what was restored, "
            "for admins of its team; without one the dump is only tried and told about",
        },
        "dbname": {
            "type": "string",
            "minLength": 1,
            "maxLength": 63,
            "title": "Database name",
            "description": "Of the new database on that server; it must not be there yet",
        },
    },
    "dependentRequired": {"target": ["dbname"], "dbname": ["target"]},
}
TYPES = (
    "application/sql",
    "text/plain",
    "application/gzip",
    "application/zstd",
    "application/vnd.postgresql.dump",
)
_POWERS = """
    SELECT rolsuper OR pg_has_role(oid, 'pg_execute_server_program', 'MEMBER')
        OR pg_has_role(oid, 'pg_read_server_files', 'MEMBER')
        OR pg_has_role(oid, 'pg_write_server_files', 'MEMBER')
      FROM pg_roles WHERE rolname = current_user
"""


def run(context: Context) -> Mapping[str, Any]:
    """Try it, tell about it, and bring it to the target where one is named."""
    options = context.args.get("options", {})
    target = _target_of(context, options) if "target" in options else None
    with _told():
        if target is not None:
            _refuse_power(recipes.server_of(target))
        with context.input() as given, foreign.restored(given.path, context) as (server, report):
            told = _report(report)
            if target is not None:
                told["restored_into"] = str(options["dbname"])
                told["notes"] = _bring(server, report, target, str(options["dbname"]), context)
    context.log(f"Restored {len(report.tables)} tables with {report.rows} rows.")
    return told


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PipelineError as error:
        kind = PermanentError if error.permanent else JobError
        raise kind(error.sentence, remedy=error.remedy) from error
    except psycopg.Error as error:  # a setting of the restored database's own, say
        raise PermanentError(
            f"What the dump made can't be looked at ({type(error).__name__}).",
            remedy="Look whether it changes settings of its database.",
        ) from None


def check(user: User, options: Mapping[str, Any]) -> None:
    """Only an admin of its team may have a dump brought to a database."""
    if "target" in options and _may_change(user, options["target"]) is None:
        raise UploadError(400, "options.target: there is no such database that you may change.")


def _target_of(context: Context, options: Mapping[str, Any]) -> Database:
    """The same, asked again: roles change while a file is on its way."""
    owner = Task.objects.select_related("owner").get(pk=context.task_id).owner
    found = _may_change(owner, options["target"]) if owner is not None else None
    if found is None:
        raise PermanentError(
            "Who asked for this may not change the target any more, or it was removed.",
            remedy="Have an admin of its team ask for it.",
        )
    return found


def _may_change(user: User, pk: Any) -> Database | None:
    return policy.visible(user, Database.objects.all(), Verb.CHANGE).filter(pk=pk).first()


def _refuse_power(target: PostgresServer) -> None:
    """What a dump defines may run while it is restored (an index on a function of its own, say),
    with the power of the account that restores it."""
    try:
        with target.connect("backdrop restore") as connection:
            row = connection.execute(_POWERS).fetchone()
    except psycopg.Error as error:
        told = sentences.connecting(target, str(error))
        raise LackingError(told.sentence, remedy=told.remedy, permanent=told.permanent) from None
    if row is None or row[0]:
        raise PermanentError(
            f"The account {target.user} could run programs or read files on {target.place}, and "
            "so could the dump.",
            remedy="Register the database with an account that is no superuser and may only "
            "create databases (CREATEDB).",
        )


def _bring(
    server: ScratchPostgres, report: Report, target: Database, dbname: str, context: Context
) -> list[str]:
    """Everything in it belongs to the target's account afterwards."""
    foreign.owned_by(server, report.look, target.username)
    sink = recipes.foreign_sink(target, dbname, context)
    with PostgresSource(server.server(foreign.DBNAME), label=dbname).open() as dump:
        context.message("Bringing it to the target")
        sink.load(
            flow.Reported(dump, context, "Bringing it to the target", report.look.raw_bytes),
            before_commit=context.confirm,
        )
    return [*sink.notes, f"All in it belongs to {target.username} now, and grants were left out."]


def _report(report: Report) -> dict[str, Any]:
    look = report.look
    return {
        "kind": "custom archive" if look.archive else "plain SQL",
        "dumped_from": look.dumped_from,
        "dumped_by": look.dumped_by,
        "restored_in": report.server_version,
        "raw_bytes": look.raw_bytes,
        "database_bytes": report.database_bytes,
        "rows": report.rows,
        "tables": report.tables,
        "more_tables": report.more_tables,
        "roles": list(look.roles),
    }


def undo(opened: Mapping[str, str]) -> None:
    """Remove what a dead attempt left: its scratch server, or the database it had begun."""
    if opened["kind"] == "scratch":
        scratch.remove(opened["folder"])
        return
    target = Database.objects.filter(pk=opened["target"]).first()
    if target is not None:
        recipes.drop_restoring(target, opened["name"])


register(
    Job(
        name="restore_dump",
        run=run,
        title="Restore a dump",
        undo=undo,
        check=check,
        intake=Intake(types=TYPES),
        options=OPTIONS,
        memory_bytes=2 << 30,
        deadline_seconds=4 * 3600,
        stall_seconds=1800,
    )
)
