"""The pages of notification channels: what is typed and pressed, and what they tell."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from backups.models import Channel, Delivery, Topic
from backups.tests.conftest import WEBHOOK, ended
from tasks.states import Status

pytestmark = pytest.mark.django_db

HOST = "hooks.slack.com"
ELSEWHERE = "ntfy://ntfy.example.org/another-very-secret-part"


def typed(**more) -> dict:
    return {"name": "ops", "kind": "slack", "address": WEBHOOK, "events": ["failure"], **more}


def sent(channel, state: str = Delivery.State.SENT, **more) -> Delivery:
    told = {"event": "failure", "title": "Backup failed", "tries": 1, **more}
    subject = f"task:{Delivery.objects.count()}"
    return Delivery.objects.create(channel=channel, subject=subject, state=state, **told)


def body(response) -> str:
    return response.content.decode()


@pytest.fixture
def page(client, owner):
    """page("channel"): what the owner sees, at the page of a channel or at one without."""
    client.force_login(owner)

    def show(name: str, channel: Channel | None = None) -> str:
        return body(client.get(reverse(name, args=[channel.pk] if channel else [])))

    return show


def test_it_works(client, owner):
    client.force_login(owner)
    answer = client.post(reverse("channel_new"), typed(), follow=True)

    channel = Channel.objects.get()
    assert (channel.name, channel.team, channel.enabled) == ("ops", owner.teams.get(), True)
    assert channel.address.reveal() == WEBHOOK
    assert answer.redirect_chain[-1][0] == reverse("channel", args=[channel.pk])
    assert "ops is saved." in body(answer)
    assert f"Slack webhook · {HOST}" in body(answer)
    assert "Told of: Backup or drill failed</p>" in body(answer)


def test_a_new_one_is_told_of_everything_unless_one_says_otherwise(page):
    assert page("channel_new").count(" checked>") == len(Topic)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"address": ""}, "Give the address to write to."),
        ({"address": "hooks.slack.com/x"}, "A Slack webhook is https://"),
        ({"kind": "apprise", "address": "nosuchservice://x"}, "Apprise knows no service"),
        ({"events": ["nothing"]}, "nothing is not one of the available choices"),
        ({"name": "two words"}, "Use 1 to 63 letters"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(client, owner, wrong, sentence):
    client.force_login(owner)

    answer = client.post(reverse("channel_new"), typed(**wrong))

    assert sentence in body(answer)
    assert not Channel.objects.exists()


def test_a_name_is_taken_once_in_a_team(client, owner, channel):
    client.force_login(owner)
    answer = client.post(reverse("channel_new"), typed())
    assert "Another notification channel has this name." in body(answer)


def test_an_address_that_is_not_typed_again_is_kept(client, owner, channel):
    client.force_login(owner)

    client.post(reverse("channel_edit", args=[channel.pk]), typed(name="on-call", address=""))

    channel.refresh_from_db()
    assert (channel.name, channel.events) == ("on-call", ["failure"])
    assert channel.address.reveal() == WEBHOOK


def test_another_kind_wants_the_address_again(client, owner, channel):
    client.force_login(owner)
    edit = reverse("channel_edit", args=[channel.pk])

    answer = client.post(edit, typed(kind="apprise", address=""))
    assert "enter it again for the new one" in body(answer)
    client.post(edit, typed(kind="apprise", address=ELSEWHERE))

    channel.refresh_from_db()
    assert (channel.kind, channel.address.reveal()) == ("apprise", ELSEWHERE)
    assert channel.place == "ntfy://"


def test_what_was_typed_is_not_shown_again_where_something_is_wrong(client, owner):
    client.force_login(owner)
    answer = client.post(reverse("channel_new"), typed(name="two words"))
    assert WEBHOOK not in body(answer)


def test_pause_resume_and_remove(client, owner, channel):
    client.force_login(owner)
    answer = client.post(reverse("channel_pause", args=[channel.pk]), follow=True)
    channel.refresh_from_db()
    assert not channel.enabled
    assert reverse("channel_resume", args=[channel.pk]) in body(answer)

    client.post(reverse("channel_resume", args=[channel.pk]))
    channel.refresh_from_db()
    assert channel.enabled

    client.post(reverse("channel_remove", args=[channel.pk]))
    assert not Channel.objects.exists()


def test_a_test_is_a_task_that_its_page_follows(client, mate, channel):
    client.force_login(mate)

    answer = client.post(reverse("channel_test", args=[channel.pk]), follow=True)

    delivery = Delivery.objects.get()
    assert (delivery.event, delivery.task.owner) == ("test", mate)
    assert answer.redirect_chain[-1][0] == reverse("channel", args=[channel.pk])
    assert f'data-live="task:{delivery.task_id}"' in body(answer)
    assert f'data-reload="{Status.QUEUED.value}"' in body(answer)


def test_a_test_that_has_ended_is_followed_no_longer(page, channel, team):
    task = ended(team, "notify", Status.FAILED)
    sent(channel, Delivery.State.FAILED, event="test", task=task)
    assert "data-live" not in page("channel", channel)


def test_the_list_says_what_came_of_the_last_message(page, channel):
    sent(channel, title="An earlier one")
    sent(channel, Delivery.State.FAILED, error="The Slack webhook answered 410.")
    Delivery.objects.filter(state="sent").update(created_at=timezone.now() - timedelta(days=1))

    shown = page("channels")

    assert "Not delivered" in shown
    assert "The Slack webhook answered 410." in shown
    assert "An earlier one" not in shown


def test_the_log_tells_tries_and_reason_and_what_was_said(page, channel):
    sent(
        channel,
        Delivery.State.FAILED,
        tries=3,
        error="The Slack webhook answered 500.",
        text="Database: shop\nError: <b>No route</b>",
    )

    shown = page("channel", channel)

    assert "after 3 tries" in shown
    assert "The Slack webhook answered 500." in shown
    assert "Database: shop<br>Error: &lt;b&gt;No route&lt;/b&gt;" in shown


def test_the_log_has_pages_newest_first(page, client, channel):
    for number in range(30):
        sent(channel, title=f"Message {number:02}")

    first = page("channel", channel)
    second = body(client.get(f"{reverse('channel', args=[channel.pk])}?page=2"))

    assert "Message 29" in first
    assert "Message 04" not in first
    assert "Message 04" in second


def test_the_list_asks_as_often_for_many_channels_as_for_one(
    client, owner, team, django_assert_max_num_queries
):
    client.force_login(owner)
    for number in range(12):
        sent(Channel.objects.create(team=team, name=f"c{number}", address=WEBHOOK))
    with django_assert_max_num_queries(8):
        client.get(reverse("channels"))


@pytest.mark.parametrize(
    ("role", "test", "edit"),
    [(Role.VIEWER, False, False), (Role.OPERATOR, True, False), (Role.ADMIN, True, True)],
)
def test_each_role_sees_the_buttons_it_may_press(client, new_user, team, channel, role, test, edit):
    client.force_login(new_user("somebody", team, role))
    for address in (reverse("channels"), reverse("channel", args=[channel.pk])):
        shown = body(client.get(address))
        assert (reverse("channel_test", args=[channel.pk]) in shown) is test
        assert (reverse("channel_edit", args=[channel.pk]) in shown) is edit
    assert (reverse("channel_pause", args=[channel.pk]) in shown) is edit


@pytest.mark.parametrize("name", ["channel_edit", "channel_pause", "channel_remove"])
def test_an_operator_changes_nothing(client, mate, channel, name):
    client.force_login(mate)
    assert client.post(reverse(name, args=[channel.pk])).status_code == 403
    channel.refresh_from_db()
    assert channel.enabled


def test_the_newcomer_is_taught_what_a_channel_is(page):
    assert "Nobody is told yet" in page("channels")
