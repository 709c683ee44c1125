"""Rows as messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from backups.models import Backup, Database, Proof, Restore
from backups.rpc import backup_pb2 as pb
from backups.rpc import sentences
from tasks.states import ENDED, Status

if TYPE_CHECKING:
    from tasks.checks import Finding
    from tasks.models import Task


def moment(value: datetime | None) -> Timestamp | None:
    if value is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def status_of(row: Backup | Restore | Proof) -> str:
    """Once the task's row is gone, what the work left tells how it ended."""
    if row.task is not None:
        return str(row.task.status)
    return str(Status.SUCCEEDED if row.completed_at else Status.FAILED)


def error_of(task: Task | None) -> str:
    return task.error if task is not None and task.status == Status.FAILED else ""


def backup(row: Backup, *, proof: Proof | None = None, whole: bool = False) -> pb.Backup:
    """A row read with its team, database, plan, destination and task; `whole` with its tables."""
    message = pb.Backup(
        id=str(row.pk),
        database=row.database.name,
        plan=row.plan.name if row.plan else "",
        destination=row.destination.name,
        team=row.team.name,
        status=status_of(row),
        complete=row.complete,
        created_at=moment(row.created_at),
        completed_at=moment(row.completed_at),
        duration_seconds=row.duration_seconds,
        key=row.key,
        raw_bytes=row.raw_bytes,
        stored_bytes=row.stored_bytes,
        raw_sha256=row.raw_sha256,
        stored_sha256=row.stored_sha256,
        compression=row.compression,
        server_version=row.server_version,
        error=error_of(row.task),
    )
    if whole:
        message.tables.extend(_table(name, told) for name, told in sorted(row.tables.items()))
    if proof is not None:
        message.last_proof.CopyFrom(proof_message(proof))
    return message


def _table(name: str, told: Mapping[str, Any]) -> pb.Table:
    return pb.Table(
        name=name,
        rows=told.get("rows") or 0,
        bytes=told.get("bytes") or 0,
        digest=told.get("digest") or "",
    )


def restore(row: Restore) -> pb.Restore:
    return pb.Restore(
        id=str(row.pk),
        backup_id=str(row.backup_id),
        target=row.target.name,
        into=row.dbname,
        status=status_of(row),
        created_at=moment(row.created_at),
        completed_at=moment(row.completed_at),
        duration_seconds=row.duration_seconds,
        raw_bytes=row.raw_bytes,
        error=error_of(row.task),
    )


def proof_message(row: Proof) -> pb.Proof:
    return pb.Proof(
        id=str(row.pk),
        backup_id=str(row.backup_id),
        status=status_of(row),
        verdict=row.verdict,
        reason=row.reason,
        created_at=moment(row.created_at),
        completed_at=moment(row.completed_at),
        duration_seconds=row.duration_seconds,
        tables=len(row.tables),
        rows=sum(table.get("rows") or 0 for table in row.tables),
    )


def database(row: Database, plans: list[str], last: Any, proven: Any) -> pb.Database:
    return pb.Database(
        id=row.pk,
        name=row.name,
        team=row.team.name,
        engine=row.engine,
        host=row.host,
        port=row.port,
        dbname=row.dbname,
        plans=plans,
        last_backup_at=moment(last),
        last_proven_at=moment(proven),
    )


def part(name: str, found: Finding) -> pb.Part:
    return pb.Part(name=name, ok=found.ok, detail=found.detail, remedy=found.remedy)


def progress(standing: Mapping[str, Any], work_id: str) -> pb.ProgressUpdate:
    """What `tasks.live.report` tells of a task, about the work of that id."""
    figures = standing["progress"]
    return pb.ProgressUpdate(
        message=sentences.line(standing),
        status=standing["status"],
        backup_id=work_id,
        done=figures["done"],
        total=figures["total"],
        unit=figures["unit"],
        percent=figures["percent"],
        rate=figures["rate"],
        eta_seconds=figures["eta_seconds"],
        attempt=standing["attempt"],
        max_attempts=standing["max_attempts"],
        queue_position=standing["queue_position"],
        seq=standing["seq"],
        ended=standing["status"] in ENDED,
        error=standing["error"] or "",
    )


def without_task(row: Backup | Restore | Proof, job: str) -> pb.ProgressUpdate:
    """The last update about work whose task's row is gone."""
    status = status_of(row)
    told = {"job": job, "status": status, "error": ""}
    return pb.ProgressUpdate(
        message=sentences.line(told), status=status, backup_id=str(row.pk), ended=True
    )
