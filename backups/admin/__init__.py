"""The admin door: thin pages over the nouns, behind the same policy as every other door."""

from backups.admin import (
    backups,
    channels,
    databases,
    destinations,
    plans,
    proofs,
    restores,
    schedules,
)

__all__ = [
    "backups",
    "channels",
    "databases",
    "destinations",
    "plans",
    "proofs",
    "restores",
    "schedules",
]
