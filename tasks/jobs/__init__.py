"""The jobs on uploaded files that come with Backdrop, one leaf each, and the engine's own chores.

Loaded at start like every app's `jobs`. A third party adds one by an entry point of the group
`backdrop.jobs` (see docs/JOBS.md).
"""

from tasks.jobs import compress, inspect
from tasks.uploads import sweeping

__all__ = ["compress", "inspect", "sweeping"]
