"""backup, watch, cancel, list, show, restore, verify, databases."""

from __future__ import annotations

import sys
import uuid
from functools import partial
from typing import Any

import click

from backdrop_site.cli import screen
from backdrop_site.cli.daemon import Daemon
from backdrop_site.cli.errors import FAILED, INTERRUPTED, CommandError
from backdrop_site.cli.group import command
from backdrop_site.cli.screen import as_json as told
from backdrop_site.cli.screen import moment, put_fields, put_json, put_table, size
from backdrop_site.cli.values import Id, database_names
from backups.rpc import backup_pb2 as pb

MAX_LISTED = 500
STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")


@command("backup", epilog="Example: backdrop backup postgres-db")
@click.argument("name", required=False, default="", shell_complete=database_names)
@click.option("--plan", default="", help="Which plan, where the database has several.")
@click.option("--team", default="", help="Whose database, where you see several of that name.")
@click.option("--detach", is_flag=True, help="Don't wait for the end.")
def backup(daemon: Daemon, as_json: bool, name: str, plan: str, team: str, detach: bool) -> None:
    """Back up the database NAME and wait for the end.

    Without NAME, the only database there is. Ctrl-C ends the waiting, not the backup.
    """
    request = pb.BackupRequest(
        database=name, plan=plan, team=team, detach=True, idempotency_key=_new_key()
    )
    answer = daemon.begin("RunBackup", request)
    if not detach:
        _wait(daemon, answer.backup_id, as_json=as_json)
        answer = daemon.begin("RunBackup", request)  # the same key: the same one, as it is now
        answer.status = "backup completed"
    if as_json:
        put_json(told(answer))
        return
    if detach:
        click.echo(f"Watch it: backdrop watch {answer.backup_id}")
    click.echo(f"Daemon Response: {answer.status}")


@command("watch")
@click.argument("id", type=Id())
def watch(daemon: Daemon, as_json: bool, id: str) -> None:
    """Follow the backup, restore or proof ID until it ends.

    With --json every change is a line of its own.
    """
    last = _follow(daemon, id, as_json=as_json, json_lines=as_json)
    if sys.stdout.isatty() and not as_json:  # else it was the last line
        click.echo(last.message)


@command("cancel")
@click.argument("id", type=Id())
def cancel(daemon: Daemon, as_json: bool, id: str) -> None:
    """Stop the backup, restore or proof ID; nothing of it stays."""
    standing = daemon.call("CancelBackup", pb.CancelRequest(backup_id=id))
    if as_json:
        put_json(told(standing))
    else:
        click.echo("asked to stop" if standing.cancel_requested else standing.status)


@command("list", epilog="Example: backdrop list --database postgres-db --status failed")
@click.option("--database", default="", shell_complete=database_names, help="Of this one alone.")
@click.option("--status", type=click.Choice(STATUSES), help="Those alone.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LISTED),
    default=20,
    show_default=True,
    help="How many.",
)
def list_backups(
    daemon: Daemon, as_json: bool, database: str, status: str | None, limit: int
) -> None:
    """Backups, the newest first."""
    request = pb.ListBackupsRequest(database=database, status=status or "", page_size=limit)
    found = daemon.call("ListBackups", request)
    if as_json:
        put_json([told(one) for one in found.backups])
        return
    put_table(
        ["ID", "DATABASE", "STATUS", "STARTED", "TOOK", "STORED", "OBJECT"],
        [_row(one) for one in found.backups],
        none="There is none. Make one: backdrop backup NAME",
    )
    if found.next_page_token:
        click.echo("There are more: --limit shows them.", err=True)


def _row(one: pb.Backup) -> list[str]:
    took = f"{one.duration_seconds:.1f} s" if one.HasField("duration_seconds") else ""
    stored = size(one.stored_bytes) if one.HasField("stored_bytes") else ""
    return [one.id, one.database, one.status, moment(one.created_at), took, stored, one.key]


@command("show")
@click.argument("id", type=Id())
def show(daemon: Daemon, as_json: bool, id: str) -> None:
    """The receipt of the backup ID: object, sizes, checksums, tables, last proof."""
    one = daemon.call("GetBackup", pb.GetBackupRequest(backup_id=id))
    if as_json:
        put_json(told(one))
        return
    put_fields(_fields(one))
    if one.tables:
        click.echo()
        rows = [[table.name, f"{table.rows}", size(table.bytes)] for table in one.tables]
        put_table(["TABLE", "ROWS", "BYTES"], rows)


def _fields(one: pb.Backup) -> dict[str, Any]:
    stored = one.HasField("stored_bytes")
    return {
        "id": one.id,
        "status": one.status,
        "error": one.error,
        "database": one.database,
        "plan": one.plan,
        "destination": one.destination,
        "object": one.key,
        "dump": size(one.raw_bytes) if stored else "",
        "stored": f"{size(one.stored_bytes)} ({one.compression})" if stored else "",
        "sha256": one.stored_sha256,
        "server": one.server_version,
        "started": moment(one.created_at),
        "completed": moment(one.completed_at),
        "took": f"{one.duration_seconds:.1f} s" if one.HasField("duration_seconds") else "",
        "proof": _verdict(one.last_proof) if one.HasField("last_proof") else "none yet",
    }


def _verdict(proof: pb.Proof) -> str:
    if not proof.verdict:
        return proof.status
    compared = f", {proof.tables} tables, {proof.rows:,} rows" if proof.tables else ""
    return f"{proof.verdict} at {moment(proof.completed_at)}{compared} {proof.reason}".rstrip()


@command("restore", epilog="Example: backdrop restore 7b0c… --into shop_copy")
@click.argument("id", type=Id())
@click.option("--into", required=True, metavar="NAME", help="The database to make.")
@click.option(
    "--target",
    default="",
    shell_complete=database_names,
    help="Registered database whose server takes it; else the backup's own server.",
)
@click.option("--replace", is_flag=True, help="Replace the database NAME if there is one.")
@click.option("--detach", is_flag=True, help="Don't wait for the end.")
def restore(
    daemon: Daemon,
    as_json: bool,
    id: str,
    into: str,
    target: str,
    replace: bool,
    detach: bool,
) -> None:
    """Load the backup ID into the database NAME.

    It is loaded beside and takes the name once it is whole.
    """
    request = pb.RestoreRequest(
        backup_id=id,
        into=into,
        target=target,
        replace=replace,
        detach=True,
        idempotency_key=_new_key(),
    )
    answer = daemon.begin("RestoreBackup", request)
    if not detach:
        _wait(daemon, answer.id, as_json=as_json)
        answer = daemon.begin("RestoreBackup", request)
    if as_json:
        put_json(told(answer))
    elif detach:
        click.echo(f"Restore accepted. Watch it: backdrop watch {answer.id}")
    else:
        click.echo(f"Restored into {into}.")


@command("verify", epilog="Exit code 0 only where the backup is proven.")
@click.argument("id", type=Id())
@click.option("--detach", is_flag=True, help="Don't wait for the end.")
def verify(daemon: Daemon, as_json: bool, id: str, detach: bool) -> None:
    """Prove the backup ID: restore it into a scratch server and compare, table by table."""
    request = pb.VerifyRequest(backup_id=id, detach=True, idempotency_key=_new_key())
    proof = daemon.begin("VerifyBackup", request)
    if detach:
        if as_json:
            put_json(told(proof))
        else:
            click.echo(f"Drill accepted. Watch it: backdrop watch {proof.id}")
        return
    _wait(daemon, proof.id, as_json=as_json)
    proof = daemon.begin("VerifyBackup", request)
    if as_json:
        put_json(told(proof))
    else:
        click.echo(_verdict(proof))
    if proof.verdict != "proven":
        raise click.exceptions.Exit(FAILED)


@command("databases")
def databases(daemon: Daemon, as_json: bool) -> None:
    """What is registered, its plans, and when it was last backed up and proven."""
    found = daemon.call("ListDatabases", pb.ListDatabasesRequest()).databases
    if as_json:
        put_json([told(one) for one in found])
        return
    rows = [
        [
            one.name,
            one.engine,
            f"{one.host}:{one.port}/{one.dbname}",
            ", ".join(one.plans) or "none",
            moment(one.last_backup_at) or "never",
            moment(one.last_proven_at) or "never",
        ]
        for one in found
    ]
    put_table(
        ["DATABASE", "ENGINE", "AT", "PLANS", "LAST BACKUP", "LAST PROVEN"],
        rows,
        none="No database is registered yet. Register one in the dashboard.",
    )


def _new_key() -> str:
    return str(uuid.uuid4())


def _wait(daemon: Daemon, work_id: str, *, as_json: bool) -> None:
    """For what was just begun."""
    _follow(daemon, work_id, as_json=as_json, json_lines=None if as_json else False, begun=True)


def _follow(
    daemon: Daemon, work_id: str, *, as_json: bool, json_lines: bool | None, begun: bool = False
) -> pb.ProgressUpdate:
    """Show it until it ends; CommandError where it did not end well."""
    notice = partial(screen.put_notice, as_json=as_json)
    updates = daemon.follow(pb.BackupRequest(backup_id=work_id), notice=notice, begun=begun)
    try:
        last = screen.show(updates, json_lines=json_lines)
    except CommandError as error:
        if error.code != "UNAVAILABLE":
            raise
        sentence = f"{error.message} What was begun goes on. Watch it: backdrop watch {work_id}"
        raise CommandError(sentence, exit_code=error.exit_code, code=error.code) from None
    except KeyboardInterrupt:
        raise CommandError(
            f"No longer watching; it goes on. Watch it: backdrop watch {work_id}   "
            f"Stop it: backdrop cancel {work_id}",
            exit_code=INTERRUPTED,
            code="INTERRUPTED",
        ) from None
    if last.status != "succeeded":
        sentence = last.error if last.status == "failed" and last.error else last.message
        raise CommandError(sentence, code=last.status.upper())
    return last
