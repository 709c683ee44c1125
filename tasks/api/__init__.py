"""The REST door to tasks: `/task/…` for their clients, `/api/…` for those who look after them."""

from tasks.api.control import CancelView
from tasks.api.events import EventsView
from tasks.api.jobs import JobViewSet
from tasks.api.pauses import PauseViewSet
from tasks.api.requests import RequestView
from tasks.api.resources import EventViewSet, QueueViewSet, TaskViewSet, WorkerViewSet
from tasks.api.results import ResultView
from tasks.api.status import StatusView
from tasks.api.uploads import UploadCompleteView, UploadsView, UploadView
from tasks.api.webhooks import WebhookViewSet

__all__ = [
    "CancelView",
    "EventViewSet",
    "EventsView",
    "JobViewSet",
    "PauseViewSet",
    "QueueViewSet",
    "RequestView",
    "ResultView",
    "StatusView",
    "TaskViewSet",
    "UploadCompleteView",
    "UploadView",
    "UploadsView",
    "WebhookViewSet",
    "WorkerViewSet",
]
