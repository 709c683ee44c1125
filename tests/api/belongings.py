"""One of everything that a team owns, made anew as often as it is used up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from accounts.models import Team, User
from backups.models import (
    Backup,
    Channel,
    Database,
    Delivery,
    Destination,
    Firing,
    Plan,
    Proof,
    Restore,
    Schedule,
)
from tasks import pauses, queue
from tasks.models import (
    Artifact,
    Canary,
    Event,
    Pause,
    Task,
    Upload,
    Webhook,
    WebhookDelivery,
    Worker,
)
from tasks.states import Status
from tasks.uploads import sessions
from tasks.webhooks import notices

NOBODY = 1
"""A port of this machine where nobody answers."""


KINDS = (
    *(Delivery, Firing, Proof, Restore, Backup, Schedule, Plan, Channel, Destination, Database),
    *(WebhookDelivery, Webhook, Upload, Task, Pause),
)
"""In the order in which they can be removed."""


class Belongings:
    """Each method makes one more. No worker is there to tell the webhooks."""

    def __init__(self, team: Team, owner: User, folder: Path) -> None:
        self.team, self.owner, self.folder = team, owner, folder
        self.names: list[str] = []

    def name(self, noun: str) -> str:
        """One that nothing has had yet."""
        self.names.append(f"{noun}-{len(self.names) + 1}")
        return self.names[-1]

    def clear(self) -> None:
        """Remove whatever anybody has made, but for what `ready_platform` needs."""
        for kind in KINDS:
            kind.objects.all().delete()

    # Of backups ---------------------------------------------------------------------------------

    def database(self) -> Database:
        return Database.objects.create(
            team=self.team,
            name=self.name("database"),
            host="127.0.0.1",
            port=NOBODY,
            dbname="shop",
            username="keeper",
            password="s3cret",
        )

    def destination(self) -> Destination:
        name = self.name("destination")
        folder = self.folder / name
        folder.mkdir()
        return Destination.objects.create(
            team=self.team, name=name, kind="local", options={"folder": str(folder)}
        )

    def plan(self) -> Plan:
        return Plan.objects.create(
            team=self.team,
            name=self.name("plan"),
            database=self.database(),
            destination=self.destination(),
        )

    def schedule(self) -> Schedule:
        plan = self.plan()
        made = Schedule.objects.create(
            team=self.team, name=self.name("schedule"), plan=plan, cron="0 2 * * *"
        )
        Firing.objects.create(
            schedule=made, moment=timezone.now(), state=Firing.State.STARTED, task=self.ended()
        )
        return made

    def channel(self) -> Channel:
        made = Channel.objects.create(
            team=self.team,
            name=self.name("channel"),
            kind=Channel.Kind.APPRISE,
            address=f"json://127.0.0.1:{NOBODY}/secret",
        )
        Delivery.objects.create(
            channel=made, event="success", subject="1", title="Backup completed", task=self.ended()
        )
        return made

    def backup(self, status: Status = Status.SUCCEEDED) -> Backup:
        plan, task = self.plan(), self.task(status, job="backup")
        receipt = {
            "completed_at": timezone.now(),
            "duration_seconds": 3.5,
            "key": f"{self.name('shop')}.sql.gz",
            "raw_bytes": 12000,
            "stored_bytes": 4000,
            "raw_sha256": "a" * 64,
            "stored_sha256": "b" * 64,
            "compression": "gzip",
            "server_version": "15.10",
            "tables": {"public.orders": {"rows": 3, "bytes": 30, "digest": "c" * 64}},
            "manifest": {"format": 1},
        }
        return Backup.objects.create(
            team=self.team,
            plan=plan,
            database=plan.database,
            destination=plan.destination,
            task=task,
            **(receipt if status == Status.SUCCEEDED else {}),
        )

    def restore(self, status: Status = Status.QUEUED) -> Restore:
        backup = self.backup()
        return Restore.objects.create(
            team=self.team,
            backup=backup,
            target=backup.database,
            dbname="copy",
            task=self.task(status, job="restore"),
        )

    def proof(self, status: Status = Status.QUEUED) -> Proof:
        return Proof.objects.create(
            team=self.team, backup=self.backup(), task=self.task(status, job="drill")
        )

    # Of tasks -----------------------------------------------------------------------------------

    def task(self, status: Status = Status.QUEUED, *, job: str = "inspect", **more) -> Task:
        made = queue.push(job=job, team=self.team, owner=self.owner, title="Work", **more)
        ended = status in (Status.SUCCEEDED, Status.FAILED)
        if status != Status.QUEUED:
            Task.objects.filter(pk=made.pk).update(
                status=status,
                started_at=timezone.now(),
                finished_at=timezone.now() if ended else None,
                error="It went wrong. Try again." if status == Status.FAILED else "",
            )
            made.refresh_from_db()
        return made

    def ended(self) -> Task:
        """With a result in JSON."""
        made = self.task(Status.SUCCEEDED)
        Task.objects.filter(pk=made.pk).update(result={"rows": 3})
        return made

    def event(self) -> Event:
        return self.task().events.get()

    def artifact(self, uploads: Path) -> Artifact:
        """A file in that folder, where a task has brought it."""
        task, content = self.ended(), b"city,sold\n"
        key = f"results/{task.pk}/1-1"
        path = uploads / key
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        Task.objects.filter(pk=task.pk).update(attempt=1)
        return Artifact.objects.create(
            task=task,
            attempt=1,
            name="orders.csv",
            key=key,
            size=len(content),
            sha256="d" * 64,
            content_type="text/csv",
            expires_at=timezone.now() + timedelta(days=1),
        )

    def upload(self, size: int | None = 5) -> Upload:
        """It waits for its bytes."""
        return sessions.ask(
            job="inspect", team=self.team, owner=self.owner, filename="orders.csv", size=size
        )

    def webhook(self) -> Webhook:
        made = Webhook.objects.create(
            team=self.team, name=self.name("webhook"), url="https://example.org/secret"
        )
        notices.test(made, by=self.owner)
        return made

    # Of the platform ----------------------------------------------------------------------------

    def pause(self) -> Pause:
        return pauses.pause(Pause.Kind.QUEUE, self.name("queue"), by=self.owner, reason="Moving")

    def worker(self, kind: Worker.Kind = Worker.Kind.WORKER) -> Worker:
        return Worker.objects.create(
            name=self.name("machine"),
            kind=kind,
            host="machine",
            pid=1,
            queues=["default"] if kind == Worker.Kind.WORKER else [],
            capacity=3,
            heartbeat_at=timezone.now() + timedelta(days=1),  # nobody renews it
        )

    def canary(self) -> Canary:
        now = timezone.now()
        return Canary.objects.create(
            queue=self.name("queue"), sent_at=now, returned_at=now, seconds=0.1
        )
