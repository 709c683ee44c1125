"""`/api/jobs/`: the jobs that can be asked for with a file, and what each takes."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from tasks import registry
from tasks.registry import Job
from tasks.uploads import limits

NAME = OpenApiParameter("name", str, OpenApiParameter.PATH)


class JobSerializer(serializers.Serializer[Job]):
    """One kind of work on files."""

    name = serializers.CharField()
    title = serializers.CharField()
    types = serializers.ListField(child=serializers.CharField(), help_text="None given: all")
    max_bytes = serializers.IntegerField()
    max_attempts = serializers.IntegerField()
    options = serializers.DictField(help_text="JSON schema of what `options` may be")

    def to_representation(self, instance: Job) -> dict[str, Any]:
        return {
            "name": instance.name,
            "title": instance.title,
            "types": list(instance.intake.types) if instance.intake else [],
            "max_bytes": limits.most_bytes(instance),
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
        return Response([JobSerializer(job).data for job in _offered()])

    @extend_schema(parameters=[NAME], responses=JobSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """One of them."""
        found = [job for job in _offered() if job.name == name]
        if not found:
            raise Http404("No such job takes a file.")
        return Response(JobSerializer(found[0]).data)


def _offered() -> list[Job]:
    jobs = (registry.get(name) for name in registry.names())
    return [job for job in jobs if job.intake is not None]
