"""A problem document that also tells how the task stands."""

from __future__ import annotations

from typing import Any

from rest_framework.response import Response

from accounts.rest.problems import MEDIA_TYPE, problem
from tasks.live import report
from tasks.models import Task


def refusal(task: Task, status: int, detail: str) -> Response:
    standing: dict[str, Any] = report.status_of(task, report.positions([task]).get(task.pk))
    document = {**problem(status, detail), "task": standing}
    return Response(document, status=status, content_type=MEDIA_TYPE)
