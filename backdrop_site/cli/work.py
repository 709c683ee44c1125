"""backup, watch, cancel, list, show, restore, verify, databases."""

from __future__ import annotations

import uuid
from typing import Any

import click

from backdrop_site.cli import screen
from backdrop_site.cli.daemon import Daemon
from backdrop_site.cli.errors import FAILED, INTERRUPTED, CommandError
from backdrop_site.cli.group import command, database_names
from backdrop_site.cli.screen import as_json as told
from backdrop_site.cli.screen import moment, put_fields, put_json, put_table, size
from backups.rpc import backup_pb2 as pb

MAX_LISTED = 500


@command("backup", epilog="Example: backdrop backup postgres-db")
@click.argument("name", required=False, default="", shell_complete=database_names)
@click.option("--plan", default="", help="Which plan, where the database has several.")
@click.option("--team", default="", help="Whose database, where you see several of that name.")
@click.option("--detach", is_flag=True, help="Don't wait for the end.")
def backup(daemon: Daemon, as_json: bool, name: str, plan: str, team: str, detach: bool) -> None:
    """Back up the database NAME and wait for the end.

    Without NAME, the only database there is. Ctrl-C ends the waiting, not the backup.
    """
    key = str(uuid.uuid4())
    request = pb.BackupRequest(
        database=name, plan=plan, team=team, detach=True, idempotency_key=key
    )
    answer = daemon.run_backup(request)
    if not detach:
        _wait(daemon, answer.backup_id, as_json=as_json)
        answer = daemon.run_backup(request)  # the same key: the same backup, as it is now
        answer.status = "backup completed"
    if as_json:
        put_json(told(answer))
        return
    if detach:
        click.echo(f"Watch it: backdrop watch {answer.backup_id}")
    click.echo(f"Daemon Response: {answer.status}")


@command("watch")
@click.argument("id")
def watch(daemon: Daemon, as_json: bool, id: str) -> None:
    """Follow the backup, restore or proof ID until it ends.

    With --json every change is a line of its own.
    """
    updates = daemon.follow(pb.BackupRequest(backup_id=id))
    last = _followed(updates, id, json_lines=as_json)
    if not as_json:
        click.echo(last.message)


@command("cancel")
@click.argument("id")
def cancel(daemon: Daemon, as_json: bool, id: str) -> None:
    """Stop the backup, restore or proof ID; nothing of it stays."""
    standing = daemon.call("CancelBackup", pb.CancelRequest(backup_id=id))
    if as_json:
        put_json(told(standing))
    else:
        click.echo("asked to stop" if standing.cancel_requested else standing.status)


@command("list", epilog="Example: backdrop list --database postgres-db --status failed")
@click.option("--database", default="", shell_complete=database_names, help="Of this one alone.")
@click.option("--status", default="", help="queued, running, succeeded, failed or cancelled.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LISTED),
    default=20,
    show_default=True,
    help="How many.",
)
def list_backups(daemon: Daemon, as_json: bool, database: str, status: str, limit: int) -> None:
    """Backups, the newest first."""
    request = pb.ListBackupsRequest(database=database, status=status, page_size=limit)
    found = daemon.call("ListBackups", request)
    if as_json:
        put_json([told(one) for one in found.backups])
        return
    put_table(
        ["ID", "DATABASE", "STATUS", "STARTED", "TOOK", "STORED", "OBJECT"],
        [_row(one) for one in found.backups],
    )
    if found.next_page_token:
        click.echo("There are more: --limit shows them.", err=True)


def _row(one: pb.Backup) -> list[str]:
    took = f"{one.duration_seconds:.1f} s" if one.HasField("duration_seconds") else ""
    stored = size(one.stored_bytes) if one.HasField("stored_bytes") else ""
    return [one.id, one.database, one.status, moment(one.created_at), took, stored, one.key]


@command("show")
@click.argument("id")
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
@click.argument("id")
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
        backup_id=id, into=into, target=target, replace=replace, detach=True
    )
    begun = daemon.call("RestoreBackup", request)
    if not detach:
        last = _wait(daemon, begun.id, as_json=as_json)
        begun.status = last.status
    if as_json:
        put_json(told(begun))
    elif detach:
        click.echo(f"Restore accepted. Watch it: backdrop watch {begun.id}")
    else:
        click.echo(f"Restored into {into}.")


@command("verify", epilog="Exit code 0 only where the backup is proven.")
@click.argument("id")
@click.option("--detach", is_flag=True, help="Don't wait for the end.")
def verify(daemon: Daemon, as_json: bool, id: str, detach: bool) -> None:
    """Prove the backup ID: restore it into a scratch server and compare, table by table."""
    proof = daemon.call("VerifyBackup", pb.VerifyRequest(backup_id=id, detach=True))
    if detach:
        if as_json:
            put_json(told(proof))
        else:
            click.echo(f"Drill accepted. Watch it: backdrop watch {proof.id}")
        return
    _wait(daemon, proof.id, as_json=as_json)
    proof = _proof(daemon, id, proof)
    if as_json:
        put_json(told(proof))
    else:
        click.echo(_verdict(proof))
    if proof.verdict != "proven":
        raise click.exceptions.Exit(FAILED)


def _proof(daemon: Daemon, backup_id: str, proof: pb.Proof) -> pb.Proof:
    """The same with its verdict, if nobody has had the backup proven again meanwhile."""
    backup = daemon.call("GetBackup", pb.GetBackupRequest(backup_id=backup_id))
    newest: pb.Proof = backup.last_proof
    if newest.id != proof.id:
        raise CommandError("It has ended, but another proof was begun meanwhile: backdrop show.")
    return newest


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
    put_table(["DATABASE", "ENGINE", "AT", "PLANS", "LAST BACKUP", "LAST PROVEN"], rows)


def _wait(daemon: Daemon, work_id: str, *, as_json: bool) -> pb.ProgressUpdate:
    updates = daemon.follow(pb.BackupRequest(backup_id=work_id))
    return _followed(updates, work_id, json_lines=None if as_json else False)


def _followed(updates: Any, work_id: str, *, json_lines: bool | None) -> pb.ProgressUpdate:
    """Show it until it ends; CommandError where it did not end well."""
    try:
        last = screen.show(updates, json_lines=json_lines)
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
