"""Lists: backups by pages, databases."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.db.models import Max, Prefetch, Q, QuerySet

from backups.models import Backup, Database, Plan, Proof
from backups.rpc import backup_pb2 as pb
from backups.rpc import messages
from backups.rpc.callers import Caller
from backups.rpc.finding import BESIDE
from backups.rpc.refusals import StatusError
from tasks.states import Status

PAGE, LARGEST_PAGE = 50, 500
STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")


def backups(caller: Caller, request: pb.ListBackupsRequest) -> pb.ListBackupsResponse:
    """The newest first; a page's token names the last backup of the page before it."""
    rows = caller.sees(Backup.objects.select_related(*BESIDE).order_by("-created_at", "-pk"))
    rows = rows.defer("tables", "manifest")
    if request.database:
        databases = caller.sees(Database.objects.filter(name=request.database))
        if not databases:
            raise StatusError.missing(f"There is no database called {request.database}.")
        rows = rows.filter(database__in=databases)
    if request.status:
        rows = rows.filter(_with_status(request.status))
    if request.page_token:
        rows = _after(rows, request.page_token)
    size = min(request.page_size or PAGE, LARGEST_PAGE)
    found = list(rows[: size + 1])
    more = len(found) > size
    return pb.ListBackupsResponse(
        backups=[messages.backup(row) for row in found[:size]],
        next_page_token=str(found[size - 1].pk) if more else "",
    )


def _with_status(status: str) -> Q:
    if status not in STATUSES:
        raise StatusError.invalid(f"`status` is one of {', '.join(STATUSES)}.")
    found = Q(task__status=status)
    if status in (Status.SUCCEEDED, Status.FAILED):  # as `messages.status_of` tells it
        found |= Q(task__isnull=True, completed_at__isnull=status == Status.FAILED)
    return found


def _after(rows: QuerySet[Backup], token: str) -> QuerySet[Backup]:
    with suppress(ValueError):
        last = rows.model._default_manager.filter(pk=UUID(token)).first()
        if last is not None:
            return rows.filter(_older_than(last))
    raise StatusError.invalid("`page_token` is none that a list gave.")


def _older_than(last: Backup) -> Q:
    older = Q(created_at__lt=last.created_at)
    return older | Q(created_at=last.created_at, pk__lt=last.pk)


def databases(caller: Caller) -> pb.ListDatabasesResponse:
    enabled = Plan.objects.filter(enabled=True)
    rows = caller.sees(Database.objects.select_related("team")).prefetch_related(
        Prefetch("plans", enabled, to_attr="enabled_plans")
    )
    last = dict(Backup.objects.values_list("database").annotate(Max("completed_at")).order_by())
    proven = dict(
        Proof.objects.filter(verdict=Proof.Verdict.PROVEN)
        .values_list("backup__database")
        .annotate(Max("completed_at"))
        .order_by()
    )
    return pb.ListDatabasesResponse(
        databases=[
            messages.database(
                row,
                [plan.name for plan in row.enabled_plans],
                last.get(row.pk),
                proven.get(row.pk),
            )
            for row in rows
        ]
    )
