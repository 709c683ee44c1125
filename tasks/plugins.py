"""Jobs of third parties: packages that name theirs under the entry point group `backdrop.jobs`.

An entry point names a module that registers jobs when it is imported, or a `Job` itself.
"""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint, entry_points

from tasks import registry
from tasks.registry import Job

logger = logging.getLogger(__name__)

GROUP = "backdrop.jobs"


def load() -> None:
    """Load them all; one that fails is told and left out, so that the rest can start."""
    for entry in entry_points(group=GROUP):
        try:
            _load(entry)
        except Exception as error:
            logger.error("The jobs of %s can't be loaded: %s", _told(entry), _cause(error))


def _load(entry: EntryPoint) -> None:
    found = entry.load()
    if isinstance(found, Job):
        registry.register(found)


def _told(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else "a package"
    return f"{entry.name} ({package})"


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
