"""What every REST door shares: pages, problem documents (RFC 9457), and who may see what.

from accounts.rest import TeamScoped, TeamworkSerializer
"""

from accounts.rest.problems import ConflictError, problem_details, problem_response
from accounts.rest.routes import Router
from accounts.rest.scoped import (
    MayInTeam,
    SecretField,
    TeamScoped,
    TeamworkSerializer,
    VisibleRelatedField,
)
from accounts.rest_defaults import Pages

__all__ = [
    "ConflictError",
    "MayInTeam",
    "Pages",
    "Router",
    "SecretField",
    "TeamScoped",
    "TeamworkSerializer",
    "VisibleRelatedField",
    "problem_details",
    "problem_response",
]
