"""What long work is doing."""

from tasks.models.artifacts import Artifact
from tasks.models.attempts import Attempt
from tasks.models.canaries import Canary
from tasks.models.chores import Chore
from tasks.models.events import Event
from tasks.models.limits import UploadLimit
from tasks.models.pauses import Pause
from tasks.models.tallies import Tally
from tasks.models.tasks import Task
from tasks.models.totals import Total
from tasks.models.turns import Turn
from tasks.models.uploads import Upload
from tasks.models.webhooks import Webhook, WebhookDelivery
from tasks.models.workers import Worker

__all__ = [
    "Artifact",
    "Attempt",
    "Canary",
    "Chore",
    "Event",
    "Pause",
    "Tally",
    "Task",
    "Total",
    "Turn",
    "Upload",
    "UploadLimit",
    "Webhook",
    "WebhookDelivery",
    "Worker",
]
