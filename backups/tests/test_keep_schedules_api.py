"""Schedules and notification channels over REST, beyond who may do what."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from backups.models import Channel, Delivery, Firing, Plan, Schedule
from backups.tests.conftest import WEBHOOK

pytestmark = pytest.mark.django_db

SECRET = WEBHOOK.rpartition("/")[2]


def test_it_works(api, owner, plan):
    answer = api(owner).post(
        "/api/schedules/", {"plan": plan.pk, "cron": "0 2 * * *", "time_zone": "Europe/Berlin"}
    )

    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert told["name"] == "nightly"  # after its plan
    assert told["description"] == "At 02:00 (Europe/Berlin)"
    assert (told["missed"], told["overlap"], told["action"]) == ("run_once", "skip", "backup")
    moments = [datetime.fromisoformat(moment) for moment in told["next_moments"]]
    assert len(moments) == 5
    assert timezone.now() < moments[0] < timezone.now() + timedelta(hours=25)


def test_an_interval_may_be_typed_where_a_cron_expression_is(api, owner, plan):
    told = api(owner).post("/api/schedules/", {"plan": plan.pk, "cron": "@every 1h30m"}).json()

    assert (told["cron"], told["every_seconds"]) == ("@every 1h30m", None)
    assert told["description"] == "Every 90 minutes"
    first, second, *_ = (datetime.fromisoformat(moment) for moment in told["next_moments"])
    assert second - first == timedelta(minutes=90)


def test_schedules_of_one_plan_get_names_of_their_own(api, owner, plan):
    for _ in range(2):
        api(owner).post("/api/schedules/", {"plan": plan.pk, "every_seconds": 3600})

    assert sorted(Schedule.objects.values_list("name", flat=True)) == ["nightly", "nightly-2"]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "cron", "Give a cron expression or an interval"),
        ({"cron": "at night"}, "cron", "five fields"),
        ({"cron": "0 0 30 2 *"}, "cron", "never run"),
        ({"cron": "@every 5s"}, "cron", "10 seconds"),
        ({"cron": "@every night"}, "cron", "such as @every 30m"),
        ({"cron": "@daily", "every_seconds": 60}, "every_seconds", "not both"),
        ({"every_seconds": 9}, "every_seconds", "10 seconds or more"),
        ({"every_seconds": 0}, "every_seconds", "10 seconds or more"),
        ({"cron": "@daily", "time_zone": "Mars/Base"}, "time_zone", "no time zone"),
        ({"cron": "@daily", "missed": "often"}, "missed", "not a valid choice"),
        ({"cron": "@daily", "overlap": "often"}, "overlap", "not a valid choice"),
        ({"cron": "@daily", "action": "restore"}, "action", "not a valid choice"),
    ],
)
def test_what_makes_no_sense_is_told_by_field(api, owner, plan, body, field, says):
    answer = api(owner).post("/api/schedules/", {"plan": plan.pk, **body})

    assert answer.status_code == 400
    assert says in str(answer.json()["errors"][field])
    assert not Schedule.objects.exists()


def test_a_paused_schedule_has_no_next_moment(api, mate, schedule):
    paused = api(mate).post(f"/api/schedules/{schedule.pk}/pause/").json()
    assert paused["paused"] is True
    assert paused["next_moments"] == []
    assert [row["id"] for row in api(mate).get("/api/schedules/?paused=true").json()["results"]]

    resumed = api(mate).post(f"/api/schedules/{schedule.pk}/resume/").json()
    assert resumed["paused"] is False
    assert len(resumed["next_moments"]) == 5


def test_a_changed_timing_counts_from_now_on(api, owner, schedule):
    long_ago = timezone.now() - timedelta(days=9)
    Schedule.objects.update(seen_until=long_ago)
    url = f"/api/schedules/{schedule.pk}/"

    api(owner).patch(url, {"overlap": "wait"})
    schedule.refresh_from_db()
    assert schedule.seen_until == long_ago
    api(owner).patch(url, {"cron": "@hourly"})
    schedule.refresh_from_db()

    assert schedule.seen_until > timezone.now() - timedelta(minutes=1)


def test_its_moments_are_told(api, viewer, schedule):
    Firing.objects.create(schedule=schedule, moment=timezone.now(), state="skipped", note="Why.")

    [told] = api(viewer).get(f"/api/schedules/{schedule.pk}/firings/").json()["results"]

    assert (told["state"], told["note"], told["task"]) == ("skipped", "Why.", None)


def test_another_teams_plan_does_not_exist(api, stranger, plan):
    answer = api(stranger).post("/api/schedules/", {"plan": plan.pk, "cron": "@daily"})

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["plan"]


def test_a_plan_takes_its_schedules_with_it(api, owner, schedule):
    assert api(owner).delete(f"/api/plans/{schedule.plan_id}/").status_code == 204

    assert not Schedule.objects.exists()
    assert not Plan.objects.exists()


def test_an_address_goes_in_and_never_out(api, owner, channel):
    client = api(owner)
    made = client.post("/api/notifications/", {"name": "more", "address": WEBHOOK})
    answers = [
        made,
        client.get("/api/notifications/"),
        client.get(f"/api/notifications/{channel.pk}/"),
        client.patch(f"/api/notifications/{channel.pk}/", {"events": ["failure", "missed"]}),
        client.post(f"/api/notifications/{channel.pk}/test/"),
        client.get(f"/api/notifications/{channel.pk}/deliveries/"),
        client.get("/api/tasks/"),
        client.post("/api/notifications/", {"name": "x", "address": WEBHOOK, "kind": "apprise"}),
    ]

    assert made.status_code == 201, made.content
    assert made.json()["place"] == "hooks.slack.com"
    assert made.json()["events"] == ["success", "failure", "missed", "proof_bad"]
    for answer in answers:
        assert SECRET not in answer.content.decode()
    stored = Channel.objects.get(pk=channel.pk)
    assert stored.address.reveal() == WEBHOOK
    assert stored.events == ["failure", "missed"]


def test_a_test_is_sent_as_a_task(api, mate, channel):
    answer = api(mate).post(f"/api/notifications/{channel.pk}/test/")

    assert answer.status_code == 202
    delivery = Delivery.objects.get()
    assert answer.json()["task"] == str(delivery.task_id)
    assert delivery.task.job == "notify"
    assert delivery.task.args == {"delivery": delivery.pk}
    [told] = api(mate).get(f"/api/notifications/{channel.pk}/deliveries/").json()["results"]
    assert told["event"] == "test"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x"}, "address"),
        ({"name": "x", "address": "no address"}, "address"),
        ({"name": "x", "address": WEBHOOK, "events": ["nothing"]}, "events"),
        ({"name": "ops", "address": WEBHOOK}, "name"),
    ],
)
def test_a_channel_that_makes_no_sense_is_told_by_field(api, owner, channel, body, field):
    answer = api(owner).post("/api/notifications/", body)

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
