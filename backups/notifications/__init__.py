"""Telling people what came of backups: what is said, to whom, and how it gets there."""
