"""Schedules over gRPC: made, listed, paused, resumed, removed; by whom."""

from __future__ import annotations

import grpc
import pytest

from backups.models import Schedule
from backups.rpc.tests.calls import refused

Code = grpc.StatusCode
pytestmark = pytest.mark.django_db(transaction=True)


def test_it_works(rpc, plan, owner):
    with rpc.calls(owner) as calls:
        made = calls.CreateSchedule(plan="nightly", cron="0 2 * * *", time_zone="Europe/Berlin")
        assert (made.plan, made.database, made.action) == ("nightly", "shop", "backup")
        assert len(made.next) == 5
        assert calls.ListSchedules().schedules[0].description == made.description
        assert calls.PauseSchedule(id=made.id).paused
        assert not calls.ResumeSchedule(id=made.id).paused
        calls.DeleteSchedule(id=made.id)
        assert not Schedule.objects.exists()


def test_a_database_s_name_means_its_only_plan(rpc, plan, owner):
    with rpc.calls(owner) as calls:
        made = calls.CreateSchedule(plan="shop", every_seconds=3600, action="drill")
    assert (made.plan, made.every_seconds, made.action) == ("nightly", 3600, "drill")


def test_an_interval_may_be_given_as_to_the_original(rpc, plan, owner):
    with rpc.calls(owner) as calls:
        made = calls.CreateSchedule(plan="nightly", cron="@every 6h")
    assert made.description == "Every 6 hours"
    assert made.next[1].seconds - made.next[0].seconds == 6 * 3600


@pytest.mark.parametrize(
    "wrong",
    [
        {"cron": "@every 1s"},
        {"cron": "61 * * * *"},
        {"every_seconds": 1},
        {},
        {"cron": "@daily", "time_zone": "Mars/Base"},
        {"cron": "@daily", "action": "dance"},
        {"cron": "@daily", "missed": "twice"},
    ],
)
def test_what_makes_no_sense_is_refused(rpc, plan, owner, wrong):
    with rpc.calls(owner) as calls, refused(Code.INVALID_ARGUMENT):
        calls.CreateSchedule(plan="nightly", **wrong)
    assert not Schedule.objects.exists()


def test_making_and_removing_one_take_an_admin_of_the_team(rpc, plan, team, mate, stranger):
    schedule = Schedule.objects.create(team=team, plan=plan, cron="@daily")
    with rpc.calls(mate) as calls:
        assert len(calls.ListSchedules().schedules) == 1
        with refused(Code.PERMISSION_DENIED, "admin"):
            calls.CreateSchedule(plan="nightly", cron="@daily")
        with refused(Code.PERMISSION_DENIED, "admin"):
            calls.DeleteSchedule(id=schedule.pk)
    with rpc.calls(stranger) as calls:
        assert not calls.ListSchedules().schedules
        with refused(Code.NOT_FOUND):
            calls.DeleteSchedule(id=schedule.pk)
        with refused(Code.NOT_FOUND):
            calls.CreateSchedule(plan="nightly", cron="@daily")


def test_pausing_and_resuming_take_an_operator_as_at_the_other_doors(
    rpc, plan, team, mate, viewer, stranger
):
    schedule = Schedule.objects.create(team=team, plan=plan, cron="@daily")
    with rpc.calls(mate) as calls:
        assert calls.PauseSchedule(id=schedule.pk).paused
        assert not calls.ResumeSchedule(id=schedule.pk).paused
    for user, code in ((viewer, Code.PERMISSION_DENIED), (stranger, Code.NOT_FOUND)):
        with rpc.calls(user) as calls:
            for method in (calls.PauseSchedule, calls.ResumeSchedule):
                with refused(code):
                    method(id=schedule.pk)
    assert not Schedule.objects.get().paused
