"""The engine's own periodic functions, loaded at start like every app's jobs."""

from tasks.uploads import sweeping

__all__ = ["sweeping"]
