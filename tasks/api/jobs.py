"""`/api/jobs/`: the jobs that can be asked for with a file, and what each takes."""

from __future__ import annotations

from typing import Any, cast

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from tasks import registry
from tasks.registry import Job
from tasks.uploads import creating, limits, room
from tasks.uploads.refusals import UploadError

NAME = OpenApiParameter("name", str, OpenApiParameter.PATH)


class JobSerializer(serializers.Serializer[Job]):
    """One kind of work on files, and what the caller may send to it now."""

    name = serializers.CharField()
    title = serializers.CharField()
    types = serializers.ListField(
        child=serializers.CharField(), help_text="That you may send; none given: all"
    )
    max_bytes = serializers.IntegerField(help_text="Of the largest file that you may send")
    quota_bytes = serializers.IntegerField(help_text="Of all files that you may have here")
    used_bytes = serializers.IntegerField(help_text="Of those that you have here")
    sessions = serializers.IntegerField(help_text="Uploads that you may have open at once")
    open_sessions = serializers.IntegerField(help_text="Those that you have open")
    refusal = serializers.CharField(
        allow_null=True, help_text="Why you may send nothing to it at all; null where you may"
    )
    max_attempts = serializers.IntegerField()
    options = serializers.DictField(help_text="JSON schema of what `options` may be")

    def to_representation(self, instance: Job) -> dict[str, Any]:
        """`context` is what `_standing` says."""
        allowance, used = self.context["allowances"][instance.name], self.context["used"]
        refusal = self.context["refusal"] or allowance.refusal()
        return {
            "name": instance.name,
            "title": instance.title,
            "types": [] if allowance.types == limits.ALL_TYPES else list(allowance.types),
            "max_bytes": allowance.max_bytes,
            "quota_bytes": allowance.quota_bytes,
            "used_bytes": used.bytes,
            "sessions": allowance.sessions,
            "open_sessions": used.sessions,
            "refusal": refusal.sentence if refusal else None,
            "max_attempts": instance.max_attempts,
            "options": {"type": "object", "additionalProperties": False, **instance.options},
        }


class JobViewSet(viewsets.ViewSet):
    """The jobs that `/task/request` knows."""

    lookup_field = "name"
    lookup_value_regex = "[A-Za-z0-9_.-]+"

    @extend_schema(responses=JobSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All of them, by name."""
        jobs = _offered()
        context = _standing(request, jobs)
        return Response([JobSerializer(job, context=context).data for job in jobs])

    @extend_schema(parameters=[NAME], responses=JobSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One of them."""
        found = [job for job in _offered() if job.name == name]
        if not found:
            raise Http404("No such job takes a file.")
        return Response(JobSerializer(found[0], context=_standing(request, found)).data)


def _offered() -> list[Job]:
    jobs = (registry.get(name) for name in registry.names())
    return [job for job in jobs if job.intake is not None]


def _standing(request: Request, jobs: list[Job]) -> dict[str, Any]:
    """What the caller may send to each, has here already, and why nothing is taken from them."""
    user = cast("User", request.user)
    team, refusal = None, None
    try:
        team = creating.team_of(user)
    except UploadError as error:
        refusal = error
    return {
        "allowances": limits.by_job(user, team, jobs),
        "used": room.used_by(user),
        "refusal": refusal,
    }
