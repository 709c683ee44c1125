"""What the statements of all databases have in common."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tasks.models import Attempt, Event, Tally, Task
from tasks.states import Status


class Best(NamedTuple):
    """The query for id and key of the best due task."""

    sql: str
    params: tuple[Any, ...]


TABLES = {
    "task": Task._meta.db_table,
    "attempt": Attempt._meta.db_table,
    "event": Event._meta.db_table,
    "tally": Tally._meta.db_table,
}
STARTED = json.dumps({"from": Status.QUEUED, "to": Status.RUNNING})
ENDED = json.dumps({"from": Status.RUNNING, "to": Status.SUCCEEDED})
