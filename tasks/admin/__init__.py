"""Tasks, workers, and the files that tasks are given and bring, in the admin: to be looked at; and
what holds them: pauses, webhooks, limits of uploads."""

from tasks.admin.files import ArtifactAdmin, UploadAdmin
from tasks.admin.limits import UploadLimitAdmin
from tasks.admin.tasks import PauseAdmin, TaskAdmin
from tasks.admin.webhooks import WebhookAdmin
from tasks.admin.work import EventAdmin, WorkerAdmin

__all__ = [
    "ArtifactAdmin",
    "EventAdmin",
    "PauseAdmin",
    "TaskAdmin",
    "UploadAdmin",
    "UploadLimitAdmin",
    "WebhookAdmin",
    "WorkerAdmin",
]
