"""What long work is doing."""

from tasks.models.attempts import Attempt
from tasks.models.events import Event
from tasks.models.tallies import Tally
from tasks.models.tasks import Task
from tasks.models.workers import Worker

__all__ = ["Attempt", "Event", "Tally", "Task", "Worker"]
