"""The admin door: thin pages over the nouns, behind the same policy as every other door."""

from backups.admin import backups, databases, destinations, plans, proofs, restores

__all__ = ["backups", "databases", "destinations", "plans", "proofs", "restores"]
