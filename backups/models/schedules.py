"""When a plan runs by itself, and which of those moments came to what."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Teamwork
from backups import moments
from backups.models.names import validate_name
from backups.moments import TimingError

FORESEEN = 5


class Schedule(Teamwork):
    """Runs a plan's backup, or proves its newest one, by a cron expression or at an interval.

    `seen_until` is how far the scheduler has looked: moments after it are still to be judged.
    """

    class Action(models.TextChoices):
        BACKUP = "backup", "Back up"
        DRILL = "drill", "Prove the newest backup"

    class Missed(models.TextChoices):
        RUN_ONCE = "run_once", "Run once"
        SKIP = "skip", "Skip"

    class Overlap(models.TextChoices):
        SKIP = "skip", "Skip"
        WAIT = "wait", "Wait for its end"

    name = models.CharField(
        max_length=63,
        blank=True,
        validators=[validate_name],
        help_text="Left empty, it is named after its plan",
    )
    plan = models.ForeignKey("backups.Plan", on_delete=models.CASCADE, related_name="schedules")
    action = models.CharField(max_length=10, choices=Action, default=Action.BACKUP)
    cron = models.CharField(
        "cron expression",
        max_length=200,
        blank=True,
        help_text="Five fields, six with the seconds first, @daily and the like, or @every 6h",
    )
    every_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="An interval, in place of a cron expression; 10 or more"
    )
    time_zone = models.CharField(
        max_length=63, default="UTC", help_text="Whose clock the cron expression goes by"
    )
    missed = models.CharField(
        "missed runs",
        max_length=10,
        choices=Missed,
        default=Missed.RUN_ONCE,
        help_text="What is done about moments at which no daemon ran",
    )
    overlap = models.CharField(
        max_length=10,
        choices=Overlap,
        default=Overlap.SKIP,
        help_text="What is done while the run before is still under way",
    )
    paused_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    seen_until = models.DateTimeField(default=timezone.now, editable=False)
    error = models.CharField(
        max_length=300, blank=True, editable=False, help_text="Why it can't run"
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="backups_schedule_once"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Every door calls it: exactly one timing, one that makes sense, a plan of the team's."""
        if not self.name and self.plan_id:
            self.name = self._spare_name()
        if self.plan_id and self.team_id and self.plan.team_id != self.team_id:
            raise ValidationError({"plan": "Choose a plan of the same team."})
        if self.cron and self.every_seconds is not None:
            raise ValidationError(
                {"every_seconds": "Give a cron expression or an interval, not both."}
            )
        if not self.cron and self.every_seconds is None:
            raise ValidationError({"cron": "Give a cron expression or an interval."})
        self._clean_timing()

    def _clean_timing(self) -> None:
        shortest = moments.SHORTEST_SECONDS
        if self.every_seconds is not None and self.every_seconds < shortest:
            raise ValidationError({"every_seconds": f"Use {shortest} seconds or more."})
        if self.every_seconds is not None and self.every_seconds > moments.LONGEST_SECONDS:
            raise ValidationError({"every_seconds": "Use a year or less."})
        try:
            moments.zone(self.time_zone)
        except TimingError as error:
            raise ValidationError({"time_zone": str(error)}) from None
        try:
            self.timing()
        except TimingError as error:
            raise ValidationError({"cron": str(error)}) from None

    def save(self, *args: object, **options: object) -> None:
        if not self.name:
            self.name = self._spare_name()
        super().save(*args, **options)  # type: ignore[arg-type]

    def _spare_name(self) -> str:
        """The plan's name, with a number where another schedule has it."""
        others = Schedule.objects.filter(team_id=self.team_id).exclude(pk=self.pk)
        taken = set(others.values_list("name", flat=True))
        for number in range(1, len(taken) + 2):
            name = self.plan.name[:58] + (f"-{number}" if number > 1 else "")
            if name not in taken:
                return name
        raise AssertionError("one of so many names is free")

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    def timing(self) -> moments.Timing:
        """What says when it is due. Raises TimingError for a row that makes no sense."""
        anchor = self.created_at.replace(microsecond=0)
        if self.cron:
            return moments.timing_of(self.cron, self.time_zone, anchor=anchor)
        if not self.every_seconds or self.every_seconds < moments.SHORTEST_SECONDS:
            raise TimingError("It has neither a cron expression nor an interval of 10 s or more.")
        return moments.Every(self.every_seconds, anchor)

    @property
    def description(self) -> str:
        """`At 02:00 (Europe/Berlin)`; of a malformed row what is wrong."""
        try:
            return self.timing().in_words()
        except TimingError as error:
            return str(error)

    @property
    def next_moments(self) -> list[datetime]:
        """The five that come next; none where it is paused or malformed."""
        return [] if self.paused else self.upcoming()

    def upcoming(self, count: int = FORESEEN, *, now: datetime | None = None) -> list[datetime]:
        """The next moments by its timing alone; none where it is malformed."""
        try:
            return moments.upcoming(self.timing(), now or timezone.now(), count)
        except (TimingError, OverflowError):
            return []

    def pause(self) -> None:
        """What is under way goes on; nothing new is started. Again: no change."""
        if not self.paused:
            self.paused_at = timezone.now()
            self.save(update_fields=["paused_at"])

    def resume(self) -> None:
        """Go on from now: what was due during the pause is not missed."""
        if self.paused:
            self.paused_at = None
            self.look_anew()
            self.save(update_fields=["paused_at", "seen_until", "error"])

    def look_anew(self) -> None:
        """To be called (and saved) after a change of its timing: moments count from now on."""
        self.seen_until = timezone.now()
        self.error = ""


class Firing(models.Model):
    """One due moment of a schedule. Whoever makes its row has the moment; nobody else can."""

    class State(models.TextChoices):
        CLAIMED = "claimed", "Being started"
        WAITING = "waiting", "Waiting for the run before"
        STARTED = "started", "Started"
        SKIPPED = "skipped", "Skipped"
        FAILED = "failed", "Could not be started"

    team_path: ClassVar[str] = "schedule__team"

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="firings")
    moment = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.CLAIMED)
    held_until = models.DateTimeField(
        null=True, blank=True, help_text="While it is being started: when another may take over"
    )
    daemon = models.CharField(max_length=200, blank=True)
    task = models.ForeignKey(
        "tasks.Task", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    note = models.CharField(max_length=500, blank=True)
    missed_since = models.DateTimeField(
        null=True, blank=True, help_text="The first moment missed, where people are to be told"
    )
    late_told_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was found missed and told"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-moment"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "moment"], name="backups_firing_once"),
        ]
        indexes = [
            models.Index(fields=["state", "held_until"], name="backups_firing_open"),
            models.Index(
                fields=["missed_since"],
                name="backups_firing_untold",
                condition=Q(missed_since__isnull=False, late_told_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} at {self.moment:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def key(self) -> str:
        """The idempotency key of its run, whoever starts it."""
        return f"schedule-{self.schedule_id}-{self.moment:%Y-%m-%dT%H:%M:%SZ}-{self.pk}"
