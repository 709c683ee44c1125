"""What watchers wait for: one task, or all tasks of some teams."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import dataclass, field
from uuid import UUID

from tasks.live.mailbox import Mailbox
from tasks.places import Place


@dataclass(eq=False, kw_only=True)
class Watch:
    """Somebody who waits. Made inside a running event loop; the poller answers into `mailbox`."""

    mailbox: Mailbox = field(default_factory=Mailbox)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


@dataclass(eq=False, kw_only=True)
class TaskWatch(Watch):
    """Waits until one task gets past `seen`, with every event after it, or changes its place."""

    task_id: UUID
    seen: int
    """The seq told last; the poller moves it on."""
    place: Place | None = None
    """The place in the queue told last; None where it doesn't wait."""


@dataclass(eq=False, kw_only=True)
class TeamsWatch(Watch):
    """Waits for changes of any task of these teams. First of all its mailbox says "behind".

    What it reads after that, and what it is told from then on, leave no gap; they may overlap.
    """

    teams: Set[int]
