"""The REST door to tasks: `/task/…` for their clients, `/api/…` for those who look after them."""

from tasks.api.control import CancelView, ResultView
from tasks.api.pauses import PauseViewSet
from tasks.api.resources import EventViewSet, QueueViewSet, TaskViewSet, WorkerViewSet
from tasks.api.status import StatusView

__all__ = [
    "CancelView",
    "EventViewSet",
    "PauseViewSet",
    "QueueViewSet",
    "ResultView",
    "StatusView",
    "TaskViewSet",
    "WorkerViewSet",
]
