"""Who is asking: people and the teams that own everything."""

from accounts.models.teams import Membership, Role, Team, Teamwork
from accounts.models.users import User

__all__ = ["Membership", "Role", "Team", "Teamwork", "User"]
