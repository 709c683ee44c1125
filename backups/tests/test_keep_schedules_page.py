"""The pages of schedules, and schedules and channels in the admin: what is typed and pressed."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from backups.models import Channel, Delivery, Firing, Schedule
from backups.tests.conftest import WEBHOOK

pytestmark = pytest.mark.django_db


def typed(plan, **more) -> dict:
    return {
        "plan": plan.pk,
        "action": "backup",
        "time_zone": "Europe/Berlin",
        "missed": "run_once",
        "overlap": "skip",
        **more,
    }


def test_it_works(client, owner, plan):
    client.force_login(owner)
    answer = client.post(reverse("schedule_new"), typed(plan, cron="0 2 * * *"), follow=True)

    schedule = Schedule.objects.get()
    assert (schedule.name, schedule.team, schedule.every_seconds) == ("nightly", plan.team, None)
    page = answer.content.decode()
    assert "nightly is saved: At 02:00 (Europe/Berlin)." in page
    assert f"Next {schedule.next_moments[0].day} " in page


def test_what_is_wrong_is_told_at_its_field(client, owner, plan):
    client.force_login(owner)
    answer = client.post(reverse("schedule_new"), typed(plan, cron="61 * * * *"))

    assert "is no cron expression" in answer.content.decode()
    assert not Schedule.objects.exists()


def test_a_changed_schedule_counts_from_now_on(client, owner, schedule):
    began = schedule.seen_until
    client.force_login(owner)
    body = typed(schedule.plan, name="each-hour", every_seconds="3600")

    client.post(reverse("schedule_edit", args=[schedule.pk]), body)

    schedule.refresh_from_db()
    assert (schedule.name, schedule.cron, schedule.every_seconds) == ("each-hour", "", 3600)
    assert schedule.seen_until > began


def test_pause_resume_and_remove(client, owner, schedule):
    client.force_login(owner)
    page = client.post(reverse("schedule_pause", args=[schedule.pk]), follow=True)
    schedule.refresh_from_db()
    assert schedule.paused
    assert reverse("schedule_resume", args=[schedule.pk]) in page.content.decode()

    client.post(reverse("schedule_resume", args=[schedule.pk]))
    schedule.refresh_from_db()
    assert not schedule.paused

    client.post(reverse("schedule_remove", args=[schedule.pk]))
    assert not Schedule.objects.exists()


def test_the_list_says_what_came_of_the_last_moment(client, viewer, schedule):
    Firing.objects.create(
        schedule=schedule, moment=timezone.now(), state="failed", note="The plan is off."
    )
    Schedule.objects.update(error="It means nothing.")
    client.force_login(viewer)

    page = client.get(reverse("schedules")).content.decode()

    assert "failed. The plan is off." in page
    assert "It means nothing." in page


@pytest.fixture
def admin_client(client, owner):
    owner.is_staff = True
    owner.save()
    client.force_login(owner)
    return client


def test_the_admin_keeps_an_address_that_is_not_typed_again(admin_client, channel):
    url = reverse("admin:backups_channel_change", args=[channel.pk])
    body = {"name": "ops", "kind": "slack", "address": "", "events": ["failure"]}

    answer = admin_client.post(url, body)

    assert answer.status_code == 302, answer.content.decode()
    channel = Channel.objects.get()
    assert channel.address.reveal() == WEBHOOK
    assert (channel.events, channel.enabled) == (["failure"], False)


def test_the_admin_sends_a_test(admin_client, channel):
    url = reverse("admin:backups_channel_send_test", args=[channel.pk])

    assert admin_client.get(url).status_code == 200
    admin_client.post(url)

    assert Delivery.objects.get().event == "test"


def test_the_admin_pauses_and_resumes(admin_client, schedule):
    for name, paused in (("pause_it", True), ("resume_it", False)):
        url = reverse(f"admin:backups_schedule_{name}", args=[schedule.pk])
        assert admin_client.get(url).status_code == 200
        admin_client.post(url)
        schedule.refresh_from_db()
        assert schedule.paused is paused


def test_the_admin_saves_a_schedule(admin_client, plan):
    answer = admin_client.post(
        reverse("admin:backups_schedule_add"),
        typed(plan, team=plan.team_id, name="weekly", cron="@weekly", time_zone="UTC"),
    )

    assert answer.status_code == 302, answer.content.decode()
    assert Schedule.objects.get().description == "At 00:00, only on Sunday (UTC)"
