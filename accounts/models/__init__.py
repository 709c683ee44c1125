"""Who is asking: people and the teams that own everything."""

from accounts.models.keys import KeyFingerprint
from accounts.models.logins import FailedLogin
from accounts.models.teams import Membership, Role, Team, Teamwork
from accounts.models.users import User

__all__ = ["FailedLogin", "KeyFingerprint", "Membership", "Role", "Team", "Teamwork", "User"]
