"""What notifications say; a backup's success in the very words of the original daemon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backups import storages

if TYPE_CHECKING:
    from backups.models import Backup, Destination, Firing, Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A first line, and lines of `Name: value`."""

    title: str
    lines: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return "\n".join(f"{name}: {' '.join(value.split())}" for name, value in self.lines)


def backup_completed(backup: Backup) -> Message:
    return Message(
        title="Backup completed",
        lines=(
            ("Database", backup.database.name),
            ("File", backup.key),
            ("Storage", storage(backup.destination)),
            ("Duration", f"{backup.duration_seconds or 0:.0f}s"),
            ("Size", f"{backup.stored_bytes or 0} bytes"),
        ),
    )


def backup_failed(backup: Backup, error: str) -> Message:
    return Message(
        title="Backup failed",
        lines=(
            ("Database", backup.database.name),
            ("Storage", storage(backup.destination)),
            ("Error", error or "No reason is known."),
        ),
    )


def proof_bad(proof: Proof) -> Message:
    return Message(
        title="Backup proved bad",
        lines=(
            ("Database", proof.backup.database.name),
            ("File", proof.backup.key),
            ("Storage", storage(proof.backup.destination)),
            ("Verdict", proof.get_verdict_display()),
            ("Reason", proof.reason or "The table by table comparison tells."),
        ),
    )


def drill_failed(proof: Proof, error: str) -> Message:
    return Message(
        title="Drill failed",
        lines=(
            ("Database", proof.backup.database.name),
            ("File", proof.backup.key),
            ("Error", error or proof.reason or "No reason is known."),
        ),
    )


def drill_undecided(proof: Proof) -> Message:
    """No failure of the backup's: this machine could not try it."""
    return Message(
        title="Backup not proven",
        lines=(
            ("Database", proof.backup.database.name),
            ("File", proof.backup.key),
            ("Verdict", proof.get_verdict_display()),
            ("Reason", proof.reason or "No reason is known."),
        ),
    )


def schedule_missed(firing: Firing, due: datetime) -> Message:
    schedule = firing.schedule
    return Message(
        title="Schedule missed",
        lines=(
            ("Schedule", schedule.name),
            ("Database", schedule.plan.database.name),
            ("Due", f"{due.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"),
            ("Reason", _why_missed(firing)),
        ),
    )


def _why_missed(firing: Firing) -> str:
    if firing.state == firing.State.STARTED and firing.missed_since is None:
        return "It waits in the queue; no worker has begun it."
    return firing.note or "No daemon has started it."


def trial(channel: str) -> Message:
    return Message(
        title="Backdrop test", lines=(("Channel", channel), ("Meaning", "Messages arrive here."))
    )


def storage(destination: Destination) -> str:
    """`MinIO (s3://backups/)`."""
    return f"{_label(destination)} ({destination.address})"


def _label(destination: Destination) -> str:
    """Its name; where it has only that of its kind, the product."""
    if destination.name != destination.kind:
        return destination.name
    return storages.kind_of(destination.kind).called(destination.options)
