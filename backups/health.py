"""How well each database is protected: its last good backup, its last proof, and one sentence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from backups.models import Backup, Database, Plan, Proof
from tasks.states import ENDED, Status

if TYPE_CHECKING:
    from tasks.models import Task


class State(Enum):
    """The one word for a database, worst first; the value is its tone."""

    BROKEN = "bad", "could not be restored", "could not be restored"
    DIFFERS = "bad", "came back different", "came back different"
    NO_BACKUP = "warn", "has no backup", "have no backup"
    UNDECIDED = "warn", "is undecided", "are undecided"
    NEVER_PROVEN = "warn", "was never proven", "were never proven"
    PROVEN = "good", "is proven", "are proven"

    @property
    def tone(self) -> str:
        return self.value[0]

    def phrase(self, count: int) -> str:
        return self.value[1 if count == 1 else 2]


_STATE_OF_VERDICT = {
    Proof.Verdict.PROVEN.value: State.PROVEN,
    Proof.Verdict.DIFFERS.value: State.DIFFERS,
    Proof.Verdict.BROKEN.value: State.BROKEN,
    Proof.Verdict.UNDECIDED.value: State.UNDECIDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What stands between one database and its loss."""

    database: Database
    plans: Sequence[Plan] = ()
    last_backup: Backup | None = None
    """The newest that is complete."""
    last_proof: Proof | None = None
    """The newest with a verdict, of whichever of its backups."""
    last_failure: Task | None = None
    """The newest run that failed, if no good backup followed it."""
    newest_id: UUID | None = None
    """Of its newest backup, complete or not: what a button was pressed in sight of."""
    under_way: Sequence[Task] = field(default_factory=list)
    """Backups and drills of it that have not ended, oldest first."""

    @property
    def state(self) -> State:
        if self.last_backup is None:
            return State.NO_BACKUP
        if self.last_proof is None:
            return State.NEVER_PROVEN
        return _STATE_OF_VERDICT[self.last_proof.verdict]

    @property
    def proof_is_older(self) -> bool:
        """Whether what was proven is not the last backup but one before it."""
        return (
            self.last_proof is not None
            and self.last_backup is not None
            and self.last_proof.backup_id != self.last_backup.pk
        )

    @property
    def ready_plans(self) -> list[Plan]:
        return [plan for plan in self.plans if plan.enabled]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One sentence about all databases, and how it should sound: good, warn, bad or calm."""

    tone: str
    sentence: str


def protections(databases: QuerySet[Database]) -> list[Protection]:
    """The protection of each database, in the queryset's order; a fixed number of queries."""
    rows = list(
        databases.select_related("team")
        .prefetch_related("plans")
        .annotate(
            newest_id=Subquery(_all().values("pk")[:1]),
            last_backup_id=Subquery(_complete().values("pk")[:1]),
            last_proof_id=Subquery(_decided().values("pk")[:1]),
            last_failed_id=Subquery(_failed().values("pk")[:1]),
        )
    )
    backups = Backup.objects.select_related("destination", "task").in_bulk(
        {row.last_backup_id for row in rows} | {row.last_failed_id for row in rows} - {None}
    )
    proofs = Proof.objects.select_related("backup").in_bulk(
        {row.last_proof_id for row in rows} - {None}
    )
    under_way = _under_way(rows)
    return [
        Protection(
            database=row,
            plans=list(row.plans.all()),
            last_backup=(last := backups.get(row.last_backup_id)),
            last_proof=proofs.get(row.last_proof_id),
            last_failure=_unanswered(backups.get(row.last_failed_id), last),
            newest_id=row.newest_id,
            under_way=under_way[row.pk],
        )
        for row in rows
    ]


def headline(known: Iterable[Protection]) -> Headline:
    """`2 of 3 databases are proven; 1 has no backup.`"""
    known = list(known)
    if not known:
        return Headline(tone="calm", sentence="No database is backed up yet.")
    counts = Counter(each.state for each in known)
    failing = sum(each.last_failure is not None for each in known)
    parts = [_proven(known, counts[State.PROVEN])]
    if len(known) > 1:
        parts += [
            f"{counts[state]} {state.phrase(counts[state])}"
            for state in State
            if counts[state] and state is not State.PROVEN
        ]
    if failing:
        parts.append("its last run failed" if len(known) == 1 else _failing(failing))
    return Headline(tone=_tone(counts, failing), sentence="; ".join(parts) + ".")


def _proven(known: Sequence[Protection], proven: int) -> str:
    if len(known) == 1:
        return f"{known[0].database.name} {known[0].state.phrase(1)}"
    if proven == len(known):
        return f"All {proven} databases are proven"
    if not proven:
        return f"None of {len(known)} databases is proven"
    return f"{proven} of {len(known)} databases {State.PROVEN.phrase(proven)}"


def _failing(count: int) -> str:
    return f"the last run of {count} failed"


def _tone(counts: Counter[State], failing: int) -> str:
    tones = {state.tone for state in counts}
    if "bad" in tones or failing:
        return "bad"
    return "warn" if "warn" in tones else "good"


def _all() -> QuerySet[Backup]:
    return Backup.objects.filter(database=OuterRef("pk")).order_by("-created_at")


def _complete() -> QuerySet[Backup]:
    return _all().filter(completed_at__isnull=False).order_by("-completed_at")


def _decided() -> QuerySet[Proof]:
    return (
        Proof.objects.filter(backup__database=OuterRef("pk"))
        .exclude(verdict="")
        .order_by("-completed_at", "-created_at")
    )


def _failed() -> QuerySet[Backup]:
    return _all().filter(task__status=Status.FAILED)


def _unanswered(failed: Backup | None, good: Backup | None) -> Task | None:
    """The failed run's task, unless a good backup was started after it."""
    if failed is None or (good is not None and good.created_at > failed.created_at):
        return None
    return failed.task


def _under_way(rows: Sequence[Database]) -> defaultdict[int, list[Task]]:
    found: defaultdict[int, list[Task]] = defaultdict(list)
    waiting = {"task__isnull": False, "task__status__in": set(Status) - ENDED}
    for backup in Backup.objects.filter(database__in=rows, **waiting).select_related("task"):
        found[backup.database_id].append(_known(backup.task))
    proofs = Proof.objects.filter(backup__database__in=rows, **waiting)
    for proof in proofs.select_related("task", "backup"):
        found[proof.backup.database_id].append(_known(proof.task))
    for tasks in found.values():
        tasks.sort(key=lambda task: task.created_at)
    return found


def _known(task: Task | None) -> Task:
    assert task is not None  # noqa: S101 - the query asked for rows that have one
    return task
