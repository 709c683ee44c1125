"""Tasks, workers, and the files that tasks are given and bring, in the admin: to be looked at."""

from tasks.admin.files import ArtifactAdmin, UploadAdmin
from tasks.admin.tasks import TaskAdmin, WorkerAdmin
from tasks.admin.webhooks import WebhookAdmin

__all__ = ["ArtifactAdmin", "TaskAdmin", "UploadAdmin", "WebhookAdmin", "WorkerAdmin"]
