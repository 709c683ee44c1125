"""What is backed up, where to and how, and what came of it."""

from backups.models.backups import Backup
from backups.models.channels import Channel, Delivery, Topic
from backups.models.databases import Database
from backups.models.destinations import Destination
from backups.models.errors import RefusedError, UnfitError
from backups.models.plans import Plan
from backups.models.proofs import Proof
from backups.models.restores import Restore
from backups.models.schedules import Firing, Schedule

__all__ = [
    "Backup",
    "Channel",
    "Database",
    "Delivery",
    "Destination",
    "Firing",
    "Plan",
    "Proof",
    "RefusedError",
    "Restore",
    "Schedule",
    "Topic",
    "UnfitError",
]
