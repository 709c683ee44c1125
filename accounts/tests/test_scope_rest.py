"""What every view set over rows of teams gets from `accounts.rest`, seen through real requests."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.urls import include, path
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from accounts.models import Membership, Role, Team
from accounts.policy import Verb
from accounts.rest import Router, TeamScoped, TeamworkSerializer

# By name, because this app may import none of those above it.
Database = apps.get_model("backups", "Database")
Destination = apps.get_model("backups", "Destination")
Plan = apps.get_model("backups", "Plan")


class DatabaseSerializer(TeamworkSerializer):
    class Meta:
        model = Database
        fields = ["id", "team", "name", "host", "dbname", "username", "password"]


class DatabaseViewSet(TeamScoped, viewsets.ModelViewSet):
    queryset = Database.objects.all()
    serializer_class = DatabaseSerializer
    verbs = {"ping": Verb.RUN}

    @action(detail=True, methods=["post"])
    def ping(self, request, pk=None):
        return Response({"name": self.get_object().name})


class PlanSerializer(TeamworkSerializer):
    class Meta:
        model = Plan
        fields = ["id", "team", "name", "database", "destination"]


class PlanViewSet(TeamScoped, viewsets.ModelViewSet):
    queryset = Plan.objects.all()
    serializer_class = PlanSerializer


router = Router()
router.register("databases", DatabaseViewSet)
router.register("plans", PlanViewSet)
urlpatterns = [path("api/", include(router.urls))]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

BODY = {"name": "shop", "host": "db", "dbname": "shop", "username": "u", "password": "hunter2"}


@pytest.fixture
def database(team):
    return Database.objects.create(team=team, **BODY)


def url(row) -> str:
    return f"/api/{row._meta.model_name}s/{row.pk}"


def test_it_works(api, owner, team):
    made = api(owner).post("/api/databases", BODY)
    assert made.status_code == 201
    assert made.json()["team"] == team.pk
    assert [row["name"] for row in api(owner).get("/api/databases").json()["results"]] == ["shop"]


def test_what_others_own_is_not_there(api, stranger, database):
    assert api(stranger).get("/api/databases").json()["count"] == 0
    for ask in (api(stranger).get, api(stranger).delete, api(stranger).patch):
        assert ask(url(database)).status_code == 404
    assert api(stranger).post(f"{url(database)}/ping").status_code == 404


def test_nobody_is_asked_to_log_in(api, database):
    for answer in (api().get("/api/databases"), api().delete(url(database))):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_viewer_sees_only(api, viewer, database):
    client = api(viewer)
    assert client.get(url(database)).status_code == 200
    assert client.post("/api/databases", BODY).status_code == 403
    assert client.delete(url(database)).status_code == 403
    refused = client.post(f"{url(database)}/ping")
    assert refused.status_code == 403
    assert "operator" in refused.json()["detail"]


def test_an_operator_runs_but_does_not_change(api, mate, database):
    client = api(mate)
    assert client.post(f"{url(database)}/ping").json() == {"name": "shop"}
    assert client.patch(url(database), {"host": "x"}).status_code == 403
    assert client.delete(url(database)).status_code == 403
    assert Database.objects.get().host == "db"


def test_an_admin_changes(api, owner, database):
    assert api(owner).patch(url(database), {"host": "x"}).status_code == 200
    assert api(owner).delete(url(database)).status_code == 204


def test_a_team_that_is_not_seen_does_not_exist(api, owner, stranger):
    refused = api(owner).post("/api/databases", {**BODY, "team": Team.home_of(stranger).pk})
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == ["team"]


def test_a_team_in_which_the_role_is_too_small_is_refused(api, owner, stranger):
    theirs = Team.home_of(stranger)
    Membership.objects.create(user=owner, team=theirs, role=Role.OPERATOR)
    assert api(owner).post("/api/databases", {**BODY, "team": theirs.pk}).status_code == 403


def test_who_has_no_team_is_told_to_name_one(api, superuser, team):
    refused = api(superuser).post("/api/databases", BODY)
    assert refused.status_code == 400
    assert "name the one" in refused.json()["errors"]["team"][0]
    assert api(superuser).post("/api/databases", {**BODY, "team": team.pk}).status_code == 201


def test_a_full_update_without_a_team_leaves_it_where_it_is(api, owner, stranger):
    theirs = Team.home_of(stranger)
    Membership.objects.create(user=owner, team=theirs, role=Role.ADMIN)
    database = Database.objects.create(team=theirs, **BODY)
    assert api(owner).put(url(database), {**BODY, "host": "x"}).status_code == 200
    database.refresh_from_db()
    assert (database.team, database.host) == (theirs, "x")


def test_everything_referred_to_belongs_to_the_same_team(api, owner, stranger, team, database):
    theirs = Team.home_of(stranger)
    foreign = Destination.objects.create(team=theirs, name="cellar")
    body = {"name": "nightly", "database": database.pk, "destination": foreign.pk}
    unseen = api(owner).post("/api/plans", body)
    assert "does not exist" in unseen.json()["errors"]["destination"][0]
    Membership.objects.create(user=owner, team=theirs, role=Role.ADMIN)
    seen = api(owner).post("/api/plans", body)
    assert seen.status_code == 400
    assert "another team" in seen.json()["errors"]["destination"][0]


def test_a_secret_goes_in_and_never_comes_out(api, owner, team):
    client = api(owner)
    made = client.post("/api/databases", BODY)
    database = Database.objects.get()
    seen = [made, client.get(url(database)), client.get("/api/databases")]
    seen.append(client.patch(url(database), {"password": "new secret "}))
    assert not any(b"password" in answer.content for answer in seen)
    assert Database.objects.get().password.reveal() == "new secret "


@pytest.mark.parametrize("kept", ["", None])
def test_an_empty_secret_keeps_the_stored_one(api, owner, database, kept):
    assert api(owner).patch(url(database), {"password": kept}).status_code == 200
    assert api(owner).put(url(database), {**BODY, "password": kept}).status_code == 200
    assert Database.objects.get().password.reveal() == "hunter2"


def test_addresses_answer_with_and_without_a_slash_at_the_end(api, owner, database):
    for address in (url(database), f"{url(database)}/", "/api/databases", "/api/databases/"):
        assert api(owner).get(address).status_code == 200


def test_deleting_what_is_still_needed_is_a_conflict(api, owner, team, database):
    place = Destination.objects.create(team=team, name="cellar")
    Plan.objects.create(team=team, name="nightly", database=database, destination=place)
    refused = api(owner).delete(url(database))
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
