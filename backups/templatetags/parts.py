"""Small parts of pages: icons, and the shape and tone of states and verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backups.models import Delivery, Proof
from tasks.states import Status

if TYPE_CHECKING:
    from django.contrib.messages.storage.base import Message

    from backups.models import Backup
    from tasks.models import Task

register = template.Library()

_STATUS = {
    Status.AWAITING_UPLOAD: ("calm", "wait"),
    Status.UPLOADING: ("busy", "busy"),
    Status.QUEUED: ("calm", "wait"),
    Status.RUNNING: ("busy", "busy"),
    Status.SUCCEEDED: ("good", "good"),
    Status.FAILED: ("bad", "bad"),
    Status.CANCELLED: ("calm", "calm"),
    Status.EXPIRED: ("calm", "calm"),
}
_DELIVERY = {
    Delivery.State.PENDING: ("busy", "busy"),
    Delivery.State.SENT: ("good", "good"),
    Delivery.State.FAILED: ("bad", "bad"),
}
_VERDICT = {
    Proof.Verdict.PROVEN: ("good", "good"),
    Proof.Verdict.DIFFERS: ("bad", "differs"),
    Proof.Verdict.BROKEN: ("bad", "bad"),
    Proof.Verdict.UNDECIDED: ("warn", "undecided"),
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A decoration beside a word; programs that read aloud pass it over."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>',
        static("backdrop/icons.svg"),
        name,
    )


@register.filter
def tone_icon(tone: str) -> SafeString:
    return icon(tone)


@register.filter
def tone(message: Message) -> str:
    """How a flash message sounds."""
    return {"success": "good", "error": "bad", "warning": "warn"}.get(message.level_tag, "calm")


@register.simple_tag
def pill(tone: str, shape: str, text: str) -> SafeString:
    return format_html('<span class="pill {}">{}{}</span>', tone, icon(shape), text)


@register.simple_tag
def status(task: Task) -> SafeString:
    """Where a task stands; live.js keeps the word true."""
    sounds, shape = _STATUS[Status(task.status)]
    word = task.get_status_display()
    if task.cancel_requested_at and not task.ended:
        word = "Cancelling"
        return format_html('<span class="pill warn">{}{}</span>', icon("busy"), word)
    return format_html(
        '<span class="pill {}">{}<span data-field="status" data-status="{}">{}</span></span>',
        sounds,
        icon(shape),
        task.status,
        word,
    )


@register.simple_tag
def outcome(task: Task) -> SafeString:
    """Where a task stands; of a drill that went well, what it found."""
    proof = getattr(task, "proof", None)
    if task.status == Status.SUCCEEDED and proof is not None and proof.verdict:
        return verdict(proof)
    return status(task)


@register.simple_tag
def verdict(proof: Proof | None) -> SafeString:
    """What a drill found; honest about drills that have not ended or never were."""
    if proof is None:
        return pill("calm", "calm", "Never proven")
    if proof.verdict:
        sounds, shape = _VERDICT[Proof.Verdict(proof.verdict)]
        return pill(sounds, shape, Proof.Verdict(proof.verdict).name.capitalize())
    if proof.task is None or proof.task.ended:
        return pill("calm", "calm", "No verdict")
    return pill("busy", "busy", "Proving")


@register.simple_tag
def table_verdict(word: str) -> SafeString:
    """What the drill found of one table: anything but the same is told in its own word."""
    shown = word.replace("_", " ").capitalize()
    same = word in {"same", "proven", ""}
    return pill("good", "good", shown) if same else pill("bad", "differs", shown)


@register.simple_tag
def delivery(sent: Delivery) -> SafeString:
    """Whether a message arrived."""
    sounds, shape = _DELIVERY[Delivery.State(sent.state)]
    return pill(sounds, shape, sent.get_state_display())


@register.simple_tag
def completeness(backup: Backup) -> SafeString:
    """Whether a backup is there, or what became of its run."""
    if backup.complete:
        return pill("good", "good", "Complete")
    if backup.task is None:
        return pill("calm", "calm", "Not complete")
    sounds, shape = _STATUS[Status(backup.task.status)]
    word = backup.task.get_status_display()
    if backup.task.status == Status.SUCCEEDED:
        sounds, shape, word = "warn", "warn", "Not complete"
    return pill(sounds, shape, word)


@register.filter
def subject(task: Task) -> tuple[str, str] | None:
    """The page of what a task works on: (address, name)."""
    for name in ("backup", "proof", "restore"):
        row: Any = getattr(task, name, None)
        if row is not None:
            backup = row if name == "backup" else row.backup
            return reverse("backup", args=[backup.pk]), backup.database.name
    return None
