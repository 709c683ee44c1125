"""What every REST door shares: pages, problem documents (RFC 9457), and who may see what.

from accounts.rest import TeamScoped, TeamworkSerializer
"""

from accounts.rest.pages import Pages
from accounts.rest.problems import problem_details
from accounts.rest.scoped import MayInTeam, TeamScoped, TeamworkSerializer, VisibleRelatedField

__all__ = [
    "MayInTeam",
    "Pages",
    "TeamScoped",
    "TeamworkSerializer",
    "VisibleRelatedField",
    "problem_details",
]
