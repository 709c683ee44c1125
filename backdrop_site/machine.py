"""What the daemon tells of its own machine, beside the parts that every process can ask about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db.models import OuterRef, Subquery

from backups.models import Backup, Plan
from backups.rpc.sentences import size
from tasks import exporter
from tasks.checks import MissingError, Part

RESERVE = 500_000_000
"""Bytes that are to be free anywhere, for all that is small."""


def disk() -> str:
    """Where backups lie on this machine the next ones must find room, too."""
    free = _free(settings.VAR_DIR)
    if free < RESERVE:
        raise MissingError(
            f"Only {size(free)} are free for Backdrop's own files.",
            remedy=f"Free some space on the disk of VAR_DIR: {size(RESERVE)} at least.",
        )
    told = [f"{size(free)} free for Backdrop's own files"]
    for folder, needed in _folders():
        free = _free(folder)
        if free < RESERVE + needed:
            raise MissingError(
                f"Only {size(free)} are free in a folder of backups; the next ones take about "
                f"{size(needed)}.",
                remedy="Free some space there, or take another destination.",
            )
        told.append(f"{size(free)} in a folder of backups")
    return f"{', '.join(told)}."


def metrics() -> str:
    if url := exporter.served_at():
        return f"At {url}."
    raise MissingError(
        f"Nobody tells metrics: port {settings.METRICS_PORT} can't be listened on.",
        remedy="Is it taken? METRICS_PORT sets another.",
    )


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _folders() -> Iterator[tuple[Path, int]]:
    """Local destinations that are here, each with what the newest backups of its plans take."""
    newest = Backup.objects.filter(plan=OuterRef("pk"), completed_at__isnull=False)
    size_of_newest = Subquery(newest.order_by("-completed_at").values("stored_bytes")[:1])
    plans = Plan.objects.filter(enabled=True, destination__kind="local")
    taken: dict[str, int] = {}
    for plan in plans.select_related("destination").annotate(newest_bytes=size_of_newest):
        folder = str(plan.destination.options.get("folder", ""))
        taken[folder] = taken.get(folder, 0) + (plan.newest_bytes or 0)
    for folder, needed in sorted(taken.items()):
        if folder and Path(folder).is_dir():
            yield Path(folder), needed


PARTS = (Part("disk", disk, fresh_for=10.0), Part("metrics", metrics, fresh_for=3.0))
