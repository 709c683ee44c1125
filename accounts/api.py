"""The REST door to who one is: logging in and out, oneself, team mates and teams."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import permissions, serializers, status, viewsets
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import tokens
from accounts.errors import InvalidTokenError
from accounts.models import Membership, Team, User
from accounts.rest import TeamScoped

NOT_CACHED = {"Cache-Control": "no-store"}
TOO_MANY = OpenApiResponse(description="Too many failed logins; `Retry-After` says for how long.")
WRONG = OpenApiResponse(description="Wrong name or password.")
DEAD = OpenApiResponse(description="The token is no longer good.")


class LoginSerializer(serializers.Serializer[Any]):
    """A user name (an e-mail address does as well) and the password."""

    username = serializers.CharField(max_length=254, required=False)
    email = serializers.CharField(max_length=254, required=False, help_text="Instead of username")
    password = serializers.CharField(
        max_length=1024, write_only=True, trim_whitespace=False, style={"input_type": "password"}
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        name = attrs.get("username") or attrs.get("email")
        if not name:
            raise serializers.ValidationError({"username": "Give a user name or e-mail address."})
        return {"username": name, "password": attrs["password"]}


class PairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="For `Authorization: Bearer …`")
    refresh = serializers.CharField(help_text="Good for one call of /auth/refresh")
    expires_in = serializers.IntegerField(help_text="Seconds until `access` expires")


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=4096)


class MembershipSerializer(serializers.ModelSerializer[Membership]):
    id = serializers.IntegerField(source="team.id")
    name = serializers.CharField(source="team.name")

    class Meta:
        model = Membership
        fields = ["id", "name", "role"]


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "username", "first_name", "last_name", "email", "is_active"]
        read_only_fields = fields


class MeSerializer(UserSerializer):
    teams = MembershipSerializer(source="membership_set", many=True, read_only=True)

    class Meta(UserSerializer.Meta):
        fields = [*UserSerializer.Meta.fields, "is_superuser", "teams"]
        read_only_fields = fields


class TeamSerializer(serializers.ModelSerializer[Team]):
    class Meta:
        model = Team
        fields = ["id", "name", "created_at"]
        read_only_fields = fields


class OpenDoor(APIView):
    """For callers who have no access token (yet, or any more)."""

    authentication_classes = []
    permission_classes = [permissions.AllowAny]

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class LoginView(OpenDoor):
    @extend_schema(
        request=LoginSerializer, responses={200: PairSerializer, 401: WRONG, 429: TOO_MANY}
    )
    def post(self, request: Request) -> Response:
        """Exchange name and password for a pair of tokens."""
        asked = LoginSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = authenticate(request._request, **asked.validated_data)
        if user is None:
            raise AuthenticationFailed("Wrong name or password.")
        update_last_login(User, user)
        return Response(asdict(tokens.pair_for(user)), headers=NOT_CACHED)


class RefreshView(OpenDoor):
    @extend_schema(request=RefreshSerializer, responses={200: PairSerializer, 401: DEAD})
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair; each works once."""
        pair = _with_token(request, tokens.renewed)
        return Response(asdict(pair), headers=NOT_CACHED)


class LogoutView(OpenDoor):
    @extend_schema(request=RefreshSerializer, responses={204: None, 401: DEAD})
    def post(self, request: Request) -> Response:
        """End a refresh token; the access token made with it expires by itself."""
        _with_token(request, tokens.end)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        """Who is logged in, and in which role in which teams."""
        return Response(MeSerializer(cast("User", request.user)).data)


class UserViewSet(TeamScoped, viewsets.ReadOnlyModelViewSet[User]):
    """Oneself and one's team mates."""

    queryset = User.objects.order_by("username")
    serializer_class = UserSerializer
    filterset_fields = ["username", "is_active"]
    ordering_fields = ["id", "username"]


class TeamViewSet(TeamScoped, viewsets.ReadOnlyModelViewSet[Team]):
    """The teams one belongs to."""

    queryset = Team.objects.order_by("name")
    serializer_class = TeamSerializer
    filterset_fields = ["name"]
    ordering_fields = ["id", "name"]


def _with_token(request: Request, verb: Any) -> Any:
    asked = RefreshSerializer(data=request.data)
    asked.is_valid(raise_exception=True)
    try:
        return verb(asked.validated_data["refresh"])
    except InvalidTokenError as error:
        raise AuthenticationFailed(str(error)) from error
