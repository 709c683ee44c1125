"""`GET /statusz`: for people and monitors. Would work that is asked for now be done?

Balancers ask `/readyz` instead: a web process without workers still answers pages.
"""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication

from accounts.rest.problems import MEDIA_TYPE, problem
from backups import connections
from backups.models import Destination
from backups.pipeline.errors import PipelineError
from tasks import checks
from tasks.checks import Finding, MissingError

STORAGE_SECONDS = 60.0  # each time an object is written, read and removed
WEB = Finding(ok=True, detail="This process answers.")

MISSING = OpenApiResponse(OpenApiTypes.OBJECT, "Something is missing; `detail` names it.")


class StatusView(APIView):
    """Asks for nobody's name before it has looked, since the database may be what is missing."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="statusz", responses={200: OpenApiTypes.OBJECT, (503, MEDIA_TYPE): MISSING}
    )
    def get(self, request: Request) -> Response:
        """Whether work that is asked for now would be done; what is missing, if not."""
        found = {"web": WEB, **checks.findings()}
        open_about_it = found["database"].ok and _signed_in(request)
        parts = {name: _told(finding, open_about_it) for name, finding in found.items()}
        missing = [name for name, finding in found.items() if not finding.ok]
        headers = {"Cache-Control": "no-store"}
        if not missing:
            return Response(parts, headers=headers)
        document = {**problem(503, f"Missing: {', '.join(missing)}."), **parts}
        return Response(document, status=503, content_type=MEDIA_TYPE, headers=headers)


def _told(finding: Finding, openly: bool) -> dict[str, Any]:
    return {"ok": finding.ok, "detail": finding.told} if openly else {"ok": finding.ok}


def _signed_in(request: Request) -> bool:
    for door in (JWTAuthentication(), SessionAuthentication()):
        try:
            if door.authenticate(request):
                return True
        except (APIException, DatabaseError):
            continue
    return False


@checks.part("storage", fresh_for=STORAGE_SECONDS)
def storage() -> str:
    """Every destination that a plan uses takes an object and gives it back."""
    destinations = list(Destination.objects.filter(plans__enabled=True).distinct())
    if not destinations:
        return "No plan is enabled."
    silent = sum(not _answers(destination) for destination in destinations)
    if silent:
        raise MissingError(
            f"{silent} of {len(destinations)} destinations do not answer.",
            remedy="“Check” on their pages in the dashboard says which, and why.",
        )
    return f"{len(destinations)} answer."


def _answers(destination: Destination) -> bool:
    try:
        connections.check_destination(destination, seconds=5)
    except PipelineError:
        return False
    return True
