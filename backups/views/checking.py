"""What trying out a database or a destination found, told to a person."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from backups import connections
from backups.models import Database, Destination
from backups.pipeline.errors import PipelineError
from backups.templatetags.formats import size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The sentence, and what to do where it is a bad one."""

    ok: bool
    sentence: str
    remedy: str = ""


def check_database(database: Database) -> Checked:
    """Connect to it, saved or not, with the adapter that backs it up."""
    return _told(lambda: _connected(database))


def check_destination(destination: Destination) -> Checked:
    """Write, read and remove an object there."""
    return _told(
        lambda: (
            f"An object was written to {connections.check_destination(destination)}, read back"
            " and removed."
        )
    )


def _connected(database: Database) -> str:
    info = connections.check_database(database)
    sentence = f"Connected: {database.get_engine_display()} {info.server_version}"
    if info.estimated_bytes is not None:
        sentence += f", {size(info.estimated_bytes)}"
    return " ".join([f"{sentence}. {info.tool} will dump it.", *info.warnings])


def _told(ask: Callable[[], str]) -> Checked:
    try:
        return Checked(ok=True, sentence=ask())
    except PipelineError as error:
        return Checked(ok=False, sentence=error.sentence, remedy=error.remedy)
    except Exception:
        logger.exception("A check failed in a way its adapter does not know")
        return Checked(
            ok=False, sentence="The check itself failed.", remedy="The server's log says how."
        )
