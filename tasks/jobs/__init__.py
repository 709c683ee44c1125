"""The jobs on uploaded files that come with Backdrop, one leaf each, and the engine's own chores.

Loaded at start like every app's `jobs`. A third party adds one by an entry point of the group
`backdrop.jobs` (see docs/jobs-on-files.md).
"""

from tasks.jobs import compress, convert, images, inspect, own, profile
from tasks.uploads import sweeping
from tasks.webhooks import notices

__all__ = [
    "compress",
    "convert",
    "images",
    "inspect",
    "notices",
    "own",
    "profile",
    "sweeping",
]
