"""Filters of lists: what fits no column is refused, and a single row is not filtered away."""

from __future__ import annotations

import time

import pytest
from django.apps import apps
from django.urls import include, path
from rest_framework import serializers, viewsets

from accounts.rest import Router, TeamScoped
from accounts.rest_filters import FilterSet

# By name, because this app may import none of those above it.
Plan = apps.get_model("backups", "Plan")
Database = apps.get_model("backups", "Database")
Destination = apps.get_model("backups", "Destination")


class PlanSerializer(serializers.ModelSerializer):
    class Meta:
        model = Plan
        fields = ["id", "name"]


class PlanFilter(FilterSet):
    class Meta:
        model = Plan
        fields = {"created_at": ["gte"], "max_attempts": ["exact", "lt"], "name": ["exact"]}


class PlanViewSet(TeamScoped, viewsets.ReadOnlyModelViewSet):
    queryset = Plan.objects.order_by("pk")
    serializer_class = PlanSerializer
    filterset_class = PlanFilter


class ShortViewSet(PlanViewSet):
    filterset_class = None
    filterset_fields = ["max_attempts", "created_at"]


router = Router()
router.register("plans", PlanViewSet)
router.register("short", ShortViewSet, basename="short")
urlpatterns = [path("api/", include(router.urls))]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


@pytest.fixture
def plan(team):
    login = {"host": "db", "dbname": "shop", "username": "u"}
    database = Database.objects.create(team=team, name="shop", **login)
    place = Destination.objects.create(team=team, name="disk")
    return Plan.objects.create(team=team, name="nightly", database=database, destination=place)


@pytest.fixture
def get(api, viewer):
    return lambda address: api(viewer).get(f"/api/{address}")


def test_it_works(get, plan):
    for query in ("max_attempts=3", "max_attempts__lt=4", "created_at__gte=2020-01-01T00:00:00Z"):
        assert get(f"plans/?{query}").json()["count"] == 1
    assert get("plans/?max_attempts=4").json()["count"] == 0
    assert get("short/?max_attempts=3").json()["count"] == 1


@pytest.mark.parametrize(
    "number", ["-1e9999999", "1e9", "1.5", "NaN", "x", "9" * 5000, str(2**63), str(-(2**63) - 1)]
)
def test_what_is_no_whole_number_of_64_bits_is_refused_at_once(get, plan, number):
    begun = time.monotonic()
    for door in ("plans", "short"):
        refused = get(f"{door}/?max_attempts={number}")
        assert refused.status_code == 400
        assert list(refused.json()["errors"]) == ["max_attempts"]
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_beyond_the_ends_of_time_is_refused(get, plan, moment):
    assert get(f"plans/?created_at__gte={moment}").status_code == 400
    assert get(f"short/?created_at={moment}").status_code == 400


def test_a_row_that_is_named_is_that_row_whatever_filters_say(get, plan):
    for query in ("name=other", "max_attempts=4", "max_attempts=x"):
        assert get(f"plans/{plan.pk}/?{query}").json()["name"] == "nightly"


def test_a_format_that_there_is_not_is_no_reason_to_answer_nothing(get, plan):
    assert get("plans/?format=x").json()["count"] == 1
