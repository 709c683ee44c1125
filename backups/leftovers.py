"""What dead processes may have left in the destinations and on this machine, swept now and then.

The undo of an attempt removes what it had opened; this is for what nobody was told of.
"""

from __future__ import annotations

import logging

from backups import recipes
from backups.models import Destination
from backups.pipeline import scratch
from backups.pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

OLD_SECONDS = 24 * 3600.0
"""Nothing of ours that moves is so still for so long."""


def sweep() -> int:
    """Remove leftovers everywhere; returns how many. Places out of reach are passed over."""
    return scratch.sweep() + sum(_sweep(destination) for destination in Destination.objects.all())


def _sweep(destination: Destination) -> int:
    try:
        return recipes.store_for(destination).sweep(older_than_seconds=OLD_SECONDS)
    except PipelineError as error:
        logger.warning("Leftovers in %s could not be looked for: %s", destination.name, error)
        return 0
